/**
 * Bursts to 5,000 subscribers of one document, so many events a second as more than a socket at a time can
 * be told of: messages a second, against a `ws` server that writes a prebuilt frame to each socket for
 * each single event.
 */
import type { Bench } from './figure.ts'
import { compareFanOut } from './support/fanout-load.ts'

export const bench: Bench = () =>
  compareFanOut('same', 5_000, [
    { name: 'fanout-burst-100', rhythm: { perSecond: 100 }, events: 200, naiveEvents: 10 },
    { name: 'fanout-burst', rhythm: { perSecond: 200 }, events: 400, naiveEvents: 10, atLeast: 4 },
  ])
