/**
 * A plain HTTP client of one Kubernetes API server, for tests only: requests and watches as raw JSON.
 * It exists so that the contract suite, the fake kubelet and the churn tool judge servers without
 * any code of `src/`; it therefore knows no retries, no caches and no kinds.
 */
import { Agent, request as send } from 'undici'

/** How to reach a server: PEM texts, and at most one credential. */
export interface ServerAccess {
  /** `https://127.0.0.1:6443`, without a trailing slash. */
  readonly url: string
  readonly ca?: string | undefined
  readonly token?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
}

interface ObjectMeta {
  readonly name: string
  readonly namespace?: string
  readonly generateName?: string
  readonly uid: string
  readonly resourceVersion: string
  readonly generation?: number
  readonly creationTimestamp: string
  readonly deletionTimestamp?: string
  readonly deletionGracePeriodSeconds?: number
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly finalizers?: readonly string[]
  readonly ownerReferences?: readonly OwnerReference[]
  readonly managedFields?: readonly ManagedFields[]
  /** Of lists. */
  readonly continue?: string
  readonly remainingItemCount?: number
}

interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
  readonly controller?: boolean
  readonly blockOwnerDeletion?: boolean
}

interface ManagedFields {
  readonly manager: string
  readonly operation: string
  readonly apiVersion: string
  readonly subresource?: string
  readonly fieldsV1?: unknown
}

/** What an API server answers with: an object, a list, or a `Status`; read the rest with `at()`. */
export interface KubeJson {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
  readonly items: readonly KubeJson[]
  /** Of a `Status`. */
  readonly code?: number
  readonly reason?: string
  readonly message?: string
  readonly details?: StatusDetails
  readonly [field: string]: unknown
}

interface StatusDetails {
  readonly name?: string
  readonly kind?: string
  readonly group?: string
  readonly uid?: string
  readonly retryAfterSeconds?: number
  readonly causes?: readonly {
    readonly reason?: string
    readonly message?: string
    readonly field?: string
  }[]
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** Parsed where the answer is JSON, else an empty object: see `text`. */
  readonly body: KubeJson
  readonly text: string
}

export interface RequestOptions {
  readonly body?: unknown
  /** Default `application/json`. */
  readonly contentType?: string
  readonly accept?: string
  readonly headers?: Readonly<Record<string, string | string[]>>
  /** Replaces the client's own credential; `null` sends none. */
  readonly token?: string | null
}

export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'
  readonly object: KubeJson
}

/** A deep string, or the empty one: for values that go into the next request. */
export function textAt(value: unknown, path: string): string {
  const found = at(value, path)
  return typeof found === 'string' ? found : ''
}

export const PATCH = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
} as const

/** A value deep inside an answer: `at(pod, 'spec.containers.0.image')`; undefined where a step is missing. */
export function at(value: unknown, path: string): unknown {
  let here = value
  for (const step of path.split('.')) {
    if (typeof here !== 'object' || here === null) return undefined
    here = (here as Readonly<Record<string, unknown>>)[step]
  }
  return here
}

export class KubernetesHttp {
  readonly access: ServerAccess
  readonly #agent: Agent
  readonly #watches = new Set<Watch>()

