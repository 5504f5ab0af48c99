/**
 * Users whom a proxy has authenticated, as it says in headers: kube-apiserver's "authenticating proxy"
 * (https://kubernetes.io/docs/reference/access-authn-authz/authentication/#authenticating-proxy).
 *
 * Invariant: headers count only from a peer that is listed – by its address, by the name in a client
 * certificate that our TLS has verified, or by both where both are configured. From anybody else they are as if
 * they were not there.
 */
import { type User, type Viewer, viewerOf } from '../viewer.ts'
import { AddressList } from './address-list.ts'
import { AuthenticationError, type Authenticator, type Credentials } from './authenticator.ts'
import { foreignUser } from './identity.ts'
import { AuthenticationSetupError } from './sign-in.ts'

export interface AuthenticatingProxyOptions {
  /** Of the proxy: addresses and CIDR ranges, IPv4 and IPv6. */
  readonly addresses: readonly string[]
  /** Common names in its client certificate. At least one of the two lists has an entry. */
  readonly certificateNames: readonly string[]
  readonly userHeader: string
  readonly uidHeader: string
  /** Once for each group. */
  readonly groupHeader: string
  /** What follows it is the key, percent-encoded where it has to be; keys are in lower case. */
  readonly extraHeaderPrefix: string
}

/** Who is at the other end of a connection. */
export type ProxyPeer = Pick<Credentials, 'remoteAddress' | 'certificateName'>

/** Users who are remembered, so that each is one Viewer. */
const MAX_USERS = 10_000

export class ProxyAuthenticator implements Authenticator {
  readonly #peers: readonly Peer[]
  readonly #viewers = new Map<string, Viewer>()

  /** Throws `AuthenticationSetupError`. */
  constructor(proxies: readonly AuthenticatingProxyOptions[]) {
    this.#peers = proxies.map((options, index) => new Peer(options, `authentication.proxies[${index}]`))
  }

  authenticate(credentials: Credentials): Viewer | undefined {
    const user = this.#peers.find((peer) => peer.isPeer(credentials))?.user(credentials)
    if (!user) return undefined
    const key = JSON.stringify(user)
    const viewer = this.#viewers.get(key) ?? viewerOf(user, { method: 'PROXY' })
    this.#viewers.delete(key)
    this.#viewers.set(key, viewer)
    for (const oldest of this.#viewers.keys()) {
      if (this.#viewers.size <= MAX_USERS) break
      this.#viewers.delete(oldest)
    }
    return viewer
  }

  /** Whether this is one of the proxies, whatever it says. */
  isProxy(peer: ProxyPeer): boolean {
    return this.#peers.some((one) => one.isPeer(peer))
  }

  close(): void {
    this.#viewers.clear()
  }
}

class Peer {
  readonly #addresses: AddressList | undefined
  readonly #certificateNames: ReadonlySet<string> | undefined
  readonly #names: Record<'user' | 'uid' | 'group' | 'extra', string>

  constructor(options: AuthenticatingProxyOptions, where: string) {
    const { addresses, certificateNames } = options
    if (addresses.length === 0 && certificateNames.length === 0) {
      throw new AuthenticationSetupError([
        `${where}: addresses or certificateNames must say which peer is the proxy; anybody could be it otherwise.`,
      ])
    }
    this.#addresses = addresses.length > 0 ? new AddressList(addresses, `${where}.addresses`) : undefined
    this.#certificateNames = certificateNames.length > 0 ? new Set(certificateNames) : undefined
    this.#names = {
      user: options.userHeader.toLowerCase(),
      uid: options.uidHeader.toLowerCase(),
      group: options.groupHeader.toLowerCase(),
      extra: options.extraHeaderPrefix.toLowerCase(),
    }
  }

  isPeer({ remoteAddress, certificateName }: ProxyPeer): boolean {
    if (this.#addresses && !this.#addresses.holds(remoteAddress)) return false
    if (!this.#certificateNames) return true
    return certificateName !== undefined && this.#certificateNames.has(certificateName)
  }

  /** `undefined`: it names no user. */
  user({ rawHeaders }: Credentials): User | undefined {
    const names: string[] = []
    const uids: string[] = []
    const groups: string[] = []
    const extra = new Map<string, string[]>()
    for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
      const header = rawHeaders[i]!.toLowerCase()
      const value = utf8(rawHeaders[i + 1]!)
      if (header === this.#names.user) names.push(value)
      else if (header === this.#names.uid) uids.push(value)
      else if (header === this.#names.group) groups.push(value)
      else if (header.startsWith(this.#names.extra) && header.length > this.#names.extra.length) {
        const key = extraKey(header.slice(this.#names.extra.length))
        extra.set(key, [...(extra.get(key) ?? []), value])
      }
    }
    const [name = '', another] = names
    // A proxy that passes on what its client sent beside its own header would let anybody be anybody.
    if (another !== undefined || uids.length > 1) {
      throw new AuthenticationError(
        'UNAUTHENTICATED',
        'The proxy names more than one user. Correct the proxy.',
      )
    }
    if (name === '') return undefined
    return foreignUser({
      name,
      uid: uids[0] || undefined,
      groups: groups.filter((group) => group !== ''),
      extra: Object.fromEntries(extra),
    })
  }
}

/** Header values are UTF-8 to Kubernetes; Node reads them byte by byte. */
function utf8(value: string): string {
  return Buffer.from(value, 'latin1').toString()
}

/** As kube-apiserver reads it: what cannot be decoded stays as it is. */
function extraKey(encoded: string): string {
  try {
    return decodeURIComponent(encoded).toLowerCase()
  } catch {
    return encoded
  }
}
