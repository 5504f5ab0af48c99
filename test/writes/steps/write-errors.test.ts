import { describe, expect, it } from 'vitest'
import { ApiError, TransportError, type Status } from '../../../src/kubernetes/client.ts'
import { isMissingPath, missingNamespace, writeFailure } from '../../../src/writes/write-errors.ts'

const api = (status: Status & { code: number }, retryAfterMs?: number) =>
  new ApiError(status.code, status, retryAfterMs)

describe('what a cluster answers', () => {
  it.each([
    'Deployment.apps "web" is invalid: spec.selector: Invalid value: {"matchLabels":{"app":"web"}}: field is immutable',
    'PersistentVolumeClaim "data" is invalid: spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims',
    'Service "web" is invalid: spec.clusterIPs[0]: Invalid value: ["None"]: may not change once set',
    "StatefulSet.apps \"db\" is invalid: spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals' are forbidden",
  ])('says what to do about a field that is fixed: %s', (message) => {
    const failure = writeFailure(api({ code: 422, reason: 'Invalid', message }), { wrote: true })
    expect(failure?.error).toMatchObject({
      code: 'INVALID',
      message: `${message}. This is fixed once the object is made: leave it as it is, use another name, or delete the object and make it anew.`,
    })
  })

  it('is told without addresses, and with its fields', () => {
    const message =
      'spec.containers[0].ports[12].hostPort: dial tcp [fd00::1]:6443, [::ffff:10.0.0.1%eth0], 10.0.0.1:443: refused'
    expect(writeFailure(api({ code: 422, message }), { wrote: true })?.error.message).toBe(
      'spec.containers[0].ports[12].hostPort: dial tcp …, …, …: refused',
    )
  })

  it.each<[string, Status & { code: number }, string, string]>([
    [
      'a right that is missing',
      {
        code: 403,
        reason: 'Forbidden',
        message:
          'pods "x" is forbidden: User "ada" cannot delete resource "pods" in API group "" in the namespace "shop"',
      },
      'FORBIDDEN',
      'FORBIDDEN',
    ],
    [
      'rights that are given away without being had',
      {
        code: 403,
        reason: 'Forbidden',
        message:
          'roles.rbac.authorization.k8s.io "x" is forbidden: user "ada" (groups=[]) is attempting to grant RBAC permissions not currently held: …',
      },
      'FORBIDDEN',
      'FORBIDDEN',
    ],
    [
      'a viewer who is nobody there',
      { code: 403, reason: 'Forbidden', message: 'Your sign-in means nothing in this cluster.' },
      'FORBIDDEN',
      'FORBIDDEN',
    ],
    [
      'a quota',
      {
        code: 403,
        reason: 'Forbidden',
        message:
          'pods "x" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1',
      },
      'FAILED',
      'INVALID',
    ],
    [
      'a webhook',
      { code: 403, message: 'admission webhook "policy.example.com" denied the request: no' },
      'FAILED',
      'INVALID',
    ],
    [
      'pod security',
      {
        code: 403,
        reason: 'Forbidden',
        message: 'pods "x" is forbidden: violates PodSecurity "restricted:latest": host namespaces',
      },
      'FAILED',
      'INVALID',
    ],
    [
      'an object that is missing',
      { code: 404, reason: 'NotFound', message: 'pods "x" not found', details: { name: 'x', kind: 'pods' } },
      'FAILED',
      'NOT_FOUND',
    ],
    [
      'a namespace that is missing',
      {
        code: 404,
        reason: 'NotFound',
        message: 'namespaces "shop" not found',
        details: { name: 'shop', kind: 'namespaces' },
      },
      'FAILED',
      'NOT_FOUND',
    ],
    [
      'a path that is missing',
      {
        code: 404,
        reason: 'NotFound',
        message: 'the server could not find the requested resource',
        details: {},
      },
      'FAILED',
      'NOT_SERVED',
    ],
    [
      'a name that is taken',
      { code: 409, reason: 'AlreadyExists', message: 'pods "x" already exists' },
      'CONFLICT',
      'ALREADY_EXISTS',
    ],
    [
      'another version',
      { code: 409, reason: 'Conflict', message: 'the object has been modified' },
      'CONFLICT',
      'CONFLICT',
    ],
    ['a field that is wrong', { code: 422, reason: 'Invalid', message: 'no' }, 'FAILED', 'INVALID'],
    [
      'a field that is not there',
      { code: 400, reason: 'BadRequest', message: 'strict decoding error' },
      'FAILED',
      'INVALID',
    ],
    [
      'a verb that is not there',
      { code: 405, reason: 'MethodNotAllowed', message: 'no' },
      'FAILED',
      'NOT_SUPPORTED',
    ],
    ['a teapot', { code: 418, message: 'no' }, 'FAILED', 'FAILED'],
  ])('is told as what it is: %s', (_what, status, outcome, code) => {
    expect(writeFailure(api(status), { wrote: true })).toMatchObject({
      outcome,
      error: { code, mayHaveBeenApplied: false, policy: null },
    })
  })

  it('names the fields at fault, and no address', () => {
    const causes = [
      { field: 'spec.replicas', reason: 'FieldValueInvalid', message: 'Invalid value: -1' },
      { message: 'Post "https://10.0.0.1:443/x": refused' },
    ]
    const error = api({ code: 422, message: 'dial tcp 10.0.0.1:443', details: { causes } })
    const failure = writeFailure(error, { wrote: true })
    expect(failure?.error.causes[0]).toEqual(causes[0])
    expect(failure?.error.causes[1]).toMatchObject({ field: null, reason: null })
    expect(JSON.stringify(failure)).not.toContain('10.0.0.1')
  })

  it('says whose fields are in the way of an apply, and what helps', () => {
    const cause = (field: string, manager: string) => ({
      reason: 'FieldManagerConflict',
      message: `conflict with "${manager}" using apps/v1`,
      field,
    })
    const causes = [
      cause('.spec.replicas', 'hpa'),
      ...Array.from({ length: 6 }, (_, i) => cause(`.f${i}`, 'helm')),
    ]
    const failure = writeFailure(api({ code: 409, reason: 'Conflict', details: { causes } }), { wrote: true })
    expect(failure).toMatchObject({ outcome: 'CONFLICT', error: { code: 'CONFLICT' } })
    expect(failure?.error.message).toBe(
      '.spec.replicas, .f0, .f1, .f2, .f3 and 2 more: owned by hpa, helm, with another value. ' +
        'Leave these fields out, or take them over with `force`.',
    )
    expect(failure?.error.causes).toHaveLength(7)
  })

  it('tells each of the fields that an apply may not have', () => {
    const message =
      'failed to create typed patch object (shop/x; apps/v1, Kind=Deployment): errors:\n' +
      '  .spec.template.spec.containers[name="a"].imge: field not declared in schema\n' +
      '  .spec.template.spec.containers: duplicate entries for key [name="a"]'
    expect(writeFailure(api({ code: 500, message }), { wrote: true })).toMatchObject({
      outcome: 'FAILED',
      error: {
        code: 'INVALID',
        mayHaveBeenApplied: false,
        causes: [
          { field: 'spec.template.spec.containers[name="a"].imge', message: 'field not declared in schema' },
          { field: 'spec.template.spec.containers', message: 'duplicate entries for key [name="a"]' },
        ],
      },
    })
  })

  it('says when to come again', () => {
    expect(writeFailure(api({ code: 429, message: 'later' }, 1_500), { wrote: true })).toMatchObject({
      outcome: 'FAILED',
      error: { retryAfterSeconds: 2, mayHaveBeenApplied: false },
    })
  })

  it.each([
    [500, 'x', true],
    [502, 'x', true],
    [503, 'the server is currently unable to handle the request', false],
    [503, 'error trying to reach service: EOF', true],
    [504, 'x', true],
  ])('says of a %i (%s) whether it may have been done: %s', (code, message, mayHaveBeenApplied) => {
    const error = api({ code, message })
    expect(writeFailure(error, { wrote: true })?.error.mayHaveBeenApplied).toBe(mayHaveBeenApplied)
    expect(writeFailure(error, { wrote: false })?.error.mayHaveBeenApplied).toBe(false)
  })
})

