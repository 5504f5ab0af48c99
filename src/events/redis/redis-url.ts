/**
 * One URL for every way to run Redis:
 *
 *     redis[s]://[user:password@]host[:6379][/db]
 *     redis[s]-sentinel://[user:password@]host[:26379],host[:26379]/master[/db]
 *     redis[s]-cluster://[user:password@]host[:6379],host[:6379]
 *
 * `rediss` is TLS, to the sentinels too. Sentinels that want a password of their own get it as
 * `?sentinelUser=…&sentinelPassword=…`. User and password are percent-encoded, as in every URL.
 *
 * Invariant: no message of an error repeats any part of the URL that may be a secret.
 */

export interface RedisAddress {
  readonly mode: 'single' | 'sentinel' | 'cluster'
  readonly tls: boolean
  /** At least one; of sentinels or of cluster nodes, exactly one of a single server. */
  readonly hosts: readonly { readonly host: string; readonly port: number }[]
  readonly username?: string
  readonly password?: string
  readonly db: number
  /** What the sentinels call the server; of mode `sentinel`. */
  readonly master?: string
  readonly sentinelUsername?: string
  readonly sentinelPassword?: string
}

/** The URL cannot be used; says what is wrong with it, without repeating it. */
export class RedisUrlError extends Error {
  override readonly name = 'RedisUrlError'
  readonly code = 'REDIS_URL'
}

const SHAPE = /^redis(s)?(-sentinel|-cluster)?:\/\/(?:([^@/?#]*)@)?([^@/?#]+)(\/[^?#]*)?(?:\?([^#]*))?$/

/** Throws `RedisUrlError`. */
export function parseRedisUrl(url: string): RedisAddress {
  const match = SHAPE.exec(url)
  if (!match) {
    throw new RedisUrlError(
      'The URL of Redis is none of redis://, rediss://, redis-sentinel:// and redis-cluster:// with a host; ' +
        'characters such as "@", "/", "?" and "#" in a password have to be percent-encoded.',
    )
  }
  const [, tls, kind, credentials, hosts = '', path = '', query = ''] = match
  const mode = kind === '-sentinel' ? 'sentinel' : kind === '-cluster' ? 'cluster' : 'single'
  const segments = path.split('/').filter((segment) => segment !== '')
  const master = mode === 'sentinel' ? segments.shift() : undefined
  if (mode === 'sentinel' && master === undefined) {
    throw new RedisUrlError('The URL of Redis names no master: redis-sentinel://host:26379/<master>.')
  }
  const [db = '0', ...rest] = segments
  if (!/^\d{1,5}$/.test(db) || rest.length > 0) {
    throw new RedisUrlError('The database in the URL of Redis is no number: redis://host:6379/<number>.')
  }
  if (mode === 'cluster' && Number(db) !== 0) {
    throw new RedisUrlError('Redis Cluster has no databases: leave the number out of the URL of Redis.')
  }
  const parsed = hosts.split(',').map((host) => parseHost(host, mode === 'sentinel' ? 26_379 : 6_379))
  if (mode === 'single' && parsed.length > 1) {
    throw new RedisUrlError(
      'The URL of Redis names several hosts; with redis-sentinel:// or redis-cluster:// it may.',
    )
  }
  const colon = credentials?.indexOf(':') ?? -1
  const username = credentials === undefined || colon === -1 ? credentials : credentials.slice(0, colon)
  const password = credentials === undefined || colon === -1 ? undefined : credentials.slice(colon + 1)
  return {
    mode,
    tls: tls !== undefined,
    hosts: parsed,
    db: Number(db),
    ...(master !== undefined && { master: decode(master) }),
    ...(username && { username: decode(username) }),
    ...(password && { password: decode(password) }),
    ...sentinelCredentials(query, mode),
  }
}

/** The address for a log: no user, no password. */
export function describeRedis({ mode, tls, hosts, master, db }: RedisAddress): string {
  const kind = mode === 'single' ? '' : `-${mode}`
  const names = hosts.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`)
  const path = [...(master === undefined ? [] : [master]), ...(db === 0 ? [] : [db])]
  return `redis${tls ? 's' : ''}${kind}://${names.join(',')}${path.map((part) => `/${part}`).join('')}`
}

function parseHost(text: string, standardPort: number): { host: string; port: number } {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/i.exec(text)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3] ?? standardPort)
  if (host === undefined || port === 0 || port > 65_535) {
    throw new RedisUrlError('A host in the URL of Redis is not of the form host, host:port or [ipv6]:port.')
  }
  return { host, port }
}

function sentinelCredentials(
  query: string,
  mode: RedisAddress['mode'],
): Pick<RedisAddress, 'sentinelUsername' | 'sentinelPassword'> {
  const parameters = new URLSearchParams(query)
  const username = parameters.get('sentinelUser')
  const password = parameters.get('sentinelPassword')
  parameters.delete('sentinelUser')
  parameters.delete('sentinelPassword')
  if (parameters.size > 0 || (mode !== 'sentinel' && (username ?? password) !== null)) {
    throw new RedisUrlError(
      'The URL of Redis has parameters that are not known; only redis-sentinel:// takes sentinelUser and sentinelPassword.',
    )
  }
  return {
    ...(username !== null && { sentinelUsername: username }),
    ...(password !== null && { sentinelPassword: password }),
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new RedisUrlError(
      'The URL of Redis has a "%" that begins no percent-encoded character; write it as %25.',
    )
  }
}
