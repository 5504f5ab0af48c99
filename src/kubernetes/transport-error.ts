/**
 * Turns what sockets, TLS and undici say into a `TransportError` that a person can act on: which cluster,
 * what went wrong, what to do next. Never a header, a token or a proxy's password.
 */
import { TransportError } from './client.ts'
import type { Connection, Pem } from './connection.ts'

/** How far the request came. */
export type Phase = 'credentials' | 'connecting' | 'waiting' | 'receiving'

export function transportError(connection: Connection, phase: Phase, cause: unknown): TransportError {
  if (cause instanceof TransportError) return cause
  const error = deepest(cause)
  const code = error.code ?? ''
  const [kind, text] =
    tlsTrouble(connection, code, error) ??
    proxyTrouble(connection, code, error) ??
    socketTrouble(connection, phase, code, error)
  const message = `Cluster ${connection.cluster} (${connection.server}): ${text}`
  return new TransportError(kind, message, cause, isSent(phase))
}

export function timeoutError(connection: Connection, phase: Phase, afterMs: number): TransportError {
  const seconds = afterMs < 1000 ? `${afterMs} ms` : `${Math.round(afterMs / 100) / 10} s`
  const text = {
    credentials: `no credentials within ${seconds}. See why the plugin or the identity provider does not answer.`,
    connecting: `no connection within ${seconds}. Check the address, the network path and firewalls.`,
    waiting: `no answer within ${seconds}. The API server is overloaded, frozen, or the network drops packets.`,
    receiving: `the answer was not complete within ${seconds}.`,
  }[phase]
  const message = `Cluster ${connection.cluster} (${connection.server}): ${text}`
  return new TransportError('TIMEOUT', message, undefined, isSent(phase))
}

function isSent(phase: Phase): boolean {
  return phase === 'waiting' || phase === 'receiving'
}

/** True where the server closed a kept connection before it said a word: the request may be sent again. */
export function closedBeforeAnswer(error: unknown): boolean {
  const { code } = deepest(error)
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE'
}

type Failure = Error & { code?: string; reason?: string; cert?: { subjectaltname?: string } }

/** Errors come wrapped by undici, by `autoSelectFamily` (an AggregateError per address), by proxies. */
function deepest(error: unknown): Failure {
  let here = error instanceof Error ? (error as Failure) : (new Error(String(error)) as Failure)
  for (let depth = 0; depth < 5; depth++) {
    const next =
      here instanceof AggregateError && here.errors.length > 0 ? here.errors[0] : wraps(here) && here.cause
    if (!(next instanceof Error)) break
    here = next
  }
  return here
}

function wraps(error: Failure): boolean {
  return error.code === undefined || error.code.startsWith('UND_ERR_PRX') || error.code === 'UND_ERR_SOCKET'
}

type Trouble = readonly [TransportError['code'], string]

const UNTRUSTED = new Set([
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'CERT_UNTRUSTED',
  'CERT_SIGNATURE_FAILURE',
  'INVALID_CA',
])

function tlsTrouble(connection: Connection, code: string, error: Failure): Trouble | undefined {
  if (UNTRUSTED.has(code))
    return [
      'TLS',
      `its certificate is not signed by ${authority(connection.certificateAuthority)}. Take the certificate-authority from the cluster's administrator.`,
    ]
  if (code === 'CERT_HAS_EXPIRED')
    return ['TLS', 'its certificate has expired. Renew it, and check this machine’s clock.']
  if (code === 'CERT_NOT_YET_VALID')
    return ['TLS', 'its certificate is not valid yet. Check both machines’ clocks.']
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const names = error.cert?.subjectaltname
    const wanted = connection.tlsServerName ?? new URL(connection.server).hostname
    return [
      'TLS',
      `its certificate is not for ${wanted}${names ? `, but for ${names}` : ''}. Use one of its names in server, or set tls-server-name.`,
    ]
  }
  if (code.includes('ALERT') && /CERTIFICATE|UNKNOWN_CA|CERT_|ACCESS_DENIED/.test(code))
    return [
      'TLS',
      `it refused our client certificate (${code}). Check that client-certificate is in date and signed by the cluster's client CA.`,
    ]
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG')
    return ['TLS', 'it does not speak TLS on this port. Check the scheme (http or https) and the port.']
  if (code.startsWith('ERR_OSSL') || code === 'ERR_CRYPTO_INVALID_KEYTYPE')
    return [
      'TLS',
      `the CA, client certificate or key cannot be read (${error.reason ?? code}). Check that they are PEM and belong together.`,
    ]
  if (code.startsWith('ERR_SSL') || code.startsWith('ERR_TLS') || code === 'EPROTO')
    return ['TLS', `the TLS handshake failed (${code}: ${error.reason ?? error.message}).`]
  if (/^(CERT|CRL|UNABLE_TO|ERROR_IN_CERT|HOSTNAME)_/.test(code))
    return ['TLS', `its certificate cannot be verified (${code}).`]
  return undefined
}

