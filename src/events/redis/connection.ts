/**
 * The connections of one process to Redis, and whether it is there.
 *
 * Two of them, because one that subscribes can do nothing else (a Redis Cluster keeps them apart by
 * itself). They reconnect for ever. While Redis does not answer, commands fail at once or after
 * `commandTimeoutMs`: nothing is queued here and nothing is sent twice, so whoever sent a command decides
 * whether it still wants to. A command whose sender has given up may still be executed, when a frozen Redis
 * wakes up: senders have to be safe against that.
 *
 * Redis counts as there while it answers a probe on both connections. A connection that is open but does
 * not answer (a frozen process, a lost network) is cut, so that the next one can be made elsewhere.
 *
 * Invariant: no error that leaves here, by callback or by state, holds a secret; what ioredis throws does,
 * since it attaches the arguments of `AUTH`.
 */
import { readFileSync } from 'node:fs'
import { rootCertificates } from 'node:tls'
import { Cluster, type ClusterOptions, Redis, type RedisOptions } from 'ioredis'
import type { Clock } from '../../fleet/clock.ts'
import { describeRedis, parseRedisUrl, type RedisAddress, RedisUrlError } from './redis-url.ts'

export interface RedisConnectionOptions {
  readonly clock: Clock
  /** Of all keys and channels. */
  readonly prefix: string
  /** Shown by Redis' `CLIENT LIST`. */
  readonly name?: string
  /** PEM file with authorities to trust beside the system's. */
  readonly caFile?: string
  /** For the log; each message once until Redis answers again. */
  readonly onError?: (error: RedisConnectionError) => void
  /** A command without an answer fails. Default 3,000. */
  readonly commandTimeoutMs?: number
  /** Between two probes. Default 1,000. */
  readonly probeMs?: number
  /** Redis is away after so long without an answer. Default 5,000. */
  readonly awayMs?: number
  /** The longest wait between two attempts to connect. Default 1,000. */
  readonly reconnectMs?: number
}

/** `READY`: answers. `AWAY`: does not, or has not yet. `since` in epoch milliseconds. */
export interface RedisState {
  readonly status: 'READY' | 'AWAY'
  readonly since: number
  /** Why it is away, as far as is known. */
  readonly problem: string | null
}

export class RedisConnectionError extends Error {
  override readonly name = 'RedisConnectionError'
  readonly code = 'REDIS'
}

/** What commands fail with because there is no connection, or no answer: the connection says why itself. */
const UNCONNECTED =
  /Stream isn't writeable|Cluster (isn't ready|is ended)|Connection is closed|Command timed out|Command aborted|max retries per request/

/** Whether something failed only because Redis is away. */
export function isUnconnected(error: unknown): boolean {
  return UNCONNECTED.test(error instanceof Error ? error.message : String(error))
}

/** Returns at once, `AWAY`. Throws `RedisUrlError` where the URL or the CA file cannot be used. */
export function connectRedis(url: string, options: RedisConnectionOptions): RedisConnection {
  const address = parseRedisUrl(url)
  return new RedisConnection(address, options, readAuthorities(options.caFile))
}

export class RedisConnection {
  readonly commands: Redis | Cluster
  readonly subscriber: Redis | Cluster
  /** `SSUBSCRIBE` and `SPUBLISH` instead of `SUBSCRIBE` and `PUBLISH`. */
  readonly sharded: boolean
  readonly prefix: string
  /** For a log, without secrets. */
  readonly address: string
  readonly #clock: Clock
  readonly #secrets: readonly string[]
  readonly #probeMs: number
  readonly #awayMs: number
  readonly #reconnectMs: number
  readonly #onError: (error: RedisConnectionError) => void
  readonly #listeners = new Set<(state: RedisState) => void>()
  readonly #lines: Line[]
  #state: RedisState
  /** Since Redis last answered: each is told once, in which order ever ioredis repeats them. */
  readonly #messages = new Set<string>()
  #cancelTimer = () => {}
  #closing: Promise<void> | undefined

