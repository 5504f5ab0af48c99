/** Subscribes as graphql-js does, over a view of the fleet: for what `subscribe` and `resolve` do together. */
import { parse, subscribe, validate, type GraphQLFormattedError } from 'graphql'
import { AuthorizedFleet } from '../../src/access/authorized-fleet.ts'
import { everything, type Policy } from '../../src/access/policy.ts'
import { viewerOf } from '../../src/access/viewer.ts'
import { Hub } from '../../src/events/hub.ts'
import { systemClock, type Clock } from '../../src/fleet/clock.ts'
import type { Fleet } from '../../src/fleet/fleet.ts'
import { createContext } from '../../src/graph/context.ts'
import { createSchema } from '../../src/graph/schema.ts'

export interface Following {
  /** The data of the root field of the next event; `undefined` after the end. Throws its errors. */
  // oxlint-disable-next-line typescript/no-explicit-any -- tests read answers of any shape.
  next(): Promise<any>
  /** Events up to and with the first that is meant. Fails at the end of the stream. */
  // oxlint-disable-next-line typescript/no-explicit-any -- tests read answers of any shape.
  until(meant: (event: any) => boolean): Promise<any[]>
  /** To the end. */
  // oxlint-disable-next-line typescript/no-explicit-any -- tests read answers of any shape.
  rest(): Promise<any[]>
  leave(): Promise<void>
}

export interface FollowOptions {
  readonly variables?: Record<string, unknown>
  readonly policy?: Policy
  readonly clock?: Clock
  readonly signal?: AbortSignal
}

/** One for a fleet, as in a gateway: it knows what has changed since it was made. */
const HUBS = new WeakMap<Fleet, Hub>()

/** The view of somebody who can follow the fleet. */
export function liveView(
  fleet: Fleet,
  policy: Policy = everything,
  clock: Clock = systemClock,
): AuthorizedFleet {
  return new AuthorizedFleet(fleet, viewerOf({ name: 'alice', groups: [] }), policy, hubOf(fleet, clock))
}

export function hubOf(fleet: Fleet, clock: Clock = systemClock): Hub {
  let hub = HUBS.get(fleet)
  if (!hub) HUBS.set(fleet, (hub = new Hub({ fleet, clock })))
  return hub
}

/** Rejects with the errors of a subscription that may not begin. */
export async function follow(
  fleet: Fleet,
  document: string,
  { variables = {}, policy, clock, signal }: FollowOptions = {},
): Promise<Following> {
  const schema = createSchema()
  const source = parse(document)
  const invalid = validate(schema, source)
  if (invalid.length > 0) throw new Error(`The document is not valid: ${invalid.join('\n')}`)
  const stream = await subscribe({
    schema,
    document: source,
    variableValues: variables,
    contextValue: createContext(liveView(fleet, policy, clock), signal, clock),
  })
  if (!(Symbol.asyncIterator in stream))
    throw new Refusal(stream.errors?.map((error) => error.toJSON()) ?? [])
  // graphql-js begins with the first read; what happens from now on is to be told.
  let first: ReturnType<typeof stream.next> | undefined = stream.next()
  first.catch(() => {})
  const next = async () => {
    const reading = first ?? stream.next()
    first = undefined
    const { value, done } = await reading
    if (done) return undefined
    // As a client sees it: plain JSON.
    const { data, errors } = JSON.parse(JSON.stringify(value)) as {
      data?: Record<string, unknown>
      errors?: unknown
    }
    if (errors || !data) throw new Error(`The event has errors: ${JSON.stringify(errors)}`)
    return Object.values(data)[0]
  }
  const read = async (meant: (event: unknown) => boolean, toEnd: boolean) => {
    const events = []
    for (;;) {
      const event = await next()
      if (event === undefined) {
        if (toEnd) return events
        throw new Error(`The stream ended before what was waited for: ${JSON.stringify(events)}`)
      }
      events.push(event)
      if (meant(event)) return events
    }
  }
  return {
    next,
    until: (meant) => read(meant, false),
    rest: () => read(() => false, true),
    leave: async () => void (await stream.return()),
  }
}

/** A subscription that may not begin. */
class Refusal extends Error {
  readonly errors: readonly GraphQLFormattedError[]

  constructor(errors: readonly GraphQLFormattedError[]) {
    super(errors.map(({ message }) => message).join('\n'))
    this.errors = errors
  }
}
