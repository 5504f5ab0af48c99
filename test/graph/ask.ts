/** Asks the graph as the server does: validated, then executed by graphql-js over a view of the fleet. */
import { execute, parse, validate, type GraphQLFormattedError } from 'graphql'
import { type AuthorizedFleet } from '../../src/access/authorized-fleet.ts'
import { everything, type Policy } from '../../src/access/policy.ts'
import type { Fleet } from '../../src/fleet/fleet.ts'
import { createContext } from '../../src/graph/context.ts'
import { createSchema } from '../../src/graph/schema.ts'
import { liveView } from './follow.ts'

/** What tests look into: fields that are not there are `undefined`, as in JSON. */
export interface Answer {
  // oxlint-disable-next-line typescript/no-explicit-any -- tests read answers of any shape.
  readonly data: any
  readonly errors: readonly GraphQLFormattedError[]
  readonly view: AuthorizedFleet
}

export async function ask(
  fleet: Fleet,
  document: string,
  variables: Record<string, unknown> = {},
  policy: Policy = everything,
): Promise<Answer> {
  const schema = createSchema()
  const source = parse(document)
  const invalid = validate(schema, source)
  if (invalid.length > 0) throw new Error(`The document is not valid: ${invalid.join('\n')}`)
  const view = liveView(fleet, policy)
  const result = await execute({
    schema,
    document: source,
    variableValues: variables,
    contextValue: createContext(view),
  })
  // As a client sees it: plain JSON.
  const { data, errors = [] } = JSON.parse(JSON.stringify(result)) as Partial<Answer>
  return { data, errors, view }
}

/** The data of an answer without errors. */
// oxlint-disable-next-line typescript/no-explicit-any -- tests read answers of any shape.
export async function data(...question: Parameters<typeof ask>): Promise<any> {
  const answer = await ask(...question)
  if (answer.errors.length > 0) throw new Error(`The answer has errors: ${JSON.stringify(answer.errors)}`)
  return answer.data
}
