/** What a chatbot says, in plain text: a few lines, for a person or a model. */
import {
  missing,
  type ExplainedWorkload,
  type FoundWorkload,
  type FoundWorkloads,
  type Health,
  type OperationState,
  type Payload,
  type Plan,
  type Progress,
  type Result,
  type WorkloadName,
} from './fleet.ts'

const lines = (...parts: readonly (string | readonly string[] | null)[]) =>
  parts.flatMap((part) => part ?? []).join('\n')

export function nameOf({ cluster, kind, namespace, name }: WorkloadName): string {
  return `${kind} ${namespace}/${name} in ${cluster}`
}

function gaps(coverage: FoundWorkloads['coverage']): string[] {
  return missing(coverage).map(
    ({ cluster, state, reason }) =>
      `${cluster} is ${state.toLowerCase()}${reason ? ` (${reason})` : ''}: something may be missing.`,
  )
}

function workloadLine({
  cluster,
  kind,
  namespace,
  name,
  ready,
  desired,
  rollout,
  containers,
}: FoundWorkload) {
  const images = containers.map(({ image }) => image).join(', ')
  return `${cluster.name} ${kind} ${namespace}/${name}: ${ready}/${desired} ready, ${rollout.status.toLowerCase()}, ${images}`
}

export function foundText({ nodes, totalCount, coverage }: FoundWorkloads): string {
  const rest = totalCount - nodes.length
  return lines(
    nodes.length === 0 ? 'No such workload that you may see.' : nodes.map(workloadLine),
    rest > 0 ? `and ${rest} more` : null,
    gaps(coverage),
  )
}

export function explainedText(workload: ExplainedWorkload): string {
  const { rollout, pods, events } = workload
  return lines(
    `${workloadLine(workload)}${rollout.message ? `: ${rollout.message}` : ''}`,
    pods.nodes.map((pod) => {
      const why = pod.containers
        .filter(({ ready }) => !ready)
        .map(({ name, reason, message }) => [name, reason, message].filter(Boolean).join(' '))
      const warnings = pod.events.nodes.map(({ reason, message }) => `${reason}: ${message}`)
      return [`pod ${pod.name} is ${pod.status}`, pod.message, ...why, ...warnings].filter(Boolean).join('; ')
    }),
    pods.totalCount > pods.nodes.length ? `and ${pods.totalCount - pods.nodes.length} more pods` : null,
    events.nodes
      .filter(({ type }) => type === 'Warning')
      .map(({ reason, message }) => `${reason}: ${message}`),
  )
}

function resultLine({ clusterName, kind, namespace, name, outcome, action, message, error }: Result): string {
  const what = error ? `${error.message}${error.policy ? ` (policy ${error.policy})` : ''}` : message
  const unsure = error?.mayHaveBeenApplied ? ' It may have been done: look before you try again.' : ''
  return `${outcome} ${clusterName} ${kind} ${namespace}/${name}, ${action}${what ? `: ${what}` : ''}${unsure}`
}

export function planText({ token, results, blastRadius, summary }: Plan): string {
  const { podsAdded, podsRemoved, podsReplaced, clusters, budgets, capacity, unknown } = blastRadius
  return lines(
    token === null ? `This cannot be done as asked: ${summary.message}` : 'This would be done:',
    results.map(resultLine),
    clusters.length > 0
      ? `In ${clusters.join(', ')}: ${podsAdded} pods added, ${podsRemoved} removed, ${podsReplaced} replaced.`
      : null,
    capacity.filter(({ fits }) => !fits).map(({ clusterName }) => `${clusterName} has no room for it.`),
    budgets.map(
      ({ clusterName, namespace, name, podsAffected, disruptionsAllowed }) =>
        `The disruption budget ${namespace}/${name} in ${clusterName} allows ${disruptionsAllowed} pods to go, this takes ${podsAffected}.`,
    ),
    unknown.map((what) => `Not known: ${what}`),
  )
}

export function payloadText({ results, summary, replayed, operation }: Payload): string {
  return lines(
    replayed ? `This was done before, and nothing was done now: ${summary.message}` : summary.message,
    results.map(resultLine),
    operation ? `Operation ${operation.id} is ${operation.state.toLowerCase()}.` : null,
  )
}

export function progressText({ status, desired, updated, available, message }: Progress): string {
  return `${status.toLowerCase()}: ${updated}/${desired} updated, ${available} available${message ? `: ${message}` : ''}`
}

export function healthText({ clusters, summary, unready }: Health): string {
  const statuses = summary.pods.byStatus.map(({ name, count }) => `${count} ${name}`).join(', ')
  return lines(
    clusters.nodes.map(
      ({ name, state, lastError }) => `${name} is ${state}${lastError ? `: ${lastError.message}` : ''}`,
    ),
    `${summary.pods.count} pods: ${statuses}`,
    unready.nodes.map(
      ({ cluster, kind, namespace, name, ready, desired, rollout }) =>
        `${cluster.name} ${kind} ${namespace}/${name}: ${ready}/${desired} ready${rollout.message ? `: ${rollout.message}` : ''}`,
    ),
    gaps(summary.coverage),
  )
}

export function operationText({
  title,
  state,
  summary,
  stepsTotal,
  results,
  events,
}: OperationState): string {
  return lines(
    `${title}: ${state}, ${results.length} of ${stepsTotal} steps. ${summary.message}`,
    results.filter(({ error }) => error !== null).map(resultLine),
    events.map(({ at, message }) => `${at} ${message}`),
  )
}
