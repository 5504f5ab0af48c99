/** `@atLeast`: when a query waits, for how long, and what its answer says. */
import { GraphQLSchema, specifiedDirectives } from 'graphql'
import { afterEach, describe, expect, it } from 'vitest'
import { everything, type Policy } from '../../src/access/policy.ts'
import { viewerOf } from '../../src/access/viewer.ts'
import { Freshness } from '../../src/events/freshness.ts'
import { encodePosition } from '../../src/events/position.ts'
import { AT_LEAST } from '../../src/graph/at-least.ts'
import { RequestAborted } from '../../src/server/answer-errors.ts'
import { Executor, type Answer } from '../../src/server/execution.ts'
import { silent } from '../../src/server/logger.ts'
import type { GraphQLRequest } from '../../src/server/request.ts'
import { eventually } from '../support/eventually.ts'
import { FakeClock, settled } from '../support/fake-clock.ts'
import { FakeCluster, FakeFleet } from '../support/fake-fleet.ts'
import { zooServer, type ZooServer } from './support.ts'
import { RawClient } from './websocket-client.ts'
import { zoo, zooContext, type ZooContext } from './zoo.ts'

const schema = new GraphQLSchema({ ...zoo.toConfig(), directives: [...specifiedDirectives, AT_LEAST] })
const ann = viewerOf({ name: 'ann', groups: [] })

/** The cluster is at version 100. */
function fleetAt100(): { readonly fleet: FakeFleet; readonly reach: (version: string) => void } {
  const east = new FakeCluster('east').load('Deployment', [])
  return {
    fleet: new FakeFleet(east),
    reach: (resourceVersion) => east.apply('Deployment', { type: 'Bookmark', resourceVersion }),
  }
}

function cursorAt(version: string): string {
  return encodePosition(['Deployment'], [['east', [version]]])
}

function setup() {
  const { fleet, reach } = fleetAt100()
  const clock = new FakeClock()
  const freshness = new Freshness(fleet, clock)
  const executor = new Executor({
    schema,
    logger: silent,
    clock,
    rightsKey: ({ user }) => user.name,
    reach: (_viewer, { cursor, timeoutMs, signal }) => freshness.reach(cursor, timeoutMs, signal),
  })
  const contexts: ZooContext[] = []
  const left = new AbortController()
  const context = () => {
    const context = zooContext()
    contexts.push(context)
    return context
  }
  const answer = (request: GraphQLRequest) =>
    executor.answer(request, { viewer: ann, context, sharedContext: context, signal: left.signal })
  return { answer, clock, reach, executor, contexts, left, context }
}

const QUERY = `query ($cursor: String, $timeoutMs: Int) @atLeast(cursor: $cursor, timeoutMs: $timeoutMs) {
  animals(first: 1) { id }
}`

interface Told {
  readonly data?: unknown
  readonly errors?: readonly { readonly message: string; readonly extensions: object }[]
  readonly extensions?: { readonly atLeast?: unknown }
}

async function told(answer: Answer | Promise<Answer>): Promise<Told> {
  return JSON.parse(String((await answer).body)) as Told
}

const DATA = { animals: [{ id: 'a0' }] }

