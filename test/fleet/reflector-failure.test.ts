import { describe, expect, it } from 'vitest'
import { failureOfError, problemOf } from '../../src/fleet/reflector-failure.ts'
import { ApiError } from '../../src/kubernetes/client.ts'

/** The sentence that every viewer may read in the coverage of an answer. */
const told = (error: unknown) => problemOf(failureOfError(error), 'pods').message

describe('what is told of a failure', () => {
  it('names neither an address nor who the gateway is', () => {
    const message =
      'pods is forbidden: User "system:serviceaccount:ops:gateway" cannot list resource "pods" in API group "" at https://10.1.2.3:6443/api'
    const sentence = told(new ApiError(403, { message }))
    expect(sentence).toContain('pods is forbidden: The gateway cannot list resource "pods"')
    expect(sentence).not.toMatch(/serviceaccount|10\.1|6443/)
  })

  it('quotes nothing of an answer that cannot be parsed', () => {
    let error: unknown
    try {
      JSON.parse('{"metadata":{"name":"hidden"} oops')
    } catch (caught) {
      error = caught
    }
    expect(told(error)).toBe("The API server's answer about pods could not be read: It is no valid JSON.")
  })
})
