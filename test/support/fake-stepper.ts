/**
 * Steps over objects in memory instead of clusters: each has its effect once, as the real ones have, whoever carries
 * it out, and says so. A test holds steps up, lets them fail, and sees what was sent.
 */
import type { KubernetesJson } from '../../src/kubernetes/json.ts'
import type { Action, Change, ObjectKey, Step, StepResult } from '../../src/writes/change.ts'
import { fingerprint } from '../../src/writes/fingerprint.ts'
import { changeError, failed } from '../../src/writes/results.ts'
import type { Done, Prepared, StepContext, Stepper } from '../../src/writes/stepping.ts'

export function keyOf({ cluster, kind, namespace, name }: ObjectKey): string {
  return `${cluster}/${kind}/${namespace ?? ''}/${name}`
}

export class FakeStepper implements Stepper {
  readonly objects = new Map<string, KubernetesJson>()
  /** What had an effect, in order: `APPLY a/ConfigMap/shop/x`. */
  readonly effects: string[] = []
  /** Every call, in order: `prepare a/…`. */
  readonly calls: string[] = []
  readonly contexts: StepContext[] = []
  /** Steps under way, and the most at a time by cluster. */
  readonly busy = new Map<string, number>()
  readonly most = new Map<string, number>()
  /** Called before the effect; may wait, throw, or give another end. */
  before: (step: Step, context: StepContext) => Promise<Done | void> | Done | void = () => {}
  /** Called after the effect, before the answer. */
  after: (step: Step, context: StepContext) => Promise<void> | void = () => {}
  /** Called by `prepare`. */
  decide: (step: Step, context: StepContext) => Promise<Done | void> | Done | void = () => {}
  #version = 100

  async prepare(step: Step, context: StepContext): Promise<Prepared | Done> {
    this.calls.push(`prepare ${keyOf(step.object)}`)
    this.contexts.push(context)
    const end = await this.decide(step, context)
    if (end) return end
    const before = this.objects.get(keyOf(step.object)) ?? null
    const { fingerprint } = step.preconditions ?? {}
    if (fingerprint !== undefined && fingerprint !== printOf(before)) {
      return failed('CONFLICT', changeError('CONFLICT', 'It was changed meanwhile.'), before)
    }
    const { action } = step
    if (action.type === 'RESTORE' && printOf(before) !== action.from) {
      return failed('CONFLICT', changeError('CONFLICT', 'Somebody else has changed it since.'), before)
    }
    return { action, before }
  }

  async execute(step: Step, prepared: Prepared, context: StepContext): Promise<Done> {
    const { cluster } = step.object
    this.calls.push(`execute ${keyOf(step.object)}`)
    const busy = (this.busy.get(cluster) ?? 0) + 1
    this.busy.set(cluster, busy)
    this.most.set(cluster, Math.max(busy, this.most.get(cluster) ?? 0))
    try {
      const end = await this.before(step, context)
      if (end) return end
      const done = this.#effect(step, prepared, context)
      await this.after(step, context)
      return done
    } finally {
      this.busy.set(cluster, this.busy.get(cluster)! - 1)
    }
  }

  async settle(step: Step, prepared: Prepared, context: StepContext): Promise<Done> {
    this.calls.push(`settle ${keyOf(step.object)}`)
    const now = this.objects.get(keyOf(step.object)) ?? null
    const then = prepared.before
    if (printOf(now) === printOf(then)) return this.execute(step, prepared, context)
    return this.#end(then, now)
  }

  #effect(step: Step, { action, before }: Prepared, { dryRun }: StepContext): Done {
    const to = stored(action, before)
    const after = to && {
      ...to,
      metadata: { ...to.metadata, uid: keyOf(step.object), resourceVersion: `${++this.#version}` },
    }
    if (dryRun) return this.#end(before, after)
    this.effects.push(`${action.type} ${keyOf(step.object)}`)
    if (after) this.objects.set(keyOf(step.object), after)
    else this.objects.delete(keyOf(step.object))
    return this.#end(before, after)
  }

  #end(before: KubernetesJson | null, after: KubernetesJson | null): Done {
    const outcome = before ? (after ? 'UPDATED' : 'DELETED') : after ? 'CREATED' : 'UNCHANGED'
    const version = after?.metadata?.['resourceVersion']
    return {
      outcome,
      before,
      after,
      error: null,
      resourceVersion: typeof version === 'string' ? version : null,
      note: null,
    }
  }
}

function stored(action: Action, before: KubernetesJson | null): KubernetesJson | null {
  switch (action.type) {
    case 'APPLY':
    case 'CREATE':
      return action.manifest
    case 'RESTORE':
      return action.to
    case 'DELETE':
    case 'EVICT':
      return null
    default:
      return { ...before, spec: { ...(before?.['spec'] as object), changed: action.type } }
  }
}

function printOf(object: KubernetesJson | null): string | null {
  return object && fingerprint(object)
}

/** `apply('a', 'x', { stage: 1 })`: a step that applies the ConfigMap `shop/x` in the cluster `a`. */
export function apply(cluster: string, name: string, about: Partial<Step> = {}): Omit<Step, 'index'> {
  const object = { cluster, apiVersion: 'v1', kind: 'ConfigMap', namespace: 'shop', name, ...about.object }
  return {
    object,
    action: {
      type: 'APPLY',
      force: false,
      manifest: {
        apiVersion: object.apiVersion,
        kind: object.kind,
        metadata: { namespace: 'shop', name },
        data: { value: 'new' },
      },
    },
    stage: 0,
    purpose: '',
    ...about,
  }
}

let digests = 0

export function changeOf(
  steps: readonly Omit<Step, 'index'>[],
  about: { readonly known?: readonly StepResult[]; readonly digest?: string } = {},
): Change {
  return {
    verb: 'applyManifest',
    digest: about.digest ?? `digest-${digests++}`,
    steps: steps.map((step, index) => ({ ...step, index })),
    known: about.known ?? [],
    title: 'apply some objects',
  }
}
