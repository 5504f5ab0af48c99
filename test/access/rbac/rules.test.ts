import { describe, expect, it } from 'vitest'
import { allows, namesAllowed } from '../../../src/access/rbac/rules.ts'
import type { Action } from '../../../src/access/policy.ts'
import type { PolicyRule } from '../../../src/kubernetes/rows.ts'
import { rule } from './objects.ts'

function rules(...texts: readonly string[]): PolicyRule[] {
  return texts.map((text) => ({
    apiGroups: [],
    resources: [],
    resourceNames: [],
    nonResourceURLs: [],
    ...rule(text),
  }))
}

const get = (resource: string, about: Partial<Action> = {}): Action => ({
  verb: 'get',
  group: '',
  resource,
  ...about,
})

describe('a rule', () => {
  it('allows what its verbs, groups and resources all hold, or their wildcards', () => {
    expect(allows(rules('get pods'), get('pods'))).toBe(true)
    expect(allows(rules('* pods'), get('pods'))).toBe(true)
    expect(allows(rules('get *'), get('pods'))).toBe(true)
    expect(allows(rules('list pods'), get('pods'))).toBe(false)
    expect(allows(rules('get services'), get('pods'))).toBe(false)
    expect(allows(rules('get pods'), get('pods', { group: 'apps' }))).toBe(false)
    expect(allows(rules('get deployments.*'), get('deployments', { group: 'apps' }))).toBe(true)
  })

  it('is asked for itself: verbs of one and resources of another allow nothing', () => {
    expect(allows(rules('get services', 'list pods'), get('pods'))).toBe(false)
  })

  it('takes a wildcard in a request for nothing but a wildcard', () => {
    expect(allows(rules('get pods'), get('*'))).toBe(false)
    expect(allows(rules('get *'), get('*'))).toBe(true)
  })

  it('for a resource allows none of its subresources, and the other way round', () => {
    const log = get('pods', { subresource: 'log' })
    expect(allows(rules('get pods'), log)).toBe(false)
    expect(allows(rules('get pods/log'), log)).toBe(true)
    expect(allows(rules('get pods/log'), get('pods'))).toBe(false)
    expect(allows(rules('get *'), log)).toBe(true)
  })

  it('knows the subresource of every resource, but no wildcard for subresources', () => {
    const scale = get('deployments', { subresource: 'scale' })
    expect(allows(rules('get */scale'), scale)).toBe(true)
    expect(allows(rules('get */scale'), get('deployments', { subresource: 'status' }))).toBe(false)
    expect(allows(rules('get */scale'), get('deployments'))).toBe(false)
    expect(allows(rules('get deployments/*'), scale)).toBe(false)
    expect(allows(rules('get */*'), scale)).toBe(false)
    expect(allows(rules('get */*'), get('deployments', { subresource: '*' }))).toBe(true)
  })

  it('with names allows these, and no request without one', () => {
    expect(allows(rules('get pods web'), get('pods', { name: 'web' }))).toBe(true)
    expect(allows(rules('get pods web'), get('pods', { name: 'db' }))).toBe(false)
    expect(allows(rules('get pods web'), get('pods'))).toBe(false)
    expect(allows(rules('get pods *'), get('pods', { name: 'web' }))).toBe(false)
  })

  it('for URLs allows no resource', () => {
    const [urls] = rules('get pods')
    const rule = { ...urls!, apiGroups: [], resources: [], nonResourceURLs: ['*'] }
    expect(allows([rule], get('pods'))).toBe(false)
  })
})

describe('the names that a verb is allowed of', () => {
  it('are those of all rules, or all where one rule names none', () => {
    expect(namesAllowed(rules('list pods web', 'list pods db'), 'list', '', 'pods')).toEqual(
      new Set(['web', 'db']),
    )
    expect(namesAllowed(rules('list pods web', 'list pods'), 'list', '', 'pods')).toBe('all')
    expect(namesAllowed(rules('list pods'), 'watch', '', 'pods')).toBeUndefined()
  })

  it('are all where the empty name is one of them: it is that of a request without a name', () => {
    const [named] = rules('list pods web')
    expect(namesAllowed([{ ...named!, resourceNames: ['web', ''] }], 'list', '', 'pods')).toBe('all')
  })
})
