/**
 * Compiled queries against graphql-js: what `compile` answers is what `execute` answers, byte for byte, for
 * hundreds of random queries and for each shape that graphql-jit is known to get wrong.
 */
import {
  execute,
  executeSubscriptionEvent,
  getVariableValues,
  GraphQLError,
  Kind,
  parse,
  validate,
  validateSubscriptionArgs,
  type FragmentDefinitionNode,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type ValidatedSubscriptionArgs,
} from 'graphql'
import { describe, expect, test } from 'vitest'
import { AuthorizedFleet } from '../../src/access/authorized-fleet.ts'
import { everything } from '../../src/access/policy.ts'
import { viewerOf } from '../../src/access/viewer.ts'
import { createContext } from '../../src/graph/context.ts'
import { createSchema } from '../../src/graph/schema.ts'
import { globalId } from '../../src/kubernetes/kinds.ts'
import { compile, ineligible } from '../../src/server/compiled-query.ts'
import { shopFleet } from '../support/shop.ts'
import { event } from './fake-hub.ts'
import { randomQuery, type RandomQuery } from './random-query.ts'
import { ANIMALS, zoo, zooContext } from './zoo.ts'

type Outcome = 'compiled' | 'left to execute' | 'ineligible' | 'bad variables'

/** Runs one query both ways, compares, and says which way it would be answered. */
async function compare(
  schema: GraphQLSchema,
  { query, variables }: RandomQuery,
  context: () => unknown,
  event?: unknown,
): Promise<Outcome> {
  const document = parse(query)
  const operation = document.definitions.find(
    (definition): definition is OperationDefinitionNode => definition.kind === Kind.OPERATION_DEFINITION,
  )!
  const fragments = new Map(
    document.definitions
      .filter(
        (definition): definition is FragmentDefinitionNode => definition.kind === Kind.FRAGMENT_DEFINITION,
      )
      .map((definition) => [definition.name.value, definition]),
  )
  const coerced = getVariableValues(schema, operation.variableDefinitions ?? [], variables)
  if (coerced.errors) return 'bad variables'
  if (ineligible(schema, fragments, operation) !== undefined) return 'ineligible'
  const compiled = compile(schema, fragments, operation, coerced.variableValues.coerced)
  const data = compiled?.bind(coerced.variableValues)(context(), event)
  if (data === undefined) return 'left to execute'
  const args = { schema, document, variableValues: variables, contextValue: context(), rootValue: event }
  const expected = await (operation.operation === 'subscription'
    ? executeSubscriptionEvent(validateSubscriptionArgs(args) as ValidatedSubscriptionArgs)
    : execute(args))
  expect(JSON.stringify({ data }), query).toBe(JSON.stringify(expected))
  return 'compiled'
}

const inZoo = (query: string, variables: Record<string, unknown> = {}) => {
  expect(validate(zoo, parse(query)).map(({ message }) => message)).toEqual([])
  return compare(zoo, { query, variables }, () => zooContext())
}

const ANYTHING = [1, 'x', true, { deep: [1, { er: null }] }]

