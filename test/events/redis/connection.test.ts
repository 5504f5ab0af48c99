import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  connectRedis,
  type RedisConnection,
  type RedisConnectionOptions,
} from '../../../src/events/redis/connection.ts'
import { describeRedis, parseRedisUrl, RedisUrlError } from '../../../src/events/redis/redis-url.ts'
import { systemClock } from '../../../src/fleet/clock.ts'
import { eventually } from '../../support/eventually.ts'
import { startReaper } from '../../support/reaper.ts'
import { startRedisCluster, startRedisServer } from '../../support/redis-server.ts'
import { sparePort } from '../../support/spare-port.ts'
import { createCertificateAuthority } from '../../support/test-certificates.ts'

vi.setConfig({ testTimeout: 30_000 })

const SECRET = 's3cr3t/of@redis'
const ENCODED = encodeURIComponent(SECRET)

describe('the URL of Redis', () => {
  it.each([
    [
      'redis://redis.example',
      { mode: 'single', tls: false, hosts: [{ host: 'redis.example', port: 6379 }], db: 0 },
    ],
    [
      `rediss://gate:${ENCODED}@redis.example:6380/3`,
      {
        mode: 'single',
        tls: true,
        hosts: [{ host: 'redis.example', port: 6380 }],
        username: 'gate',
        password: SECRET,
        db: 3,
      },
    ],
    [
      `redis://:${ENCODED}@[::1]:7000`,
      { mode: 'single', hosts: [{ host: '::1', port: 7000 }], password: SECRET },
    ],
    [
      `redis-sentinel://:${ENCODED}@one,two:26380/shop/2?sentinelPassword=p%26q`,
      {
        mode: 'sentinel',
        master: 'shop',
        db: 2,
        hosts: [
          { host: 'one', port: 26_379 },
          { host: 'two', port: 26_380 },
        ],
        password: SECRET,
        sentinelPassword: 'p&q',
      },
    ],
    [
      'rediss-cluster://one:7000,two',
      {
        mode: 'cluster',
        tls: true,
        hosts: [
          { host: 'one', port: 7_000 },
          { host: 'two', port: 6_379 },
        ],
      },
    ],
  ])('%s is read', (url, address) => {
    expect(parseRedisUrl(url)).toMatchObject(address)
  })

  it.each([
    'http://redis.example',
    'redis://',
    `redis://:${ENCODED}@one,two`,
    `redis://:${ENCODED}@one/two`,
    `redis://:${ENCODED}@one:99999`,
    `redis://:${ENCODED}@one?ssl=true`,
    `redis://:${ENCODED}%@one`,
    `redis-sentinel://:${ENCODED}@one`,
    `redis-cluster://:${ENCODED}@one/1`,
    // Not encoded.
    `redis://:${SECRET}@one`,
  ])('%s is refused, without its secret', (url) => {
    expect(() => parseRedisUrl(url)).toThrow(RedisUrlError)
    try {
      parseRedisUrl(url)
    } catch (error) {
      expect(inspect(error)).not.toContain(SECRET)
      expect(inspect(error)).not.toContain(ENCODED)
    }
  })

  it('is described without user and password', () => {
    expect(describeRedis(parseRedisUrl(`rediss://gate:${ENCODED}@[::1]/3`))).toBe('rediss://[::1]:6379/3')
    expect(describeRedis(parseRedisUrl(`redis-sentinel://:${ENCODED}@a,b/shop`))).toBe(
      'redis-sentinel://a:26379,b:26379/shop',
    )
  })

  it('with certificates that are not there is refused', () => {
    expect(() => connect('rediss://127.0.0.1', { caFile: '/nonexistent/ca.crt' })).toThrow(
      /redis\.caFile.*ENOENT/,
    )
  })
})

const open: { close(): Promise<unknown> }[] = []
let errors: Error[] = []

beforeEach(() => {
  errors = []
})

