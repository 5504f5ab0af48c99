/** What mutations compose, against a real API server: its dry run accepts all of it, strict about fields. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startControlPlane, type ControlPlane } from '../support/control-plane.ts'
import { applyPath, compositions, sampleOf } from '../writes/compose/accepted.ts'

describe('a real API server', () => {
  let plane: ControlPlane

  beforeAll(async () => {
    plane = await startControlPlane({ name: 'compose', controllers: false })
  })
  afterAll(() => plane.close())

  const { deploy, expose, autoscale } = compositions({ junk: false })
  const strange = compositions({ junk: true })
  it.each([
    ['workloads', deploy, 300],
    ['Services and Ingresses', expose, 150],
    ['autoscalers', autoscale, 50],
    ['workloads of strange input that was not refused', strange.deploy, 100],
    ['Services and Ingresses of strange input that was not refused', strange.expose, 100],
    ['autoscalers of strange input that was not refused', strange.autoscale, 100],
  ] as const)('accepts the %s that are composed', async (_what, arbitrary, count) => {
    const sample = sampleOf(arbitrary, count, 20)
    expect(sample.length).toBeGreaterThan(count / 4)
    const refused: unknown[] = []
    for (const { input, objects } of sample) {
      for (const object of objects) {
        const namespace = object.metadata?.namespace ?? 'default'
        if (namespace !== 'default') continue
        const { status, text } = await plane.http.patch(applyPath(object), 'apply', object)
        if (status !== 200 && status !== 201) refused.push({ answer: text.slice(0, 500), input, object })
      }
    }
    expect(refused.slice(0, 3)).toEqual([])
  })
})