describe('a compiled query', () => {
  const SEEDS = 4_000

  test('answers hundreds of random queries as graphql-js does', { timeout: 120_000 }, async () => {
    const outcomes = { compiled: 0, 'left to execute': 0, ineligible: 0, 'bad variables': 0 }
    for (let seed = 0; seed < SEEDS && outcomes.compiled < 200; seed++) {
      const random = randomQuery(zoo, seed, {
        scalars: { Day: ['1970-01-03', '1970-01-01'], Anything: ANYTHING },
        named: { first: [0, 3, 50], limit: [0, 1, 2] },
        without: new Set(['Query.stuck', 'Query.deaf']),
      })
      if (random) outcomes[await compare(zoo, random, () => zooContext())]++
    }
    // Else the comparison above would say nothing.
    expect(outcomes.compiled).toBe(200)
    expect(outcomes['left to execute']).toBeGreaterThan(30)
  })

  test('makes of random events what graphql-js makes of them', { timeout: 120_000 }, async () => {
    const outcomes = { compiled: 0, 'left to execute': 0, ineligible: 0, 'bad variables': 0 }
    for (let seed = 0; seed < SEEDS && outcomes.compiled < 200; seed++) {
      const random = randomQuery(zoo, seed, {
        subscription: 'animalChanges',
        scalars: { Day: ['1970-01-03', '1970-01-01'] },
        named: { limit: [0, 1, 2] },
      })
      const change = event({ type: 'MODIFIED', object: ANIMALS[seed % 7], message: `${seed}` })
      if (random) outcomes[await compare(zoo, random, () => zooContext(), change)]++
    }
    expect(outcomes.compiled).toBe(200)
    expect(outcomes['left to execute']).toBeGreaterThan(10)
  })

  test('answers random queries over the real schema as graphql-js does', { timeout: 120_000 }, async () => {
    const schema = createSchema()
    const { fleet } = shopFleet()
    const context = () =>
      createContext(new AuthorizedFleet(fleet, viewerOf({ name: 'visitor', groups: [] }), everything))
    const outcomes = { compiled: 0, 'left to execute': 0, ineligible: 0, 'bad variables': 0 }
    for (let seed = 0; seed < SEEDS && outcomes.compiled < 250; seed++) {
      const random = randomQuery(schema, seed, {
        scalars: { DateTime: ['2020-01-01T00:00:00Z', '2030-01-01'] },
        named: {
          first: [1, 3, 50],
          last: [null],
          after: [null],
          before: [null],
          labelSelector: ['app=web', 'app in (web, api)', '!app'],
          clusterSelector: ['env=prod'],
          id: [globalId('Pod', 'prod-eu', 'shop', 'web-2-a'), globalId('Cluster', 'prod-eu')],
          name: ['prod-eu', 'web'],
          clusters: ['prod-eu'],
          namespaces: ['shop'],
          prefix: ['web'],
          contains: ['e'],
          namespace: ['shop'],
        },
      })
      if (random) outcomes[await compare(schema, random, context)]++
    }
    expect(outcomes.compiled).toBe(250)
    // Nearly all that is asked of the fleet is answered by compiled code, but for what is read live.
    expect(outcomes['left to execute']).toBeLessThan(outcomes.compiled)
  })

  test('coerces variables once: enums and custom scalars with inner values', async () => {
    const query = `query ($mood: Mood, $day: Day, $filter: Filter) {
      animals(filter: { mood: $mood, after: $day }) { id born size sizes }
      more: animals(filter: $filter) { id }
    }`
    expect(await inZoo(query, { mood: 'HUNGRY', day: '1970-01-02', filter: { not: { mood: 'CALM' } } })).toBe(
      'compiled',
    )
  })

  test('keeps variables inside literals of custom scalars', async () => {
    const query = 'query ($x: Anything) { echo(anything: { deep: [$x, 2], other: $x }) }'
    expect(await inZoo(query, { x: { y: 1 } })).toBe('compiled')
    expect(await inZoo(query)).toBe('compiled')
  })

  test('applies the defaults of arguments and of fields of inputs', async () => {
    expect(await inZoo('{ animals(filter: { mood: CALM }) { friends { id } } echo }')).toBe('compiled')
    expect(await inZoo('query ($n: Float) { echo(number: $n) }')).toBe('compiled')
    expect(await inZoo('query ($n: Float) { echo(number: $n) }', { n: null })).toBe('compiled')
    expect(await inZoo('query ($n: Float = 3) { echo(number: $n) }')).toBe('compiled')
  })

  test('leaves a oneOf input with a variable that is not given to execute', async () => {
    const query = 'query ($id: ID!) { animal(target: { id: $id }) { name } }'
    expect(await inZoo(query, { id: 'a2' })).toBe('compiled')
    const whole = 'query ($target: Target!) { animal(target: $target) { name } }'
    expect(await inZoo(whole, { target: { index: 1 } })).toBe('compiled')
    expect(await inZoo(whole, { target: { index: 1, id: 'a1' } })).toBe('bad variables')
  })

  test('decides @skip and @include for each spread of a fragment on its own', async () => {
    const query = `query ($a: Boolean!, $b: Boolean!) {
      animals { ...F @include(if: $a) ...F @skip(if: $b) ... @include(if: $b) { ...G } ...G @skip(if: $a) }
    }
    fragment F on Animal { id tags @skip(if: $a) }
    fragment G on Animal { name ...F friends { ...F @include(if: $b) } }`
    for (const a of [true, false]) {
      for (const b of [true, false]) expect(await inZoo(query, { a, b })).toBe('compiled')
    }
  })

  test('keeps the order of fields when the first of two is skipped', async () => {
    expect(await inZoo('{ animals { name @skip(if: true) id name } }')).toBe('compiled')
  })

  test('tells apart response names that join to the same word', async () => {
    expect(
      await inZoo('{ a_b: animals { c: name } a: self { b_c: animals { name } b: self { c: echo } } }'),
    ).toBe('compiled')
  })

  test('leaves every answer with an error to execute', async () => {
    expect(await inZoo('{ animals { id fragile } }')).toBe('left to execute')
    expect(await inZoo('{ animals { id buggy } }')).toBe('left to execute')
    expect(await inZoo('{ tooBig }')).toBe('left to execute')
    expect(await inZoo('{ newSize }')).toBe('left to execute')
    expect(await inZoo('{ notANumber }')).toBe('left to execute')
    expect(await inZoo('{ maybeAnimals { id } }')).toBe('compiled')
  })

  test('leaves values that serialization changes to execute', async () => {
    expect(await inZoo('{ animals(first: 1) { loose age } }')).toBe('compiled')
    expect(await inZoo('{ animals(first: 2) { loose age } }')).toBe('left to execute')
    expect(await inZoo('{ animals { ... on Cat { friends { loose } } name } }')).toBe('left to execute')
  })

  test('leaves what waits to execute, and says that it waits', async () => {
    const document = parse('{ animals { id live } }')
    const operation = document.definitions[0] as OperationDefinitionNode
    const compiled = compile(zoo, new Map(), operation, {})!
    const { variableValues } = getVariableValues(zoo, [], {})
    expect(compiled.bind(variableValues!)(zooContext())).toBeUndefined()
    expect(compiled.waits).toBe(true)
  })

  test('reads an object behind a field once, however many of its fields are asked for', async () => {
    const document = parse('{ shelter { size residents { id name age tags } } }')
    const operation = document.definitions[0] as OperationDefinitionNode
    const compiled = compile(zoo, new Map(), operation, {})!
    const context = zooContext()
    expect(compiled.bind(getVariableValues(zoo, [], {}).variableValues!)(context)).toBeDefined()
    expect(context.calls).toEqual({ residents: 1 })
  })
})

