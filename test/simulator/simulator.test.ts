/** The public face: faults, counters, tokens, TLS, and clients that read slowly. */
import { connect } from 'node:net'
import { KubeConfig, CoreV1Api, makeInformer, AppsV1Api } from '@kubernetes/client-node'
import { afterEach, describe, expect, it } from 'vitest'
import { startSimulator, type Simulator, type SimulatorOptions } from '../../src/simulator/simulator.ts'
import { ManualTimeline } from '../../src/simulator/timeline.ts'
import { eventually } from '../support/eventually.ts'

const configMaps = { group: '', resource: 'configmaps' }
const running: Simulator[] = []

async function start(options: SimulatorOptions = {}): Promise<Simulator> {
  const simulator = await startSimulator(options)
  running.push(simulator)
  return simulator
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((simulator) => simulator.close()))
})

async function get(simulator: Simulator, path: string, token = simulator.token): Promise<Response> {
  return fetch(`${simulator.url}${path}`, { headers: { authorization: `Bearer ${token}` } })
}

async function write(simulator: Simulator, path: string, kind: string, name = 'a'): Promise<Response> {
  const isReview = path.includes('k8s.io')
  const object = isReview
    ? { apiVersion: 'authorization.k8s.io/v1', kind, spec: { resourceAttributes: { verb: 'get' } } }
    : { apiVersion: 'v1', kind, metadata: { name } }
  return fetch(`${simulator.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${simulator.token}`, 'content-type': 'application/json' },
    body: JSON.stringify(object),
  })
}

interface Watch {
  readonly events: readonly {
    readonly type: string
    readonly object: { readonly metadata: { readonly name?: string } }
  }[]
  /** How the stream ended; undefined while it is open. */
  readonly ended: Promise<'clean' | 'torn'>
  cancel(): Promise<void>
}

async function watch(simulator: Simulator, query = ''): Promise<Watch> {
  const response = await get(simulator, `/api/v1/configmaps?watch=true${query}`)
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  const events: Watch['events'][number][] = []
  const read = async (): Promise<'clean' | 'torn'> => {
    let rest = ''
    try {
      for (;;) {
        const { value, done } = await reader.read()
        if (done) return 'clean'
        const lines = (rest + value).split('\n')
        rest = lines.pop() ?? ''
        for (const line of lines) events.push(JSON.parse(line) as Watch['events'][number])
      }
    } catch {
      return 'torn'
    }
  }
  return { events, ended: read(), cancel: () => reader.cancel() }
}

function add(simulator: Simulator, name: string, data: Record<string, string> = {}): void {
  simulator.registry.create(configMaps, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data })
}

