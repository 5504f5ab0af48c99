import { describe, expect, it } from 'vitest'
import { jsonPatch, mergePatch, strategicPatch } from '../../src/simulator/patch.ts'

describe('JSON Patch', () => {
  it('adds, replaces, moves, copies and removes, and leaves the original alone', () => {
    const original = { a: { b: [1, 2, 3] }, c: 'x' }
    const patched = jsonPatch(original, [
      { op: 'add', path: '/a/b/1', value: 9 },
      { op: 'replace', path: '/c', value: 'y' },
      { op: 'copy', from: '/c', path: '/d' },
      { op: 'move', from: '/d', path: '/e~1f' },
      { op: 'remove', path: '/a/b/0' },
      { op: 'add', path: '/a/b/-', value: 7 },
    ])
    expect(patched).toEqual({ a: { b: [9, 2, 3, 7] }, c: 'y', 'e/f': 'y' })
    expect(original).toEqual({ a: { b: [1, 2, 3] }, c: 'x' })
  })

  it('fails as a whole when a test fails or a path is missing', () => {
    expect(() => jsonPatch({ a: 1 }, [{ op: 'test', path: '/a', value: 2 }])).toThrow(/test failed/)
    expect(() => jsonPatch({ a: 1 }, [{ op: 'replace', path: '/b', value: 2 }])).toThrow(/does not apply/)
    expect(() => jsonPatch({ a: 1 }, { op: 'remove' })).toThrow(/jsonpatch\.Patch/)
  })
})

describe('JSON Merge Patch', () => {
  it('merges objects, replaces all else, and deletes by null', () => {
    expect(mergePatch({ a: { b: 1, c: 2 }, d: [1] }, { a: { b: null, e: 3 }, d: [2] })).toEqual({
      a: { c: 2, e: 3 },
      d: [2],
    })
  })
})

describe('strategic merge patch', () => {
  const pod = {
    spec: {
      containers: [
        { name: 'a', image: 'a:1', env: [{ name: 'X', value: '1' }] },
        { name: 'b', image: 'b:1' },
      ],
      tolerations: [{ key: 'k' }],
    },
    metadata: { finalizers: ['one', 'two'] },
  }

  it('merges lists by their key, at every depth', () => {
    const patch = {
      spec: {
        containers: [
          { name: 'a', env: [{ name: 'Y', value: '2' }] },
          { name: 'c', image: 'c:1' },
        ],
      },
    }
    expect(strategicPatch('V1Pod', pod, patch)).toMatchObject({
      spec: {
        containers: [
          { name: 'a', image: 'a:1', env: [{ name: 'X' }, { name: 'Y', value: '2' }] },
          { name: 'b' },
          { name: 'c' },
        ],
      },
    })
  })

  it('deletes an item by its directive, and orders as asked', () => {
    const patch = {
      spec: {
        $setElementOrder: [],
        '$setElementOrder/containers': [{ name: 'c' }, { name: 'a' }],
        containers: [
          { name: 'b', $patch: 'delete' },
          { name: 'c', image: 'c:1' },
        ],
      },
    }
    const { spec } = strategicPatch('V1Pod', pod, patch) as { spec: { containers: { name: string }[] } }
    expect(spec.containers.map(({ name }) => name)).toEqual(['c', 'a'])
  })

  it('replaces lists that have no key, merges and deletes from lists of scalars', () => {
    const patch = {
      spec: { tolerations: [{ key: 'other' }] },
      metadata: { finalizers: ['three'], '$deleteFromPrimitiveList/finalizers': ['one'] },
    }
    expect(strategicPatch('V1Pod', pod, patch)).toMatchObject({
      spec: { tolerations: [{ key: 'other' }] },
      metadata: { finalizers: ['two', 'three'] },
    })
  })

  it('keeps only the keys that $retainKeys names', () => {
    const deployment = { spec: { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } } } }
    const patch = { spec: { strategy: { $retainKeys: ['type'], type: 'Recreate' } } }
    expect(strategicPatch('V1Deployment', deployment, patch)).toEqual({
      spec: { strategy: { type: 'Recreate' } },
    })
  })
})
