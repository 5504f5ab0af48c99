/**
 * Whose pages may talk to us. A browser lets any page connect to any server, and sends its cookies along;
 * what it tells, and no page can change, is the origin of the page. Other programs send none.
 */
import type { IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'

export class Origins {
  readonly #allowed: ReadonlySet<string>

  /** URLs of which only the origin counts. */
  constructor(allowed: readonly string[] = []) {
    this.#allowed = new Set(allowed.map((url) => new URL(url).origin))
  }

  /** Whether the request comes from a page of our own origin, of one that is allowed, or from no page at all. */
  admits({ headers, socket }: Pick<IncomingMessage, 'headers' | 'socket'>): boolean {
    const { origin } = headers
    if (origin === undefined) return true
    // `null` is the origin of sandboxed pages and files: anybody's.
    if (!URL.canParse(origin)) return false
    const url = new URL(origin)
    return this.#allowed.has(url.origin) || isOwn(url, headers.host, socket instanceof TLSSocket)
  }
}

/** Whether a page of this origin was served under the name that it now connects to. */
function isOwn(origin: URL, host: string | undefined, overTls: boolean): boolean {
  if (host === undefined) return false
  // A page that came in plain text may be anybody's. Where a proxy ends TLS, only the proxy knows.
  if (overTls && origin.protocol !== 'https:') return false
  // A host of the default port may be written with it.
  return origin.host === host.toLowerCase() || `${origin.hostname}:${portOf(origin)}` === host.toLowerCase()
}

function portOf({ protocol, port }: URL): string {
  return port || (protocol === 'https:' ? '443' : '80')
}
