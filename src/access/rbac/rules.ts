/**
 * What the rules of a role allow: RBAC's own reading of them, field by field. Pure.
 *
 * Invariant: a rule allows a request where its verbs, groups, resources and names all hold it; nothing is ever
 * forbidden, so that rules are asked one by one. Rules for URLs name no resource, and allow none.
 *
 * Source: Kubernetes documentation, "Using RBAC Authorization"; `pkg/apis/rbac/v1/evaluation_helpers.go`.
 */
import type { PolicyRule } from '../../kubernetes/rows.ts'
import type { Action } from '../policy.ts'

const ALL = '*'

/** Names of which something is allowed; `all`: of every one, and of the collection itself. */
export type Names = 'all' | ReadonlySet<string>

/** Whether any of the rules allows it. Where the binding holds is for the caller to know. */
export function allows(rules: readonly PolicyRule[], action: Action): boolean {
  return rules.some((rule) => ruleAllows(rule, action))
}

/**
 * Of what a verb is allowed, over all rules; `undefined`: of nothing. A list that selects one name
 * (`fieldSelector=metadata.name=x`) is authorized like a request for that name.
 */
export function namesAllowed(
  rules: readonly PolicyRule[],
  verb: string,
  group: string,
  resource: string,
): Names | undefined {
  let names: Set<string> | undefined
  for (const rule of rules) {
    if (!holdsVerb(rule, verb) || !holdsGroup(rule, group) || !holdsResource(rule, resource, '')) continue
    // A request without a name is one for the name '' to RBAC.
    if (rule.resourceNames.length === 0 || rule.resourceNames.includes('')) return 'all'
    names ??= new Set()
    for (const name of rule.resourceNames) names.add(name)
  }
  return names
}

function ruleAllows(rule: PolicyRule, action: Action): boolean {
  const { verb, group, resource, subresource = '', name = '' } = action
  return (
    holdsVerb(rule, verb) &&
    holdsGroup(rule, group) &&
    holdsResource(rule, resource, subresource) &&
    (rule.resourceNames.length === 0 || rule.resourceNames.includes(name))
  )
}

function holdsVerb({ verbs }: PolicyRule, verb: string): boolean {
  return verbs.includes(verb) || verbs.includes(ALL)
}

function holdsGroup({ apiGroups }: PolicyRule, group: string): boolean {
  return apiGroups.includes(group) || apiGroups.includes(ALL)
}

/** `pods/*` is no pattern: only `*`, and `*` before a subresource, are. */
function holdsResource({ resources }: PolicyRule, resource: string, subresource: string): boolean {
  if (resources.includes(ALL)) return true
  if (subresource === '') return resources.includes(resource)
  return resources.includes(`${resource}/${subresource}`) || resources.includes(`*/${subresource}`)
}
