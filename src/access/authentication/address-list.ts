/** Peers by their addresses: those that are believed what they say of others. */
import { BlockList, isIP } from 'node:net'
import { AuthenticationSetupError } from './sign-in.ts'

/** A server that listens on `::` sees IPv4 peers as `::ffff:192.0.2.1`. */
const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i

export class AddressList {
  readonly #list = new BlockList()

  /** IPv4 and IPv6, single ones and CIDR ranges. Throws `AuthenticationSetupError`, which names `where`. */
  constructor(addresses: readonly string[], where: string) {
    const problems: string[] = []
    for (const entry of addresses) {
      const [address = '', prefix, more] = entry.split('/')
      const family = isIP(address) === 4 ? 'ipv4' : 'ipv6'
      const bits = prefix === undefined ? undefined : /^\d{1,3}$/.test(prefix) ? Number(prefix) : NaN
      if (
        isIP(address) === 0 ||
        more !== undefined ||
        (bits !== undefined && !(bits <= (family === 'ipv4' ? 32 : 128)))
      ) {
        problems.push(`${where}: ${JSON.stringify(entry)} is no IP address and no CIDR range as 10.0.0.0/24.`)
      } else if (bits === undefined) this.#list.addAddress(address, family)
      else this.#list.addSubnet(address, bits, family)
    }
    if (problems.length > 0) throw new AuthenticationSetupError(problems)
  }

  /** Of a socket's peer. */
  holds(remoteAddress: string | undefined): boolean {
    if (remoteAddress === undefined) return false
    // A link-local address comes with its zone: fe80::1%eth0.
    const address = MAPPED.exec(remoteAddress)?.[1] ?? remoteAddress.replace(/%.*$/, '')
    const family = isIP(address)
    return family !== 0 && this.#list.check(address, family === 4 ? 'ipv4' : 'ipv6')
  }
}