describe('faults of a simulated cluster', () => {
  it('drops watches by tearing them, or cleanly', async () => {
    const simulator = await start()
    const torn = await watch(simulator)
    simulator.faults.dropWatches()
    expect(await torn.ended).toBe('torn')
    const clean = await watch(simulator)
    simulator.faults.dropWatches('end')
    expect(await clean.ended).toBe('clean')
    await eventually(() => expect(simulator.requests.watches).toEqual({}))
  })

  it('answers 410 in the stream to whoever resumes from before a compaction', async () => {
    const simulator = await start()
    add(simulator, 'a')
    simulator.faults.compact()
    const late = await watch(simulator, '&resourceVersion=1')
    expect(await late.ended).toBe('clean')
    expect(late.events).toMatchObject([{ type: 'ERROR', object: { code: 410, reason: 'Expired' } }])
  })

  it('fails a number of times, on some paths only, with Retry-After', async () => {
    const simulator = await start()
    simulator.faults.fail(429, { times: 2, path: '/api/v1/pods', retryAfterSeconds: 3 })
    expect((await get(simulator, '/api/v1/configmaps')).status).toBe(200)
    const refused = await get(simulator, '/api/v1/pods')
    expect(refused.status).toBe(429)
    expect(refused.headers.get('retry-after')).toBe('3')
    expect(await refused.json()).toMatchObject({ kind: 'Status', reason: 'TooManyRequests' })
    expect((await get(simulator, '/api/v1/pods')).status).toBe(429)
    expect((await get(simulator, '/api/v1/pods')).status).toBe(200)
  })

  it('fails writes of one resource with the Status that is asked for, and lets reads through', async () => {
    const simulator = await start()
    const path = '/api/v1/namespaces/default/configmaps'
    const causes = [{ field: 'data', reason: 'FieldValueInvalid', message: 'no' }]
    simulator.faults.fail(422, { times: 2, path, writes: true, message: 'admission says no', causes })
    expect((await get(simulator, path)).status).toBe(200)
    expect((await write(simulator, '/api/v1/namespaces/default/secrets', 'Secret')).status).toBe(201)
    for (let time = 0; time < 2; time++) {
      const refused = await write(simulator, path, 'ConfigMap')
      expect(refused.status).toBe(422)
      expect(await refused.json()).toMatchObject({
        kind: 'Status',
        reason: 'Invalid',
        message: 'admission says no',
        details: { causes },
      })
    }
    expect((await write(simulator, path, 'ConfigMap')).status).toBe(201)
  })

  it('takes no review for a write', async () => {
    const simulator = await start()
    simulator.faults.fail(500, { writes: true })
    const reviews = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'
    expect((await write(simulator, reviews, 'SelfSubjectAccessReview')).status).toBe(201)
    simulator.faults.clear()
    expect((await write(simulator, '/api/v1/namespaces', 'Namespace')).status).toBe(201)
  })

  it('cuts the connection of a write after it was carried out, or before', async () => {
    const simulator = await start()
    const path = '/api/v1/namespaces/default/configmaps'
    const stored = async (name: string) => (await get(simulator, `${path}/${name}`)).status === 200
    simulator.faults.cut({ path })
    await expect(write(simulator, path, 'ConfigMap', 'after')).rejects.toThrow()
    expect(await stored('after')).toBe(true)
    simulator.faults.cut({ path, when: 'before', times: 2 })
    await expect(write(simulator, path, 'ConfigMap', 'before')).rejects.toThrow()
    await expect(write(simulator, path, 'ConfigMap', 'before')).rejects.toThrow()
    expect(await stored('before')).toBe(false)
    expect((await write(simulator, path, 'ConfigMap', 'before')).status).toBe(201)
    simulator.faults.cut()
    simulator.faults.clear()
    expect((await write(simulator, path, 'ConfigMap', 'cleared')).status).toBe(201)
  })

  it('delays writes and nothing else', async () => {
    const simulator = await start()
    const path = '/api/v1/namespaces/default/configmaps'
    simulator.faults.delay(50, { writes: true, path })
    const order: string[] = []
    await Promise.all([
      write(simulator, path, 'ConfigMap').then(() => order.push('write')),
      get(simulator, path).then(() => order.push('read')),
      write(simulator, '/api/v1/namespaces', 'Namespace').then(() => order.push('other write')),
    ])
    expect(order.at(-1)).toBe('write')
  })

  it('holds watches while all else is answered, and lets them catch up', async () => {
    const simulator = await start()
    const open = await watch(simulator)
    const names = () => open.events.map(({ object }) => object.metadata.name)
    simulator.faults.holdWatches()
    simulator.faults.freeze()
    simulator.faults.thaw()
    add(simulator, 'held')
    expect((await get(simulator, '/api/v1/namespaces/default/configmaps/held')).status).toBe(200)
    expect(names()).not.toContain('held')
    simulator.faults.releaseWatches()
    await eventually(() => expect(names()).toContain('held'))
    await open.cancel()
  })

  it('accepts and never answers while frozen, and goes on when thawed', async () => {
    const simulator = await start()
    const open = await watch(simulator)
    simulator.faults.freeze()
    add(simulator, 'while-frozen')
    let answered = false
    const pending = get(simulator, '/version').then((response) => {
      answered = true
      return response.status
    })
    // A round trip on another connection: long enough for a server that would answer.
    await new Promise<void>((resolve, reject) => {
      const socket = connect(Number(new URL(simulator.url).port), '127.0.0.1', () => socket.end(resolve))
      socket.once('error', reject)
    })
    expect(answered).toBe(false)
    expect(open.events.map(({ object }) => object.metadata.name)).not.toContain('while-frozen')
    simulator.faults.thaw()
    expect(await pending).toBe(200)
    await eventually(() =>
      expect(open.events.map(({ object }) => object.metadata.name)).toContain('while-frozen'),
    )
    await open.cancel()
  })

  it('refuses connections when killed, and is back on the same port', async () => {
    const simulator = await start()
    const { url } = simulator
    const open = await watch(simulator)
    await simulator.faults.kill()
    expect(await open.ended).toBe('torn')
    await expect(get(simulator, '/version')).rejects.toThrow()
    await simulator.faults.revive()
    expect(simulator.url).toBe(url)
    expect((await get(simulator, '/version')).status).toBe(200)
  })

  it('rotates the token: the old one is refused from then on', async () => {
    const simulator = await start({ token: 'first' })
    expect((await get(simulator, '/api/v1/nodes', 'first')).status).toBe(200)
    const next = simulator.faults.rotateToken()
    expect((await get(simulator, '/api/v1/nodes', 'first')).status).toBe(401)
    expect((await get(simulator, '/api/v1/nodes', next)).status).toBe(200)
    expect(simulator.token).toBe(next)
  })
})

