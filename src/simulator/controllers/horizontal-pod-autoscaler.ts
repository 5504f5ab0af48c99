/**
 * The horizontal autoscaler over a static model of load: each target's CPU utilization is what `utilization`
 * says (by default the autoscaler's own target, so nothing moves), and replicas follow the documented
 * formula within the bounds. Source: `pkg/controller/podautoscaler`, "Horizontal Pod Autoscaling".
 *
 * Deliberately without behaviour policies and stabilization windows: a step every fifteen seconds at most.
 */
import type { KubeObject } from '../registry.ts'
import type { ControlContext, Controller, Enqueue } from './control-context.ts'
import {
  committed,
  DEPLOYMENTS,
  HORIZONTAL_POD_AUTOSCALERS,
  keyOf,
  read,
  readAll,
  REPLICA_SETS,
  splitKey,
  STATEFUL_SETS,
  type Condition,
  type HorizontalPodAutoscaler,
  type Resource,
} from './objects.ts'
import { withCondition } from './pod-template.ts'

/** CPU in percent of the requests of the target's pods, as the metrics server would report it now. */
export type Utilization = (target: {
  readonly kind: string
  readonly namespace: string
  readonly name: string
}) => number

const from = { component: 'horizontal-pod-autoscaler' }
const periodSeconds = 15
const tolerance = 0.1

type Scalable = KubeObject & {
  readonly spec: { readonly replicas?: number }
  readonly status?: { readonly replicas?: number }
}

const scalables: readonly Resource<Scalable>[] = [
  DEPLOYMENTS,
  STATEFUL_SETS as unknown as Resource<Scalable>,
  REPLICA_SETS,
]

