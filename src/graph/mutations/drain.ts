/** `drain`: a node takes no new pods, and those that run there go as their disruption budgets allow. */
import { resourcePath, KINDS } from '../../kubernetes/kinds.ts'
import { isObject } from '../../kubernetes/json.ts'
import { project } from '../../kubernetes/projections/projections.ts'
import type { PodRow } from '../../kubernetes/rows.ts'
import type { ObjectKey, StepResult } from '../../writes/change.ts'
import { composeDrain, DRAIN_REASONS, type Drain } from '../../writes/compose/drain.ts'
import { within } from '../changes.ts'
import type { GraphContext } from '../context.ts'
import { liveErrorOf } from '../errors.ts'
import { changeField, type StepSpec } from './change-field.ts'
import { graceField } from './delete-options.ts'
import { describeTargets, keyOf, knownResult, Targets, targetsOf, type TargetsInput } from './targets.ts'

interface DrainInput {
  readonly targets: TargetsInput
  readonly force?: boolean | null | undefined
  readonly deleteEmptyDirData?: boolean | null | undefined
  readonly gracePeriodSeconds?: number | null | undefined
  readonly timeoutSeconds?: number | null | undefined
}

changeField<DrainInput>('drain', {
  description:
    'Cordons nodes and evicts their pods, as `kubectl drain` does: those of DaemonSets and static pods stay, and with a pod that would be lost for good nothing is begun on its node. It is an operation: follow its progress by `operationChanges`.',
  fields: (t) => ({
    targets: t.field({ type: Targets, required: true, description: 'Nodes.' }),
    force: t.boolean({
      defaultValue: false,
      description: 'Whether pods go that no controller makes anew.',
    }),
    deleteEmptyDirData: t.boolean({
      defaultValue: false,
      description: 'Whether pods go whose data in an emptyDir is lost.',
    }),
    gracePeriodSeconds: graceField(t),
    timeoutSeconds: t.int({
      defaultValue: 300,
      description: 'Seconds to go on asking where a disruption budget does not let a pod go: 0 to 600.',
    }),
  }),
  // All nodes at once: where one cannot be drained, the others are.
  strategy: { pauseMs: 0, onFailure: 'CONTINUE', maxFailures: 0, readyTimeoutMs: 0 },
  compose: async (input, context, path) => {
    const { gracePeriodSeconds, timeoutSeconds } = input
    const { objects, known } = targetsOf(input.targets, { kinds: ['Node'] }, context, `${path}.targets`)
    const patienceMs = within(`${path}.timeoutSeconds`, timeoutSeconds ?? 300, 0, 600) * 1_000
    if (gracePeriodSeconds != null) within(`${path}.gracePeriodSeconds`, gracePeriodSeconds, 0, 86_400)
    const failed: StepResult[] = []
    const steps = await Promise.all(
      objects.map(async (node): Promise<StepSpec[]> => {
        const drain = await drainOf(node, input, context).catch((error: unknown) => {
          failed.push(knownResult(node, 'drain', unread(node, error), context))
        })
        if (!drain) return []
        for (const { pod, reason } of drain.refused) {
          const message = `${DRAIN_REASONS[reason]} Nothing was begun on the node ${node.name}.`
          const object = keyOf('Pod', node.cluster, pod.namespace, pod.name)
          failed.push(
            knownResult(object, 'evict', { outcome: 'FAILED', code: 'NOT_SUPPORTED', message }, context),
          )
        }
        if (drain.refused.length > 0) return []
        return [
          {
            object: node,
            purpose: 'cordon',
            group: node.name,
            action: { type: 'EDIT', edit: { type: 'UNSCHEDULABLE', unschedulable: true } },
          },
          ...drain.evicted.map((pod): StepSpec => ({
            object: keyOf('Pod', node.cluster, pod.namespace, pod.name),
            purpose: `evict from ${node.name}`,
            stage: 1,
            group: node.name,
            preconditions: { uid: pod.uid },
            action: {
              type: 'EVICT',
              ...(gracePeriodSeconds != null && { gracePeriodSeconds }),
              patienceMs,
              untilGone: true,
            },
          })),
        ]
      }),
    )
    return { title: `drain ${describeTargets(objects)}`, known: [...known, ...failed], steps: steps.flat() }
  },
})

/** Read live, as the viewer: a pod that they may not see is one that they may not evict either, and that is said. */
async function drainOf(
  { cluster: clusterName, name }: ObjectKey,
  { force, deleteEmptyDirData }: DrainInput,
  { fleet, signal }: GraphContext,
): Promise<Drain<PodRow>> {
  const cluster = fleet.cluster(clusterName)!
  // In a cluster a step that fails holds up all that come after it: of a node that is not there none is begun.
  await fleet.live({ kind: 'Node', cluster: clusterName, namespace: '', name }, signal)
  const { group, versions, resource } = KINDS.Pod
  const list = await fleet.request(
    cluster,
    {
      path: resourcePath({ group, version: versions[0], resource }),
      query: { fieldSelector: `spec.nodeName=${name}` },
      what: `list Pods of the node ${name}`,
    },
    signal,
  )
  const items = isObject(list) && Array.isArray(list['items']) ? (list['items'] as unknown[]) : []
  return composeDrain(
    items.map((item) => project('Pod')(item, clusterName)),
    { force: force ?? false, deleteEmptyDirData: deleteEmptyDirData ?? false },
  )
}

function unread({ cluster, name }: ObjectKey, error: unknown) {
  const { code, message } = liveErrorOf(error)
  const outcome = code === 'FORBIDDEN' || code === 'UNREACHABLE' ? code : ('FAILED' as const)
  return {
    outcome,
    code: code === 'NOT_FOUND' ? code : outcome,
    message: `Which pods the node ${name} of ${cluster} has could not be read: ${message}`,
  } as const
}
