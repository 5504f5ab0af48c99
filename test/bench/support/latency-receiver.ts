/**
 * The receiving side of the latency benchmark, a process of its own, so that one clock and one event loop
 * see both: a raw watch of the API server, and subscribers of gateways. Notes when each resourceVersion
 * has been read from a message, which is when a client can do something with it.
 */
import { get } from 'node:http'
import { createClient, type Client } from 'graphql-ws'
import { WebSocket } from 'ws'
import { answer } from './remote.ts'
import { signIn } from './sign-in.ts'

/** A change, as somebody shows it in a table. */
const SUBSCRIPTION = `subscription {
  podChanges { type object { id name namespace resourceVersion status ready restarts nodeName } }
}`

/** By name of the receiver: resourceVersion → milliseconds. */
const arrivals = new Map<string, Map<string, number>>()

const clients = new Map<string, Client>()

let arrived: () => void = () => {}

function note(name: string, resourceVersion: string): void {
  arrivals.get(name)!.set(resourceVersion, performance.now())
  arrived()
}

interface WatchEvent {
  readonly object: { readonly metadata: { readonly resourceVersion: string } }
}

interface PodChanges {
  readonly podChanges: { readonly object: { readonly resourceVersion: string } | null }
}

const handlers = {
  /** A plain watch of all pods, without a library. Resolves when it is open. */
  watch({ name, url, token }: Record<'name' | 'url' | 'token', string>): Promise<void> {
    arrivals.set(name, new Map())
    return new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${token}` }
      const request = get(`${url}/api/v1/pods?watch=true&resourceVersion=0`, { headers }, (response) => {
        let rest = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => {
          const lines = (rest + chunk).split('\n')
          rest = lines.pop()!
          for (const line of lines) {
            note(name, (JSON.parse(line) as WatchEvent).object.metadata.resourceVersion)
          }
        })
        resolve()
      })
      request.on('error', reject)
    })
  },
  /** A subscriber of the graphql-ws library. */
  subscribe({ name, url }: Record<'name' | 'url', string>): void {
    arrivals.set(name, new Map())
    const client = createClient({
      url: url.replace('http', 'ws'),
      webSocketImpl: WebSocket,
      lazy: false,
      retryAttempts: 0,
      connectionParams: signIn(),
    })
    client.subscribe<PodChanges>(
      { query: SUBSCRIPTION },
      {
        next: ({ data, errors }) => {
          if (errors) throw new Error(JSON.stringify(errors))
          const object = data?.podChanges.object
          if (object) note(name, object.resourceVersion)
        },
        error: (cause) => {
          throw new Error(`${name}: the connection was lost`, { cause })
        },
        complete: () => {
          if (clients.has(name)) throw new Error(`${name}: the subscription was ended`)
        },
      },
    )
    clients.set(name, client)
  },
  async unsubscribe(name: string): Promise<void> {
    const client = clients.get(name)!
    clients.delete(name)
    await client.dispose()
  },
  has: ({ name, version }: { readonly name: string; readonly version: string }): boolean =>
    arrivals.get(name)!.has(version),
  /** Resolves when each of these versions has come to each of these. */
  until({ names, versions }: { readonly names: readonly string[]; readonly versions: readonly string[] }) {
    return new Promise<void>((resolve) => {
      arrived = () => {
        if (!names.every((name) => arrivals.get(name)!.has(versions.at(-1)!))) return
        if (!names.every((name) => versions.every((version) => arrivals.get(name)!.has(version)))) return
        arrived = () => {}
        resolve()
      }
      arrived()
    })
  },
  /** When these versions came, in milliseconds of `process.hrtime`, the clock of all processes. */
  times({ name, versions }: { readonly name: string; readonly versions: readonly string[] }) {
    const offset = Number(process.hrtime.bigint()) / 1e6 - performance.now()
    return versions.map((version) => arrivals.get(name)!.get(version)! + offset)
  },
}
export type ReceiverHandlers = typeof handlers

answer(handlers)
