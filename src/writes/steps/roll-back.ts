/**
 * ROLL_BACK: the pod template of an earlier revision. A Deployment keeps them as its ReplicaSets, a StatefulSet and a
 * DaemonSet as ControllerRevisions (apps/v1, whose data is a strategic merge patch of `spec.template`).
 * https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#rolling-back-a-deployment
 */
import { isObject, type KubernetesJson } from '../../kubernetes/json.ts'
import { list } from '../../kubernetes/requests.ts'
import { canonical } from '../fingerprint.ts'
import {
  done,
  FOUND_DONE,
  nameOf,
  refused,
  unchanged,
  type ActionOf,
  type ActionStep,
  type PlacedStep,
} from './action-step.ts'
import { patched, present, sendPatch } from './edit.ts'
import { kindOf, onlyThisVersion, pointer, valueAt, type PatchOperation } from './edits.ts'

const REVISION = 'deployment.kubernetes.io/revision'
const TEMPLATE_HASH = 'pod-template-hash'

interface Revision {
  readonly number: number
  readonly template: KubernetesJson
}

export const rollBack: ActionStep<'ROLL_BACK'> = {
  async prepare(placed) {
    const live = await present(placed)
    requireRollable(placed, live)
    const revisions = await revisionsOf(placed, live)
    const target = chosen(placed, live, revisions)
    if (isTemplate(live, target.template)) {
      return unchanged(placed, live, `the template is that of revision ${target.number} already`)
    }
    // The rest of the object may be anybody's; of the template there is one version that is replaced.
    const patch: PatchOperation[] = [
      onlyThisVersion(live),
      { op: 'replace', path: pointer('spec', 'template'), value: target.template },
    ]
    const prepared = patched(
      { ...placed, action: { ...placed.action, toRevision: target.number } },
      live,
      patch,
    )
    return prepared
  },

  async execute(placed, prepared) {
    const { before } = prepared
    const now = before && valueAt(before, ['metadata', 'annotations', REVISION])
    const from =
      typeof now === 'string'
        ? `revision ${now} → ${placed.action.toRevision}`
        : `to revision ${placed.action.toRevision}`
    return sendPatch(placed, prepared, `${from}${imagesNote(before, templateOf(prepared.patch))}`)
  },

  async settled(placed, { before, patch }, live) {
    const template = templateOf(patch)
    if (!live || !template || !isTemplate(live, template)) return undefined
    return done(placed, 'UPDATED', { before, after: live }, FOUND_DONE)
  },
}

function requireRollable({ step }: PlacedStep<ActionOf<'ROLL_BACK'>>, live: KubernetesJson): void {
  const kind = kindOf(live)
  if (!['Deployment.apps', 'StatefulSet.apps', 'DaemonSet.apps'].includes(kind)) {
    const message = `A ${live.kind ?? step.object.kind} keeps no revisions: only Deployments, StatefulSets and DaemonSets do.`
    throw refused('FAILED', 'NOT_SUPPORTED', message, live)
  }
  if (kind === 'Deployment.apps' && valueAt(live, ['spec', 'paused']) === true) {
    const message = `${nameOf(step.object)} is paused: a rollback would not begin. Resume it first.`
    throw refused('CONFLICT', 'CONFLICT', message, live)
  }
}

/** Newest first. */
async function revisionsOf(
  placed: PlacedStep<ActionOf<'ROLL_BACK'>>,
  live: KubernetesJson,
): Promise<readonly Revision[]> {
  const { target, context } = placed
  const isDeployment = kindOf(live) === 'Deployment.apps'
  const address = { ...target.address, resource: isDeployment ? 'replicasets' : 'controllerrevisions' }
  const labelSelector = selectorText(valueAt(live, ['spec', 'selector']))
  const options = {
    ...(target.namespace !== undefined && { namespace: target.namespace }),
    labelSelector,
    signal: context.signal,
  }
  const revisions: Revision[] = []
  for await (const page of list<KubernetesJson>(context.client, address, options)) {
    for (const object of page.items) {
      if (!isOwnedBy(object, live.metadata?.uid)) continue
      const revision = isDeployment ? ofReplicaSet(object) : ofControllerRevision(object)
      if (revision) revisions.push(revision)
    }
  }
  return revisions.sort((a, b) => b.number - a.number)
}