describe('what is not answered', () => {
  it.each([
    ['UNREACHABLE', false, 'UNREACHABLE', false],
    ['TIMEOUT', false, 'TIMEOUT', false],
    ['TIMEOUT', true, 'TIMEOUT', true],
    ['RESET', true, 'UNREACHABLE', true],
    ['TLS', false, 'UNREACHABLE', false],
    ['CLOSED', true, 'UNREACHABLE', true],
  ] as const)('%s, sent: %s', (code, sent, told, mayHaveBeenApplied) => {
    const error = new TransportError(code, 'https://10.0.0.1:6443 is away', new Error('x'), sent)
    const failure = writeFailure(error, { wrote: true })
    expect(failure).toMatchObject({ outcome: 'UNREACHABLE', error: { code: told, mayHaveBeenApplied } })
    expect(failure?.error.message).not.toContain('10.0.0.1')
    expect(writeFailure(error, { wrote: false })?.error.mayHaveBeenApplied).toBe(false)
  })

  it('is no failure of a cluster where it is a bug, or a signal', () => {
    expect(writeFailure(new TypeError('x'), { wrote: true })).toBeUndefined()
    expect(writeFailure(new DOMException('x', 'AbortError'), { wrote: true })).toBeUndefined()
  })
})

describe('a 404', () => {
  const missing = (details: Status['details']) =>
    api({ code: 404, reason: 'NotFound', ...(details && { details }) })

  it('is of a namespace, of an object, or of a path', () => {
    expect(missingNamespace(missing({ kind: 'namespaces', name: 'shop' }))).toBe('shop')
    expect(missingNamespace(missing({ kind: 'pods', name: 'x' }))).toBeUndefined()
    expect(isMissingPath(missing({ kind: 'pods', name: 'x' }))).toBe(false)
    expect(isMissingPath(missing({}))).toBe(true)
    expect(isMissingPath(missing(undefined))).toBe(true)
  })
})