describe('a query with @atLeast', () => {
  it('is answered at once where memory is so far, and says so', async () => {
    const { answer, clock } = setup()
    const now = answer({ query: QUERY, variables: { cursor: cursorAt('100') } })
    expect(now).not.toBeInstanceOf(Promise)
    expect(await told(now)).toMatchObject({
      data: DATA,
      extensions: { atLeast: { reached: true, behind: [] } },
    })
    expect(clock.pending).toBe(0)
  })

  it('is executed only when memory is so far', async () => {
    const { answer, clock, reach, contexts } = setup()
    const later = answer({ query: QUERY, variables: { cursor: cursorAt('101') } })
    await settled()
    expect(contexts).toEqual([])
    reach('101')
    expect(await told(later)).toMatchObject({
      data: DATA,
      extensions: { atLeast: { reached: true, behind: [] }, cost: { requested: expect.any(Number) } },
    })
    expect(clock.pending).toBe(0)
  })

  it('takes its arguments as literals as well, and waits for 5 s by default', async () => {
    const { answer, clock } = setup()
    const query = `query @atLeast(cursor: "${cursorAt('101')}") { animals(first: 1) { id } }`
    const later = answer({ query })
    await clock.advance(4_999)
    expect(clock.pending).toBe(1)
    await clock.advance(1)
    expect(await told(later)).toMatchObject({
      data: DATA,
      extensions: { atLeast: { reached: false, behind: ['east'] } },
    })
  })

  it('waits for as long as it says', async () => {
    const { answer, clock, contexts } = setup()
    const later = answer({ query: QUERY, variables: { cursor: cursorAt('101'), timeoutMs: 30_000 } })
    await clock.advance(29_999)
    expect(contexts).toEqual([])
    await clock.advance(1)
    expect(await told(later)).toMatchObject({ extensions: { atLeast: { reached: false } } })
    const now = answer({ query: QUERY, variables: { cursor: cursorAt('101'), timeoutMs: 0 } })
    expect(await told(now)).toMatchObject({ extensions: { atLeast: { reached: false } } })
  })

  it('waits for nothing where the cursor is null or left out', async () => {
    const { answer } = setup()
    for (const variables of [{ cursor: null }, {}]) {
      expect(await told(answer({ query: QUERY, variables }))).toMatchObject({
        data: DATA,
        extensions: { atLeast: { reached: true, behind: [] } },
      })
    }
  })

  it('is refused with a cursor that is none, or with too long a wait', async () => {
    const { answer, contexts, executor, context } = setup()
    const refusals = [
      [{ cursor: 'no cursor' }, 'cursor'],
      [{ cursor: cursorAt('100').slice(0, -3) }, 'cursor'],
      [{ cursor: cursorAt('100'), timeoutMs: 30_001 }, 'timeoutMs'],
      [{ cursor: cursorAt('100'), timeoutMs: -1 }, 'timeoutMs'],
    ] as const
    for (const [variables, argument] of refusals) {
      const { data, errors } = await told(answer({ query: QUERY, variables }))
      expect(data).toBeUndefined()
      expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', argument } }])
      expect(errors?.[0]?.message).toContain(argument)
      const asker = { viewer: ann, context, sharedContext: context }
      expect(await executor.execute({ query: QUERY, variables }, asker)).toMatchObject({
        errors: [{ extensions: { code: 'BAD_USER_INPUT', argument } }],
      })
    }
    expect(contexts).toEqual([])
  })

  it('shares its answer with all that wait for something else, and is told what is wrong all the same', async () => {
    const { answer, contexts, reach } = setup()
    const ask = (cursor: unknown) => told(answer({ query: QUERY, variables: { cursor } }))
    await ask(cursorAt('98'))
    await ask(cursorAt('99'))
    expect(contexts).toHaveLength(2)
    reach('105')
    expect(await ask(cursorAt('105'))).toMatchObject({
      data: DATA,
      extensions: { atLeast: { reached: true } },
    })
    expect(contexts).toHaveLength(2)
    expect(await ask({})).toMatchObject({ errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] })
    expect(await ask('broken')).toMatchObject({ errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] })
  })

  it('keeps apart answers of which a variable says more than for what they wait', async () => {
    const { answer } = setup()
    const query = `query ($cursor: String, $first: Int) @atLeast(cursor: $cursor, timeoutMs: $first) {
      animals(first: $first) { id }
    }`
    for (const first of [1, 2, 1, 2, 1, 2]) {
      const { data } = await told(answer({ query, variables: { cursor: null, first } }))
      expect((data as typeof DATA).animals).toHaveLength(first)
    }
  })

  it('gives an answer that is behind to nobody else', async () => {
    const { answer, reach } = setup()
    const ask = (version: string) =>
      told(answer({ query: QUERY, variables: { cursor: cursorAt(version), timeoutMs: 0 } }))
    for (let time = 0; time < 3; time++) {
      expect(await ask('105')).toMatchObject({
        extensions: { atLeast: { reached: false, behind: ['east'] } },
      })
      expect(await ask('100')).toMatchObject({ extensions: { atLeast: { reached: true, behind: [] } } })
    }
    reach('105')
    expect(await ask('105')).toMatchObject({ extensions: { atLeast: { reached: true, behind: [] } } })
  })

  it('is not executed where its client has gone, and is where its time is up', async () => {
    for (const code of ['CLIENT_CLOSED', 'TIMEOUT', 'SHUTTING_DOWN'] as const) {
      const { answer, clock, contexts, left } = setup()
      const later = answer({ query: QUERY, variables: { cursor: cursorAt('101') } })
      left.abort(new RequestAborted(code, 'enough'))
      if (code === 'CLIENT_CLOSED') {
        await expect(later).rejects.toMatchObject({ code })
        expect(contexts).toEqual([])
      } else {
        expect(await told(later)).toMatchObject({
          data: DATA,
          extensions: { atLeast: { reached: false, behind: ['east'] } },
        })
      }
      expect(clock.pending).toBe(0)
    }
  })

  it('is nothing for mutations and subscriptions', async () => {
    const { answer } = setup()
    const operations = [
      ['mutation', '{ rename(to: "x") }'],
      ['subscription', '{ waiting }'],
    ]
    for (const [type, selection] of operations) {
      const { errors } = await told(answer({ query: `${type} @atLeast(cursor: null) ${selection}` }))
      expect(errors).toMatchObject([{ message: expect.stringContaining('may not be used on') }])
    }
  })
})

