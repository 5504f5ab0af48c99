/** The real server over a fleet whose tables are changed by hand. */
import { AuthorizedFleet } from '../../../src/access/authorized-fleet.ts'
import { everything } from '../../../src/access/policy.ts'
import { viewerOf, type SignInEnd } from '../../../src/access/viewer.ts'
import { Hub } from '../../../src/events/hub.ts'
import { systemClock } from '../../../src/fleet/clock.ts'
import { createContext } from '../../../src/graph/context.ts'
import { createSchema } from '../../../src/graph/schema.ts'
import { silent } from '../../../src/server/logger.ts'
import { startServer } from '../../../src/server/server.ts'
import { PodEvents, type Subject } from './fanout-events.ts'

export async function gateway(): Promise<Subject> {
  const events = new PodEvents()
  const { fleet } = events
  const hub = new Hub({ fleet, clock: systemClock })
  // Somebody who has signed in: their streams are counted, and end with their sign-in.
  const user = viewerOf({ name: 'bench', groups: [] }, { method: 'TOKEN', issuer: 'bench' })
  const listeners = new Set<(end: SignInEnd) => void>()
  const { url } = await startServer({
    schema: createSchema(),
    policy: everything,
    fleet,
    access: {
      authenticate: () => user,
      onEnd: (_viewer, listener) => {
        const own = (end: SignInEnd) => listener(end)
        listeners.add(own)
        return () => void listeners.delete(own)
      },
      contextFor: (user, signal) => createContext(new AuthorizedFleet(fleet, user, everything, hub), signal),
    },
    // As a gateway has: whoever follows something may come to leave a record.
    audit: { record() {} },
    options: {
      port: 0,
      maxConnections: 20_000,
      limits: {
        connectionsPerUser: 20_000,
        subscriptionsPerUser: 20_000,
        requestsPerMinute: 10_000_000,
        costPerMinute: 1_000_000_000,
      },
    },
    logger: silent,
  })
  return {
    port: Number(new URL(url).port),
    prepare: (numbers) => events.prepare(numbers),
    happen: (index) => events.happen(index),
  }
}
