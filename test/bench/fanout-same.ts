/**
 * Single events to 5,000 subscribers of one document, the next when all have the one before: messages a
 * second, against a `ws` server that writes a prebuilt frame to each socket.
 */
import type { Bench } from './figure.ts'
import { compareFanOut } from './support/fanout-load.ts'

export const bench: Bench = () =>
  compareFanOut('same', 5_000, [
    { name: 'fanout-same', rhythm: 'single', events: 30, naiveEvents: 5, atLeast: 0.8 },
  ])
