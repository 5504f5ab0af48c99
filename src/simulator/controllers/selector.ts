/**
 * Label selectors as Kubernetes evaluates them (`metav1.LabelSelector`, node selector terms, tolerations).
 * Pure; compiled once per selector object, since controllers ask the same one for many pods.
 */
import type {
  ClusterNode,
  LabelSelector,
  Labels,
  NodeSelectorRequirement,
  NodeSelectorTerm,
  PodSpec,
  PodTemplate,
  Taint,
  Toleration,
} from './objects.ts'

const NO_LABELS: Labels = {}
const compiled = new WeakMap<object, (labels: Labels | undefined) => boolean>()

/** An empty selector matches everything, a missing one nothing (API reference, LabelSelector). */
export function selects(selector: LabelSelector | undefined, labels: Labels | undefined): boolean {
  if (selector === undefined) return false
  let matcher = compiled.get(selector)
  if (matcher === undefined) {
    matcher = compile(selector)
    compiled.set(selector, matcher)
  }
  return matcher(labels)
}

function compile(selector: LabelSelector): (labels: Labels | undefined) => boolean {
  const wanted = Object.entries(selector.matchLabels ?? {})
  const expressions = selector.matchExpressions ?? []
  return (labels = NO_LABELS) =>
    wanted.every(([key, value]) => labels[key] === value) &&
    expressions.every((expression) => meets(labels[expression.key], expression.operator, expression.values))
}

function meets(value: string | undefined, operator: string, values: readonly string[] = []): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value)
    case 'NotIn':
      return value === undefined || !values.includes(value)
    case 'Exists':
      return value !== undefined
    case 'DoesNotExist':
      return value === undefined
    case 'Gt':
      return value !== undefined && Number(value) > Number(values[0])
    case 'Lt':
      return value !== undefined && Number(value) < Number(values[0])
    default:
      return false
  }
}

/** Whether a workload's selector matches the pods that its template makes. */
export function findsItself({
  spec,
}: {
  readonly spec: { readonly selector: LabelSelector; readonly template: PodTemplate }
}): boolean {
  return selects(spec.selector, spec.template.metadata?.labels)
}

/** A service's selector is a plain map; an empty one selects nothing (its endpoints are managed by hand). */
export function servesLabels(selector: Labels | undefined, labels: Labels | undefined): boolean {
  if (selector === undefined) return false
  let any = false
  for (const key in selector) {
    any = true
    if (labels?.[key] !== selector[key]) return false
  }
  return any
}

/** The pod's nodeSelector and required node affinity: terms are or-ed, requirements and-ed. */
export function fitsNode(spec: PodSpec, node: ClusterNode): boolean {
  const labels = node.metadata.labels ?? NO_LABELS
  for (const key in spec.nodeSelector) if (labels[key] !== spec.nodeSelector[key]) return false
  const terms = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms
  return terms === undefined || terms.some((term) => meetsTerm(term, node, labels))
}

function meetsTerm(term: NodeSelectorTerm, node: ClusterNode, labels: Labels): boolean {
  const { matchExpressions = [], matchFields = [] } = term
  // An empty term matches nothing (API reference, NodeSelectorTerm).
  if (matchExpressions.length === 0 && matchFields.length === 0) return false
  const meetsAll = (
    requirements: readonly NodeSelectorRequirement[],
    of: (key: string) => string | undefined,
  ) =>
    requirements.every((requirement) => meets(of(requirement.key), requirement.operator, requirement.values))
  return (
    meetsAll(matchExpressions, (key) => labels[key]) &&
    meetsAll(matchFields, (key) => (key === 'metadata.name' ? node.metadata.name : undefined))
  )
}

export function tolerates(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false
  if (toleration.key && toleration.key !== taint.key) return false
  if (!toleration.key && toleration.operator !== 'Exists') return false
  return toleration.operator === 'Exists' || (toleration.value ?? '') === (taint.value ?? '')
}

/** The first taint with one of these effects that nothing tolerates. */
export function untolerated(
  tolerations: readonly Toleration[] | undefined,
  taints: readonly Taint[] | undefined,
  effects: readonly string[],
): Taint | undefined {
  return taints?.find(
    (taint) =>
      effects.includes(taint.effect) && !tolerations?.some((toleration) => tolerates(toleration, taint)),
  )
}
