/** Steps in clusters that serve older versions of a kind than the newest, and kinds that have just been defined. */
import { describe, expect, it, vi } from 'vitest'
import { ApiError } from '../../../src/kubernetes/client.ts'
import type { Cluster } from '../../../src/fleet/fleet.ts'
import { isObject, type KubernetesJson } from '../../../src/kubernetes/json.ts'
import type { Action } from '../../../src/writes/change.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { FakeCluster } from '../../support/fake-fleet.ts'
import { carryOut, contextFor, stepOf } from '../../support/steps.ts'

/** Serves only these, as `apiVersion` and plural by kind. */
class OldCluster extends FakeCluster {
  readonly served: Map<string, string>
  readonly asked: boolean[] = []

  constructor(served: Readonly<Record<string, string>>) {
    super('reached')
    this.served = new Map(Object.entries(served))
  }

  override async resolve(...[apiVersion, kind, { fresh = false } = {}]: Parameters<Cluster['resolve']>) {
    this.asked.push(fresh)
    const resource = this.served.get(`${apiVersion} ${kind}`)
    const [version = '', group = ''] = apiVersion.split('/').toReversed()
    const namespaced = kind !== 'CustomResourceDefinition'
    return resource === undefined ? undefined : { address: { group, version, resource }, namespaced }
  }
}

const CRON_JOB = { apiVersion: 'batch/v1', kind: 'CronJob', namespace: 'shop', name: 'report' }
const AUTOSCALER = {
  apiVersion: 'autoscaling/v2',
  kind: 'HorizontalPodAutoscaler',
  namespace: 'shop',
  name: 'web',
}

function manifestOf({ apiVersion, kind, namespace, name }: typeof CRON_JOB): KubernetesJson {
  return { apiVersion, kind, metadata: { namespace, name } }
}

describe('an older cluster', () => {
  const serve = () => {
    const cluster = new OldCluster({
      'batch/v1beta1 CronJob': 'cronjobs',
      'autoscaling/v2beta2 HorizontalPodAutoscaler': 'horizontalpodautoscalers',
    })
    cluster.answer = ({ method = 'GET', body }) =>
      method === 'PATCH' && isObject(body)
        ? body
        : { apiVersion: 'batch/v1beta1', kind: 'CronJob', metadata: { name: 'report' }, spec: {} }
    return cluster
  }
  const paths = ({ requests }: FakeCluster) => requests.map(({ method = 'GET', path }) => `${method} ${path}`)

  it('is asked for an object in a version that it has', async () => {
    const cluster = serve()
    const suspend: Action = { type: 'EDIT', edit: { type: 'SUSPENDED', suspended: true } }
    await carryOut(stepOf(CRON_JOB, suspend), contextFor(cluster, 'ada', { verb: 'suspend' }))
    const path = '/apis/batch/v1beta1/namespaces/shop/cronjobs/report'
    expect(paths(cluster)).toEqual([`GET ${path}`, `PATCH ${path}`])
  })

  it('is given what the gateway composed in a version of the same form', async () => {
    const cluster = serve()
    const action: Action = { type: 'APPLY', manifest: manifestOf(AUTOSCALER), force: false }
    await carryOut(stepOf(AUTOSCALER, action), contextFor(cluster, 'ada', { verb: 'autoscale' }))
    const path = '/apis/autoscaling/v2beta2/namespaces/shop/horizontalpodautoscalers/web'
    expect(paths(cluster)).toEqual([`GET ${path}`, `PATCH ${path}`])
    expect(cluster.requests[1]!.body).toMatchObject({ apiVersion: 'autoscaling/v2beta2' })
  })

  it('is not given another version of a manifest than it says', async () => {
    const action: Action = { type: 'APPLY', manifest: manifestOf(CRON_JOB), force: false }
    const done = await carryOut(
      stepOf(CRON_JOB, action),
      contextFor(serve(), 'ada', { verb: 'applyManifest' }),
    )
    expect(done).toMatchObject({ outcome: 'FAILED', error: { code: 'NOT_SERVED' } })
  })

  it('is given back what it had in the version that it had it in', async () => {
    const cluster = serve()
    const to = { ...manifestOf(CRON_JOB), apiVersion: 'batch/v1beta1', spec: { suspend: false } }
    cluster.answer = ({ method = 'GET', body }) => (method === 'GET' ? { ...to, spec: {} } : body)
    const action: Action = { type: 'RESTORE', to, from: 'other' }
    const done = await carryOut(stepOf(CRON_JOB, action), contextFor(cluster, 'ada', { verb: 'suspend' }))
    expect(done.error?.code).toBe('CONFLICT')
    expect(paths(cluster)).toEqual(['GET /apis/batch/v1beta1/namespaces/shop/cronjobs/report'])
  })
})

describe('a definition', () => {
  const DEFINITION = {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'widgets.example.com' },
    spec: {
      group: 'example.com',
      names: { kind: 'Widget', plural: 'widgets' },
      scope: 'Namespaced',
      versions: [{ name: 'v1', served: true, storage: true }],
    },
  }
  const object = {
    apiVersion: DEFINITION.apiVersion,
    kind: DEFINITION.kind,
    namespace: null,
    name: DEFINITION.metadata.name,
  }
  const scene = (dryRun = false) => {
    const clock = new FakeClock()
    const cluster = new OldCluster({
      'apiextensions.k8s.io/v1 CustomResourceDefinition': 'customresourcedefinitions',
    })
    cluster.answer = ({ body }) => body
    const step = stepOf(object, { type: 'CREATE', manifest: DEFINITION, ifAbsent: false })
    // There is none yet.
    const context = contextFor(cluster, 'ada', { clock, dryRun })
    const get = cluster.answer
    cluster.answer = (request) => (request.method === 'POST' ? get(request) : notFound())
    return { clock, cluster, running: carryOut(step, context) }
  }
  const notFound = () => {
    throw new ApiError(404, { code: 404, reason: 'NotFound', details: { name: 'widgets.example.com' } })
  }

  it('is done when the cluster serves what it defines', async () => {
    const { clock, cluster, running } = scene()
    let ended = false
    void running.then(() => (ended = true))
    await vi.waitFor(() => expect(clock.pending).toBe(1))
    await clock.advance(100)
    expect(ended).toBe(false)
    expect(cluster.asked.at(-1)).toBe(true)
    cluster.served.set('example.com/v1 Widget', 'widgets')
    await clock.advance(200)
    expect(await running).toMatchObject({ outcome: 'CREATED', note: null })
    expect(clock.pending).toBe(0)
  })

  it('is done after ten seconds all the same, and says so', async () => {
    const { clock, running } = scene()
    await vi.waitFor(() => expect(clock.pending).toBe(1))
    await clock.advance(10_000)
    expect(await running).toMatchObject({
      outcome: 'CREATED',
      note: 'The cluster does not serve what it defines yet.',
    })
  })

  it('is not waited for in a dry run', async () => {
    const { clock, running } = scene(true)
    expect(await running).toMatchObject({ outcome: 'CREATED', note: null })
    expect(clock.pending).toBe(0)
  })
})
