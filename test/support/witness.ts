/**
 * Sees with its own eyes what happens in one cluster: lists and watches every kind that the gateway keeps,
 * and writes down when each object was gone. Independent of `src/` but for the table of kinds; it outlives
 * restarts and compactions of the server, and finds by a new list what was deleted meanwhile.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { KINDS } from '../../src/kubernetes/kinds.ts'
import type { KubeJson, KubernetesHttp } from './kubernetes-http.ts'

export interface Witness {
  /** uid → `performance.now()` when the delete was seen: never before it happened. */
  readonly gone: ReadonlyMap<string, number>
  /** uid → `namespace/name` of what is there. */
  readonly alive: ReadonlyMap<string, string>
  close(): Promise<void>
}

/** Resolves when every kind is listed. */
export async function startWitness(http: KubernetesHttp): Promise<Witness> {
  const gone = new Map<string, number>()
  const alive = new Map<string, string>()
  const ended = new AbortController()
  const streams: Promise<void>[] = []
  await Promise.all(
    Object.values(KINDS).map(async ({ group, versions, resource }) => {
      const path = `${group === '' ? '/api' : `/apis/${group}`}/${versions[0]}/${resource}`
      if ((await http.get(`${path}?limit=1`)).status === 404) return
      const one = new ResourceWitness(http, path, gone, alive)
      let from = await one.list()
      streams.push(
        (async () => {
          while (!ended.signal.aborted) {
            try {
              from = (await one.watch(from, ended.signal)) ?? (await one.list())
            } catch {
              await sleep(100, undefined, { signal: ended.signal }).catch(() => undefined)
            }
          }
        })(),
      )
    }),
  )
  return {
    gone,
    alive,
    async close() {
      ended.abort()
      await Promise.all(streams)
    },
  }
}

class ResourceWitness {
  readonly #http: KubernetesHttp
  readonly #path: string
  readonly #gone: Map<string, number>
  readonly #alive: Map<string, string>
  readonly #mine = new Set<string>()

  constructor(http: KubernetesHttp, path: string, gone: Map<string, number>, alive: Map<string, string>) {
    this.#http = http
    this.#path = path
    this.#gone = gone
    this.#alive = alive
  }

  async list(): Promise<string> {
    const { items, metadata } = await this.#http.must(this.#http.get(this.#path))
    const listed = new Set(items.map((item) => item.metadata.uid))
    for (const uid of this.#mine) if (!listed.has(uid)) this.#lost(uid)
    for (const item of items) this.#seen(item)
    return metadata.resourceVersion
  }

  /** The version to go on from; `undefined`: the server does not know it any more. */
  async watch(from: string, signal: AbortSignal): Promise<string | undefined> {
    let version = from
    const stream = await this.#http.watch(
      `${this.#path}?resourceVersion=${from}&timeoutSeconds=300&allowWatchBookmarks=true`,
    )
    const close = (): void => stream.close()
    signal.addEventListener('abort', close, { once: true })
    try {
      for (;;) {
        const event = await stream.next(310_000).catch(() => undefined)
        if (!event || signal.aborted) return version
        if (event.type === 'ERROR') return undefined
        version = event.object.metadata.resourceVersion
        if (event.type === 'DELETED') this.#lost(event.object.metadata.uid)
        else if (event.type !== 'BOOKMARK') this.#seen(event.object)
      }
    } finally {
      signal.removeEventListener('abort', close)
      close()
    }
  }

  #seen({ metadata: { uid, namespace, name } }: KubeJson): void {
    this.#mine.add(uid)
    this.#alive.set(uid, `${namespace ?? ''}/${name}`)
  }

  #lost(uid: string): void {
    this.#mine.delete(uid)
    this.#alive.delete(uid)
    this.#gone.set(uid, performance.now())
  }
}
