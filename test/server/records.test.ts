import { GraphQLError, OperationTypeNode } from 'graphql'
import { describe, expect, it } from 'vitest'
import type { AuditNote } from '../../src/access/audit/audit.ts'
import { viewerOf } from '../../src/access/viewer.ts'
import { NO_DOCUMENT, Records } from '../../src/server/records.ts'
import { FakeClock } from '../support/fake-clock.ts'

const alice = viewerOf({ name: 'alice', groups: [] })

describe('what is recorded of a request', () => {
  it('names all that was read, in as many records as it takes', () => {
    const records: AuditNote[] = []
    const log = new Records({ record: (record) => void records.push(record) }, new FakeClock())
    const privileged = Array.from({ length: 500 }, (_, i) => `log of pod shop/web-${i} in c${i % 3}`)
    const subject = () => ({ viewer: alice, caller: undefined, ...NO_DOCUMENT, startedAt: null })
    log.executed(OperationTypeNode.QUERY, { privileged }, undefined, subject)
    expect(records.flatMap(({ message }) => message!.split('; '))).toEqual(privileged)
    expect(records.every(({ message }) => message!.length <= 2_000)).toBe(true)
    expect(records[0]?.clusters).toEqual(['c0', 'c1', 'c2'])
  })

  it('says that it was denied where it was, and not that it failed', () => {
    const records: AuditNote[] = []
    const log = new Records({ record: (record) => void records.push(record) }, new FakeClock())
    const subject = () => ({ viewer: alice, caller: undefined, ...NO_DOCUMENT, startedAt: null })
    const error = (code: string) => new GraphQLError('You may not.', { extensions: { code } })
    const read = { privileged: ['audit records'] }
    log.executed(OperationTypeNode.SUBSCRIPTION, read, [error('FORBIDDEN')], subject)
    log.executed(OperationTypeNode.SUBSCRIPTION, read, [error('INTERNAL')], subject)
    log.ended(error('FORBIDDEN'), subject)
    log.ended(error('STREAM_ENDED'), subject)
    expect(records.map(({ type, outcome }) => [type, outcome])).toEqual([
      ['PRIVILEGED_READ', 'DENIED'],
      ['PRIVILEGED_READ', 'FAILED'],
      ['DENIED', 'DENIED'],
    ])
  })
})