function authority(ca: Pem | undefined): string {
  if (!ca) return 'an authority that this machine trusts (no certificate-authority is set)'
  return 'file' in ca ? `the CA in ${ca.file}` : 'the CA in certificate-authority-data'
}

function proxyTrouble(connection: Connection, code: string, error: Failure): Trouble | undefined {
  if (connection.proxyUrl === undefined) return undefined
  const { protocol, host } = new URL(connection.proxyUrl)
  const proxy = `the proxy ${protocol}//${host}`
  if (/HTTP Tunneling|Proxy Authentication/.test(error.message))
    return [
      'UNREACHABLE',
      `${proxy} refused the connection: ${/\(\d+\)/.exec(error.message)?.[0] ?? error.message}. Check proxy-url (or HTTPS_PROXY) and its credentials.`,
    ]
  if (/^(UND_ERR_PRX|UND_ERR_SOCKS|SECURE_PROXY)/.test(code) || /socks/i.test(error.name + error.message))
    return [
      'UNREACHABLE',
      `no way through ${proxy} (${error.message}). Check proxy-url, or HTTPS_PROXY and NO_PROXY.`,
    ]
  if (['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN'].includes(code))
    return ['UNREACHABLE', `cannot reach ${proxy} (${code}). Check proxy-url, or HTTPS_PROXY and NO_PROXY.`]
  return undefined
}

function socketTrouble(connection: Connection, phase: Phase, code: string, error: Failure): Trouble {
  const { hostname } = new URL(connection.server)
  switch (code) {
    case 'ECONNREFUSED':
      return ['UNREACHABLE', 'connection refused. Is the API server running, and is the port right?']
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EAI_FAIL':
      return ['UNREACHABLE', `the name ${hostname} does not resolve (${code}). Check server, and DNS.`]
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'EADDRNOTAVAIL':
      return ['UNREACHABLE', `no route to ${hostname} (${code}). Check the network or VPN.`]
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'ETIMEDOUT':
      return [
        'TIMEOUT',
        'no connection in time. Check the address, the network path, firewalls, and that the API server is not frozen.',
      ]
    case 'UND_ERR_INVALID_ARG':
      return [
        'CREDENTIALS',
        `the request cannot be sent (${error.message}). Look for stray characters in the credentials.`,
      ]
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
      return ['TIMEOUT', 'no answer in time.']
    case 'UND_ERR_DESTROYED':
    case 'UND_ERR_CLOSED':
    case 'UND_ERR_ABORTED':
      return ['CLOSED', 'the client was closed.']
  }
  const when = {
    credentials: 'before a connection',
    connecting: 'while connecting',
    waiting: 'before an answer',
    receiving: 'in the middle of the answer',
  }[phase]
  // Where TLS 1.3 refuses a client certificate after the handshake, all that undici sees is the end.
  const hint =
    phase === 'waiting' && connection.user.clientCertificate
      ? ' If that is so each time, the server may refuse our client certificate.'
      : ''
  return ['RESET', `the connection broke ${when} (${code || error.name}: ${error.message}).${hint}`]
}