function chosen(
  { step, action }: PlacedStep<ActionOf<'ROLL_BACK'>>,
  live: KubernetesJson,
  revisions: readonly Revision[],
): Revision {
  const { toRevision } = action
  const found = toRevision === null ? revisions[1] : revisions.find(({ number }) => number === toRevision)
  if (found) return found
  const numbers = revisions.map(({ number }) => number).join(', ')
  const which = toRevision === null ? 'no revision before the present one' : `no revision ${toRevision}`
  const message = `${nameOf(step.object)} has ${which}. ${numbers ? `There are: ${numbers}.` : 'It has kept none at all.'}`
  throw refused('FAILED', 'NOT_FOUND', message, live)
}

function ofReplicaSet(object: KubernetesJson): Revision | undefined {
  const number = Number(object.metadata?.annotations?.[REVISION])
  const template = valueAt(object, ['spec', 'template'])
  return number > 0 && isObject(template) ? { number, template: unhashed(template) } : undefined
}

function ofControllerRevision(object: KubernetesJson): Revision | undefined {
  const number = Number(object['revision'])
  const template = valueAt(object, ['data', 'spec', 'template'])
  if (!(number > 0) || !isObject(template)) return undefined
  const { $patch: _directive, ...content } = template
  return { number, template: content }
}

/** The label by which the controller tells its ReplicaSets apart is not of the template that it was given. */
function unhashed(template: KubernetesJson): KubernetesJson {
  const { [TEMPLATE_HASH]: _hash, ...labels } = template.metadata?.labels ?? {}
  return { ...template, metadata: { ...template.metadata, labels } }
}

function isTemplate(live: KubernetesJson, template: KubernetesJson): boolean {
  return canonical(dateless(valueAt(live, ['spec', 'template']))) === canonical(dateless(template))
}

/** Servers before 1.34 write `creationTimestamp: null` into templates. */
function dateless(template: unknown): unknown {
  if (!isObject(template)) return template
  const { creationTimestamp: _date, ...metadata } = template.metadata ?? {}
  return { ...template, metadata }
}

function templateOf(patch: readonly unknown[] = []): KubernetesJson | undefined {
  const replacing = patch.find((operation) => valueAt(operation, ['path']) === pointer('spec', 'template'))
  const value = valueAt(replacing, ['value'])
  return isObject(value) ? value : undefined
}

/** `: app nginx:1.28 → nginx:1.27` */
function imagesNote(before: KubernetesJson | null, template: KubernetesJson | undefined): string {
  const old = imagesOf(valueAt(before, ['spec', 'template']))
  const changes = [...imagesOf(template)].flatMap(([name, image]) =>
    old.get(name) === image ? [] : [`${name} ${old.get(name) ?? '–'} → ${image}`],
  )
  return changes.length > 0 ? `: ${changes.join(', ')}` : ''
}

function imagesOf(template: unknown): ReadonlyMap<string, string> {
  const containers = ['containers', 'initContainers'].flatMap((field) => {
    const items = valueAt(template, ['spec', field])
    return Array.isArray(items) ? items : []
  })
  return new Map(
    containers.map((item) => [String(valueAt(item, ['name'])), String(valueAt(item, ['image']))]),
  )
}

function isOwnedBy(object: KubernetesJson, uid: string | undefined): boolean {
  const owners = object.metadata?.['ownerReferences']
  return (
    Array.isArray(owners) &&
    owners.some(
      (owner: unknown) => valueAt(owner, ['uid']) === uid && valueAt(owner, ['controller']) === true,
    )
  )
}

/** `metav1.LabelSelector` as text, as list requests take it. */
function selectorText(selector: unknown): string {
  const labels = valueAt(selector, ['matchLabels'])
  const expressions = valueAt(selector, ['matchExpressions'])
  const texts = isObject(labels)
    ? Object.entries(labels).map(([key, value]) => `${key}=${String(value)}`)
    : []
  for (const expression of Array.isArray(expressions) ? expressions : []) {
    const key = String(valueAt(expression, ['key']))
    const values = valueAt(expression, ['values'])
    const set = `(${(Array.isArray(values) ? values : []).map(String).join(',')})`
    switch (valueAt(expression, ['operator'])) {
      case 'In':
        texts.push(`${key} in ${set}`)
        break
      case 'NotIn':
        texts.push(`${key} notin ${set}`)
        break
      case 'Exists':
        texts.push(key)
        break
      case 'DoesNotExist':
        texts.push(`!${key}`)
        break
    }
  }
  return texts.join(',')
}
