/** `@atLeast`: the directive by which a query waits for what was written. What it does is done by the server. */
import { DirectiveLocation, GraphQLDirective, GraphQLInt, GraphQLString } from 'graphql'

export const DEFAULT_AT_LEAST_MS = 5_000
/** A portal that waits for longer has forgotten what it asked for. */
export const MAX_AT_LEAST_MS = 30_000

export const AT_LEAST = new GraphQLDirective({
  name: 'atLeast',
  description:
    'Waits, before the query is answered, until the memory of the gateway that answers it is as far as `cursor` – the one that a mutation answered with, so that the query shows what the mutation wrote, whichever replica it reaches. Where that takes longer than `timeoutMs` the query is answered all the same, and `extensions.atLeast` of the answer is `{ "reached": false, "behind": ["prod-eu"] }`, with the names of the clusters that are not so far; otherwise `reached` is true.',
  locations: [DirectiveLocation.QUERY],
  args: {
    cursor: {
      type: GraphQLString,
      description:
        'The `cursor` of a mutation’s payload, unchanged. The cursor of a list or of an event is good as well. Null waits for nothing: a mutation that wrote nothing gives no cursor.',
    },
    timeoutMs: {
      type: GraphQLInt,
      defaultValue: DEFAULT_AT_LEAST_MS,
      description: `Milliseconds to wait at most: 0 to ${MAX_AT_LEAST_MS}.`,
    },
  },
})
