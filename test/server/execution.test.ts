/** The executor: operation selection, errors and their codes, kept answers, cost. */
import { GraphQLObjectType, GraphQLSchema, GraphQLString } from 'graphql'
import { beforeEach, describe, expect, test } from 'vitest'
import { viewerOf } from '../../src/access/viewer.ts'
import { Executor, type Answer, type Asker } from '../../src/server/execution.ts'
import { silent } from '../../src/server/logger.ts'
import type { GraphQLRequest } from '../../src/server/request.ts'
import { collectingLogger } from './support.ts'
import { zoo, zooContext, type ZooContext } from './zoo.ts'

const alice = viewerOf({ name: 'alice', groups: ['dev'] })

let state: { revision: number }
let contexts: ZooContext[]

beforeEach(() => {
  state = { revision: 0 }
  contexts = []
})

function asker(viewer = alice): Asker {
  return {
    viewer,
    context: () => {
      const context = zooContext(state)
      contexts.push(context)
      return context
    },
    sharedContext: () => zooContext(),
  }
}

const executor = (options: Partial<ConstructorParameters<typeof Executor>[0]> = {}) =>
  new Executor({
    schema: zoo,
    logger: silent,
    introspection: true,
    rightsKey: ({ user }) => JSON.stringify(user),
    ...options,
  })

interface Told {
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into answers of any shape
  readonly data?: any
  readonly errors?: readonly {
    readonly message: string
    readonly extensions?: Readonly<Record<string, string>>
  }[]
  readonly extensions?: { readonly cost: { readonly requested: number } }
  readonly refused: boolean
}

async function json(executor: Executor, request: GraphQLRequest | string, user = alice): Promise<Told> {
  const whole = typeof request === 'string' ? { query: request } : request
  const answer: Answer = await executor.answer(whole, asker(user))
  return { ...(JSON.parse(answer.body.toString()) as Omit<Told, 'refused'>), refused: answer.refused }
}

const codes = ({ errors }: Told) => errors?.map(({ extensions }) => extensions?.['code'])

describe('a request', () => {
  test('is refused with a code that says what is wrong with it', async () => {
    const own = executor()
    const refused = async (request: GraphQLRequest | string) => {
      const answer = await json(own, request)
      expect(answer).not.toHaveProperty('data')
      expect(answer.refused).toBe(true)
      return codes(answer)
    }
    expect(await refused('{ animals {')).toEqual(['GRAPHQL_PARSE_FAILED'])
    expect(await refused('{ nothing }')).toEqual(['GRAPHQL_VALIDATION_FAILED'])
    expect(await refused({ query: 'query ($n: Int!) { animals(first: $n) { id } }' })).toEqual([
      'BAD_USER_INPUT',
    ])
    // More levels than the stack has frames, as a body of 256 KB can hold.
    const variables = JSON.parse(`{"n":${'['.repeat(60_000)}${']'.repeat(60_000)}}`) as Record<
      string,
      unknown
    >
    expect(await refused({ query: 'query ($n: Int!) { animals(first: $n) { id } }', variables })).toEqual([
      'BAD_USER_INPUT',
    ])
    expect(await refused('query A { echo } query B { echo }')).toEqual(['OPERATION_RESOLUTION_FAILURE'])
    expect(await refused({ query: 'query A { echo }', operationName: 'C' })).toEqual([
      'OPERATION_RESOLUTION_FAILURE',
    ])
  })

  test('means the operation that it names', async () => {
    const query = 'query A { animals(first: 1) { id } } query B { tooBig }'
    expect((await json(executor(), { query, operationName: 'A' })).data).toEqual({
      animals: [{ id: 'a0' }],
    })
  })

  test('is answered the same by graphql-js at first and by compiled code later', async () => {
    const own = executor({ answerBytes: 0 })
    const query = 'query ($s: Boolean!) { animals(first: 3) { id friends @skip(if: $s) { name } } }'
    for (const s of [true, false]) {
      const first = await json(own, { query, variables: { s } })
      for (let again = 0; again < 3; again++) {
        expect(await json(own, { query, variables: { s } })).toEqual(first)
      }
    }
  })

  test('with errors in it is answered with data, paths and codes, the same each time', async () => {
    const own = executor()
    for (let again = 0; again < 3; again++) {
      const answer = await json(own, '{ shelter { residents { id fragile } } }')
      expect(answer).toMatchObject({
        data: { shelter: { residents: [{ fragile: 'whole' }, { fragile: 'whole' }, null] } },
        errors: [
          {
            message: 'a2 is fragile',
            path: ['shelter', 'residents', 2, 'fragile'],
            extensions: { code: 'FRAGILE' },
          },
        ],
      })
      expect(answer.refused).toBe(false)
    }
  })

  test('that meets a bug tells an id and nothing else; the log has the rest under that id', async () => {
    const logger = collectingLogger()
    const answer = await json(executor({ logger }), '{ animals { buggy } }')
    const error = answer.errors?.[0]
    expect(error).toMatchObject({ message: 'Internal error', extensions: { code: 'INTERNAL' } })
    expect(JSON.stringify(answer)).not.toMatch(/secret|stack|\.ts/)
    const line = logger.lines.find(({ level }) => level === 'error')
    expect(line?.fields).toMatchObject({
      correlationId: error?.extensions?.['correlationId'],
      path: 'animals.4.buggy',
    })
    expect(line?.fields['err']).toMatchObject({ message: expect.stringContaining('secret') })
  })

  test('that waits is answered by graphql-js every time', async () => {
    const own = executor()
    for (let again = 0; again < 3; again++) {
      const answer = await json(own, '{ animals { live } }')
      expect(answer.data.animals[6]).toEqual({ live: 'live' })
    }
  })
})

