import { describe, expect, it } from 'vitest'
import { project } from '../../../src/kubernetes/projections/projections.ts'
import type { Kind, Rows } from '../../../src/kubernetes/rows.ts'

function row<K extends Kind>(kind: K, object: object, namespace: string | undefined = 'shop'): Rows[K] {
  return project(kind)(
    { metadata: { name: 'x', uid: 'u', ...(namespace && { namespace }) }, ...object },
    'prod',
  )
}

const RULE = { verbs: ['get'], apiGroups: [''], resources: ['pods'] }

describe('a role', () => {
  it('has its rules, with every list of each', () => {
    const { rules } = row('Role', {
      rules: [
        { verbs: ['get', 'list'], apiGroups: ['', 'apps'], resources: ['pods/log'], resourceNames: ['web'] },
        { verbs: ['get'], nonResourceURLs: ['/metrics/*'] },
      ],
    })
    expect(rules).toEqual([
      {
        verbs: ['get', 'list'],
        apiGroups: ['', 'apps'],
        resources: ['pods/log'],
        resourceNames: ['web'],
        nonResourceURLs: [],
      },
      { verbs: ['get'], apiGroups: [], resources: [], resourceNames: [], nonResourceURLs: ['/metrics/*'] },
    ])
  })

  it.each([null, undefined, [], {}, 'x'])('whose rules are %j allows nothing', (rules) => {
    expect(row('ClusterRole', { rules }).rules).toEqual([])
  })

  it.each([
    ['resourceNames', 'web'],
    ['resourceNames', [7]],
    ['resourceNames', {}],
    ['verbs', ['get', null]],
    ['resources', true],
    ['apiGroups', { '': '' }],
    ['nonResourceURLs', [[]]],
  ])('has no rule whose %s are %j: what is not understood must not mean all', (field, value) => {
    expect(row('Role', { rules: [{ ...RULE, [field]: value }] }).rules).toEqual([])
    expect(row('Role', { rules: [RULE, { ...RULE, [field]: value }] }).rules).toHaveLength(1)
  })

  it('never takes one list of names for another, whatever is in the names', () => {
    const named = (resourceNames: readonly string[]) => row('Role', { rules: [{ ...RULE, resourceNames }] })
    const lists = [['a\u0000b', 'c'], ['a', 'b\u0000c'], ['a', 'b', 'c'], ['a","b', 'c'], ['a,b', 'c'], ['']]
    for (const names of lists) expect(named(names).rules[0]!.resourceNames).toEqual(names)
  })

  it('that is aggregated says from which, and keeps the rules that it was given', () => {
    const { aggregationSelectors, rules } = row('ClusterRole', {
      rules: [RULE],
      aggregationRule: {
        clusterRoleSelectors: [
          { matchLabels: { 'rbac.example.com/aggregate-to-x': 'true' } },
          { matchExpressions: [{ key: 'team', operator: 'Exists' }] },
        ],
      },
    })
    expect(rules).toHaveLength(1)
    expect(aggregationSelectors).toEqual([
      { matchLabels: { 'rbac.example.com/aggregate-to-x': 'true' }, matchExpressions: [] },
      { matchLabels: {}, matchExpressions: [{ key: 'team', operator: 'Exists', values: [] }] },
    ])
    expect(row('ClusterRole', { rules: [RULE] }).aggregationSelectors).toEqual([])
  })
})

describe('a binding', () => {
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' }

  it('has its role, and its subjects in their order', () => {
    const binding = row('RoleBinding', {
      roleRef,
      subjects: [
        { kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'ada@example.com' },
        { kind: 'Group', name: 'shop-team', namespace: 'ignored' },
        { kind: 'ServiceAccount', name: 'bot', namespace: 'tools' },
      ],
    })
    expect(binding.roleRef).toEqual({ kind: 'ClusterRole', name: 'view' })
    expect(binding.subjects).toEqual([
      { kind: 'User', name: 'ada@example.com', namespace: '' },
      { kind: 'Group', name: 'shop-team', namespace: '' },
      { kind: 'ServiceAccount', name: 'bot', namespace: 'tools' },
    ])
  })

  it('leaves out subjects that RBAC takes for nobody', () => {
    const subjects = [
      { kind: 'Robot', name: 'r' },
      { kind: 'User' },
      { kind: 'Group', name: '' },
      { name: 'x' },
      null,
      'x',
      { kind: 'ServiceAccount', name: 'nowhere' },
    ]
    expect(row('ClusterRoleBinding', { roleRef, subjects }, '').subjects).toEqual([])
    expect(row('ClusterRoleBinding', { roleRef }, '').subjects).toEqual([])
  })

  it('takes a service account without a namespace for one of its own namespace', () => {
    const subjects = [{ kind: 'ServiceAccount', name: 'bot' }]
    expect(row('RoleBinding', { roleRef, subjects }).subjects).toEqual([
      { kind: 'ServiceAccount', name: 'bot', namespace: 'shop' },
    ])
  })

  it.each([undefined, null, {}, { kind: 'Pod', name: 'x' }, { kind: 'Role', name: 7 }, { name: 'view' }])(
    'that refers to %j refers to nothing',
    (roleRef) => {
      expect(row('RoleBinding', { roleRef }).roleRef).toEqual({ kind: 'Role', name: '' })
    },
  )
})

describe('what roles and bindings share', () => {
  it('is one rule, one reference and one list of subjects for all that are equal', () => {
    const subjects = [{ kind: 'Group', name: 'shop-team' }]
    const roleRef = { kind: 'ClusterRole', name: 'edit' }
    const [a, b] = ['shop', 'blog'].map((namespace) => row('RoleBinding', { roleRef, subjects }, namespace))
    expect(a!.roleRef).toBe(b!.roleRef)
    expect(a!.subjects).toBe(b!.subjects)
    const [role, other] = ['shop', 'blog'].map((namespace) => row('Role', { rules: [RULE] }, namespace))
    expect(role!.rules).toBe(other!.rules)
    expect(row('ClusterRole', { rules: [RULE, RULE] }).rules[1]).toBe(role!.rules[0])
  })
})
