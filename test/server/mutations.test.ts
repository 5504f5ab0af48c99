/** Mutations that take their time: what is recorded of them, also where nobody waits for the answer any more. */
import { GraphQLNonNull, GraphQLObjectType, GraphQLSchema, GraphQLString } from 'graphql'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { AuditNote } from '../../src/access/audit/audit.ts'
import { everything } from '../../src/access/policy.ts'
import { Reads } from '../../src/access/reads.ts'
import { viewerOf } from '../../src/access/viewer.ts'
import type { Limits } from '../../src/server/limits.ts'
import { silent } from '../../src/server/logger.ts'
import { startServer, type RunningServer } from '../../src/server/server.ts'
import { eventually } from '../support/eventually.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { RawClient } from './websocket-client.ts'

interface Context {
  readonly fleet: { readonly reads: Reads }
  readonly signal: AbortSignal
}

/** A change under way, which goes on whatever becomes of whoever asked for it. */
interface UnderWay {
  readonly signal: AbortSignal
  end(outcome: 'UPDATED' | 'FORBIDDEN' | 'FAILED'): void
  break(): void
}

let underWay: UnderWay[]
let reads: Reads
let records: AuditNote[]
let server: RunningServer
let clock: FakeClock

const VERDICTS = { UPDATED: 'ALLOWED', FORBIDDEN: 'DENIED', FAILED: 'FAILED' } as const

const schema = new GraphQLSchema({
  query: new GraphQLObjectType({ name: 'Query', fields: { name: { type: GraphQLString } } }),
  mutation: new GraphQLObjectType({
    name: 'Mutation',
    fields: {
      scale: {
        type: new GraphQLNonNull(GraphQLString),
        // So that it costs something.
        extensions: { live: true },
        args: { secret: { type: GraphQLString } },
        resolve: (_source, _args, { fleet, signal }: Context) =>
          new Promise((resolve, reject) => {
            underWay.push({
              signal,
              end: (outcome) => {
                const what = 'scale Deployment shop/web to 3'
                const verdict = VERDICTS[outcome]
                fleet.reads.noteWritten({ cluster: 'east', what, outcome, verdict, dryRun: false })
                resolve(outcome)
              },
              break: () => reject(new TypeError('a bug')),
            })
          }),
      },
    },
  }),
})

beforeEach(async () => {
  underWay = []
  records = []
  clock = new FakeClock()
  server = await start({})
})

function start(limits: Partial<Limits>): Promise<RunningServer> {
  return startServer({
    schema,
    clock,
    policy: everything,
    fleet: { clusters: [] },
    access: {
      authenticate: () => viewerOf({ name: 'ann', groups: [] }, { method: 'TOKEN', issuer: 'zoo' }),
      onEnd: () => () => undefined,
      contextFor: (_viewer, signal): Context => ({ fleet: { reads: (reads = new Reads()) }, signal }),
    },
    audit: { record: (note) => void records.push(note) },
    logger: silent,
    options: { port: 0, limits: { timeoutMs: 10_000, requestsPerUser: 1, ...limits } },
  })
}

afterEach(async () => {
  await server.close({ graceMs: 0 })
})

const MUTATION = 'mutation Scale($secret: String) { scale(secret: $secret) }'
const variables = { secret: 'hunter2' }

async function begun(count = 1): Promise<UnderWay> {
  await eventually(() => expect(underWay).toHaveLength(count))
  return underWay.at(-1)!
}