describe('over a transport, a query that waits for what was written', () => {
  const servers: ZooServer[] = []
  const start = async (limits = {}, policy: Policy = everything) => {
    const { fleet, reach } = fleetAt100()
    const server = await zooServer({ schema, fleet, policy, options: { limits } })
    servers.push(server)
    return { server, reach }
  }
  const variables = { cursor: cursorAt('101'), timeoutMs: 30_000 }
  const waiting = (server: ZooServer, count: number) =>
    eventually(() => expect(server.load.requests).toBe(count))

  afterEach(async () => {
    for (const server of servers.splice(0)) {
      await server.close({ graceMs: 0 })
      await waiting(server, 0)
    }
  })

  it('takes a place among those of its user that wait', async () => {
    const { server, reach } = await start({ requestsPerUser: 1 })
    const ask = () => server.ask(QUERY, { variables }, { authorization: 'ann' })
    const first = ask()
    await waiting(server, 1)
    const second = await ask()
    expect(second.status).toBe(429)
    expect(await second.json()).toMatchObject({
      errors: [{ extensions: { code: 'LIMIT_EXCEEDED', limit: 'requestsPerUser' } }],
    })
    expect(server.load.requests).toBe(1)
    reach('101')
    expect(await (await first).json()).toMatchObject({
      data: DATA,
      extensions: { atLeast: { reached: true } },
    })
    await waiting(server, 0)
    expect(server.access.contexts).toHaveLength(1)
  })

  it('ends when its client leaves, by HTTP, as an event stream and over a WebSocket', async () => {
    const { server } = await start()
    for (const headers of [{}, { accept: 'text/event-stream' }]) {
      const controller = new AbortController()
      const asked = fetch(`${server.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({ query: QUERY, variables }),
        signal: controller.signal,
      }).then((response) => response.text())
      await waiting(server, 1)
      controller.abort()
      await expect(asked).rejects.toThrow()
      await waiting(server, 0)
    }
    const client = await RawClient.connected(server.url)
    client.subscribe('1', QUERY, variables)
    await waiting(server, 1)
    client.send({ id: '1', type: 'complete' })
    await waiting(server, 0)
    client.ws.terminate()
    expect(server.access.contexts).toEqual([])
  })

  it('waits for nothing that its user may not see, and for what nobody can say yet', async () => {
    const right = { scope: undefined, reason: null, settled: null }
    const none = await start({}, { ...everything, read: () => ({ ...right, state: 'DECIDED' }) })
    const told = await none.server.ask(QUERY, { variables })
    expect(await told.json()).toMatchObject({ data: DATA, extensions: { atLeast: { reached: true } } })
    const unknown = await start({}, { ...everything, read: () => ({ ...right, state: 'UNKNOWN' }) })
    const asked = unknown.server.ask(QUERY, { variables })
    await waiting(unknown.server, 1)
    unknown.reach('101')
    expect(await (await asked).json()).toMatchObject({ extensions: { atLeast: { reached: true } } })
  })

  it('is answered by GET as well', async () => {
    const { server, reach } = await start()
    const search = new URLSearchParams({ query: QUERY, variables: JSON.stringify(variables) })
    const asked = fetch(`${server.url}/graphql?${search}`, { headers: { 'x-fleetgraph-csrf': '1' } })
    await waiting(server, 1)
    reach('101')
    expect(await (await asked).json()).toMatchObject({
      data: DATA,
      extensions: { atLeast: { reached: true, behind: [] } },
    })
  })
})