describe('kept answers', () => {
  const query = '{ animals(first: 2) { id } }'
  const executions = () => contexts.reduce((sum, { calls }) => sum + (calls['animals'] ?? 0), 0)

  test('are given without executing while nothing changes, with the same bytes', async () => {
    const own = executor()
    const answers: Answer[] = []
    for (let again = 0; again < 6; again++) answers.push(await own.answer({ query }, asker()))
    expect(executions()).toBe(2)
    expect(new Set(answers.map(({ body }) => body.toString())).size).toBe(1)
    expect(answers.at(-1)!.body).toBeInstanceOf(Buffer)
    expect(JSON.parse(answers.at(-1)!.body.toString())).toHaveProperty('extensions.cost.requested')
  })

  test('are made anew when what they were made from changes', async () => {
    const own = executor()
    for (let again = 0; again < 4; again++) await own.answer({ query }, asker())
    const before = executions()
    state.revision++
    await own.answer({ query }, asker())
    expect(executions()).toBe(before + 1)
  })

  test('belong to the rights of who asked', async () => {
    const own = executor()
    for (let again = 0; again < 4; again++) await own.answer({ query }, asker())
    const before = executions()
    await own.answer({ query }, asker(viewerOf({ name: 'alice', groups: ['dev', 'ops'] })))
    await own.answer({ query }, asker(viewerOf({ name: 'alice', groups: ['dev'], extra: { scope: ['x'] } })))
    expect(executions()).toBe(before + 2)
    await own.answer({ query }, asker({ ...alice }))
    expect(executions()).toBe(before + 2)
  })

  test('belong to the operation and its variables, in whatever order they come', async () => {
    const own = executor()
    const document = `query A($n: Int, $f: Filter) { animals(first: $n, filter: $f) { id } }
      query B($n: Int) { animals(first: $n) { name } }`
    const ask = (operationName: string, variables: Record<string, unknown>) =>
      json(own, { query: document, operationName, variables })
    for (let again = 0; again < 3; again++) await ask('A', { n: 1, f: { minAge: 1, mood: 'HUNGRY' } })
    const before = executions()
    expect(
      (await ask('A', { f: { mood: 'HUNGRY', minAge: 1 }, n: 1, unknown: 1 })).data.animals,
    ).toHaveLength(1)
    expect(executions()).toBe(before)
    expect((await ask('A', { n: 2, f: { minAge: 1, mood: 'HUNGRY' } })).data.animals).toHaveLength(2)
    expect((await ask('B', { n: 1 })).data.animals).toEqual([{ name: expect.any(String) }])
    expect((await ask('A', { n: 1, f: null })).data.animals).toHaveLength(1)
    expect(executions()).toBe(before + 3)
  })

  test('are none of answers with errors, of live reads and of mutations', async () => {
    const own = executor()
    for (const query of ['{ animals { buggy } }', '{ animals { live } }']) {
      contexts = []
      for (let again = 0; again < 4; again++) await own.answer({ query }, asker())
      expect(contexts).toHaveLength(4)
    }
    contexts = []
    for (let again = 0; again < 4; again++)
      await own.answer({ query: 'mutation { rename(to: "x") }' }, asker())
    expect(contexts).toHaveLength(4)
  })

  test('are none of answers in the midst of which the rights of who asked have changed', async () => {
    let rights = 'before'
    const waiting: (() => void)[] = []
    const text = () => new Promise((resolve) => waiting.push(() => resolve(`as seen with ${rights}`)))
    const fields = { search: { type: GraphQLString, resolve: text } }
    const schema = new GraphQLSchema({ query: new GraphQLObjectType({ name: 'Query', fields }) })
    const own = executor({ schema, rightsKey: ({ user }) => (user.name === 'bob' ? 'before' : rights) })
    const ask = (name: string) => own.answer({ query: '{ search }' }, asker(viewerOf({ name, groups: [] })))
    const answers = [ask('alice'), ask('alice')]
    rights = 'after'
    for (const answer of waiting.splice(0)) answer()
    for (const answer of answers) expect((await answer).body.toString()).toContain('with after')
    rights = 'before'
    const others = ask('bob')
    for (const answer of waiting.splice(0)) answer()
    expect((await others).body.toString()).toContain('with before')
  })

  test('are bounded in bytes', async () => {
    const own = executor({ answerBytes: 100_000 })
    const ask = (n: number) => own.answer({ query: `{ animals(first: 2) { id a${n}: name } }` }, asker())
    for (let n = 0; n < 100; n++) for (let again = 0; again < 3; again++) await ask(n)
    const before = executions()
    await ask(99)
    expect(executions()).toBe(before)
    await ask(0)
    expect(executions()).toBe(before + 1)
  })
})