  constructor(access: ServerAccess) {
    this.access = access
    this.#agent = new Agent({
      allowH2: false,
      bodyTimeout: 0,
      headersTimeout: 120_000,
      connect: {
        ...(access.ca !== undefined && { ca: access.ca }),
        ...(access.cert !== undefined && { cert: access.cert }),
        ...(access.key !== undefined && { key: access.key }),
      },
    })
  }

  /** Never throws on an HTTP status; throws on a broken connection. */
  async request(method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
    const answer = await send(this.access.url + path, {
      method: method as 'GET',
      dispatcher: this.#agent,
      headers: this.#headers(options),
      body: options.body === undefined ? null : encode(options.body),
    })
    const text = await answer.body.text()
    return { status: answer.statusCode, headers: answer.headers, body: parse(text, answer.headers), text }
  }

  get(path: string, options?: RequestOptions): Promise<Answer> {
    return this.request('GET', path, options)
  }
  post(path: string, body: unknown, options?: RequestOptions): Promise<Answer> {
    return this.request('POST', path, { ...options, body })
  }
  put(path: string, body: unknown, options?: RequestOptions): Promise<Answer> {
    return this.request('PUT', path, { ...options, body })
  }
  patch(path: string, type: keyof typeof PATCH, body: unknown, options?: RequestOptions): Promise<Answer> {
    return this.request('PATCH', path, { ...options, body, contentType: PATCH[type] })
  }
  delete(path: string, body?: unknown, options?: RequestOptions): Promise<Answer> {
    return this.request('DELETE', path, { ...options, ...(body !== undefined && { body }) })
  }

  /** Fails with the server's words where the answer is not 2xx: for set-up, not for assertions. */
  async must(answer: Promise<Answer>): Promise<KubeJson> {
    const { status, body, text } = await answer
    if (status >= 300) throw new Error(`the server answered ${status}: ${body.message ?? text}`)
    return body
  }

  /** Opens a watch: `watch=1` is added to the path. Close it, or close the client. */
  async watch(path: string, options: RequestOptions = {}): Promise<Watch> {
    const stop = new AbortController()
    const answer = await send(`${this.access.url}${path}${path.includes('?') ? '&' : '?'}watch=1`, {
      dispatcher: this.#agent,
      headers: this.#headers(options),
      signal: stop.signal,
    })
    const watch: Watch = new Watch(answer.statusCode, answer.body, () => {
      stop.abort()
      this.#watches.delete(watch)
    })
    this.#watches.add(watch)
    return watch
  }

  async close(): Promise<void> {
    for (const watch of this.#watches) watch.close()
    await this.#agent.destroy()
  }

  #headers(options: RequestOptions): Record<string, string | string[]> {
    const token = options.token === undefined ? this.access.token : options.token
    return {
      accept: options.accept ?? 'application/json',
      ...(options.body !== undefined && { 'content-type': options.contentType ?? 'application/json' }),
      ...(token !== undefined && token !== null && { authorization: `Bearer ${token}` }),
      ...options.headers,
    }
  }
}

/** One watch stream: its events in order, each handed out once. */
export class Watch {
  readonly status: number
  /** Resolves when the server ends the stream, or it breaks, or `close()` is called. */
  readonly ended: Promise<void>
  readonly #events: WatchEvent[] = []
  readonly #close: () => void
  #wake: (() => void) | undefined
  #done = false

  constructor(status: number, body: AsyncIterable<Buffer>, close: () => void) {
    this.status = status
    this.#close = close
    this.ended = this.#read(body)
  }

  async #read(body: AsyncIterable<Buffer>): Promise<void> {
    const decoder = new TextDecoder()
    let rest = ''
    try {
      for await (const chunk of body) {
        rest += decoder.decode(chunk, { stream: true })
        const lines = rest.split('\n')
        rest = lines.pop() ?? ''
        for (const line of lines) this.#take(line)
      }
      this.#take(rest)
    } catch {
      // An aborted or broken stream ends as a finished one does: what came before it counts.
    }
    this.#done = true
    this.#wake?.()
    this.#close()
  }

  #take(line: string): void {
    if (line.trim() === '') return
    const value = JSON.parse(line) as WatchEvent | KubeJson
    // A refused watch answers one Status instead of events: hand it out as the ERROR that it is.
    this.#events.push('object' in value ? (value as WatchEvent) : { type: 'ERROR', object: value })
    this.#wake?.()
  }

  /** The next event; fails after `timeoutMs`, or where the stream ended before it. */
  async next(timeoutMs = 15_000): Promise<WatchEvent> {
    const deadline = performance.now() + timeoutMs
    for (;;) {
      const event = this.#events.shift()
      if (event) return event
      if (this.#done) throw new Error('the watch ended before the next event')
      const left = deadline - performance.now()
      if (left <= 0) throw new Error(`no watch event within ${timeoutMs} ms`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  /** The first event that fits; those before it are dropped. */
  async until(fits: (event: WatchEvent) => boolean, timeoutMs = 15_000): Promise<WatchEvent> {
    const deadline = performance.now() + timeoutMs
    const seen: string[] = []
    for (;;) {
      let event: WatchEvent
      try {
        event = await this.next(Math.max(1, deadline - performance.now()))
      } catch (error) {
        throw new Error(`the awaited watch event did not come; seen: ${seen.slice(-20).join(', ')}`, {
          cause: error,
        })
      }
      if (fits(event)) return event
      seen.push(`${event.type} ${event.object.metadata?.name ?? event.object.message}`)
    }
  }

  /** All that has arrived and was not handed out. */
  drain(): WatchEvent[] {
    return this.#events.splice(0)
  }

  close(): void {
    this.#close()
  }
}

function encode(body: unknown): string {
  return typeof body === 'string' ? body : JSON.stringify(body)
}

/** The OpenAPI documents come as text/plain, so the text itself decides, too. */
function parse(text: string, headers: Answer['headers']): KubeJson {
  const type = headers['content-type']
  const json = (typeof type === 'string' && type.includes('json')) || text.startsWith('{')
  return (json && text !== '' ? JSON.parse(text) : {}) as KubeJson
}
