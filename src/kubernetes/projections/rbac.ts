/**
 * Projections of Role, ClusterRole, RoleBinding and ClusterRoleBinding: what rights are decided from.
 *
 * Invariant: in doubt less. A rule that cannot be understood allows nothing, a reference that cannot be
 * understood refers to nothing; neither may come to mean more than its cluster reads in it.
 */
import { type Interned, Interner } from '../interner.ts'
import type {
  ClusterRoleBindingRow,
  ClusterRoleRow,
  LabelSelector,
  PolicyRule,
  RoleBindingRow,
  RoleReference,
  RoleRow,
  Subject,
} from '../rows.ts'
import { list, record, text, type Json } from './fields.ts'
import { metadataOf } from './metadata.ts'
import { shareSelector, shareText } from './shared.ts'

const lists = new Interner<readonly string[]>(1 << 13)
const rules = new Interner<PolicyRule>(1 << 13)
const ruleLists = new Interner<readonly PolicyRule[]>(1 << 13)
const references = new Interner<RoleReference>(1 << 13)
const subjects = new Interner<Subject>(1 << 13)
const subjectLists = new Interner<readonly Subject[]>(1 << 13)

/** The shared copy of these. */
export function shareRules(items: readonly PolicyRule[]): readonly PolicyRule[] {
  return shareAll(ruleLists, items, shareRule)
}

/** The shared copy of this one. */
export function shareReference(kind: RoleReference['kind'], name: string): RoleReference {
  return references.get(JSON.stringify([kind, name]), () => Object.freeze({ kind, name }))
}

/** The shared copy of these. */
export function shareSubjects(items: readonly Subject[]): readonly Subject[] {
  return shareAll(subjectLists, items, shareSubject)
}

/** The shared list of shared items. */
function shareAll<T>(
  known: Interner<readonly T[]>,
  items: readonly T[],
  share: (item: T) => Interned<T>,
): readonly T[] {
  let key = ''
  const found: T[] = []
  for (const item of items) {
    const entry = share(item)
    key += `${entry.id},`
    found.push(entry.value)
  }
  return known.get(key, () => Object.freeze(found))
}

/** The keys are JSON: the names of a rule are anybody's, and no two rules may be taken for each other. */
function shareWords(items: readonly string[]): readonly string[] {
  return lists.get(JSON.stringify(items), () => Object.freeze(items.map(shareText)))
}

function shareRule(rule: PolicyRule): Interned<PolicyRule> {
  const { verbs, apiGroups, resources, resourceNames, nonResourceURLs } = rule
  const key = JSON.stringify([verbs, apiGroups, resources, resourceNames, nonResourceURLs])
  return rules.entry(key, () =>
    Object.freeze({
      verbs: shareWords(verbs),
      apiGroups: shareWords(apiGroups),
      resources: shareWords(resources),
      resourceNames: shareWords(resourceNames),
      nonResourceURLs: shareWords(nonResourceURLs),
    }),
  )
}

function shareSubject({ kind, name, namespace }: Subject): Interned<Subject> {
  return subjects.entry(JSON.stringify([kind, name, namespace]), () =>
    Object.freeze({ kind, name, namespace: shareText(namespace) }),
  )
}

/** `undefined` for what is no list of texts: read as an empty one, it could mean "all". */
function texts(value: unknown): readonly string[] | undefined {
  if (value === undefined || value === null) return []
  return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : undefined
}

function ruleOf(value: unknown): PolicyRule | undefined {
  const raw = record(value)
  const verbs = texts(raw['verbs'])
  const apiGroups = texts(raw['apiGroups'])
  const resources = texts(raw['resources'])
  const resourceNames = texts(raw['resourceNames'])
  const nonResourceURLs = texts(raw['nonResourceURLs'])
  if (!verbs || !apiGroups || !resources || !resourceNames || !nonResourceURLs) return undefined
  return { verbs, apiGroups, resources, resourceNames, nonResourceURLs }
}

function rulesOf(raw: Json): readonly PolicyRule[] {
  return shareRules(list(raw['rules']).flatMap((item) => ruleOf(item) ?? []))
}

function referenceOf(raw: Json): RoleReference {
  const { kind, name } = record(raw['roleRef'])
  return kind === 'Role' || kind === 'ClusterRole'
    ? shareReference(kind, text(name))
    : shareReference('Role', '')
}

function subjectOf(value: unknown, namespace: string): Subject | undefined {
  const raw = record(value)
  const kind = raw['kind']
  const name = text(raw['name'])
  if (name === '') return undefined
  if (kind === 'User' || kind === 'Group') return { kind, name, namespace: '' }
  // One without a namespace is of the binding's; where that has none, RBAC takes it for nobody.
  const own = text(raw['namespace']) || namespace
  return kind === 'ServiceAccount' && own !== '' ? { kind, name, namespace: own } : undefined
}

function subjectsOf(raw: Json, namespace: string): readonly Subject[] {
  return shareSubjects(list(raw['subjects']).flatMap((item) => subjectOf(item, namespace) ?? []))
}

function aggregationOf(raw: Json): readonly LabelSelector[] {
  const selectors = list(record(raw['aggregationRule'])['clusterRoleSelectors'])
  return selectors.length === 0 ? NO_SELECTORS : selectors.flatMap((item) => shareSelector(item) ?? [])
}

const NO_SELECTORS: readonly LabelSelector[] = Object.freeze([])

export function projectRole(object: unknown, cluster: string): RoleRow {
  const raw = record(object)
  return { ...metadataOf('Role', raw, cluster), rules: rulesOf(raw) }
}

export function projectClusterRole(object: unknown, cluster: string): ClusterRoleRow {
  const raw = record(object)
  return {
    ...metadataOf('ClusterRole', raw, cluster),
    rules: rulesOf(raw),
    aggregationSelectors: aggregationOf(raw),
  }
}

export function projectRoleBinding(object: unknown, cluster: string): RoleBindingRow {
  const raw = record(object)
  const meta = metadataOf('RoleBinding', raw, cluster)
  return { ...meta, roleRef: referenceOf(raw), subjects: subjectsOf(raw, meta.namespace) }
}

export function projectClusterRoleBinding(object: unknown, cluster: string): ClusterRoleBindingRow {
  const raw = record(object)
  return {
    ...metadataOf('ClusterRoleBinding', raw, cluster),
    roleRef: referenceOf(raw),
    subjects: subjectsOf(raw, ''),
  }
}