export function horizontalPodAutoscalerController(
  { registry, clock, events }: ControlContext,
  utilization: Utilization | undefined,
): Controller {
  let enqueueLater: Enqueue = () => {}

  return {
    name: 'horizontalpodautoscaler',
    watches: ['horizontalpodautoscalers', 'deployments', 'statefulsets'],
    start(enqueue) {
      enqueueLater = enqueue
      for (const autoscaler of readAll(registry, HORIZONTAL_POD_AUTOSCALERS)) enqueue(keyOf(autoscaler))
    },
    observe(commit, enqueue) {
      const own = committed(commit, HORIZONTAL_POD_AUTOSCALERS)
      if (own !== undefined) {
        if (own.previous?.spec !== own.object.spec) enqueue(keyOf(own.object))
        return
      }
      const { namespace, name } = commit.object.metadata
      for (const each of readAll(registry, HORIZONTAL_POD_AUTOSCALERS, namespace ?? '')) {
        if (each.spec.scaleTargetRef.name === name) enqueue(keyOf(each), 1)
      }
    },
    sync(key) {
      const { namespace, name } = splitKey(key)
      const autoscaler = read(registry, HORIZONTAL_POD_AUTOSCALERS, namespace, name)
      if (autoscaler !== undefined && autoscaler.metadata.deletionTimestamp === undefined) step(autoscaler)
    },
  }

  function step(autoscaler: HorizontalPodAutoscaler): void {
    const { scaleTargetRef, minReplicas = 1, maxReplicas } = autoscaler.spec
    const namespace = autoscaler.metadata.namespace ?? ''
    const resource = scalables.find(({ kind }) => kind === scaleTargetRef.kind)
    const target = resource && read(registry, resource, namespace, scaleTargetRef.name)
    if (resource === undefined || target === undefined) {
      const why = `${scaleTargetRef.kind.toLowerCase()}s.apps "${scaleTargetRef.name}" not found`
      const message = `the HPA controller was unable to get the target's current scale: ${why}`
      events.record(autoscaler, 'Warning', 'FailedGetScale', why, from)
      write(autoscaler, {}, [{ type: 'AbleToScale', status: 'False', reason: 'FailedGetScale', message }])
      return
    }
    const current = target.spec.replicas ?? 1
    if (current === 0) {
      const message = 'scaling is disabled since the replica count of the target is zero'
      write(autoscaler, { currentReplicas: 0, desiredReplicas: 0 }, [
        { type: 'ScalingActive', status: 'False', reason: 'ScalingDisabled', message },
      ])
      return
    }
    const metric = autoscaler.spec.metrics?.find(({ type }) => type === 'Resource')?.resource
    const wanted = metric?.target.averageUtilization ?? 80
    const load = utilization?.({ kind: target.kind, namespace, name: target.metadata.name }) ?? wanted
    const ratio = load / wanted
    // One step of the load's a period, however often the target's own changes wake this.
    const last = autoscaler.status?.lastScaleTime
    const wait = last === undefined ? 0 : clock.remaining(last, periodSeconds)
    if (wait > 0) enqueueLater(keyOf(autoscaler), wait + 0.001)
    const still = wait > 0 || Math.abs(ratio - 1) <= tolerance
    const proposed = still ? current : Math.ceil(current * ratio)
    // A step at most doubles (or adds four), as the default behaviour of scaling up.
    const reachable = Math.min(proposed, Math.max(2 * current, current + 4))
    const desired = Math.min(maxReplicas, Math.max(minReplicas, reachable))
    const limited = desired !== proposed
    if (desired !== current) {
      registry.update(resource, { ...target, spec: { ...target.spec, replicas: desired } })
      const above = desired > current
      const why = `${metric?.name ?? 'cpu'} resource utilization (percentage of request) ${above ? 'above' : 'below'} target`
      const reason = current < minReplicas ? 'Current number of replicas below Spec.MinReplicas' : why
      events.record(
        autoscaler,
        'Normal',
        'SuccessfulRescale',
        `New size: ${desired}; reason: ${reason}`,
        from,
      )
    }
    const currentMetrics = [
      {
        type: 'Resource',
        resource: {
          name: metric?.name ?? 'cpu',
          current: { averageUtilization: Math.round(load), averageValue: `${Math.round(load)}m` },
        },
      },
    ]
    write(
      autoscaler,
      {
        ...(desired === current ? {} : { lastScaleTime: clock.stamp() }),
        currentReplicas: target.status?.replicas ?? 0,
        desiredReplicas: desired,
        currentMetrics,
      },
      [
        desired === current
          ? {
              type: 'AbleToScale',
              status: 'True',
              reason: 'ReadyForNewScale',
              message: 'recommended size matches current size',
            }
          : {
              type: 'AbleToScale',
              status: 'True',
              reason: 'SucceededRescale',
              message: `the HPA controller was able to update the target scale to ${desired}`,
            },
        {
          type: 'ScalingActive',
          status: 'True',
          reason: 'ValidMetricFound',
          message: `the HPA was able to successfully calculate a replica count from ${metric?.name ?? 'cpu'} resource utilization (percentage of request)`,
        },
        limited
          ? {
              type: 'ScalingLimited',
              status: 'True',
              reason: proposed > desired ? 'TooManyReplicas' : 'TooFewReplicas',
              message: `the desired replica count is ${proposed > desired ? 'more than the maximum' : 'less than the minimum'} replica count`,
            }
          : {
              type: 'ScalingLimited',
              status: 'False',
              reason: 'DesiredWithinRange',
              message: 'the desired count is within the acceptable range',
            },
      ],
    )
    // Only a model that moves needs looking at again.
    if (utilization !== undefined) enqueueLater(keyOf(autoscaler), periodSeconds)
  }

  function write(
    autoscaler: HorizontalPodAutoscaler,
    values: NonNullable<HorizontalPodAutoscaler['status']>,
    said: readonly Condition[],
  ): void {
    let conditions = autoscaler.status?.conditions
    for (const condition of said) conditions = withCondition(conditions, condition, clock.stamp())
    registry.update(
      HORIZONTAL_POD_AUTOSCALERS,
      { ...autoscaler, status: { ...autoscaler.status, ...values, conditions } },
      { subresource: 'status' },
    )
  }
}
