/** What every action says when its cluster does not do as it is told: over real sockets, to a simulated cluster. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { KubernetesJson } from '../../../src/kubernetes/json.ts'
import { startSimulator, type Simulator } from '../../../src/simulator/simulator.ts'
import type { Action, ObjectKey, Step } from '../../../src/writes/change.ts'
import { fingerprint } from '../../../src/writes/fingerprint.ts'
import { isDone, type Judge, type Prepared, type Proposal } from '../../../src/writes/stepping.ts'
import { changeError } from '../../../src/writes/results.ts'
import { stepper } from '../../../src/writes/steps/stepper.ts'
import { startFaultyWay, type FaultyWay } from '../../support/faulty-way.ts'
import { carryOut, contextFor, ReachedCluster, stepOf } from '../../support/steps.ts'

let simulator: Simulator
let way: FaultyWay
let cluster: ReachedCluster
/** Of the API server's memory: every change of anything. */
let commits = 0

const APPS = '/apis/apps/v1/namespaces/default'
const CORE = '/api/v1/namespaces/default'

beforeEach(async () => {
  simulator = await startSimulator({ name: 'reached' })
  simulator.registry.onCommit(() => commits++)
  way = await startFaultyWay(simulator.url)
  const kubeconfig = JSON.stringify(simulator.kubeconfig()).replaceAll(simulator.url, way.url)
  cluster = new ReachedCluster(kubeconfig)
  // Discovery is read before anything fails.
  await cluster.resolve('v1', 'ConfigMap')
})

afterEach(async () => {
  await cluster.client.close()
  await way.close()
  await simulator.close()
})

const post = (path: string, body: object) =>
  cluster.client.json<KubernetesJson>({ method: 'POST', path, body })
const root = (about = {}) => contextFor(cluster, 'root', about, ['system:masters', 'system:authenticated'])
const key = (apiVersion: string, kind: string, name: string): Omit<ObjectKey, 'cluster'> => ({
  apiVersion,
  kind,
  namespace: 'default',
  name,
})

const TEMPLATE = {
  metadata: { labels: { app: 'web' } },
  spec: { containers: [{ name: 'app', image: 'shop/web:1' }] },
}
const DEPLOYMENT = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web' },
  spec: { replicas: 1, selector: { matchLabels: { app: 'web' } }, template: TEMPLATE },
}
const CONFIG_MAP = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings' }, data: { a: '1' } }
const POD = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web-0' }, spec: TEMPLATE.spec }

async function replicaSet(deployment: KubernetesJson, revision: number, image: string): Promise<void> {
  const labels = { app: 'web', 'pod-template-hash': `h${revision}` }
  const spec = { containers: [{ name: 'app', image }] }
  await post(`${APPS}/replicasets`, {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name: `web-h${revision}`,
      labels,
      annotations: { 'deployment.kubernetes.io/revision': `${revision}` },
      ownerReferences: [
        {
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          name: 'web',
          uid: deployment.metadata?.uid,
          controller: true,
        },
      ],
    },
    spec: { replicas: 0, selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
  })
}

/** Everything that an action needs to succeed, and what it says then. */
const ACTIONS: Readonly<
  Record<Action['type'], { readonly outcome: string; readonly begin: () => Promise<Step> }>
