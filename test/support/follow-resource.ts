/**
 * Keeps telling of every object of one resource, across broken watches and restarts of the server:
 * the list-and-watch loop of the stand-ins (kubelet, cloud) that run beside a control plane in tests.
 * Independent of `src/` on purpose: a fault of our own reflector must not hide in the test's tools.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { KubeJson, KubernetesHttp, Watch } from './kubernetes-http.ts'

export interface FollowOptions {
  readonly signal: AbortSignal
  /** Each object as it was listed, and after each change; may repeat. */
  readonly onObject: (object: KubeJson) => void
  /** Of deletes that the watch saw; a delete during an outage is not told. */
  readonly onGone?: (object: KubeJson) => void
}

/** Resolves when the first list is told; `ended` resolves after the signal. */
export async function followResource(
  http: KubernetesHttp,
  path: string,
  options: FollowOptions,
): Promise<{ readonly ended: Promise<void> }> {
  const { signal } = options
  const version = await list(http, path, options)
  const ended = (async () => {
    for (let from: string | undefined = version; !signal.aborted;) {
      try {
        from = await watch(http, path, from ?? (await list(http, path, options)), options)
      } catch {
        // The server is away or refuses: ask again a little later.
        from = undefined
      }
      if (from === undefined) await sleep(200, undefined, { signal }).catch(() => undefined)
    }
  })()
  return { ended }
}

async function list(http: KubernetesHttp, path: string, options: FollowOptions): Promise<string> {
  const answer = await http.must(http.get(path))
  for (const object of answer.items) options.onObject(object)
  return answer.metadata.resourceVersion
}

/** The version to go on from, or undefined where a new list is needed. */
async function watch(
  http: KubernetesHttp,
  path: string,
  from: string,
  { signal, onObject, onGone }: FollowOptions,
): Promise<string | undefined> {
  let version = from
  const query = `${path.includes('?') ? '&' : '?'}resourceVersion=${from}&timeoutSeconds=300`
  const stream: Watch = await http.watch(path + query)
  const close = (): void => stream.close()
  signal.addEventListener('abort', close, { once: true })
  try {
    for (;;) {
      const event = await stream.next(310_000).catch(() => undefined)
      if (!event || signal.aborted) return version
      if (event.type === 'ERROR') return undefined
      version = event.object.metadata.resourceVersion
      if (event.type === 'DELETED') onGone?.(event.object)
      else if (event.type !== 'BOOKMARK') onObject(event.object)
    }
  } finally {
    signal.removeEventListener('abort', close)
    stream.close()
  }
}
