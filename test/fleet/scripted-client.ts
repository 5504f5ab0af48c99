/**
 * An API server for tests of the feed, at the seam of `ApiClient`: the test sees each streamed request and
 * writes its answer by hand. What it does not do: anything by itself.
 */
import type { ApiClient, ApiRequest, ByteSink, ByteStream } from '../../src/kubernetes/client.ts'

export class StreamedRequest implements ByteStream {
  readonly request: ApiRequest
  readonly #sink: ByteSink
  aborted = false
  paused = false

  constructor(request: ApiRequest, sink: ByteSink) {
    this.request = request
    this.#sink = sink
  }

  /** `watch pods from "10"`, `list pods from none`, `stream pods from ""`. */
  get words(): string {
    const { path, query = {} } = this.request
    const verb = query['sendInitialEvents'] ? 'stream' : query['watch'] ? 'watch' : 'list'
    const from = query['resourceVersion'] === undefined ? 'none' : `"${query['resourceVersion']}"`
    return `${verb} ${path.split('/').at(-1)} from ${from}`
  }

  abort(): void {
    this.aborted = true
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
  }

  start(): this {
    if (!this.aborted) this.#sink.onStart?.({ 'content-type': 'application/json' })
    return this
  }

  bytes(chunk: Buffer): this {
    if (!this.aborted) this.#sink.onData(chunk)
    // Its memory may be used again: nobody may hold on to it.
    chunk.fill(0x20)
    return this
  }

  /** Watch events, a line each. */
  events(...events: readonly { readonly type: string; readonly object: unknown }[]): this {
    return this.bytes(Buffer.from(events.map((event) => `${JSON.stringify(event)}\n`).join('')))
  }

  /** A page of a list, whole. */
  page(items: readonly unknown[], resourceVersion: string, continueToken = ''): this {
    const metadata = { resourceVersion, ...(continueToken && { continue: continueToken }) }
    this.start().bytes(Buffer.from(JSON.stringify({ kind: 'List', apiVersion: 'v1', metadata, items })))
    return this.end()
  }

  end(): this {
    if (!this.aborted) this.#sink.onEnd()
    return this
  }

  fail(error: Error): this {
    if (!this.aborted) this.#sink.onError(error)
    return this
  }
}

export class ScriptedClient implements ApiClient {
  readonly server = 'https://scripted.test'
  readonly streams: StreamedRequest[] = []
  closed = false
  /** Answers `json` and `text`; an error that it throws is the answer's. */
  answer: (request: ApiRequest) => unknown = () => ({ gitVersion: 'v1.34.1' })

  async json<T>(request: ApiRequest): Promise<T> {
    return (await this.answer(request)) as T
  }

  async text(request: ApiRequest): Promise<string> {
    return String(await this.answer(request))
  }

  stream(request: ApiRequest, sink: ByteSink): ByteStream {
    const stream = new StreamedRequest(request, sink)
    this.streams.push(stream)
    return stream
  }

  /** The latest request. */
  get last(): StreamedRequest {
    const last = this.streams.at(-1)
    if (!last) throw new Error('nothing was asked')
    return last
  }

  /** The latest request for a resource (`namespaces`). */
  of(resource: string): StreamedRequest {
    const found = this.streams.findLast(({ words }) => words.includes(` ${resource} `))
    if (!found) throw new Error(`no ${resource} were asked for`)
    return found
  }

  /** Those that were not aborted, in words. */
  get open(): string[] {
    return this.streams.filter(({ aborted }) => !aborted).map(({ words }) => words)
  }

  async close(): Promise<void> {
    this.closed = true
  }
}
