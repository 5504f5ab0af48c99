/** `auditEvents`: who may read audit records, which, and as they come. */
import { execute, parse, subscribe, validate, type GraphQLFormattedError } from 'graphql'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { AuditNote } from '../../src/access/audit/audit.ts'
import { AuditTrail } from '../../src/access/audit/audit-trail.ts'
import { AuthorizedFleet } from '../../src/access/authorized-fleet.ts'
import { everything } from '../../src/access/policy.ts'
import { viewerOf, type Viewer } from '../../src/access/viewer.ts'
import { createContext } from '../../src/graph/context.ts'
import { createSchema } from '../../src/graph/schema.ts'
import { FakeClock, settled } from '../support/fake-clock.ts'
import { FakeFleet } from '../support/fake-fleet.ts'

const auditor = viewerOf({ name: 'olga', groups: ['auditors'] })
const ada = viewerOf({ name: 'ada', groups: ['dev'] })

function note(about: Partial<AuditNote> = {}): AuditNote {
  return {
    type: 'MUTATION',
    user: { name: 'ada', groups: ['dev'], issuer: 'https://login.example' },
    remoteAddress: '192.0.2.7',
    operationName: 'Scale',
    operationHash: 'c0ffee',
    clusters: ['east'],
    outcome: 'ALLOWED',
    message: 'deployments/scale shop/web',
    latencyMs: 12.5,
    correlationId: 'r-1',
    ...about,
  }
}

function fixture(viewer: Viewer | (() => Viewer)) {
  const clock = new FakeClock(1_800_000_000_000)
  const trail = new AuditTrail({
    clock,
    onProblem: () => {},
    entries: 100,
    readerUsers: [],
    readerGroups: ['auditors'],
  })
  onTestFinished(() => trail.close())
  const view = new AuthorizedFleet(new FakeFleet(), viewer, everything)
  const stop = new AbortController()
  const request = (document: string, variables: Record<string, unknown> = {}) => {
    const schema = createSchema()
    const source = parse(document)
    expect(validate(schema, source)).toEqual([])
    const contextValue = createContext(view, stop.signal, clock, { audit: trail.readerFor(viewer) })
    return { schema, document: source, variableValues: variables, contextValue }
  }
  return {
    trail,
    clock,
    view,
    stop,
    ask: async (document: string, variables?: Record<string, unknown>) => {
      const result = await execute(request(document, variables))
      // oxlint-disable-next-line typescript/no-explicit-any -- tests read answers of any shape.
      return JSON.parse(JSON.stringify(result)) as { data: any; errors?: GraphQLFormattedError[] }
    },
    follow: (document: string) => subscribe(request(document)),
  }
}

const LIST = `query ($first: Int, $after: String, $filter: AuditEventFilter) {
  auditEvents(first: $first, after: $after, filter: $filter) {
    nodes { correlationId }
    edges { cursor node { id } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    problem
  }
}`

