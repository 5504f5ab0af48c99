/**
 * The proxy that the environment names for a server, as kubectl and every Go program read it:
 * `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`, in capitals or not (golang.org/x/net/http/httpproxy).
 * A kubeconfig's `proxy-url` comes before it.
 */
import { BlockList, isIP } from 'node:net'

/** A URL, or undefined for a direct connection. This machine itself is never reached by proxy. */
export function environmentProxy(
  server: string,
  env: Readonly<Record<string, string | undefined>>,
): string | undefined {
  const { protocol, hostname, port } = new URL(server)
  const name = protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY'
  const proxy = env[name] || env[name.toLowerCase()]
  if (!proxy) return undefined
  const host = hostname.replace(/^\[|\]$/g, '').toLowerCase()
  const effectivePort = port || (protocol === 'https:' ? '443' : '80')
  if (isExcepted(host, effectivePort, env['NO_PROXY'] || env['no_proxy'] || '')) return undefined
  return proxy.includes('://') ? proxy : `http://${proxy}`
}

function isExcepted(host: string, port: string, exceptions: string): boolean {
  if (host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))) return true
  return exceptions
    .split(',')
    .map((entry) => entry.trim().toLowerCase())
    .some((entry) => entry !== '' && (entry === '*' || matches(entry, host, port)))
}

function matches(entry: string, host: string, port: string): boolean {
  const [network, prefix] = entry.split('/')
  if (prefix !== undefined) return isWithin(host, network ?? '', Number(prefix))
  const withPort = /^(.*[^:]):(\d+)$/.exec(entry)
  if (withPort && withPort[2] !== port) return false
  const name = (withPort?.[1] ?? entry).replace(/^\[|\]$/g, '')
  if (isIP(host) || isIP(name)) return host === name
  const domain = name.replace(/^\*/, '')
  // `example.org` means itself and what is below it, `.example.org` only what is below.
  return domain.startsWith('.') ? host.endsWith(domain) : host === domain || host.endsWith(`.${domain}`)
}

function isWithin(host: string, network: string, prefix: number): boolean {
  const family = isIP(network) === 6 ? 'ipv6' : 'ipv4'
  if (isIP(network) === 0 || isIP(host) !== isIP(network)) return false
  const bits = family === 'ipv6' ? 128 : 32
  if (!Number.isInteger(prefix) || prefix < 0 || prefix > bits) return false
  const list = new BlockList()
  list.addSubnet(network, prefix, family)
  return list.check(host, family)
}
