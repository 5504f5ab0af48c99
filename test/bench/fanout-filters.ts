/**
 * Changes that each are meant for a few of 5,000 subscribers, who have 500 different filters: messages a
 * second, against a `ws` server that knows beforehand whom each change is meant for.
 */
import type { Bench } from './figure.ts'
import { compareFanOut } from './support/fanout-load.ts'

export const bench: Bench = () =>
  compareFanOut('filters', 5_000, [
    { name: 'fanout-filters', rhythm: 'turns', events: 2_000, naiveEvents: 50, atLeast: 0.4 },
  ])