describe('auditEvents', () => {
  it('show everything that a record holds', async () => {
    const { trail, ask } = fixture(auditor)
    trail.record(note())
    const { data } = await ask(
      '{ auditEvents { nodes { id time type outcome user { name groups issuer } remoteAddress operationName operationHash clusters message latencyMs correlationId count } } }',
    )
    expect(data.auditEvents.nodes).toEqual([
      {
        id: '1800000000000-0',
        time: '2027-01-15T08:00:00.000Z',
        type: 'MUTATION',
        outcome: 'ALLOWED',
        user: { name: 'ada', groups: ['dev'], issuer: 'https://login.example' },
        remoteAddress: '192.0.2.7',
        operationName: 'Scale',
        operationHash: 'c0ffee',
        clusters: ['east'],
        message: 'deployments/scale shop/web',
        latencyMs: 12.5,
        correlationId: 'r-1',
        count: 1,
      },
    ])
  })

  it('are paged, newest first', async () => {
    const { trail, ask } = fixture(auditor)
    for (let i = 0; i < 5; i++) trail.record(note({ correlationId: `r-${i}` }))
    const pages: string[][] = []
    let after: string | null = null
    for (;;) {
      const { data } = await ask(LIST, { first: 2, after })
      const { nodes, edges, pageInfo } = data.auditEvents
      pages.push(nodes.map(({ correlationId }: { correlationId: string }) => correlationId))
      expect(pageInfo.startCursor).toBe(edges[0].cursor)
      expect(pageInfo.hasPreviousPage).toBe(after !== null)
      if (!pageInfo.hasNextPage) break
      expect(pageInfo.endCursor).toBe(edges.at(-1).cursor)
      after = pageInfo.endCursor
    }
    expect(pages).toEqual([['r-4', 'r-3'], ['r-2', 'r-1'], ['r-0']])
  })

  it('are filtered', async () => {
    const { trail, ask, clock } = fixture(auditor)
    trail.record(note({ correlationId: 'old', clusters: ['west'] }))
    await clock.advance(60_000)
    trail.record(note({ correlationId: 'denied', type: 'DENIED', outcome: 'DENIED' }))
    trail.record(note({ correlationId: 'nobody', type: 'SIGN_IN_FAILED', outcome: 'DENIED', user: null }))
    const found = async (filter: object) =>
      (await ask(LIST, { filter })).data.auditEvents.nodes.map(
        ({ correlationId }: { correlationId: string }) => correlationId,
      )
    expect(await found({ types: ['DENIED', 'MUTATION'] })).toEqual(['denied', 'old'])
    expect(await found({ users: ['ada'], outcome: 'DENIED' })).toEqual(['denied'])
    expect(await found({ clusters: ['west'] })).toEqual(['old'])
    expect(await found({ since: '2027-01-15T08:00:30Z' })).toEqual(['nobody', 'denied'])
    expect(await found({ until: '2027-01-15T08:00:30Z' })).toEqual(['old'])
  })

  it('are for nobody who is not named, who is told where that is set', async () => {
    const { trail, ask, follow, view } = fixture(ada)
    trail.record(note())
    const { data, errors } = await ask('{ auditEvents { nodes { id } } }')
    expect(data).toEqual({ auditEvents: null })
    expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }])
    expect(errors?.[0]?.message).toContain('audit.readerGroups')
    expect(view.reads.privileged).toEqual(['audit records'])
    expect(await follow('subscription { auditEvents { id } }')).toMatchObject({
      errors: [{ extensions: { code: 'FORBIDDEN' } }],
    })
  })

  it('are asked for with the cursor of a record', async () => {
    const { ask } = fixture(auditor)
    expect((await ask(LIST, { after: '+' })).errors).toMatchObject([
      { extensions: { code: 'BAD_USER_INPUT', argument: 'after' } },
    ])
    expect((await ask(LIST, { first: 501 })).errors).toMatchObject([
      { extensions: { code: 'BAD_USER_INPUT', argument: 'first' } },
    ])
  })

  it('are never kept as an answer, and reading them is on record itself', async () => {
    const { ask, view } = fixture(auditor)
    await ask('{ auditEvents { nodes { id } } }')
    expect(view.reads.unchanged()).toBe(false)
    expect(view.reads.privileged).toEqual(['audit records'])
  })

  it('are followed by who was renewed to somebody who may not read them no longer', async () => {
    let viewer = auditor
    const { trail, follow } = fixture(() => viewer)
    const stream = await follow('subscription { auditEvents { correlationId } }')
    if (!(Symbol.asyncIterator in stream)) throw new Error('The subscription did not begin.')
    const first = stream.next()
    await settled()
    trail.record(note({ correlationId: 'a' }))
    expect(await first).toMatchObject({ value: { data: { auditEvents: { correlationId: 'a' } } } })
    const second = stream.next()
    viewer = ada
    trail.record(note({ correlationId: 'b' }))
    await expect(second).rejects.toMatchObject({ extensions: { code: 'FORBIDDEN' } })
  })

  it('are followed as they come, until the request ends', async () => {
    const { trail, follow, stop } = fixture(auditor)
    const stream = await follow(
      'subscription { auditEvents(filter: { types: [DENIED] }) { correlationId user { name } } }',
    )
    if (!(Symbol.asyncIterator in stream)) throw new Error('The subscription did not begin.')
    const first = stream.next()
    await settled()
    trail.record(note({ correlationId: 'other' }))
    trail.record(note({ correlationId: 'denied', type: 'DENIED', user: null }))
    expect(await first).toMatchObject({
      value: { data: { auditEvents: { correlationId: 'denied', user: null } } },
    })
    const second = stream.next()
    stop.abort()
    expect(await second).toMatchObject({ done: true })
  })
})
