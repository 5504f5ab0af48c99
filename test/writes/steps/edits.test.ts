import * as fc from 'fast-check'
import { applyPatch, type Operation } from 'rfc6902'
import { describe, expect, it } from 'vitest'
import type { KubernetesJson } from '../../../src/kubernetes/json.ts'
import type { Edit } from '../../../src/writes/change.ts'
import { edited, isRefusal, type Edited } from '../../../src/writes/steps/edits.ts'

function accepted(live: KubernetesJson, edit: Edit): Edited {
  const result = edited(live, edit)
  if (isRefusal(result)) throw new Error(result.message)
  return result
}

/** As the API server applies it: to what is there by then. */
function patched(live: KubernetesJson, { patch }: Edited): KubernetesJson {
  const clone = structuredClone(live)
  expect(applyPatch(clone, structuredClone(patch) as Operation[])).toEqual(patch.map(() => null))
  return clone
}

const key = fc.oneof(
  fc.constantFrom('app', 'example.com/a', 'a~b', 'a~1b/c', '~0', '/', 'constructor', '0'),
  // No key of Kubernetes begins with `_`; the library that applies patches here refuses this one.
  fc.string({ minLength: 1, maxLength: 12 }).filter((text) => text !== '__proto__'),
)
const entries = fc.dictionary(key, fc.string({ maxLength: 8 }), { maxKeys: 5, noNullPrototype: false })
const changes = fc.dictionary(key, fc.option(fc.string({ maxLength: 8 })), { maxKeys: 5 })

const container = fc.record(
  {
    name: fc.string({ minLength: 1, maxLength: 5 }),
    image: fc.string({ maxLength: 8 }),
    env: fc.array(fc.record({ name: fc.string(), value: fc.string() }), { maxLength: 2 }),
  },
  { requiredKeys: ['name', 'image'] },
)
const containers = fc.uniqueArray(container, { minLength: 1, maxLength: 4, selector: ({ name }) => name })

function workload(kind: string, template: object): KubernetesJson {
  const metadata = { name: 'web', resourceVersion: '7' }
  if (kind === 'Pod') return { apiVersion: 'v1', kind, metadata, ...template }
  if (kind === 'CronJob') {
    return { apiVersion: 'batch/v1', kind, metadata, spec: { jobTemplate: { spec: { template } } } }
  }
  return { apiVersion: 'apps/v1', kind, metadata, spec: { replicas: 2, template } }
}

describe('an edit of labels or annotations', () => {
  it('changes those that it names, takes away those that are null, and touches nothing else', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('labels', 'annotations'),
        fc.option(entries, { nil: undefined }),
        changes,
        (field, now, values) => {
          const live: KubernetesJson = {
            apiVersion: 'v1',
            kind: 'ConfigMap',
            metadata: { name: 'x', resourceVersion: '7', ...(now && { [field]: now }) },
            data: { labels: 'untouched' },
          }
          const type = field === 'labels' ? 'LABELS' : 'ANNOTATIONS'
          const edit = accepted(live, { type, values, overwrite: true })
          const after = patched(live, edit)
          const expected = new Map(Object.entries(now ?? {}))
          for (const [name, value] of Object.entries(values)) {
            if (value === null) expected.delete(name)
            else expected.set(name, value)
          }
          const { [field]: changed = {}, ...metadata } = after.metadata ?? {}
          expect(new Map(Object.entries(changed as object))).toEqual(expected)
          expect({ ...after, metadata }).toEqual({ ...live, metadata: { name: 'x', resourceVersion: '7' } })
          // Once more there is nothing to do.
          expect(accepted(after, { type, values, overwrite: true })).toEqual({ patch: [], note: null })
        },
      ),
    )
  })

  it('overwrites no other value unasked', () => {
    fc.assert(
      fc.property(entries, changes, (now, values) => {
        const live: KubernetesJson = {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: { name: 'x', labels: now },
        }
        const taken = Object.entries(values).filter(
          ([name, value]) => value !== null && Object.hasOwn(now, name) && now[name] !== value,
        )
        const result = edited(live, { type: 'LABELS', values, overwrite: false })
        expect(isRefusal(result)).toBe(taken.length > 0)
        if (isRefusal(result)) expect(result.fields).toHaveLength(taken.length)
      }),
    )
  })

  it('is of one version of the object where it makes the map, or was to overwrite nothing', () => {
    const version = { op: 'replace', path: '/metadata/resourceVersion', value: '7' }
    const live: KubernetesJson = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'x', resourceVersion: '7' },
    }
    const values = { 'a/b~c': '1' }
    expect(accepted(live, { type: 'LABELS', values, overwrite: true }).patch).toEqual([
      version,
      { op: 'add', path: '/metadata/labels', value: {} },
      { op: 'add', path: '/metadata/labels/a~1b~0c', value: '1' },
    ])
    const labelled = { ...live, metadata: { ...live.metadata, labels: {} } }
    expect(accepted(labelled, { type: 'LABELS', values, overwrite: true }).patch).toHaveLength(1)
    expect(accepted(labelled, { type: 'LABELS', values, overwrite: false }).patch[0]).toEqual(version)
  })
})

