/** How the executor prepares subscriptions and renders their events. */
import { describe, expect, test } from 'vitest'
import { viewerOf, type Viewer } from '../../src/access/viewer.ts'
import { Exchange } from '../../src/server/exchange.ts'
import { Executor } from '../../src/server/execution.ts'
import { FakeHub, event } from './fake-hub.ts'
import { collectingLogger } from './support.ts'
import { ANIMALS, zoo, zooAccess } from './zoo.ts'

function setup() {
  const hub = new FakeHub()
  const access = zooAccess({ revision: 0 }, hub)
  const logger = collectingLogger()
  const executor = new Executor({ schema: zoo, logger, introspection: true, rightsKey: () => '' })
  const user = viewerOf({ name: 'visitor', groups: [] })
  const live = async (query: string, variables?: Record<string, unknown>) => {
    const subscription = await executor.subscribe({ query, variables }, new Exchange(user, access))
    if (subscription.type !== 'live') throw new Error(`it is ${subscription.type}`)
    return subscription
  }
  const refusal = async (query: string, variables?: Record<string, unknown>) => {
    const subscription = await executor.subscribe({ query, variables }, new Exchange(user, access))
    return subscription.type === 'refused' ? subscription.errors[0]?.extensions['code'] : undefined
  }
  return { hub, access, logger, executor, live, refusal, user }
}

const change = (index: number) => event({ object: ANIMALS[index] })

describe('a subscription', () => {
  test('is held to the same limits as a query', async () => {
    const { refusal } = setup()
    expect(await refusal('subscription {')).toBe('GRAPHQL_PARSE_FAILED')
    expect(await refusal('subscription { nothing }')).toBe('GRAPHQL_VALIDATION_FAILED')
    expect(await refusal('subscription ($from: Int!) { countdown(from: $from) }', { from: 'x' })).toBe(
      'BAD_USER_INPUT',
    )
    const deep = 'friends { '.repeat(10) + 'id' + ' }'.repeat(10)
    expect(await refusal(`subscription { animalChanges { object { ${deep} } } }`)).toBe('LIMIT_EXCEEDED')
    expect(await refusal('subscription { countdown(from: 1) waiting }')).toBe('GRAPHQL_VALIDATION_FAILED')
  })

  test('renders the same before and after its selection is compiled', async () => {
    const { live } = setup()
    const { render } = await live(
      'subscription ($deep: Boolean!) { animalChanges { type object { id friends { name } ...D @include(if: $deep) } } } fragment D on Animal { born size }',
      { deep: true },
    )
    const texts = Array.from({ length: 12 }, () => String(render([change(2)])[0]))
    expect(new Set(texts).size).toBe(1)
    expect(JSON.parse(texts[0]!)).toMatchObject({
      data: { animalChanges: { object: { id: 'a2', born: '1970-01-03', size: 'SMALL' } } },
    })
  })

  test('renders one payload for each event of a batch, all from one context', async () => {
    const { live, access } = setup()
    const { render } = await live('subscription { animalChanges { object { id } } }')
    const before = access.contexts.length
    const payloads = render([change(0), change(1), event({ type: 'SYNCED' })])
    expect(payloads.map((payload) => JSON.parse(String(payload)) as unknown)).toEqual([
      { data: { animalChanges: { object: { id: 'a0' } } } },
      { data: { animalChanges: { object: { id: 'a1' } } } },
      { data: { animalChanges: { object: null } } },
    ])
    expect(access.contexts.length - before).toBe(1)
  })

  test('tells an error of one event in that event, and nothing of a bug', async () => {
    const { live, logger } = setup()
    const { render } = await live('subscription { animalChanges { object { fragile buggy } } }')
    for (let round = 0; round < 6; round++) {
      const [good, bad, bug] = render([change(0), change(2), change(4)]).map(
        (payload) => JSON.parse(String(payload)) as { errors?: { message: string; extensions: object }[] },
      )
      expect(good).toEqual({ data: { animalChanges: { object: { fragile: 'whole', buggy: 'fine' } } } })
      expect(bad).toMatchObject({
        data: { animalChanges: { object: null } },
        errors: [{ message: 'a2 is fragile', extensions: { code: 'FRAGILE' } }],
      })
      expect(bug?.errors).toMatchObject([{ message: 'Internal error', extensions: { code: 'INTERNAL' } }])
    }
    expect(logger.lines.filter(({ level }) => level === 'error')).toHaveLength(6)
  })

  test('says what is wrong with a field that waits and does not say that it reads live', async () => {
    const { live, logger } = setup()
    const { render } = await live('subscription { animalChanges { undeclared } }')
    expect(String(render([change(1)])[0])).toContain('INTERNAL')
    expect(String(logger.lines[0]?.fields['err'])).toContain('extensions.live')
  })

  test('is rendered for whoever gives the render, whoever else follows the same', async () => {
    const { executor, access } = setup()
    const query = 'subscription { animalChanges { object { id friends { name } } } }'
    const renderOf = async (viewer: Viewer | (() => Viewer)) => {
      const subscription = await executor.subscribe({ query }, new Exchange(viewer, access))
      if (subscription.type !== 'live') throw new Error(`it is ${subscription.type}`)
      return subscription
    }
    const named = (name: string) => viewerOf({ name, groups: [] })
    let now = named('ann')
    const [ann, ben] = [await renderOf(() => now), await renderOf(named('ben'))]
    expect(ann.key).toBe(ben.key)
    const seenBy = () => access.contexts.at(-1)?.viewer?.user.name
    const texts = new Set<string>()
    // Before it is compiled and afterwards.
    for (let round = 0; round < 5; round++) {
      texts.add(String(ann.render([change(1)])[0]))
      expect(seenBy()).toBe('ann')
      texts.add(String(ben.render([change(1)])[0]))
      expect(seenBy()).toBe('ben')
    }
    expect(texts.size).toBe(1)
    now = named('ann, renewed')
    ann.render([change(1)])
    expect(seenBy()).toBe('ann, renewed')
  })

  test('ends no shared work with the one who began it', async () => {
    const { executor, access, user } = setup()
    const exchange = new Exchange(user, access)
    const subscription = await executor.subscribe(
      { query: 'subscription { animalChanges { object { id } } }' },
      exchange,
    )
    if (subscription.type !== 'live') throw new Error(subscription.type)
    subscription.render([change(1)])
    const { signal } = access.contexts.at(-1)!
    exchange.abort(new Error('gone') as never)
    expect([access.contexts[0]?.signal?.aborted, signal?.aborted]).toEqual([true, false])
  })
})