/** The connection before its server. */
afterEach(async () => {
  for (const part of open.splice(0).toReversed()) await part.close()
})

function connect(url: string, options: Partial<RedisConnectionOptions> = {}): RedisConnection {
  const connection = connectRedis(url, {
    clock: systemClock,
    prefix: 'test',
    name: 'tested',
    commandTimeoutMs: 300,
    awayMs: 500,
    probeMs: 100,
    reconnectMs: 100,
    onError: (error) => errors.push(error),
    ...options,
  })
  open.push(connection)
  return connection
}

async function startRedis(...args: readonly string[]) {
  const server = await startRedisServer(...args)
  open.push(server)
  return server
}

async function state(connection: RedisConnection, status: 'READY' | 'AWAY'): Promise<void> {
  await eventually(() => expect(connection.state, inspect(errors)).toMatchObject({ status }))
}

describe('a connection to Redis', () => {
  it('is away until Redis answers, and tells of each change', async () => {
    const redis = await startRedis()
    await redis.kill()
    const connection = connect(redis.url)
    const seen: string[] = []
    connection.onState(({ status }) => seen.push(status))
    expect(connection.state.status).toBe('AWAY')
    await eventually(() => expect(connection.state.problem).toContain('ECONNREFUSED'))
    await redis.start()
    await state(connection, 'READY')
    expect(connection.state.problem).toBeNull()
    await redis.kill()
    await state(connection, 'AWAY')
    expect(seen).toEqual(['READY', 'AWAY'])
  })

  it('notices a Redis that is frozen, which keeps its sockets, and comes back when it wakes up', async () => {
    const redis = await startRedis()
    const connection = connect(redis.url)
    await state(connection, 'READY')
    redis.freeze()
    await expect(connection.commands.set('a', '1')).rejects.toThrow('timed out')
    await state(connection, 'AWAY')
    redis.thaw()
    await state(connection, 'READY')
    expect(await connection.commands.set('a', '2')).toBe('OK')
  })

  it('fails commands at once while there is none, and never sends them later', async () => {
    const redis = await startRedis()
    const connection = connect(redis.url, { commandTimeoutMs: 60_000 })
    await state(connection, 'READY')
    await redis.kill()
    await eventually(() => expect(connection.commands.status).not.toBe('ready'))
    await expect(connection.commands.set('a', '1')).rejects.toThrow()
    await redis.start()
    await state(connection, 'READY')
    await eventually(async () => expect(await connection.commands.ping()).toBe('PONG'))
    expect(await connection.commands.get('a')).toBeNull()
  })

  it('keeps its subscriptions when Redis is killed and started again', async () => {
    const redis = await startRedis()
    const connection = connect(redis.url)
    await state(connection, 'READY')
    const messages: string[] = []
    connection.subscriber.on('message', (channel, text) => messages.push(`${channel} ${text}`))
    await connection.subscriber.subscribe('kept', 'left')
    await connection.subscriber.unsubscribe('left')
    // Taken back before it was confirmed.
    void connection.subscriber.subscribe('regretted')
    await connection.subscriber.unsubscribe('regretted')
    await redis.kill()
    await redis.start()
    await eventually(() => redis.ask(async (client) => expect(await client.publish('kept', 'hello')).toBe(1)))
    await eventually(() => expect(messages).toContain('kept hello'))
    await redis.ask(async (client) => {
      expect(await client.publish('left', 'hello')).toBe(0)
      expect(await client.publish('regretted', 'hello')).toBe(0)
    })
  })

  it('survives that Redis is killed at any moment of subscribing again', async () => {
    const redis = await startRedis()
    const connection = connect(redis.url)
    await state(connection, 'READY')
    await connection.subscriber.subscribe(...Array.from({ length: 50 }, (_, i) => `channel-${i}`))
    for (let round = 0; round < 5; round++) {
      const again = new Promise((resolve) => connection.subscriber.once('ready', resolve))
      await redis.kill()
      await redis.start()
      await again
    }
    // An unhandled rejection would have failed the test.
    await eventually(() =>
      redis.ask(async (client) => expect(await client.publish('channel-49', 'x')).toBe(1)),
    )
  })

  it('tells no secret, whatever goes wrong', async () => {
    const redis = await startRedis('--requirepass', 'another')
    const connection = connect(`redis://:${ENCODED}@127.0.0.1:${redis.port}`)
    await eventually(() => expect(connection.state.problem).toContain('WRONGPASS'))
    await eventually(() => expect(errors.length).toBeGreaterThan(0))
    const told = inspect([errors, connection.state, connection.address], { depth: null, showHidden: true })
    expect(told).not.toContain(SECRET)
    expect(told).not.toContain(ENCODED)
  })

  it('to a Redis Cluster tells why its nodes refuse it, and no secret', async () => {
    const redis = await startRedis('--requirepass', 'another')
    const connection = connect(`redis-cluster://:${ENCODED}@127.0.0.1:${redis.port}`)
    await eventually(() => expect(connection.state.problem).toContain('WRONGPASS'))
    await eventually(() => expect(errors.length).toBeGreaterThan(0))
    expect(inspect([errors, connection.state], { depth: null, showHidden: true })).not.toContain(SECRET)
  })

  it('tells once what is wrong with sentinels, however long it waits for them', async () => {
    const redis = await startRedis()
    const connection = connect(`redis-sentinel://127.0.0.1:${redis.port}/main`)
    await eventually(() => expect(connection.state.problem).toContain('sentinel'))
    for (let attempt = 0; attempt < 3; attempt++) {
      await new Promise((resolve) => connection.commands.once('error', resolve))
    }
    expect(new Set(errors.map(({ message }) => message)).size).toBe(1)
  })

  it('to another database has other names for everything: channels are of all databases', async () => {
    const redis = await startRedis()
    expect(connect(redis.url).prefix).toBe('test')
    expect(connect(`${redis.url}/0`).prefix).toBe('test')
    expect(connect(`${redis.url}/2`).prefix).toBe('test:db2')
  })

  it('speaks TLS to a server whose authority it was given, as the user of the URL', async () => {
    const server = await startRedisServer()
    open.push(server)
    const authority = await createCertificateAuthority(server.directory)
    await authority.issue('redis', { commonName: 'redis', alternativeNames: ['IP:127.0.0.1'] })
    const port = await sparePort()
    const file = (name: string) => join(server.directory, name)
    const tls = ['--port', '0', '--tls-port', String(port), '--tls-auth-clients', 'no']
    const files = ['--tls-cert-file', file('redis.crt'), '--tls-key-file', file('redis.key')]
    const user = ['--user', 'gate', 'on', `>${SECRET}`, '~*', '&*', '+@all']
    await startRedis(...tls, ...files, '--tls-ca-cert-file', file('ca.crt'), ...user)
    const url = `rediss://gate:${ENCODED}@127.0.0.1:${port}`
    const trusting = connect(url, { caFile: file('ca.crt') })
    await state(trusting, 'READY')
    expect(await trusting.commands.call('ACL', 'WHOAMI')).toBe('gate')
    const other = connect(url)
    await eventually(() => expect(other.state.problem).toMatch(/certificate/))
    expect(other.state.status).toBe('AWAY')
  })

  it('follows the sentinels to the new master after a failover', async () => {
    const passwords = ['--requirepass', 'inner', '--masterauth', 'inner']
    const master = await startRedis(...passwords)
    const second = await startRedis(...passwords, '--replicaof', '127.0.0.1', String(master.port))
    const sentinel = await startSentinel(master.port)
    const connection = connect(`redis-sentinel://:inner@127.0.0.1:${sentinel.port}/shop`, { awayMs: 60_000 })
    await state(connection, 'READY')
    await connection.commands.set('a', '1')
    await eventually(async () =>
      expect(String(await sentinelAsk(sentinel.port, 'replicas', 'shop'))).toContain(String(second.port)),
    )
    await master.kill()
    await eventually(async () => expect(await connection.commands.set('a', '2')).toBe('OK'), {
      timeoutMs: 20_000,
    })
  })

  it('reaches all nodes of a Redis Cluster, and messages of each', async () => {
    const cluster = await startRedisCluster()
    open.push(cluster)
    const connection = connect(cluster.url)
    await state(connection, 'READY')
    const messages = new Set<string>()
    connection.subscriber.on('smessage', (channel: string) => messages.add(channel))
    const channels = Array.from({ length: 12 }, (_, i) => `channel-${i}`)
    for (const channel of channels) await connection.subscriber.ssubscribe(channel)
    await eventually(async () => {
      for (const channel of channels) await connection.commands.spublish(channel, 'x')
      expect([...messages].toSorted()).toEqual(channels.toSorted())
    })
  })

  it('to a Redis Cluster one of whose nodes is frozen is away, and comes back', async () => {
    const cluster = await startRedisCluster()
    open.push(cluster)
    const connection = connect(cluster.url)
    await state(connection, 'READY')
    cluster.nodes[1]?.freeze()
    await state(connection, 'AWAY')
    cluster.nodes[1]?.thaw()
    await state(connection, 'READY')
  })

  it.each(['there', 'away', 'frozen'] as const)(
    'leaves no socket and no timer when Redis is %s',
    async (how) => {
      const redis = await startRedis()
      const before = resources()
      const connection = connect(redis.url)
      if (how !== 'there') await state(connection, 'READY')
      if (how === 'away') await redis.kill()
      if (how === 'frozen') redis.freeze()
      if (how !== 'there') await state(connection, 'AWAY')
      await connection.close()
      await eventually(() => expect(resources()).toEqual(before), { timeoutMs: 3_000 })
      redis.thaw()
      if (how === 'away') return
      await redis.ask(async (client) =>
        eventually(async () => expect(String(await client.client('LIST'))).not.toContain('name=tested')),
      )
    },
  )
})