describe('watches of a simulated cluster', () => {
  it('counts requests and live watches by resource', async () => {
    const simulator = await start()
    const [one, other] = [await watch(simulator), await watch(simulator)]
    expect(simulator.requests.watches).toEqual({ '/configmaps': 2 })
    expect(simulator.requests.counts['watch /configmaps']).toBe(2)
    await Promise.all([one.cancel(), other.cancel()])
    await eventually(() => expect(simulator.requests.watches).toEqual({}))
  })

  it('cuts off a client that does not read, and nobody else', async () => {
    const simulator = await start({ maxWatchLag: 50 })
    const port = Number(new URL(simulator.url).port)
    const slow = connect(port, '127.0.0.1')
    slow.pause()
    slow.on('error', () => {})
    slow.write(
      `GET /api/v1/configmaps?watch=true HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${simulator.token}\r\n\r\n`,
    )
    const fast = await watch(simulator)
    await eventually(() => expect(simulator.requests.watches['/configmaps']).toBe(2))
    const filler = 'x'.repeat(100_000)
    for (let i = 0; i < 300; i++) {
      add(simulator, `big-${i}`, { filler })
      await new Promise((resolve) => setImmediate(resolve))
      if (i % 20 === 19) await eventually(() => expect(fast.events.length).toBeGreaterThan(i - 20))
    }
    await eventually(() => expect(simulator.requests.watches['/configmaps']).toBe(1))
    await eventually(() => expect(fast.events.length).toBeGreaterThanOrEqual(300))
    slow.destroy()
    await fast.cancel()
  })

  it('sends bookmarks to those who want them', async () => {
    const simulator = await start({ bookmarkIntervalMs: 20 })
    const plain = await watch(simulator)
    const wanting = await watch(simulator, '&allowWatchBookmarks=true')
    await eventually(() => expect(wanting.events.map(({ type }) => type)).toContain('BOOKMARK'))
    expect(plain.events.map(({ type }) => type)).not.toContain('BOOKMARK')
    await Promise.all([plain.cancel(), wanting.cancel()])
  })
})

describe('clients of a simulated cluster', () => {
  it('serves the typed client over TLS that trusts the kubeconfig, and nobody without a right', async () => {
    const simulator = await start({ tls: true, users: { guest: { username: 'guest', groups: [] } } })
    const config = new KubeConfig()
    config.loadFromString(JSON.stringify(simulator.kubeconfig()))
    const apps = config.makeApiClient(AppsV1Api)
    const labels = { app: 'web' }
    const body = {
      metadata: { name: 'web' },
      spec: {
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name: 'web', image: 'nginx' }] } },
      },
    }
    const created = await apps.createNamespacedDeployment({ namespace: 'default', body })
    expect(created.spec?.replicas).toBe(1)
    const { items } = await apps.listDeploymentForAllNamespaces()
    expect(items.map(({ metadata }) => metadata?.name)).toEqual(['web'])
    const guest = new KubeConfig()
    guest.loadFromString(JSON.stringify(simulator.kubeconfig({ token: 'guest' })))
    await expect(guest.makeApiClient(CoreV1Api).listPodForAllNamespaces()).rejects.toMatchObject({
      code: 403,
    })
  })

  it('feeds an informer', async () => {
    const simulator = await start()
    add(simulator, 'before')
    const config = new KubeConfig()
    config.loadFromString(JSON.stringify(simulator.kubeconfig()))
    const core = config.makeApiClient(CoreV1Api)
    const informer = makeInformer(config, '/api/v1/namespaces/default/configmaps', () =>
      core.listNamespacedConfigMap({ namespace: 'default' }),
    )
    const seen: string[] = []
    informer.on('add', ({ metadata }) => seen.push(`+${metadata?.name}`))
    informer.on('delete', ({ metadata }) => seen.push(`-${metadata?.name}`))
    await informer.start()
    add(simulator, 'after')
    await eventually(() => expect(seen).toEqual(expect.arrayContaining(['+before', '+after'])))
    simulator.registry.delete(configMaps, 'default', 'before')
    await eventually(() => expect(seen).toContain('-before'))
    await informer.stop()
  })
})

describe('the clock of a simulated cluster', () => {
  it('is the timeline that it was given', async () => {
    const timeline = new ManualTimeline(Date.parse('2030-05-05T05:05:05Z'))
    const simulator = await start({ timeline, seed: 1 })
    add(simulator, 'a')
    timeline.advance(60_000)
    add(simulator, 'b')
    const { items } = (await (await get(simulator, '/api/v1/namespaces/default/configmaps')).json()) as {
      items: { metadata: { creationTimestamp: string } }[]
    }
    expect(items.map(({ metadata }) => metadata.creationTimestamp)).toEqual([
      '2030-05-05T05:05:05Z',
      '2030-05-05T05:06:05Z',
    ])
  })

  it('ends with its signal', async () => {
    const end = new AbortController()
    const simulator = await start({ signal: end.signal })
    end.abort()
    await simulator.close()
    await expect(get(simulator, '/version')).rejects.toThrow()
  })
})