function post(init: RequestInit = {}, accept = 'application/json'): Promise<Response> {
  return fetch(`${server.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept },
    body: JSON.stringify({ query: MUTATION, variables }),
    ...init,
  })
}

const written = (outcome: keyof typeof VERDICTS) => ({
  type: 'MUTATION',
  outcome: VERDICTS[outcome],
  clusters: ['east'],
  message: `scale Deployment shop/web to 3: east ${outcome}`,
  user: { name: 'ann', groups: [], issuer: 'zoo' },
  operationName: 'Scale',
  operationHash: expect.stringMatching(/^[0-9a-f]{64}$/),
  latencyMs: 0,
})

describe('a mutation', () => {
  it('costs what it makes the clusters do, and not only what is asked for', async () => {
    await server.close({ graceMs: 0 })
    server = await start({ costPerMinute: 10_000 })
    for (const count of [1, 1_000]) {
      const asked = post()
      const change = await begun(underWay.length + 1)
      expect(reads.takeRoom(count)).toBe(true)
      change.end('UPDATED')
      expect(await (await asked).json()).toMatchObject({ data: { scale: 'UPDATED' } })
    }
    expect(await (await post()).json()).toMatchObject({
      errors: [{ extensions: { code: 'RATE_LIMITED', limit: 'costPerMinute' } }],
    })
  })

  it('is recorded with what was written and what came of it, and nothing of its variables', async () => {
    for (const outcome of ['UPDATED', 'FORBIDDEN', 'FAILED'] as const) {
      const asked = post()
      const change = await begun(underWay.length + 1)
      change.end(outcome)
      expect(await (await asked).json()).toMatchObject({ data: { scale: outcome } })
      expect(records.splice(0)).toMatchObject([written(outcome)])
    }
    expect(JSON.stringify(records)).not.toContain('hunter2')
  })

  it('is recorded as failed where it broke', async () => {
    const asked = post()
    ;(await begun()).break()
    await (await asked).text()
    expect(records).toMatchObject([{ type: 'MUTATION', outcome: 'FAILED', message: 'Internal error' }])
  })

  it('is recorded as it came out where its client left before, over each transport', async () => {
    const client = await RawClient.connected(server.url)
    const leaves: readonly (() => () => void)[] = [
      ...['application/json', 'text/event-stream'].map((accept) => () => {
        const controller = new AbortController()
        post({ signal: controller.signal }, accept)
          .then((response) => response.text())
          .catch(() => undefined)
        return () => controller.abort()
      }),
      () => {
        client.subscribe('1', MUTATION, variables)
        return () => client.send({ id: '1', type: 'complete' })
      },
      () => {
        client.subscribe('2', MUTATION, variables)
        return () => client.ws.terminate()
      },
    ]
    for (const ask of leaves) {
      const leave = ask()
      const change = await begun(underWay.length + 1)
      expect(records).toEqual([])
      leave()
      await eventually(() => expect(change.signal.reason).toMatchObject({ code: 'CLIENT_CLOSED' }))
      // It has its place for as long as it goes on.
      expect(server.load.requests).toBe(1)
      change.end('FORBIDDEN')
      await eventually(() => expect(records).toHaveLength(1))
      expect(records.splice(0)).toMatchObject([written('FORBIDDEN')])
      await eventually(() => expect(server.load.requests).toBe(0))
    }
  })

  it('is recorded as it came out where it took longer than its request may', async () => {
    const asked = post()
    const change = await begun()
    await clock.advance(11_000)
    expect(await (await asked).json()).toMatchObject({ errors: [{ extensions: { code: 'TIMEOUT' } }] })
    expect(change.signal.reason).toMatchObject({ code: 'TIMEOUT' })
    change.end('UPDATED')
    await eventually(() => expect(records).toHaveLength(1))
    expect(records).toMatchObject([{ ...written('UPDATED'), latencyMs: 11_000 }])
  })

  it('is not begun where its user has no place for it, and is not recorded as one', async () => {
    const first = post()
    const change = await begun()
    const refused = await post()
    expect(refused.status).toBe(429)
    expect(await refused.json()).toMatchObject({ errors: [{ extensions: { limit: 'requestsPerUser' } }] })
    expect(await (await post({}, 'text/event-stream')).text()).toContain('LIMIT_EXCEEDED')
    expect(underWay).toHaveLength(1)
    expect(records.map(({ type }) => type)).toEqual(['REFUSED', 'REFUSED'])
    change.end('UPDATED')
    expect((await first).status).toBe(200)
  })

  it('is executed neither by GET nor in a batch', async () => {
    const search = new URLSearchParams({ query: MUTATION })
    const get = await fetch(`${server.url}/graphql?${search}`, { headers: { 'x-fleetgraph-csrf': '1' } })
    expect(get.status).toBe(405)
    const query = { query: MUTATION }
    const batch = await post({ body: JSON.stringify([query, query]) })
    expect(batch.status).toBe(400)
    expect(underWay).toEqual([])
  })
})
