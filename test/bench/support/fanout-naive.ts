/**
 * What the live side replaces: graphql-ws and graphql-js as they come, with an async iterator for each
 * subscriber. Every change is matched, executed and serialised for each of them, over the same schema.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { useServer } from 'graphql-ws/use/ws'
import { WebSocketServer } from 'ws'
import { AuthorizedFleet } from '../../../src/access/authorized-fleet.ts'
import { everything } from '../../../src/access/policy.ts'
import { viewerOf } from '../../../src/access/viewer.ts'
import type { LiveEvent, LiveHub, LiveRequest, Membership } from '../../../src/events/live.ts'
import type { Fleet } from '../../../src/fleet/fleet.ts'
import { rowTest } from '../../../src/fleet/matches.ts'
import { createContext } from '../../../src/graph/context.ts'
import { createSchema } from '../../../src/graph/schema.ts'
import { PodEvents, type Subject } from './fanout-events.ts'

export async function naive(): Promise<Subject> {
  const events = new PodEvents()
  const port = await serveNaively(events.fleet)
  return {
    port,
    prepare: (numbers) => events.prepare(numbers),
    happen: (index) => events.happen(index),
  }
}

/** The port that it listens on. */
export async function serveNaively(fleet: Fleet): Promise<number> {
  const hub = new NaiveHub(fleet)
  const http = createServer()
  const sockets = new WebSocketServer({ server: http, perMessageDeflate: false })
  useServer(
    {
      schema: createSchema(),
      context: () =>
        createContext(new AuthorizedFleet(fleet, viewerOf({ name: 'bench', groups: [] }), everything, hub)),
    },
    sockets,
  )
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  return (http.address() as AddressInfo).port
}

class NaiveHub implements LiveHub {
  readonly #fleet: Fleet

  constructor(fleet: Fleet) {
    this.#fleet = fleet
  }

  join(): Membership {
    throw new Error('There are no groups here.')
  }

  position(): null {
    return null
  }

  iterate(request: LiveRequest): AsyncIterableIterator<LiveEvent> {
    if (request.type !== 'rows') throw new Error('Only rows are followed here.')
    const { clusters, kinds, selection } = request
    const passes = rowTest(selection) ?? (() => true)
    const queue: LiveEvent[] = []
    let wake: (() => void) | undefined
    const listening = this.#fleet.clusters.filter(clusters).flatMap((cluster) =>
      kinds.map((kind) =>
        cluster.table(kind).onChange(({ type, row: object, previous, resourceVersion }) => {
          if (!passes(object)) return
          const event = { type, object, previous, cluster, deletedReason: null, message: null }
          queue.push({ ...event, cursor: resourceVersion })
          wake?.()
        }),
      ),
    )
    const end = () => {
      for (const stop of listening) stop()
      return Promise.resolve({ done: true as const, value: undefined })
    }
    return {
      async next() {
        if (queue.length === 0) await new Promise<void>((resolve) => (wake = resolve))
        return { done: false, value: queue.shift()! }
      },
      return: end,
      throw: end,
      [Symbol.asyncIterator]() {
        return this
      },
    }
  }
}