> = {
  APPLY: {
    outcome: 'UPDATED',
    async begin() {
      await post(`${CORE}/configmaps`, CONFIG_MAP)
      const manifest = { ...CONFIG_MAP, data: { a: '2' } }
      return stepOf(key('v1', 'ConfigMap', 'settings'), { type: 'APPLY', manifest, force: true })
    },
  },
  CREATE: {
    outcome: 'CREATED',
    begin: async () =>
      stepOf(key('v1', 'ConfigMap', 'settings'), { type: 'CREATE', manifest: CONFIG_MAP, ifAbsent: false }),
  },
  EDIT: {
    outcome: 'UPDATED',
    async begin() {
      await post(`${APPS}/deployments`, DEPLOYMENT)
      const edit = { type: 'IMAGES', images: { app: 'shop/web:2' } } as const
      return stepOf(key('apps/v1', 'Deployment', 'web'), { type: 'EDIT', edit })
    },
  },
  SCALE: {
    outcome: 'UPDATED',
    async begin() {
      await post(`${APPS}/deployments`, DEPLOYMENT)
      return stepOf(key('apps/v1', 'Deployment', 'web'), { type: 'SCALE', by: 2 })
    },
  },
  ROLL_BACK: {
    outcome: 'UPDATED',
    async begin() {
      const deployment = await post(`${APPS}/deployments`, DEPLOYMENT)
      await replicaSet(deployment, 1, 'shop/web:0')
      await replicaSet(deployment, 2, 'shop/web:1')
      return stepOf(key('apps/v1', 'Deployment', 'web'), { type: 'ROLL_BACK', toRevision: null })
    },
  },
  DELETE: {
    outcome: 'DELETED',
    async begin() {
      await post(`${CORE}/configmaps`, CONFIG_MAP)
      return stepOf(key('v1', 'ConfigMap', 'settings'), {
        type: 'DELETE',
        ifPresent: false,
        untilGone: false,
      })
    },
  },
  EVICT: {
    outcome: 'DELETED',
    async begin() {
      await post(`${CORE}/pods`, POD)
      return stepOf(key('v1', 'Pod', 'web-0'), { type: 'EVICT', patienceMs: 0, untilGone: false })
    },
  },
  RESTORE: {
    outcome: 'UPDATED',
    async begin() {
      const now = await post(`${CORE}/configmaps`, CONFIG_MAP)
      const to = { ...now, data: { a: '0' } }
      return stepOf(key('v1', 'ConfigMap', 'settings'), { type: 'RESTORE', to, from: fingerprint(now) })
    },
  },
}

