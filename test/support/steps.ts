/**
 * Steps for tests: a cluster that is reached over its API and not watched, and what a step is carried out with.
 */
import { Reads } from '../../src/access/reads.ts'
import { ViewerClient } from '../../src/access/viewer-client.ts'
import { viewerOf } from '../../src/access/viewer.ts'
import { systemClock } from '../../src/fleet/clock.ts'
import type { Cluster } from '../../src/fleet/fleet.ts'
import { createApiClient } from '../../src/kubernetes/api-client.ts'
import type { ApiClient } from '../../src/kubernetes/client.ts'
import { Discovery } from '../../src/kubernetes/discovery.ts'
import { connectionOf, parseKubeconfig } from '../../src/kubernetes/kubeconfig.ts'
import type { Action, ObjectKey, Preconditions, Step } from '../../src/writes/change.ts'
import { isDone, type Done, type Judge, type StepContext } from '../../src/writes/stepping.ts'
import { stepper } from '../../src/writes/steps/stepper.ts'
import { FakeCluster } from './fake-fleet.ts'
import { ScopedPolicy } from './scoped-policy.ts'

/** Everything is approved. */
const LENIENT: Judge = { needsObjects: false, judge: () => null }

/** A cluster that the gateway reaches with all rights; discovery is real. */
export class ReachedCluster extends FakeCluster {
  override readonly client: ApiClient
  readonly discovery: Discovery

  constructor(kubeconfig: string, name = 'reached') {
    super(name)
    const config = parseKubeconfig(kubeconfig, 'kubeconfig')
    this.client = createApiClient(connectionOf(config, [...config.contexts.keys()][0] ?? ''))
    this.discovery = new Discovery(this.client)
  }

  override resolve(...[apiVersion, kind, { fresh = false } = {}]: Parameters<Cluster['resolve']>) {
    if (fresh) this.discovery.expire()
    return this.discovery.resolve(apiVersion, kind)
  }
}

/** As a user, by impersonation. */
export function contextFor(
  cluster: Cluster,
  user: string,
  about: Partial<StepContext> = {},
  groups: readonly string[] = ['system:authenticated'],
): StepContext {
  const viewer = viewerOf({ name: user, groups })
  return {
    client: new ViewerClient(cluster, () => viewer, new ScopedPolicy({}), new Reads()),
    viewer,
    clock: systemClock,
    verb: 'applyManifest',
    dryRun: false,
    judge: LENIENT,
    signal: new AbortController().signal,
    ...about,
  }
}

export function stepOf(
  object: Omit<ObjectKey, 'cluster'>,
  action: Action,
  preconditions?: Preconditions,
): Step {
  return {
    index: 0,
    object: { cluster: 'reached', ...object },
    action,
    ...(preconditions && { preconditions }),
    stage: 0,
    purpose: 'test',
  }
}

/** Prepared, written down as JSON, and executed. */
export async function carryOut(step: Step, context: StepContext): Promise<Done> {
  const prepared = await stepper.prepare(step, context)
  if (isDone(prepared)) return prepared
  return stepper.execute(step, JSON.parse(JSON.stringify(prepared)) as typeof prepared, context)
}
