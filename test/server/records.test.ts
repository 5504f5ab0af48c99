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

  it('says where the input of a mutation was wrong, and nothing of what was in it', () => {
    const records: AuditNote[] = []
    const log = new Records({ record: (record) => void records.push(record) }, new FakeClock())
    const subject = () => ({ viewer: alice, caller: undefined, ...NO_DOCUMENT, startedAt: null })
    const message = '"12345678901234567890" is no number that can be kept exactly'
    const extensions = { code: 'BAD_USER_INPUT', argument: 'input.manifest' }
    const refused = new GraphQLError('There is no operation "x" of yours.', {
      extensions: { code: 'OPERATION_NOT_FOUND' },
    })
    const errors = [new GraphQLError(message, { extensions }), refused]
    log.executed(OperationTypeNode.MUTATION, {}, errors, subject)
    expect(records).toMatchObject([
      {
        type: 'MUTATION',
        outcome: 'FAILED',
        message: 'The input is wrong at input.manifest.; There is no operation "x" of yours.',
      },
    ])
  })

  it('tells of a stream that shows less of which clusters, and of whom', () => {
    const records: AuditNote[] = []
    const log = new Records({ record: (record) => void records.push(record) }, new FakeClock())
    log.lost(['west', 'east'], { viewer: alice, caller: undefined, ...NO_DOCUMENT, startedAt: null })
    expect(records).toMatchObject([
      { type: 'DENIED', outcome: 'DENIED', clusters: ['east', 'west'], user: { name: 'alice' } },
    ])
  })
})