describe.each(Object.entries(ACTIONS))('%s', (_type, { outcome, begin }) => {
  async function prepared(): Promise<{ readonly step: Step; readonly prepared: Prepared }> {
    const step = await begin()
    const decided = await stepper.prepare(step, root())
    if (isDone(decided)) throw new Error(`there is nothing to do: ${JSON.stringify(decided)}`)
    return { step, prepared: JSON.parse(JSON.stringify(decided)) as Prepared }
  }
  const everything = () => commits

  it('is done, once, and leaves nothing behind when it is only tried', async () => {
    const step = await begin()
    const before = everything()
    expect(await carryOut(step, root({ dryRun: true }))).toMatchObject({
      outcome,
      error: null,
      resourceVersion: null,
    })
    expect(everything()).toBe(before)
    expect(await carryOut(step, root())).toMatchObject({ outcome, error: null })
    expect(everything()).toBe(before + 1)
  })

  it('says that a cluster that cannot be reached was not changed', async () => {
    const { step, prepared: decided } = await prepared()
    const before = everything()
    await way.close()
    const unreachable = {
      outcome: 'UNREACHABLE',
      after: null,
      error: { code: 'UNREACHABLE', mayHaveBeenApplied: false },
    }
    const ends = [await stepper.prepare(step, root()), await stepper.execute(step, decided, root())]
    for (const end of ends) {
      expect(end).toMatchObject(unreachable)
      expect(JSON.stringify(end)).not.toContain('127.0.0.1')
    }
    expect(everything()).toBe(before)
  })

  it('says that it may have been done where the answer was cut off, and finds that out', async () => {
    const { step, prepared: decided } = await prepared()
    const before = everything()
    way.fault = { type: 'CUT' }
    expect(await stepper.execute(step, decided, root())).toMatchObject({
      outcome: 'UNREACHABLE',
      error: { code: 'UNREACHABLE', mayHaveBeenApplied: true },
    })
    expect(everything()).toBe(before + 1)
    way.fault = { type: 'NONE' }
    expect(await stepper.settle(step, decided, root())).toMatchObject({
      outcome,
      error: null,
      note: expect.stringContaining('found done'),
    })
    expect(everything()).toBe(before + 1)
  })

  it('is carried to its end by another replica where it was not sent', async () => {
    const { step, prepared: decided } = await prepared()
    const before = everything()
    expect(await stepper.settle(step, decided, root())).toMatchObject({ outcome, error: null })
    expect(everything()).toBe(before + 1)
  })

  it('tells a dry run that was cut off from one that changed something', async () => {
    const { step, prepared: decided } = await prepared()
    way.fault = { type: 'CUT' }
    expect(await stepper.execute(step, decided, root({ dryRun: true }))).toMatchObject({
      outcome: 'UNREACHABLE',
      error: { mayHaveBeenApplied: false },
    })
  })

  it.each([
    [500, 'InternalError', 'UNREACHABLE', 'UNREACHABLE', true],
    [503, 'ServiceUnavailable', 'UNREACHABLE', 'UNREACHABLE', false],
    [504, 'Timeout', 'UNREACHABLE', 'TIMEOUT', true],
    [422, 'Invalid', 'FAILED', 'INVALID', false],
    [403, 'Forbidden', 'FORBIDDEN', 'FORBIDDEN', false],
    [401, 'Unauthorized', 'FORBIDDEN', 'FORBIDDEN', false],
  ])('tells a %i as what it is', async (status, reason, outcome, code, mayHaveBeenApplied) => {
    const { step, prepared: decided } = await prepared()
    way.fault = {
      type: 'ANSWERED',
      status,
      body: { code: status, reason, message: 'No, said 127.0.0.1:6443.' },
    }
    const end = await stepper.execute(step, decided, root())
    expect(end).toMatchObject({ outcome, after: null, error: { code, mayHaveBeenApplied } })
    expect(end.error?.message).not.toContain('6443')
  })

  it('says when to come again where the API server has too much to do', async () => {
    const { step, prepared: decided } = await prepared()
    way.fault = {
      type: 'ANSWERED',
      status: 429,
      body: { code: 429, reason: 'TooManyRequests', message: 'later' },
      headers: { 'retry-after': '7' },
    }
    expect(await stepper.execute(step, decided, root())).toMatchObject({
      outcome: 'FAILED',
      error: { code: 'FAILED', retryAfterSeconds: 7, mayHaveBeenApplied: false },
    })
  })

  it('does not go on where the API server insists on a conflict that is none', async () => {
    const { step, prepared: decided } = await prepared()
    way.fault = { type: 'ANSWERED', status: 409, body: { code: 409, reason: 'Conflict', message: 'no' } }
    expect(await stepper.execute(step, decided, root())).toMatchObject({
      outcome: 'CONFLICT',
      error: { code: 'CONFLICT', message: 'no' },
    })
    expect(way.writes).toBeLessThan(10)
  })

  it('ends with its signal, in the middle of a request, too', async () => {
    const { step, prepared: decided } = await prepared()
    const reason = new Error('enough')
    const writes = way.writes
    way.fault = { type: 'HELD' }
    const abort = new AbortController()
    const running = stepper.execute(step, decided, root({ signal: abort.signal }))
    await vi.waitFor(() => expect(way.writes).toBe(writes + 1))
    abort.abort(reason)
    await expect(running).rejects.toBe(reason)
    await expect(stepper.prepare(step, root({ signal: abort.signal }))).rejects.toBe(reason)
  })

  it('is judged before anything is sent, and stopped by what is against it', async () => {
    const step = await begin()
    const before = everything()
    const writes = way.writes
    const proposals: Proposal[] = []
    const violation = { ...changeError('POLICY_VIOLATION', 'not on Fridays'), policy: 'no-fridays' }
    const judge: Judge = {
      needsObjects: false,
      judge(proposal) {
        proposals.push(proposal)
        return violation
      },
    }
    const end = await stepper.prepare(step, root({ judge, verb: 'scale' }))
    expect(end).toMatchObject({ outcome: 'FAILED', after: null, error: violation, resourceVersion: null })
    expect(proposals).toMatchObject([{ verb: 'scale', step, cluster: { name: 'reached', labels: {} } }])
    expect(proposals[0]?.viewer.user.name).toBe('root')
    expect(everything()).toBe(before)
    expect(way.writes).toBe(writes)
  })
})