  constructor(address: RedisAddress, options: RedisConnectionOptions, authorities: readonly string[]) {
    const { clock, probeMs = 1_000, awayMs = 5_000, reconnectMs = 1_000, onError = () => {} } = options
    // Keys are of a database, channels are of all of them: two fleets must not hear each other.
    this.prefix = address.db === 0 ? options.prefix : `${options.prefix}:db${address.db}`
    this.address = describeRedis(address)
    this.sharded = address.mode === 'cluster'
    this.#clock = clock
    this.#probeMs = probeMs
    this.#awayMs = awayMs
    this.#reconnectMs = reconnectMs
    this.#onError = onError
    this.#secrets = [address.password, address.sentinelPassword].filter((text) => text !== undefined)
    this.#state = { status: 'AWAY', since: clock.now(), problem: null }
    if (address.mode === 'cluster') {
      const cluster = connectCluster(address, options, authorities)
      this.commands = cluster
      this.subscriber = cluster
      this.#lines = [
        this.#line(cluster, () => Promise.all(cluster.nodes('master').map((node) => node.ping()))),
      ]
    } else {
      const settings = singleOptions(address, options, authorities)
      const commands = new Redis(settings)
      const subscriber = new Subscriber(settings)
      this.commands = commands
      this.subscriber = subscriber
      this.#lines = [
        this.#line(commands, () => commands.ping()),
        this.#line(subscriber, () => subscriber.ping()),
      ]
    }
    this.#beat()
  }

  get state(): RedisState {
    return this.#state
  }

  /** After each change of `state.status`. Returns what ends it. */
  onState(listener: (state: RedisState) => void): () => void {
    const own = (state: RedisState) => listener(state)
    this.#listeners.add(own)
    return () => this.#listeners.delete(own)
  }

  /** Ends all sockets and timers. Commands that have no answer yet fail. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#cancelTimer()
    this.#listeners.clear()
    for (const line of this.#lines) line.cancelRetry()
    await Promise.all(this.#lines.map(({ client }) => ended(client)))
  }

  #line(client: Redis | Cluster, ask: () => Promise<unknown>): Line {
    const line: Line = {
      client,
      ask,
      answeredAt: undefined,
      asking: false,
      cutAt: -Infinity,
      cancelRetry: () => {},
    }
    client.on('error', (error: unknown) => this.#report(error))
    // Sooner than the next beat, so that a gateway that starts does not wait for it.
    client.on('ready', () => void this.#probe(line))
    // ioredis gives up where a connection is cut while it asks the sentinels, as it does itself when they
    // tell of a failover.
    client.on('end', () => {
      if (this.#closing) return
      line.cancelRetry = this.#clock.after(this.#reconnectMs, () => void client.connect().catch(() => {}))
    })
    return line
  }

  /** Asks every line, and draws the conclusions of what was answered until now. */
  #beat(): void {
    for (const line of this.#lines) void this.#probe(line)
    this.#conclude()
    this.#cancelTimer = this.#clock.after(this.#probeMs, () => this.#beat())
  }

  async #probe(line: Line): Promise<void> {
    if (line.asking || this.#closing || line.client.status !== 'ready') return
    const { cutAt } = line
    line.asking = true
    try {
      const answer = await line.ask()
      // A cluster none of whose masters is known has not answered, nor has a connection that was cut since.
      const answered = (!Array.isArray(answer) || answer.length > 0) && line.cutAt === cutAt
      if (answered) line.answeredAt = this.#clock.now()
    } catch (error) {
      this.#report(error)
    } finally {
      line.asking = false
    }
    this.#conclude()
  }

  #conclude(): void {
    if (this.#closing) return
    const now = this.#clock.now()
    let ready = true
    for (const line of this.#lines) {
      const quietSince = Math.max(line.answeredAt ?? -Infinity, line.cutAt)
      const quiet = now - quietSince >= this.#awayMs
      if (line.answeredAt === undefined || now - line.answeredAt >= this.#awayMs) ready = false
      if (!quiet || line.client.status !== 'ready' || line.answeredAt === undefined) continue
      line.cutAt = now
      line.client.disconnect(true)
    }
    if (ready === (this.#state.status === 'READY')) return
    if (ready) this.#messages.clear()
    this.#state = {
      status: ready ? 'READY' : 'AWAY',
      since: now,
      problem: ready ? null : ([...this.#messages].at(-1) ?? 'it does not answer'),
    }
    for (const listener of this.#listeners) listener(this.#state)
  }

  #report(error: unknown): void {
    if (this.#closing || isUnconnected(error)) return
    let message = messageOf(error)
    for (const secret of this.#secrets) message = message.replaceAll(secret, '***')
    if (this.#state.status === 'AWAY') this.#state = { ...this.#state, problem: message }
    if (this.#messages.has(message) || this.#messages.size >= MESSAGES) return
    this.#messages.add(message)
    // Without a cause: ioredis attaches the arguments of the command, AUTH among them.
    this.#onError(new RedisConnectionError(`Redis at ${this.address}: ${message}`))
  }
}

/** Without what changes with each attempt; of a Redis Cluster with what its nodes said. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const node = 'lastNodeError' in error ? error.lastNodeError : undefined
  const message = error.message.replace(/ Retrying from scratch after \d+ms\./, '')
  return node instanceof Error ? `${message} ${node.message}` : message
}

/** Different ones that are told of one outage. */
const MESSAGES = 8

/** One of the connections, and when it answered last. */
interface Line {
  readonly client: Redis | Cluster
  readonly ask: () => Promise<unknown>
  answeredAt: number | undefined
  asking: boolean
  cutAt: number
  cancelRetry: () => void
}

/**
 * A connection that keeps its subscriptions over reconnects. ioredis can do so itself, but it drops the
 * promise of its `SUBSCRIBE`: Redis going away at that moment would be an unhandled rejection, which ends
 * the process, and the channels would be forgotten.
 */
class Subscriber extends Redis {
  // Not private (#): sendCommand is called by the constructor of Redis, before fields exist.
  declare private channels: Set<string> | undefined
  /** What was asked for last, of each channel whose subscription is not confirmed. */
  declare private asked: Map<string, object> | undefined

  constructor(options: RedisOptions) {
    super({ ...options, autoResubscribe: false })
    this.on('ready', () => {
      const channels = [...(this.channels ?? [])]
      if (channels.length === 0) return
      this.subscribe(...channels).catch(() => {
        // Where the connection is gone, the next one tries again by itself.
        if (this.status === 'ready') this.disconnect(true)
      })
    })
  }

  override sendCommand(
    ...[command, stream]: Parameters<Redis['sendCommand']>
  ): ReturnType<Redis['sendCommand']> {
    const channels = (this.channels ??= new Set())
    const asked = (this.asked ??= new Map())
    const names = command.args.map(String)
    if (command.name === 'subscribe') {
      for (const name of names) asked.set(name, command)
      // What Redis has not confirmed is the caller's to ask for again, and what was taken back since nobody's.
      const settled = (confirmed: boolean) => {
        for (const name of names) {
          if (asked.get(name) !== command) continue
          asked.delete(name)
          if (confirmed) channels.add(name)
        }
      }
      command.promise.then(
        () => settled(true),
        () => settled(false),
      )
    }
    if (command.name === 'unsubscribe') {
      for (const name of names) {
        channels.delete(name)
        asked.delete(name)
      }
    }
    return super.sendCommand(command, stream)
  }
}

function commonOptions(
  address: RedisAddress,
  { name, commandTimeoutMs = 3_000 }: RedisConnectionOptions,
  authorities: readonly string[],
) {
  return {
    ...(address.username !== undefined && { username: address.username }),
    ...(address.password !== undefined && { password: address.password }),
    ...(address.tls && { tls: authorities.length > 0 ? { ca: [...authorities] } : {} }),
    ...(name !== undefined && { connectionName: name }),
    commandTimeout: commandTimeoutMs,
    connectTimeout: commandTimeoutMs,
    // How long a socket may take to close by itself before it is destroyed.
    disconnectTimeout: 250,
    keepAlive: 5_000,
    // Fail at once while there is no connection, and never send anything a second time: a command may not
    // be wanted any more by then.
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // After a failover the connection may lead to what is a replica now.
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
  } satisfies RedisOptions
}

function singleOptions(
  address: RedisAddress,
  options: RedisConnectionOptions,
  authorities: readonly string[],
): RedisOptions {
  const { commandTimeoutMs = 3_000 } = options
  const common = {
    ...commonOptions(address, options, authorities),
    db: address.db,
    retryStrategy: (attempt: number) => backoffMs(attempt, options),
  }
  if (address.mode === 'single') return { ...common, ...address.hosts[0] }
  return {
    ...common,
    sentinels: [...address.hosts],
    name: address.master ?? '',
    sentinelCommandTimeout: commandTimeoutMs,
    sentinelRetryStrategy: (attempt) => backoffMs(attempt, options),
    failoverDetector: true,
    ...(address.sentinelUsername !== undefined && { sentinelUsername: address.sentinelUsername }),
    ...(address.sentinelPassword !== undefined && { sentinelPassword: address.sentinelPassword }),
    ...(address.tls && { enableTLSForSentinelMode: true, sentinelTLS: common.tls ?? {} }),
  }
}

function connectCluster(
  address: RedisAddress,
  options: RedisConnectionOptions,
  authorities: readonly string[],
): Cluster {
  const settings: ClusterOptions = {
    redisOptions: commonOptions(address, options, authorities),
    clusterRetryStrategy: (attempt) => backoffMs(attempt, options),
    enableOfflineQueue: false,
    shardedSubscribers: true,
    slotsRefreshTimeout: options.commandTimeoutMs ?? 3_000,
    // Finds a failover that no command has run into.
    slotsRefreshInterval: 5_000,
    // Certificates are made out for names: they must not be resolved before TLS sees them.
    ...(address.tls && { dnsLookup: (name, done) => done(null, name) }),
  }
  return new Cluster([...address.hosts], settings)
}

/** Half of it random, so that many gateways do not come back in one instant. */
function backoffMs(attempt: number, { reconnectMs = 1_000 }: RedisConnectionOptions): number {
  const full = Math.min(reconnectMs, 50 * 2 ** Math.min(attempt, 10))
  return Math.round(full / 2 + (Math.random() * full) / 2)
}

function readAuthorities(file: string | undefined): string[] {
  if (file === undefined || file === '') return []
  try {
    return [...rootCertificates, readFileSync(file, 'utf8')]
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new RedisUrlError(`The certificates of redis.caFile cannot be read: ${why}`)
  }
}

/** Closes a client and waits until its sockets are gone. */
function ended(client: Redis | Cluster): Promise<void> {
  return new Promise((resolve) => {
    const { status } = client
    // Between two attempts there is no socket whose end ioredis would tell.
    const idle = status === 'end' || status === 'wait' || status === 'reconnecting' || status === 'close'
    const limit = setTimeout(resolve, 1_000)
    const done = () => {
      clearTimeout(limit)
      resolve()
    }
    client.once('end', done)
    client.disconnect()
    if (idle) done()
  })
}
