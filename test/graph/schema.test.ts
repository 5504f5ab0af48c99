import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import {
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
  isSpecifiedScalarType,
  validateSchema,
  type GraphQLNamedType,
} from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSchema, printFleetSchema } from '../../src/graph/schema.ts'
import { ALL_KINDS } from '../../src/kubernetes/kinds.ts'

const committed = new URL('../../schema/schema.graphql', import.meta.url)

const types = Object.values(createSchema().getTypeMap()).filter(
  (type) => !isIntrospectionType(type) && !isSpecifiedScalarType(type),
)

describe('the schema', () => {
  it('is valid', () => {
    expect(validateSchema(createSchema())).toEqual([])
  })

  it('is the committed one: after a change that is meant, write it with `npm run schema`', async () => {
    expect(await readFile(committed, 'utf8')).toBe(printFleetSchema())
  })

  it('describes every type, field, argument, input field and enum value', () => {
    expect(types.flatMap(undescribed)).toEqual([])
  })

  it('ends every description like a sentence', () => {
    const bad = types.flatMap(descriptions).filter(([, text]) => !/[.:?…]$/.test(text.trim()))
    expect(bad).toEqual([])
  })

  it('has each kind as a type, a root field and a field of a cluster that list it', () => {
    const query = createSchema().getQueryType()!.getFields()
    const cluster = createSchema().getType('Cluster')
    if (!isObjectType(cluster)) throw new Error('There is no type Cluster.')
    for (const kind of ALL_KINDS) {
      const name = kind === 'Node' ? 'ClusterNode' : kind
      const lists = (fields: typeof query) =>
        Object.values(fields).filter(({ type }) => String(type) === `${name}Connection!`)
      expect(lists(query)).toHaveLength(1)
      expect(lists(cluster.getFields())).toHaveLength(1)
    }
  })
})

/** Every described element by its coordinate. */
function elements(type: GraphQLNamedType): readonly (readonly [string, string | null | undefined])[] {
  const members: (readonly [string, string | null | undefined])[] = [[type.name, type.description]]
  if (isObjectType(type) || isInterfaceType(type)) {
    for (const field of Object.values(type.getFields())) {
      members.push([`${type.name}.${field.name}`, field.description])
      for (const arg of field.args)
        members.push([`${type.name}.${field.name}(${arg.name}:)`, arg.description])
    }
  }
  if (isInputObjectType(type)) {
    for (const field of Object.values(type.getFields())) {
      members.push([`${type.name}.${field.name}`, field.description])
    }
  }
  if (isEnumType(type)) {
    for (const value of type.getValues()) members.push([`${type.name}.${value.name}`, value.description])
  }
  return members
}

function undescribed(type: GraphQLNamedType): readonly string[] {
  return elements(type).flatMap(([coordinate, description]) => (description?.trim() ? [] : [coordinate]))
}

function descriptions(type: GraphQLNamedType): readonly (readonly [string, string])[] {
  return elements(type).map(([coordinate, description]) => [coordinate, description ?? ''] as const)
}

describe('the Relay compiler', () => {
  const compiler = createRequire(import.meta.url).resolve('relay-compiler/cli.js')
  let folder = ''

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fleetgraph-relay-'))
    await mkdir(join(folder, 'src', '__generated__'), { recursive: true })
    await writeFile(join(folder, 'schema.graphql'), await readFile(committed))
    await writeFile(
      join(folder, 'relay.config.json'),
      JSON.stringify({
        src: './src',
        schema: './schema.graphql',
        language: 'typescript',
        artifactDirectory: './src/__generated__',
        // Without a daemon that watches files.
        eagerEsModules: true,
      }),
    )
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  async function compile(source: string): Promise<string> {
    await writeFile(join(folder, 'src', 'Fleet.ts'), source)
    const run = promisify(execFile)(process.execPath, [compiler, 'relay.config.json'], { cwd: folder })
    const { stdout, stderr } = await run.catch((error: { stdout: string; stderr: string }) => error)
    return `${stdout}${stderr}`
  }

  it('takes the schema: queries, connections that page, fragments that refetch by node(id:)', async () => {
    const output = await compile(`
      graphql\`
        query FleetQuery($id: ID!, $first: Int!, $after: String) {
          pods(first: $first, after: $after) @connection(key: "FleetQuery_pods") {
            edges { cursor node { id name node { id name } } }
            pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
            totalCount
            coverage { cluster state }
          }
          workloads(first: 5) { nodes { __typename id name ...Fleet_workload } }
          node(id: $id) { ...Fleet_node @alias }
          resources(apiVersion: "v1", kind: "Secret", first: 5) { nodes { name } }
        }
      \`
      graphql\`
        fragment Fleet_workload on Workload { rollout { status } replicaSets { id revision } }
      \`
      graphql\`
        fragment Fleet_node on ClusterNode
        @refetchable(queryName: "FleetNodePaginationQuery")
        @argumentDefinitions(count: { type: "Int", defaultValue: 20 }, cursor: { type: "String" }) {
          name
          pods(first: $count, after: $cursor) @connection(key: "Fleet_node_pods") {
            edges { node { id name } }
          }
        }
      \`
    `)
    expect(output).not.toContain('ERROR')
    expect((await readdir(join(folder, 'src', '__generated__'))).toSorted()).toEqual([
      'FleetNodePaginationQuery.graphql.ts',
      'FleetQuery.graphql.ts',
      'Fleet_node.graphql.ts',
      'Fleet_workload.graphql.ts',
    ])
  })

  it('is really asked: it refuses a field that is not there', async () => {
    expect(await compile('graphql`query FleetQuery { pods { nodes { nonsense } } }`')).toContain('nonsense')
  })
})