describe('cost', () => {
  const cost = async (query: string, variables = {}) =>
    (await json(executor(), { query, variables })).extensions?.cost.requested

  test('counts the objects that a query may return', async () => {
    expect(await cost('{ echo }')).toBe(0)
    expect(await cost('{ shelter { size } }')).toBe(1)
    // Lists that are no pages of connections count as five.
    expect(await cost('{ animals { id } }')).toBe(5)
    expect(await cost('{ animals { friends { id } } }')).toBe(5 + 25)
    expect(
      await cost('{ ...F } fragment F on Query { animals { ...G } } fragment G on Animal { friends { id } }'),
    ).toBe(30)
  })

  test('leaves out what is skipped', async () => {
    const query = 'query ($s: Boolean!) { animals { id friends @skip(if: $s) { id } } }'
    expect(await cost(query, { s: true })).toBe(5)
    expect(await cost(query, { s: false })).toBe(30)
  })

  test('over the limit refuses the query before anything is read', async () => {
    const own = executor({ limits: { cost: 29 } })
    const answer = await json(own, '{ animals { friends { id } } }')
    expect(answer.errors).toMatchObject([{ extensions: { code: 'LIMIT_EXCEEDED', limit: 'cost' } }])
    expect(contexts.every(({ calls }) => calls['animals'] === undefined)).toBe(true)
  })

  test('of fragments that multiply is not reckoned to its end', async () => {
    const levels = Array.from(
      { length: 60 },
      (_, level) => `fragment F${level} on Query { ...F${level + 1} ...F${level + 1} }`,
    )
    const answer = await json(executor(), `{ ...F0 } ${levels.join(' ')} fragment F60 on Query { echo }`)
    expect(answer.errors).toMatchObject([{ extensions: { code: 'LIMIT_EXCEEDED', limit: 'cost' } }])
  })
})
