/**
 * Writes `examples/operations.ts`: typed documents, from the SDL and the trusted documents in `schema/operations/`.
 *
 *     npm run codegen
 *
 * A field that the schema does not have fails here; a field that a document does not select is an error of the
 * compiler where it is used. Nothing but the text of both files decides what is written.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { codegen } from '@graphql-codegen/core'
import * as typescriptOperations from '@graphql-codegen/typescript-operations'
import { Kind, parse, print, type DefinitionNode, type DocumentNode } from 'graphql'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const SDL = join(ROOT, 'schema/schema.graphql')
const DOCUMENTS = join(ROOT, 'schema/operations')
export const OUTPUT = join(ROOT, 'examples/operations.ts')

const TYPES: Readonly<Record<string, string>> = {
  query: 'Query',
  mutation: 'Mutation',
  subscription: 'Subscription',
}

/** What `OUTPUT` has to be. Throws where a document does not fit the schema, or is not named as its file. */
export async function generateOperations(): Promise<string> {
  const files = readdirSync(DOCUMENTS)
    .filter((name) => name.endsWith('.graphql'))
    .sort()
  const operations: DefinitionNode[] = []
  const fragments = new Map<string, DefinitionNode>()
  const documents: string[] = []
  for (const file of files) {
    const text = readFileSync(join(DOCUMENTS, file), 'utf8')
    const name = basename(file, '.graphql')
    for (const definition of parse(text).definitions) {
      if (definition.kind === Kind.FRAGMENT_DEFINITION) {
        const known = fragments.get(definition.name.value)
        if (known && print(known) !== print(definition)) {
          throw new Error(`${file}: the fragment ${definition.name.value} is another one than elsewhere.`)
        }
        fragments.set(definition.name.value, known ?? definition)
      } else if (definition.kind === Kind.OPERATION_DEFINITION && definition.name?.value === name) {
        operations.push(definition)
        documents.push(documentOf(name, TYPES[definition.operation]!, text))
      } else {
        throw new Error(`${file}: expected one operation, named ${name}.`)
      }
    }
  }
  const document: DocumentNode = { kind: Kind.DOCUMENT, definitions: [...operations, ...fragments.values()] }
  const types = await codegen({
    filename: OUTPUT,
    schema: parse(readFileSync(SDL, 'utf8')),
    documents: [{ location: DOCUMENTS, document }],
    config: {
      strictScalars: true,
      scalars: { DateTime: 'string', IntOrString: 'number | string', JSON: 'unknown' },
      immutableTypes: true,
      skipTypename: true,
      mergeFragmentTypes: true,
      // They stand in the SDL: what only says more there changes nothing here.
      disableDescriptions: true,
    },
    plugins: [{ operations: {} }],
    pluginMap: { operations: typescriptOperations },
  })
  return [
    '// Written by `npm run codegen` from schema/: do not edit.',
    "import { trusted } from './trusted-document.ts'",
    '',
    types,
    ...documents,
  ].join('\n')
}

function documentOf(name: string, type: string, text: string): string {
  const hash = createHash('sha256').update(text).digest('hex')
  const literal = text.replaceAll(/[\\`]|\$\{/g, (special) => `\\${special}`)
  return `export const ${name} = trusted<${name}${type}, ${name}${type}Variables>(
  '${hash}',
  /* GraphQL */ \`${literal}\`,
)
`
}

if (import.meta.main) writeFileSync(OUTPUT, await generateOperations())
