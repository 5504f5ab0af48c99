/** A HorizontalPodAutoscaler from what `autoscale` is asked for; applied on the server's side. */
import type { KubernetesJson } from '../../kubernetes/json.ts'
import { dnsLabel, dnsSubdomain, quoted } from '../names.ts'
import type { AutoscaleSpec } from './autoscale-spec.ts'
import {
  annotations,
  fields,
  given,
  integer,
  labels,
  MANAGED_BY,
  named,
  optionalInteger,
  refuse,
} from './checks.ts'

/** In percent, where no metric is asked for: what the API server would take, too. */
const DEFAULT_CPU = 80

export function composeAutoscaler(spec: AutoscaleSpec): KubernetesJson {
  const { target } = spec
  if (!/^[A-Za-z][A-Za-z0-9]{0,62}$/.test(target.kind)) {
    refuse('target.kind', `${quoted(target.kind)} is no kind: write it as \`Deployment\`.`)
  }
  const apiVersion = target.apiVersion || 'apps/v1'
  if (!/^(?:[a-z0-9][-a-z0-9.]{0,250}[a-z0-9]\/)?v[a-z0-9]{1,62}$/.test(apiVersion)) {
    refuse('target.apiVersion', `${quoted(apiVersion)} is no group and version: write it as \`apps/v1\`.`)
  }
  const minReplicas = optionalInteger('minReplicas', spec.minReplicas, 1)
  const maxReplicas = integer('maxReplicas', spec.maxReplicas, 1)
  if (maxReplicas < (minReplicas ?? 1)) {
    refuse('maxReplicas', `${maxReplicas} is less than \`minReplicas\`, which is ${minReplicas}.`)
  }
  const cpu = optionalInteger('cpuUtilization', spec.cpuUtilization, 1)
  const memory = optionalInteger('memoryUtilization', spec.memoryUtilization, 1)
  const metrics = [
    ...utilization('cpu', cpu ?? (memory === undefined ? DEFAULT_CPU : undefined)),
    ...utilization('memory', memory),
  ]
  const window = (argument: 'scaleDownStabilizationSeconds' | 'scaleUpStabilizationSeconds') => {
    const seconds = optionalInteger(argument, spec[argument], 0, 3600)
    return given(seconds) ? { stabilizationWindowSeconds: seconds } : undefined
  }
  const behavior = fields({
    scaleUp: window('scaleUpStabilizationSeconds'),
    scaleDown: window('scaleDownStabilizationSeconds'),
  })
  return {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: fields({
      name: named('name', spec.name ?? target.name, dnsSubdomain),
      namespace: named('namespace', spec.namespace, dnsLabel),
      labels: {
        ...labels('labels', spec.labels),
        ...MANAGED_BY,
      },
      annotations: annotations('annotations', spec.annotations),
    }),
    spec: fields({
      scaleTargetRef: {
        apiVersion,
        kind: target.kind,
        name: named('target.name', target.name, dnsSubdomain),
      },
      minReplicas,
      maxReplicas,
      metrics,
      behavior: Object.keys(behavior).length > 0 ? behavior : undefined,
    }),
  }
}

function utilization(name: string, percent: number | undefined) {
  if (percent === undefined) return []
  const target = { type: 'Utilization', averageUtilization: percent }
  return [{ type: 'Resource', resource: { name, target } }]
}
