/**
 * Requests to an OpenID provider: few, small, and to be trusted only as far as TLS goes. Knows nothing of what
 * is asked.
 *
 * Invariants: nothing goes over plain HTTP but to this machine; redirects are not followed; an answer is
 * bounded in time and size; no error holds what was sent.
 */
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { Agent, type Dispatcher, ProxyAgent, request } from 'undici'
import { environmentProxy } from '../../kubernetes/environment-proxy.ts'

/** From the first byte sent to the last one read. */
const TIMEOUT_MS = 5_000
const MAX_BYTES = 1024 * 1024

const STALE: ReadonlySet<string> = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'])

interface Question {
  readonly method: 'GET' | 'POST'
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
}

export interface ProviderAnswer {
  readonly status: number
  /** Parsed JSON; `undefined` where it is none. */
  readonly body: unknown
}

/** Why there is no answer, for our own log. */
class ProviderError extends Error {
  override readonly name = 'ProviderError'
  readonly code = 'PROVIDER'
}

export class ProviderHttp {
  readonly #caFile: string | undefined
  readonly #closing = new AbortController()
  /** By origin: the environment may name a proxy for one and none for another. */
  readonly #agents = new Map<string, Dispatcher>()

  /** `caFile`: PEM with the only authorities to trust; default: the system's. Read again after a failure. */
  constructor(caFile: string | undefined) {
    this.#caFile = caFile
  }

  get(url: string): Promise<ProviderAnswer> {
    return this.#ask(url, { method: 'GET' })
  }

  /** `secret`: HTTP Basic as RFC 6749 §2.3.1 has it. */
  post(
    url: string,
    form: Readonly<Record<string, string>>,
    client: { readonly id: string; readonly secret: string },
  ): Promise<ProviderAnswer> {
    const encoded = (text: string) => new URLSearchParams([['', text]]).toString().slice(1)
    const basic = Buffer.from(`${encoded(client.id)}:${encoded(client.secret)}`).toString('base64')
    return this.#ask(url, {
      method: 'POST',
      body: new URLSearchParams(form).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded', authorization: `Basic ${basic}` },
    })
  }

  async close(): Promise<void> {
    this.#closing.abort()
    const agents = [...this.#agents.values()]
    this.#agents.clear()
    await Promise.all(agents.map((agent) => agent.destroy()))
  }

  async #ask(url: string, question: Question): Promise<ProviderAnswer> {
    const { origin, pathname } = new URL(url)
    if (!isTrustworthy(url)) throw new ProviderError(`${origin} is not https://`)
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(TIMEOUT_MS)])
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#attempt(url, question, signal)
      } catch (error) {
        if (error instanceof ProviderError) throw error
        const { code, message } = error as NodeJS.ErrnoException
        // A kept connection whose other end was restarted: what is asked here may be asked twice.
        if (attempt === 1 && STALE.has(code ?? '') && !signal.aborted) continue
        // Of undici and Node: they name hosts and reasons, never bodies or headers.
        throw new ProviderError(`no answer from ${origin}${pathname} (${code ?? message})`)
      }
    }
  }

  async #attempt(url: string, question: Question, signal: AbortSignal): Promise<ProviderAnswer> {
    const { origin } = new URL(url)
    const agent = await this.#agent(origin)
    try {
      const { statusCode, body } = await request(url, {
        method: question.method,
        ...(question.body !== undefined && { body: question.body }),
        headers: { accept: 'application/json', ...question.headers },
        dispatcher: agent,
        signal,
      })
      return { status: statusCode, body: parsed(await bounded(body)) }
    } catch (error) {
      this.#forget(origin, agent)
      throw error
    }
  }

  async #agent(origin: string): Promise<Dispatcher> {
    const known = this.#agents.get(origin)
    if (known) return known
    const ca = this.#caFile === undefined ? undefined : await readFile(this.#caFile)
    const proxy = environmentProxy(origin, process.env)
    const tls = { ...(ca && { ca }), timeout: TIMEOUT_MS }
    const agent =
      proxy === undefined ? new Agent({ connect: tls }) : new ProxyAgent({ uri: proxy, requestTls: tls })
    const another = this.#agents.get(origin)
    if (another || this.#closing.signal.aborted) {
      void agent.destroy()
      return another ?? agent
    }
    this.#agents.set(origin, agent)
    return agent
  }

  #forget(origin: string, agent: Dispatcher): void {
    if (this.#agents.get(origin) !== agent) return
    this.#agents.delete(origin)
    // Others may wait for answers of it.
    void agent.close().catch(() => {})
  }
}

/** Whether a URL may be asked: over TLS, or on this machine. */
export function isTrustworthy(url: string): boolean {
  const { protocol, hostname } = new URL(url)
  if (protocol === 'https:') return true
  const host = hostname.replace(/^\[|\]$/g, '')
  return (
    protocol === 'http:' &&
    (host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.')))
  )
}

async function bounded(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.length
    if (bytes > MAX_BYTES) throw new ProviderError(`an answer of more than ${MAX_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
