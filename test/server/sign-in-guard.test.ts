/** What stands before access control: who is looked at, and who is not, after others have failed. */
import { describe, expect, it } from 'vitest'
import type { AuditNote } from '../../src/access/audit/audit.ts'
import type { Credentials } from '../../src/access/authentication/authenticator.ts'
import { viewerOf } from '../../src/access/viewer.ts'
import { RateLimits } from '../../src/server/rate-limits.ts'
import { Records } from '../../src/server/records.ts'
import { guardSignIns } from '../../src/server/sign-in-guard.ts'
import { FakeClock, settled } from '../support/fake-clock.ts'
import { zooAccess } from './zoo.ts'

const ada = viewerOf({ name: 'ada', groups: [] }, { method: 'TOKEN', issuer: 'zoo' })

function fixture(limits: { requestsPerMinute?: number } = {}) {
  const clock = new FakeClock()
  const records: AuditNote[] = []
  const access = {
    ...zooAccess(),
    known: ({ headers }: Credentials) => (headers.authorization === 'ada' ? ada : undefined),
  }
  const rates = new RateLimits({
    limits: {
      requestsPerMinute: 100,
      refusedRequestWeight: 10,
      costPerMinute: 1_000,
      signInFailuresPerMinute: 5,
      ...limits,
    },
    clock,
  })
  const guard = guardSignIns(access, {
    rates,
    records: new Records({ record: (note) => void records.push(note) }, clock),
  })
  const from = (remoteAddress: string, authorization: string) => ({
    headers: { authorization },
    rawHeaders: [],
    remoteAddress,
  })
  const fail = async (remoteAddress: string) => {
    expect(() => guard.authenticate(from(remoteAddress, 'bad'))).toThrow()
    await settled()
  }
  return { clock, records, rates, guard, from, fail }
}

describe('from where too many sign-ins have failed', () => {
  it('only those are let in who have signed in before, and each refusal is recorded', async () => {
    const { guard, from, fail, records } = fixture()
    for (let i = 0; i < 8; i++) await fail('192.0.2.7')
    expect(guard.authenticate(from('192.0.2.7', 'ada'))).toMatchObject({ user: { name: 'ada' } })
    expect(guard.refusal?.(from('192.0.2.7', 'ada'))).toBeUndefined()
    expect(() => guard.authenticate(from('192.0.2.7', 'eve'))).toThrow('Too many sign-ins')
    expect(guard.refusal?.(from('192.0.2.7', 'eve'))).toMatchObject({ extensions: { code: 'RATE_LIMITED' } })
    expect(guard.refusal?.(from('192.0.2.8', 'eve'))).toBeUndefined()
    expect(records.at(-1)).toMatchObject({
      type: 'REFUSED',
      user: null,
      remoteAddress: '192.0.2.7',
      // Without a time, by which each would be another one.
      message: 'Too many sign-ins from this address have failed.',
    })
  })

  it('is everywhere, nobody who has signed in before is locked out', async () => {
    const { guard, from, rates } = fixture()
    const network = (i: number) => `2001:db8:${(i >> 8).toString(16)}:${(i & 255).toString(16)}::1`
    for (let i = 0; i < 50_000; i++) rates.signInFailed(network(i))
    for (let i = 50_000; i < 50_010; i++) {
      rates.signInFailed(network(i))
      await settled()
    }
    expect(() => guard.authenticate(from('198.51.100.1', 'eve'))).toThrow('Too many sign-ins')
    expect(guard.authenticate(from('198.51.100.1', 'ada'))).toMatchObject({ user: { name: 'ada' } })
  })
})

describe('a user who sends too many requests', () => {
  it('is refused at once while the wait lasts, and nobody else is', async () => {
    const { guard, from, rates, clock } = fixture({ requestsPerMinute: 10 })
    const refusal = (token: string) => guard.refusal?.(from('192.0.2.7', token))?.extensions['limit']
    for (let i = 0; i < 10; i++) {
      expect(refusal('ada')).toBeUndefined()
      expect(rates.request(ada)).toBe(0)
      await settled()
    }
    expect(rates.request(ada)).toBeGreaterThan(0)
    expect(refusal('ada')).toBe('requestsPerMinute')
    expect(refusal('bob')).toBeUndefined()
    await clock.advance(60_000)
    expect(refusal('ada')).toBeUndefined()
  })
})