describe('what a judge is shown', () => {
  async function shown(step: Step, needsObjects = false): Promise<Proposal> {
    let seen: Proposal | undefined
    const judge: Judge = {
      needsObjects,
      judge(proposal) {
        seen = proposal
        return null
      },
    }
    await carryOut(step, root({ judge }))
    if (!seen) throw new Error('nobody was asked')
    return seen
  }

  it('is the object as it is and as it would be', async () => {
    const { before, after } = await shown(await ACTIONS.EDIT.begin())
    expect(before).toMatchObject({ spec: { template: { spec: { containers: [{ image: 'shop/web:1' }] } } } })
    expect(after).toMatchObject({ spec: { template: { spec: { containers: [{ image: 'shop/web:2' }] } } } })
  })

  it('is the number of replicas as it would be', async () => {
    const { before, after } = await shown(await ACTIONS.SCALE.begin())
    expect(before).toMatchObject({ spec: { replicas: 1 } })
    expect(after).toMatchObject({ spec: { replicas: 3 }, metadata: { name: 'web' } })
  })

  it.each(['DELETE', 'EVICT'] as const)('is nothing where it would be gone (%s)', async (type) => {
    const { before, after } = await shown(await ACTIONS[type].begin())
    expect(before).toMatchObject({ metadata: { namespace: 'default' } })
    expect(after).toBeNull()
  })

  it('is what the API server would make of a manifest, where somebody is going to look', async () => {
    const step = (await ACTIONS.APPLY.begin()) as Step & { action: { manifest: KubernetesJson } }
    expect((await shown(step)).after).toEqual(step.action.manifest)
    const create = stepOf(key('apps/v1', 'Deployment', 'web'), {
      type: 'CREATE',
      manifest: DEPLOYMENT,
      ifAbsent: false,
    })
    const { after } = await shown(create, true)
    // A default.
    expect(after).toMatchObject({ spec: { strategy: { type: 'RollingUpdate' } } })
  })

  it('is what was sent where a webhook cannot be tried', async () => {
    const step = await ACTIONS.CREATE.begin()
    way.fault = {
      type: 'ANSWERED',
      status: 400,
      times: 1,
      body: { code: 400, reason: 'BadRequest', message: 'admission webhook "x" does not support dry run' },
    }
    expect((await shown(step, true)).after).toEqual(CONFIG_MAP)
  })
})

describe('conflicts', () => {
  it('are tried again as often as it takes somebody else to be done, and five times at most', async () => {
    await ACTIONS.SCALE.begin()
    const deployment = key('apps/v1', 'Deployment', 'web')
    const expecting = (to: number) => stepOf(deployment, { type: 'SCALE', to, expectedReplicas: to - 2 })
    let others = 0
    const racing = (times: number) => {
      const context = root()
      const judge: Judge = {
        needsObjects: false,
        // Between the look at it and the write somebody else changes it.
        judge() {
          if (others < times) {
            others++
            const [deployment] = simulator.registry.list(
              { group: 'apps', resource: 'deployments' },
              'default',
            )
            const labels = { other: `${others}` }
            simulator.registry.update(
              { group: 'apps', resource: 'deployments' },
              { ...deployment!, metadata: { ...deployment!.metadata, labels } },
            )
          }
          return null
        },
      }
      return { ...context, judge }
    }
    expect(await carryOut(expecting(3), racing(4))).toMatchObject({
      outcome: 'UPDATED',
      note: '1 → 3 replicas',
    })
    others = 0
    expect(await carryOut(expecting(5), racing(Infinity))).toMatchObject({
      outcome: 'CONFLICT',
      error: { code: 'CONFLICT' },
    })
    expect(others).toBe(5)
    // What is added to whatever there is can be added however busy the object is.
    others = 0
    const adding = stepOf(deployment, { type: 'SCALE', by: 2 })
    expect(await carryOut(adding, racing(12))).toMatchObject({ outcome: 'UPDATED', note: '3 → 5 replicas' })
  })

  it('end where somebody else was faster to roll back: that would be rolled back again', async () => {
    const step = await ACTIONS.ROLL_BACK.begin()
    const prepared = (await stepper.prepare(step, root())) as Prepared
    expect(await carryOut(step, root())).toMatchObject({ outcome: 'UPDATED' })
    // As its controller does: what was revision 1 is the newest now.
    const replicaSets = { group: 'apps', resource: 'replicasets' }
    const old = simulator.registry.get(replicaSets, 'default', 'web-h1')!
    const annotations = { 'deployment.kubernetes.io/revision': '3' }
    simulator.registry.update(replicaSets, { ...old, metadata: { ...old.metadata, annotations } })
    expect(await stepper.execute(step, prepared, root())).toMatchObject({
      outcome: 'CONFLICT',
      error: { code: 'CONFLICT', message: expect.stringContaining('revision 2') },
    })
    const web = simulator.registry.get({ group: 'apps', resource: 'deployments' }, 'default', 'web')
    expect(web).toMatchObject({ spec: { template: { spec: { containers: [{ image: 'shop/web:0' }] } } } })
  })

  it('end where another object of the same name has taken its place', async () => {
    const step = await ACTIONS.EDIT.begin()
    const prepared = (await stepper.prepare(step, root())) as Prepared
    await cluster.client.json({ method: 'DELETE', path: `${APPS}/deployments/web` })
    const template = {
      ...TEMPLATE,
      spec: { containers: [{ name: 'first', image: 'x' }, ...TEMPLATE.spec.containers] },
    }
    await post(`${APPS}/deployments`, { ...DEPLOYMENT, spec: { ...DEPLOYMENT.spec, template } })
    expect(await stepper.execute(step, prepared, root())).toMatchObject({
      outcome: 'CONFLICT',
      error: { code: 'CONFLICT', message: expect.stringContaining('replaced by another') },
    })
  })
})