/** What keeps this process busy with the network. */
function resources(): readonly string[] {
  return process.getActiveResourcesInfo().filter((kind) => /TCP|TLS|Connect|GetAddrInfo/.test(kind))
}

async function startSentinel(masterPort: number): Promise<{ readonly port: number }> {
  const port = await sparePort()
  const directory = await mkdtemp(join(tmpdir(), 'fleetgraph-sentinel-'))
  const reaper = startReaper(directory)
  const file = join(directory, 'sentinel.conf')
  const lines = [
    `sentinel monitor shop 127.0.0.1 ${masterPort} 1`,
    'sentinel auth-pass shop inner',
    'sentinel down-after-milliseconds shop 500',
    'sentinel failover-timeout shop 2000',
  ]
  await writeFile(file, `${lines.join('\n')}\n`)
  const child = spawn('redis-server', [file, '--sentinel', '--port', String(port), '--bind', '127.0.0.1'], {
    stdio: 'ignore',
  })
  const exited = once(child, 'exit')
  if (child.pid) reaper.add(child.pid)
  open.push({
    async close() {
      child.kill('SIGKILL')
      await exited
      if (child.pid) reaper.drop(child.pid)
      reaper.close()
    },
  })
  await eventually(() => sentinelAsk(port, 'masters'))
  return { port }
}

async function sentinelAsk(port: number, ...args: readonly string[]): Promise<unknown> {
  const redis = new Redis({ host: '127.0.0.1', port, retryStrategy: () => null, lazyConnect: true })
  redis.on('error', () => {})
  try {
    await redis.connect()
    return await redis.call('SENTINEL', ...args)
  } finally {
    redis.disconnect()
  }
}
