/**
 * Reading what one has written: gateways as processes, alone and as two replicas with a real Redis, over a simulated
 * cluster whose watches can be held back.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { encodeFreshness } from '../../src/events/freshness.ts'
import { encodePosition } from '../../src/events/position.ts'
import { startSimulator, type Simulator } from '../../src/simulator/simulator.ts'
import { eventually } from '../support/eventually.ts'
import { startGatewayProcess, type GatewayProcess } from '../support/gateway-process.ts'
import { KubernetesHttp } from '../support/kubernetes-http.ts'
import { startRedisServer } from '../support/redis-server.ts'
import { startReplicaSet, type ReplicaSet } from '../support/replica-set.ts'

const PATH = '/api/v1/namespaces/default/configmaps'

interface Answer {
  readonly data: {
    readonly configMaps: { readonly nodes: readonly { readonly labels: readonly { value: string }[] }[] }
  }
  readonly extensions: { readonly atLeast?: { readonly reached: boolean; readonly behind: string[] } }
}

let open: { close(): Promise<unknown> }[]
let directory: string
let simulator: Simulator
let http: KubernetesHttp

function keep<T extends { close(): Promise<unknown> }>(one: T): T {
  open.push(one)
  return one
}

beforeEach(async () => {
  open = []
  directory = mkdtempSync(join(tmpdir(), 'fleetgraph-clusters-'))
  simulator = keep(await startSimulator({ name: 'east' }))
  http = keep(new KubernetesHttp({ url: simulator.url, token: simulator.token }))
  writeFileSync(join(directory, 'east.yaml'), stringify(simulator.kubeconfig()))
  await http.must(http.post(PATH, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'mine' } }))
})

afterEach(async () => {
  for (const each of open.toReversed()) await each.close()
  rmSync(directory, { recursive: true, force: true })
})

/** Changes the object, and gives the cursor that a mutation would have answered with. */
async function write(value: string): Promise<string> {
  const changed = await http.must(http.patch(`${PATH}/mine`, 'merge', { metadata: { labels: { value } } }))
  return encodePosition(['ConfigMap'], [['east', [changed.metadata.resourceVersion]]])
}

async function read(gateway: GatewayProcess, cursor?: string, timeoutMs = 20_000): Promise<Answer> {
  const directive = cursor === undefined ? '' : `@atLeast(cursor: "${cursor}", timeoutMs: ${timeoutMs})`
  const query = `query ${directive} {
    configMaps(filter: { name: { equals: "mine" }, namespaces: ["default"] }) { nodes { labels { value } } }
  }`
  const answer = await gateway.ask(query)
  expect(answer.errors).toBeUndefined()
  return answer as unknown as Answer
}

function valueIn({ data }: Answer): string | undefined {
  return data.configMaps.nodes[0]?.labels[0]?.value
}

const REACHED = { reached: true, behind: [] }

describe('one gateway', () => {
  let gateway: GatewayProcess

  beforeEach(async () => {
    gateway = keep(await startGatewayProcess({ clusters: [{ type: 'directory', path: directory }] }))
    await write('first')
    await eventually(async () => expect(valueIn(await read(gateway))).toBe('first'), { timeoutMs: 20_000 })
  })

  it('misses what was written where its watch is slow, unless the query waits for it', async () => {
    simulator.faults.holdWatches()
    const cursor = await write('second')
    const missed = await read(gateway)
    expect(valueIn(missed)).toBe('first')
    expect(missed.extensions.atLeast).toBeUndefined()
    const late = await read(gateway, cursor, 100)
    expect(valueIn(late)).toBe('first')
    expect(late.extensions.atLeast).toEqual({ reached: false, behind: ['east'] })
    const waiting = read(gateway, cursor)
    // It is asked and answered after the one that waits: nobody waits for that one.
    expect(valueIn(await read(gateway))).toBe('first')
    simulator.faults.releaseWatches()
    const seen = await waiting
    expect(valueIn(seen)).toBe('second')
    expect(seen.extensions.atLeast).toEqual(REACHED)
  })

  it('shows what was deleted no more', async () => {
    simulator.faults.holdWatches()
    const { uid } = (await http.must(http.get(`${PATH}/mine`))).metadata
    await http.must(http.delete(`${PATH}/mine`))
    expect(valueIn(await read(gateway))).toBe('first')
    const cursor = encodeFreshness(encodePosition([], []), [{ cluster: 'east', kind: 'ConfigMap', uid }])
    expect((await read(gateway, cursor, 50)).extensions.atLeast?.behind).toEqual(['east'])
    const waiting = read(gateway, cursor)
    simulator.faults.releaseWatches()
    expect((await waiting).data.configMaps.nodes).toEqual([])
  })

  it('answers for a cluster that died, and says that it is behind', async () => {
    simulator.faults.holdWatches()
    const cursor = await write('second')
    await simulator.faults.kill()
    const answer = await read(gateway, cursor, 500)
    expect(valueIn(answer)).toBe('first')
    expect(answer.extensions.atLeast).toEqual({ reached: false, behind: ['east'] })
    simulator.faults.releaseWatches()
    const waiting = read(gateway, cursor)
    await simulator.faults.revive()
    expect(valueIn(await waiting)).toBe('second')
  })
})

describe('two replicas with Redis', () => {
  let replicas: ReplicaSet

  beforeEach(async () => {
    const redis = keep(await startRedisServer())
    replicas = keep(
      await startReplicaSet({
        replicas: 2,
        redisUrl: redis.url,
        config: { clusters: [{ type: 'directory', path: directory }] },
      }),
    )
    await write('first')
    for (const { gateway } of replicas.replicas) {
      await eventually(async () => expect(valueIn(await read(gateway))).toBe('first'), { timeoutMs: 30_000 })
    }
  })

  it('both wait for the watch of the one that has it', async () => {
    simulator.faults.holdWatches()
    const cursor = await write('second')
    for (const { gateway } of replicas.replicas) {
      expect(valueIn(await read(gateway))).toBe('first')
      expect((await read(gateway, cursor, 50)).extensions.atLeast).toEqual({
        reached: false,
        behind: ['east'],
      })
    }
    const waiting = replicas.replicas.map(({ gateway }) => read(gateway, cursor))
    simulator.faults.releaseWatches()
    for (const answer of await Promise.all(waiting)) {
      expect(valueIn(answer)).toBe('second')
      expect(answer.extensions.atLeast).toEqual(REACHED)
    }
  })

  it('show each write at once, whichever of them is asked', async () => {
    for (let turn = 0; turn < 40; turn++) {
      const cursor = await write(`turn-${turn}`)
      const { gateway } = replicas.replicas[turn % 2]!
      const answer = await read(gateway, cursor)
      expect(answer.extensions.atLeast).toEqual(REACHED)
      expect(valueIn(answer)).toBe(`turn-${turn}`)
    }
  })

  it('go on where a write changes nothing that a row shows', async () => {
    const changed = await http.must(
      http.patch(`${PATH}/mine`, 'merge', { metadata: { annotations: { note: 'new' } } }),
    )
    const cursor = encodePosition(['ConfigMap'], [['east', [changed.metadata.resourceVersion]]])
    for (const { gateway } of replicas.replicas) {
      expect((await read(gateway, cursor)).extensions.atLeast).toEqual(REACHED)
    }
  })
})