describe('an edit of images', () => {
  it('changes the image of the containers that it names, and nothing else', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet', 'CronJob', 'Pod'),
        containers,
        fc.boolean(),
        fc.nat(),
        fc.string({ minLength: 1 }),
        (kind, items, initial, pick, image) => {
          const chosen = items[pick % items.length]!
          const others = [{ name: 'other container', image: 'other' }]
          const spec = initial
            ? { containers: others, initContainers: items }
            : { containers: items, initContainers: others }
          const live = workload(kind, { spec })
          const edit = accepted(live, { type: 'IMAGES', images: { [chosen.name]: image } })
          const changed = items.map((item) => (item === chosen ? { ...item, image } : item))
          const expected = initial
            ? { containers: others, initContainers: changed }
            : { containers: changed, initContainers: others }
          expect(patched(live, edit)).toEqual(workload(kind, { spec: expected }))
        },
      ),
    )
  })

  it('does not hit another container where somebody has moved them', () => {
    fc.assert(
      fc.property(containers, fc.nat(), fc.infiniteStream(fc.nat()), (items, pick, random) => {
        const chosen = items[pick % items.length]!
        const live = workload('Deployment', { spec: { containers: items } })
        const edit = accepted(live, { type: 'IMAGES', images: { [chosen.name]: `${chosen.image}!` } })
        const moved = items
          .map((item) => [random.next().value ?? 0, item] as const)
          .sort(([a], [b]) => a - b)
          .map(([, item]) => item)
        const other = structuredClone(workload('Deployment', { spec: { containers: moved } }))
        const problems = applyPatch(other, structuredClone(edit.patch) as Operation[])
        const stays = items.indexOf(chosen) === moved.indexOf(chosen)
        expect(problems[0] === null).toBe(stays)
        if (stays) {
          const containers = moved.map((item) =>
            item === chosen ? { ...item, image: `${item.image}!` } : item,
          )
          expect(other).toEqual(workload('Deployment', { spec: { containers } }))
        }
      }),
    )
  })

  it('needs no name where there is one container only', () => {
    const one = workload('Deployment', {
      spec: { containers: [{ name: 'app', image: 'a' }], initContainers: [{ name: 'i', image: 'i' }] },
    })
    expect(accepted(one, { type: 'IMAGES', images: { '': 'b' } })).toMatchObject({
      note: 'container "app": a → b',
    })
    const two = workload('Deployment', { spec: { containers: [{ name: 'app' }, { name: 'proxy' }] } })
    expect(edited(two, { type: 'IMAGES', images: { '': 'b' } })).toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('(app, proxy)'),
    })
    expect(
      edited({ apiVersion: 'batch/v1', kind: 'Job' }, { type: 'IMAGES', images: { '': 'b' } }),
    ).toMatchObject({
      code: 'NOT_SUPPORTED',
    })
  })
})

describe('an edit of a switch', () => {
  it.each([
    ['apps/v1', 'Deployment', 'paused', (on: boolean): Edit => ({ type: 'PAUSED', paused: on })],
    ['batch/v1', 'CronJob', 'suspend', (on: boolean): Edit => ({ type: 'SUSPENDED', suspended: on })],
    ['batch/v1', 'Job', 'suspend', (on: boolean): Edit => ({ type: 'SUSPENDED', suspended: on })],
    ['v1', 'Node', 'unschedulable', (on: boolean): Edit => ({ type: 'UNSCHEDULABLE', unschedulable: on })],
  ] as const)('of %s %s sets spec.%s, where it is not so already', (apiVersion, kind, field, edit) => {
    for (const now of [undefined, false, true]) {
      for (const wanted of [false, true]) {
        const live: KubernetesJson = {
          apiVersion,
          kind,
          spec: { x: 1, ...(now !== undefined && { [field]: now }) },
        }
        const result = accepted(live, edit(wanted))
        if ((now ?? false) === wanted) expect(result).toEqual({ patch: [], note: null })
        else expect(patched(live, result)).toEqual({ apiVersion, kind, spec: { x: 1, [field]: wanted } })
      }
    }
    const other = { apiVersion: 'example.com/v1', kind, spec: { [field]: false } }
    expect(edited(other, edit(true))).toMatchObject({ code: 'NOT_SUPPORTED' })
  })
})

describe('a restart', () => {
  const at = '2026-01-02T03:04:05Z'

  it.each(['Deployment', 'StatefulSet', 'DaemonSet'])('writes the time into the template of a %s', (kind) => {
    const annotations = { 'kubectl.kubernetes.io/restartedAt': at }
    for (const metadata of [undefined, {}, { labels: { a: 'b' } }, { annotations: { kept: '1' } }]) {
      const live = workload(kind, { ...(metadata && { metadata }), spec: {} })
      const expected = { ...metadata, annotations: { ...metadata?.annotations, ...annotations } }
      const edit = accepted(live, { type: 'RESTART', at })
      expect(patched(live, edit)).toEqual(workload(kind, { metadata: expected, spec: {} }))
      expect(accepted(patched(live, edit), { type: 'RESTART', at }).patch).toEqual([])
    }
  })

  it('is refused to what is paused, and to what has no rollout', () => {
    const paused = { apiVersion: 'apps/v1', kind: 'Deployment', spec: { paused: true, template: {} } }
    expect(edited(paused, { type: 'RESTART', at })).toMatchObject({
      code: 'CONFLICT',
      fields: ['spec.paused'],
    })
    expect(edited(workload('ReplicaSet', {}), { type: 'RESTART', at })).toMatchObject({
      code: 'NOT_SUPPORTED',
    })
  })
})