describe('ineligible', () => {
  const why = (query: string) => {
    const document = parse(query)
    const fragments = new Map<string, FragmentDefinitionNode>()
    for (const definition of document.definitions) {
      if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition)
    }
    return ineligible(zoo, fragments, document.definitions[0] as OperationDefinitionNode)
  }

  test('leaves out mutations, introspection, unknown directives and keys of every object', () => {
    expect(why('mutation { rename(to: "x") }')).toBe('a mutation')
    expect(why('{ __schema { types { name } } }')).toBe('introspection')
    expect(why('{ __typename animals { __typename } }')).toBeUndefined()
    expect(why('{ animals { mood } }')).toBe('an enum whose values are not its names')
    expect(why('{ animals { nap } }')).toBe('an interface whose types differ in arguments')
    expect(why('{ animals { ... on Dog { nap } } }')).toBeUndefined()
    expect(why('{ ... @defer { echo } }')).toBe('the directive @defer')
    expect(why('{ __proto__: echo }')).toBe('an alias that could be a key of every object')
  })

  test('leaves out queries that interfaces multiply past what is worth compiling', () => {
    let query = '{ id name }'
    for (let level = 0; level < 6; level++) query = `{ id friends ${query} }`
    expect(why(`{ animals ${query} }`)).toBeUndefined()
    const narrow = query.replaceAll('{ id', '{ ... on Cat { id').replaceAll(' }', ' } }')
    expect(why(`{ animals ${narrow} }`)).toBeUndefined()
    for (let level = 0; level < 6; level++) query = `{ id friends ${query} }`
    expect(why(`{ animals ${query} }`)).toContain('too many fields')
  })

  test('never sees a document that validation refuses', () => {
    expect(() => execute({ schema: zoo, document: parse('{ nothing }') })).not.toThrow(GraphQLError)
  })
})