describe('what a replica had begun to add, and which stopped', () => {
  const deployments = { group: 'apps', resource: 'deployments' }
  const replicas = () =>
    (simulator.registry.get(deployments, 'default', 'web')!['spec'] as { replicas: number }).replicas
  /** What is written down of it, at last. */
  let kept: Prepared | undefined
  const keeping = () => root({ keep: async (prepared: Prepared) => void (kept = prepared) })
  const adding = (by: number) => stepOf(key('apps/v1', 'Deployment', 'web'), { type: 'SCALE', by })
  const add = (by: number) => carryOut(adding(by), keeping())

  let step: Step
  let begun: Prepared
  beforeEach(async () => {
    await ACTIONS.SCALE.begin()
    step = adding(2)
    begun = (await stepper.prepare(step, keeping())) as Prepared
  })

  it('is added once where it was sent, however much others have added since', async () => {
    expect(await stepper.execute(step, begun, keeping())).toMatchObject({ outcome: 'UPDATED' })
    for (const by of [1, 1, 1]) await add(by)
    expect(await stepper.settle(step, begun, keeping())).toMatchObject({
      outcome: 'UPDATED',
      error: null,
      before: { spec: { replicas: 1 } },
      after: { spec: { replicas: 3 } },
      note: expect.stringContaining('found done'),
    })
    expect(replicas()).toBe(6)
  })

  it('is added where it was not sent, also where others have come to the same number', async () => {
    for (const [i, by] of [2, 1, 1].entries()) {
      await add(by)
      const other = { ...begun, mark: `scale-${i}` }
      expect(await stepper.settle(step, i === 0 ? begun : other, keeping())).toMatchObject({
        outcome: 'UPDATED',
        error: null,
      })
    }
    expect(replicas()).toBe(1 + 2 + 1 + 1 + 3 * 2)
  })

  it('is written down anew before it is sent anew', async () => {
    await add(1)
    kept = undefined
    expect(await stepper.execute(step, begun, keeping())).toMatchObject({ note: '2 → 4 replicas' })
    expect(kept).toMatchObject({ action: { to: 4 }, before: { spec: { replicas: 2 } } })
    await add(1)
    await add(1)
    expect(await stepper.settle(step, kept!, keeping())).toMatchObject({ outcome: 'UPDATED', error: null })
    expect(replicas()).toBe(6)
  })

  it('is left alone where the API server has forgotten what happened', async () => {
    await stepper.execute(step, begun, keeping())
    await add(1)
    await add(1)
    simulator.faults.compact()
    expect(await stepper.settle(step, begun, keeping())).toMatchObject({
      outcome: 'CONFLICT',
      error: { code: 'INTERRUPTED', mayHaveBeenApplied: true },
    })
    expect(replicas()).toBe(5)
  })
})
