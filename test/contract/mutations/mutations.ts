/**
 * The contract of every mutation: what it says is what happened. Over two clusters, of which one is well and the other
 * one forbids it, is not as expected, refuses it, is down, breaks in the middle, or dies – and each time the objects
 * themselves are asked afterwards, past the gateway.
 *
 * A mutation without a row here fails the suite.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { at, type KubeJson } from '../../support/kubernetes-http.ts'
import { eventually } from '../../support/eventually.ts'
import type { TestToken } from '../../support/test-tokens.ts'
import { resourceOf, ROWS, type Case, type Given, type Input, type Resource, type Row } from './rows.ts'
import {
  ada,
  blind,
  GATEWAY_USER,
  half,
  NAMESPACE,
  startWorld,
  type PlacedCluster,
  type World,
  type WorldCluster,
} from './world.ts'

interface Result {
  readonly clusterName: string
  readonly kind: string
  readonly name: string
  readonly outcome: string
  readonly dryRun: boolean
  readonly error: {
    readonly code: string
    readonly message: string
    readonly mayHaveBeenApplied: boolean
  } | null
  readonly manifest: KubeJson | null
}

interface Payload {
  readonly results: readonly Result[]
  readonly summary: { readonly ok: boolean; readonly total: number }
  readonly operation: { readonly id: string; readonly state: string } | null
  readonly replayed: boolean
}

const RESULT = `clusterName kind name outcome dryRun error { code message mayHaveBeenApplied } manifest`
const PAYLOAD = `results { ${RESULT} } summary { ok total } operation { id state } replayed`
/** These have tests of their own: they are about plans and operations, and not about objects. */
const WITHOUT_ROW = ['plan', 'confirm', 'cancelOperation']

const CELLS = [
  'allowed',
  'forbidden',
  'blind',
  'conflict',
  'planned',
  'dry',
  'invalid',
  'missing',
  'cut',
  'keyed',
  'lost',
  'between',
  'down',
  'killed',
  'frozen',
] as const
type Cell = (typeof CELLS)[number]

/** What is there and whether it is still the same; without what controllers write into it. */
type State = ReadonlyMap<string, { readonly content: string; readonly version: string }>

export function describeMutations(name: string, start: (name: string) => Promise<WorldCluster>): void {
  describe(`every mutation, with ${name}`, () => {
    let world: World
    let beta: PlacedCluster
    const both = ['alpha', 'beta']

    beforeAll(async () => {
      world = await startWorld(start)
      ;({ beta } = world)
      await prepare(world)
    }, 240_000)
    afterEach(() => {
      for (const { way } of world?.clusters ?? []) {
        way.fault = { type: 'NONE' }
        way.onWrite = undefined
      }
    })
    afterAll(() => world?.close(), 60_000)

    /** The answer, when what it began has come to its end. */
    async function change(
      verb: string,
      input: Input,
      { token }: TestToken = ada,
    ): Promise<{ readonly payload?: Payload; readonly errors?: readonly string[] }> {
      const type = `${verb.charAt(0).toUpperCase()}${verb.slice(1)}Input`
      return carriedOut(
        `mutation ($input: ${type}!) { payload: ${verb}(input: $input) { ${PAYLOAD} } }`,
        { input },
        token,
      )
    }

    async function carriedOut(document: string, variables: Input, token: string) {
      const { data, errors } = await world.gateway.ask<{ payload: Payload }>(document, variables, token)
      if (!data?.payload) return { errors: (errors ?? []).map(({ extensions }) => extensions?.code ?? '') }
      const { operation } = data.payload
      if (!operation || ENDED.has(operation.state)) return { payload: data.payload }
      return { payload: await ended(operation.id, token) }
    }

    async function ended(id: string, token: string): Promise<Payload> {
      return eventually(
        async () => {
          const { operation } = await world.gateway.query<{
            operation: Payload & { readonly state: string }
          }>(
            `query ($id: ID!) { operation(id: $id) { state results { ${RESULT} } summary { ok total } } }`,
            { id },
            token,
          )
          if (!ENDED.has(operation.state)) throw new Error(`the operation is ${operation.state}`)
          return { ...operation, operation: { id, state: operation.state }, replayed: false }
        },
        { timeoutMs: 60_000, everyMs: 20 },
      )
    }

    const plan = (verb: string, input: Input, { token }: TestToken = ada) =>
      world.gateway.ask<{ plan: Pick<Payload, 'results'> & { readonly token: string | null } }>(
        `mutation ($change: PlannedChange!) { plan(change: $change) { token results { ${RESULT} } } }`,
        { change: { [verb]: input } },
        token,
      )
    const confirm = (plan: string, { token }: TestToken = ada) =>
      carriedOut(
        `mutation ($plan: String!) { payload: confirm(token: $plan) { ${PAYLOAD} } }`,
        { plan },
        token,
      )

    /** Does it, and holds what is said to what became of the objects in both clusters. */
    async function honest(
      row: Pick<Row, 'resources'>,
      n: string,
      work: () => Promise<{ readonly payload?: Payload; readonly errors?: readonly string[] }>,
    ): Promise<Payload> {
      const before = await Promise.all(world.clusters.map((cluster) => stateOf(cluster, row.resources, n)))
      const { payload, errors } = await work()
      if (!payload) throw new Error(`the request was refused: ${errors?.join()}`)
      for (const { way } of world.clusters) way.fault = { type: 'NONE' }
      for (const [i, cluster] of world.clusters.entries()) {
        expectTruth(cluster.name, payload.results, before[i]!, await stateOf(cluster, row.resources, n))
      }
      expect(payload.summary.total).toBe(payload.results.length)
      expect(payload.summary.ok).toBe(payload.results.every(({ error }) => error === null))
      return payload
    }

    it('is in the matrix, or has tests of its own', async () => {
      const { __schema } = await world.gateway.query<{
        __schema: { mutationType: { fields: readonly { name: string }[] } }
      }>('{ __schema { mutationType { fields { name } } } }')
      const fields = __schema.mutationType.fields.map(({ name }) => name)
      expect(fields.toSorted()).toEqual([...ROWS.map(({ verb }) => verb), ...WITHOUT_ROW].toSorted())
    })

    describe.each(ROWS)('$verb', (row) => {
      const { verb } = row
      const n = (cell: Cell) => nameOf(verb, cell)
      const inBoth = (cell: Cell) => row.input(n(cell), both)
      const done = { outcome: row.outcome, error: null }

      it('is done in both clusters, as the user who asked', async () => {
        const earlier = await Promise.all(
          world.clusters.map(async (each) => (await world.writes(each)).length),
        )
        const { results } = await honest(row, n('allowed'), () => change(verb, inBoth('allowed')))
        expect(results).toMatchObject(both.map((clusterName) => ({ clusterName, ...done, dryRun: false })))
        for (const [i, cluster] of world.clusters.entries()) {
          const writes = (await world.writes(cluster)).slice(earlier[i])
          expect(writes.length, `writes in ${cluster.name}`).toBeGreaterThan(0)
          for (const { by, as } of writes) expect({ by, as }).toEqual({ by: GATEWAY_USER, as: 'ada' })
        }
      })

      it('is FORBIDDEN where the user may only look, and done where they may', async () => {
        const { results } = await honest(row, n('forbidden'), () => change(verb, inBoth('forbidden'), half))
        expect(inCluster(results, 'alpha')).toMatchObject([done])
        expect(inCluster(results, 'beta')).toMatchObject([
          { outcome: 'FORBIDDEN', error: { code: 'FORBIDDEN', mayHaveBeenApplied: false } },
        ])
      })

      it('is refused where the user may not even look, and done where they may', async () => {
        const { results } = await honest(row, n('blind'), () => change(verb, inBoth('blind'), blind))
        expect(inCluster(results, 'alpha')).toMatchObject([done])
        expect(inCluster(results, 'beta')).toMatchObject([
          { outcome: 'FORBIDDEN', error: { code: 'FORBIDDEN', mayHaveBeenApplied: false } },
        ])
      })

      const { conflict, missing, between } = row
      if (conflict) {
        it('is a CONFLICT where the object is not as expected', async () => {
          const name = n('conflict')
          const { results } = await honest(row, name, () => change(verb, conflict.input(name, ['beta'])))
          expect(results).toMatchObject([
            { outcome: 'CONFLICT', error: { code: conflict.code, mayHaveBeenApplied: false } },
          ])
        })
      }

      it('is a CONFLICT where the object was changed since it was planned, and done where it was not', async () => {
        const name = n('planned')
        const still = await Promise.all(world.clusters.map((each) => stateOf(each, row.resources, name)))
        const { data, errors } = await plan(verb, inBoth('planned'))
        expect(errors).toBeUndefined()
        const { token, results: planned } = data!.plan
        expect(planned).toMatchObject(both.map((clusterName) => ({ clusterName, ...done, dryRun: true })))
        expect(token).toBeTypeOf('string')
        for (const [i, cluster] of world.clusters.entries()) {
          expect(await stateOf(cluster, row.resources, name)).toEqual(still[i])
        }
        for (const result of inCluster(planned, 'beta')) await interfere(beta, row.resources, result)
        expect((await confirm(token!, half)).errors).toEqual(['PLAN_INVALID'])
        const { results } = await honest(row, name, () => confirm(token!))
        expect(inCluster(results, 'alpha')).toMatchObject([done])
        expect(inCluster(results, 'beta')).toMatchObject([
          row.overtaken
            ? { outcome: row.overtaken, error: null }
            : { outcome: 'CONFLICT', error: { mayHaveBeenApplied: false } },
        ])
        const again = await honest(row, name, async () => ({
          payload: { ...(await confirm(token!)).payload!, results: [], summary: { ok: true, total: 0 } },
        }))
        expect(again.replayed).toBe(true)
      })

      it.each(row.invalid)('refuses $why, and changes nothing', async ({ input, expected }) => {
        const name = n('invalid')
        const still = await Promise.all(world.clusters.map((each) => stateOf(each, row.resources, name)))
        const { payload, errors } = await change(verb, input(name, both))
        if (expected === 'BAD_USER_INPUT') expect({ payload, errors }).toEqual({ errors: ['BAD_USER_INPUT'] })
        else {
          const { outcome, code } = expected
          const refused = { outcome, error: { code, mayHaveBeenApplied: false } }
          expect(payload!.results).toMatchObject(both.map((clusterName) => ({ clusterName, ...refused })))
        }
        for (const [i, cluster] of world.clusters.entries()) {
          expect(await stateOf(cluster, row.resources, name)).toEqual(still[i])
        }
      })

      if (missing) {
        it('says where what it is about is not there, and is done where it is', async () => {
          const { results } = await honest(row, n('missing'), () => change(verb, inBoth('missing')))
          const { outcome, code } = missing
          expect(inCluster(results, 'alpha')).toMatchObject([done])
          expect(inCluster(results, 'beta')).toMatchObject([
            { outcome, error: code === null ? null : { code, mayHaveBeenApplied: false } },
          ])
        })
      }

      it('tells in a dry run what would come of it, and changes nothing', async () => {
        const name = n('dry')
        const still = await Promise.all(world.clusters.map((each) => stateOf(each, row.resources, name)))
        const { results } = await honest(row, name, () => change(verb, { ...inBoth('dry'), dryRun: true }))
        expect(results).toMatchObject(both.map((clusterName) => ({ clusterName, ...done, dryRun: true })))
        for (const [i, cluster] of world.clusters.entries()) {
          expect(await stateOf(cluster, row.resources, name)).toEqual(still[i])
        }
      })

      it('says that it may have been done where the answer is lost, and is done elsewhere', async () => {
        const name = n('cut')
        const before = await stateOf(beta, row.resources, name)
        const { writes } = beta.way
        beta.way.fault = { type: 'CUT' }
        const { results } = await honest(row, name, () => change(verb, inBoth('cut')))
        expect(inCluster(results, 'alpha')).toMatchObject([done])
        expect(inCluster(results, 'beta')).toMatchObject([
          { outcome: 'UNREACHABLE', error: { code: 'UNREACHABLE', mayHaveBeenApplied: true } },
        ])
        // It was, and was asked for once.
        expect(beta.way.writes).toBe(writes + 1)
        const after = await stateOf(beta, row.resources, name)
        expect(changedKeys(before, after)).toHaveLength(1)
      })

      it('is not done again where the answer is lost and it is asked for again with its key', async () => {
        const name = n('keyed')
        const input = { ...inBoth('keyed'), idempotencyKey: `${name}-key` }
        beta.way.fault = { type: 'CUT' }
        const first = await honest(row, name, () => change(verb, input))
        expect(inCluster(first.results, 'alpha')).toMatchObject([done])
        expect(inCluster(first.results, 'beta')).toMatchObject([
          { outcome: 'UNREACHABLE', error: { mayHaveBeenApplied: true } },
        ])
        expect(first.operation).toMatchObject({ state: 'FAILED' })
        const still = await Promise.all(world.clusters.map((each) => stateOf(each, row.resources, name)))
        const writes = world.clusters.map(({ way }) => way.writes)
        const { payload } = await change(verb, input)
        expect(payload).toMatchObject({ replayed: true, results: first.results, operation: first.operation })
        expect(world.clusters.map(({ way }) => way.writes)).toEqual(writes)
        for (const [i, cluster] of world.clusters.entries()) {
          expect(changedKeys(still[i]!, await stateOf(cluster, row.resources, name))).toEqual([])
        }
        const other = { ...row.input(name, ['alpha']), idempotencyKey: `${name}-key` }
        expect(await change(verb, other)).toEqual({ errors: ['IDEMPOTENCY_KEY_REUSED'] })
      })

      it('is said to be uncertain where the request is lost, and is done elsewhere', async () => {
        beta.way.fault = { type: 'LOST' }
        const { results } = await honest(row, n('lost'), () => change(verb, inBoth('lost')))
        expect(inCluster(results, 'alpha')).toMatchObject([done])
        expect(inCluster(results, 'beta')).toMatchObject([
          { outcome: 'UNREACHABLE', error: { code: 'UNREACHABLE' } },
        ])
      })

      if (between) {
        it('tells which of two steps was done where the cluster goes in between', async () => {
          const name = n('between')
          beta.way.fault = { type: 'GONE', afterWrites: 1 }
          const { results } = await honest({ resources: between.resources }, name, () =>
            change(verb, between.input(name, both)),
          )
          expect(inCluster(results, 'alpha')).toHaveLength(2)
          for (const { error } of inCluster(results, 'alpha')) expect(error).toBeNull()
          expect(inCluster(results, 'beta')).toMatchObject([
            { ...between.first, error: null },
            { kind: between.second, outcome: 'UNREACHABLE', error: { code: 'UNREACHABLE' } },
          ])
        })
      }
    })

    describe.each([
      ['is down', 'down'],
      ['is killed in the middle of it', 'killed'],
      ['stands still in the middle of it', 'frozen'],
    ] as const)('where a cluster %s', (_what, cell) => {
      const told = new Map<string, { readonly before: readonly State[]; readonly payload: Payload }>()
      const after = new Map<string, readonly State[]>()
      const states = (row: Row) =>
        Promise.all(world.clusters.map((each) => stateOf(each, row.resources, nameOf(row.verb, cell))))
      let confirmed: Payload
      let selected: Payload

      beforeAll(async () => {
        const before = new Map<string, readonly State[]>()
        for (const row of ROWS) before.set(row.verb, await states(row))
        const planned = await plan('label', rowOf('label').input(`plan-${cell}`, both))
        const die = async () => {
          await (cell === 'frozen' ? beta.freeze() : beta.kill())
          if (cell === 'down') await world.until(beta, 'DOWN')
        }
        let dying: Promise<void> | undefined
        if (cell === 'down') await (dying = die())
        else {
          let writes = 0
          beta.way.onWrite = () => {
            if (++writes === 8) dying = die()
          }
        }
        const answers: (readonly [string, Payload])[] = []
        // A few at a time, so that some are done when it dies, some are under way, and some have not begun.
        await inTurns(4, ROWS, async (row) => {
          const { payload, errors } = await change(row.verb, row.input(nameOf(row.verb, cell), both))
          if (!payload) throw new Error(`${row.verb} was refused: ${errors?.join()}`)
          answers.push([row.verb, payload])
        })
        confirmed = (await confirm(planned.data!.plan.token!)).payload!
        selected = (await change('label', selecting(`select-${cell}`))).payload!
        await dying
        await (cell === 'frozen' ? beta.thaw() : beta.revive())
        await world.until(beta, 'UP')
        for (const row of ROWS) after.set(row.verb, await states(row))
        for (const [verb, payload] of answers) told.set(verb, { before: before.get(verb)!, payload })
      }, 240_000)

      it.each(ROWS)('$verb says so of it, and is done elsewhere', ({ verb, outcome }) => {
        const { before, payload } = told.get(verb)!
        const { results } = payload
        expect(inCluster(results, 'alpha')).toMatchObject([{ outcome, error: null }])
        for (const [i, { name }] of world.clusters.entries()) {
          expectTruth(name, results, before[i]!, after.get(verb)![i]!)
        }
        const there = inCluster(results, 'beta')
        expect(there).toHaveLength(1)
        if (cell === 'down') {
          expect(there).toMatchObject([
            { outcome: 'UNREACHABLE', error: { code: 'UNREACHABLE', mayHaveBeenApplied: false } },
          ])
        } else if (there[0]!.error) expect(there).toMatchObject([{ outcome: 'UNREACHABLE' }])
      })

      it('is a plan carried out elsewhere', () => {
        expect(inCluster(confirmed.results, 'alpha')).toMatchObject([{ outcome: 'UPDATED', error: null }])
        expect(inCluster(confirmed.results, 'beta')).toMatchObject([
          { outcome: 'UNREACHABLE', error: { mayHaveBeenApplied: false } },
        ])
      })

      it('is in the answer also where objects are selected and not named', () => {
        expect(inCluster(selected.results, 'alpha')).toMatchObject([{ outcome: 'UPDATED', error: null }])
        const there = inCluster(selected.results, 'beta')
        expect(there.length).toBeGreaterThan(0)
        for (const { outcome, error } of there) {
          expect({ outcome, error }).toMatchObject({
            outcome: 'UNREACHABLE',
            error: { mayHaveBeenApplied: false, message: expect.stringMatching(SENTENCES) },
          })
        }
      })

      if (cell !== 'down') {
        it('some are done by then, and some are not', () => {
          const there = [...told.values()].flatMap(({ payload }) => inCluster(payload.results, 'beta'))
          expect(there.filter(({ error }) => error).length).toBeGreaterThan(0)
          expect(there.filter(({ error }) => !error).length).toBeGreaterThan(0)
        })
      }
    })

    describe('plan', () => {
      const label = rowOf('label')

      it('gives no token for what would be forbidden, and says where', async () => {
        const { data } = await plan('label', label.input('plan-allowed', both), half)
        expect(data!.plan.token).toBeNull()
        expect(data!.plan.results).toMatchObject([
          { clusterName: 'alpha', outcome: 'UPDATED', dryRun: true },
          { clusterName: 'beta', outcome: 'FORBIDDEN', dryRun: true },
        ])
      })

      it('refuses what is invalid', async () => {
        const { errors } = await plan('scale', rowOf('scale').invalid[0]!.input('plan-allowed', both))
        expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }])
      })

      it('says which cluster broke while it was tried, and gives no token', async () => {
        beta.way.fault = { type: 'LOST' }
        const { data } = await plan('label', label.input('plan-allowed', both))
        expect(data!.plan.token).toBeNull()
        expect(inCluster(data!.plan.results, 'beta')).toMatchObject([
          { outcome: 'UNREACHABLE', error: { mayHaveBeenApplied: false } },
        ])
      })
    })

    describe('confirm', () => {
      it('refuses a token that is none', async () => {
        expect(await confirm('nonsense')).toEqual({ errors: ['PLAN_INVALID'] })
      })

      it('says that it may have been done where the answer is lost, and does not do it again', async () => {
        const row = rowOf('label')
        const { data } = await plan('label', row.input('plan-cut', both))
        beta.way.fault = { type: 'CUT' }
        const { results } = await honest(row, 'plan-cut', () => confirm(data!.plan.token!))
        expect(inCluster(results, 'alpha')).toMatchObject([{ outcome: 'UPDATED', error: null }])
        expect(inCluster(results, 'beta')).toMatchObject([
          { outcome: 'UNREACHABLE', error: { mayHaveBeenApplied: true } },
        ])
        const state = await stateOf(beta, row.resources, 'plan-cut')
        const { payload } = await confirm(data!.plan.token!)
        expect(payload).toMatchObject({ replayed: true, results })
        expect(await stateOf(beta, row.resources, 'plan-cut')).toEqual(state)
      })
    })

    describe('cancelOperation', () => {
      const row = rowOf('label')
      const cancel = (id: string, { token }: TestToken = ada) =>
        world.gateway.ask<{ cancelOperation: { readonly state: string } }>(
          'mutation ($id: ID!) { cancelOperation(id: $id) { id state } }',
          { id },
          token,
        )
      const NOT_THERE = [{ extensions: { code: 'OPERATION_NOT_FOUND' } }]

      it('stops what has not begun, keeps what was done, and is for nobody but its owner', async () => {
        const n = 'plan-cancelled'
        const payload = await honest(row, n, async () => {
          const { data } = await world.gateway.ask<{ label: Payload }>(
            `mutation ($input: LabelInput!) { label(input: $input) { ${PAYLOAD} } }`,
            { input: { ...row.input(n, both), strategy: { waveSize: 1, pauseSeconds: 3600 } } },
            ada.token,
          )
          const { id } = data!.label.operation!
          await eventually(async () => {
            const { operation } = await world.gateway.query<{ operation: { events: { type: string }[] } }>(
              'query ($id: ID!) { operation(id: $id) { events { type } } }',
              { id },
              ada.token,
            )
            if (!operation.events.some(({ type }) => type === 'PAUSED')) throw new Error('no pause yet')
          })
          expect((await cancel(id, half)).errors).toMatchObject(NOT_THERE)
          expect((await cancel(id)).errors).toBeUndefined()
          return { payload: await ended(id, ada.token) }
        })
        expect(payload.operation!.state).toBe('CANCELLED')
        expect(payload.results).toMatchObject([
          { clusterName: 'alpha', outcome: 'UPDATED', error: null },
          { clusterName: 'beta', outcome: 'SKIPPED', error: { code: 'NOT_ATTEMPTED' } },
        ])
      })

      it('refuses what is no operation', async () => {
        expect((await cancel('nonsense')).errors).toMatchObject(NOT_THERE)
      })
    })

    it('exposes what was deployed a moment ago, and takes all of it back, whatever memory has heard', async () => {
      const n = 'quick'
      const resources = ['Service', 'Ingress', 'Deployment'].map(resourceOf)
      for (const cluster of world.clusters) cluster.holdWatches?.()
      try {
        const objects = both.map((cluster) => ({ cluster, namespace: NAMESPACE, name: n }))
        const steps: readonly (readonly [string, Input, readonly object[]])[] = [
          [
            'deploy',
            {
              targets: { clusters: both },
              name: n,
              namespace: NAMESPACE,
              replicas: 0,
              containers: [{ image: 'nginx:1.29', ports: [{ containerPort: 80 }] }],
            },
            [{ kind: 'Deployment', outcome: 'CREATED' }],
          ],
          [
            'expose',
            { targets: { objects }, ingress: { host: 'quick.example.com' } },
            [
              { kind: 'Service', outcome: 'CREATED' },
              { kind: 'Ingress', outcome: 'CREATED' },
            ],
          ],
          [
            'unexpose',
            { targets: { objects } },
            [
              { kind: 'Ingress', outcome: 'DELETED' },
              { kind: 'Service', outcome: 'DELETED' },
            ],
          ],
        ]
        for (const [verb, input, expected] of steps) {
          const { results } = await honest({ resources }, n, () => change(verb, input))
          for (const name of both) expect(inCluster(results, name)).toMatchObject(expected)
        }
      } finally {
        for (const cluster of world.clusters) cluster.releaseWatches?.()
      }
    })

    it('has written nothing as itself', async () => {
      const label = rowOf('label')
      await change('label', label.input('plan-audited', both))
      for (const cluster of world.clusters) {
        const writes = await world.writes(cluster)
        expect(writes.filter(({ as }) => as === undefined)).toEqual([])
        expect(writes.map(({ by }) => by)).toContain(GATEWAY_USER)
      }
    })
  })
}

/** Whatever has this name, in all clusters. */
function selecting(name: string): Input {
  const selector = { kinds: ['ConfigMap'], namespaces: [NAMESPACE], names: [name] }
  return { targets: { selector }, set: [{ key: 'tier', value: 'new' }], overwrite: true }
}

const ENDED = new Set(['SUCCEEDED', 'FAILED', 'CANCELLED', 'ROLLED_BACK'])

/** Of ConfigMaps that are planned for. */
const PLANNED_FOR = [
  'plan-allowed',
  'plan-cut',
  'plan-down',
  'plan-killed',
  'plan-frozen',
  'plan-cancelled',
  'plan-audited',
  'select-down',
  'select-killed',
  'select-frozen',
]

function rowOf(verb: string): Row {
  const row = ROWS.find((each) => each.verb === verb)
  if (!row) throw new Error(`${verb} has no row`)
  return row
}

/** Short enough for a Service, and no beginning of another one. */
function nameOf(verb: string, cell: Cell): string {
  return `${verb.toLowerCase()}-${cell}`
}

function inCluster(results: readonly Result[], cluster: string): readonly Result[] {
  return results.filter(({ clusterName }) => clusterName === cluster)
}

/** Makes what all rows need, in both clusters, and waits until it is at rest and known to the gateway. */
async function prepare({ clusters, gateway }: World): Promise<void> {
  const wanted = ROWS.flatMap((row) =>
    CELLS.flatMap((cell) => {
      const special: Pick<Case, 'given'> | undefined =
        cell === 'conflict' ? row.conflict : cell === 'between' ? row.between : undefined
      if ((cell === 'conflict' || cell === 'between') && !special) return []
      const given = (special?.given ?? row.given)(nameOf(row.verb, cell))
      return given.map((each) => ({ ...each, in: cell === 'missing' ? ['alpha'] : ['alpha', 'beta'] }))
    }),
  )
  const labelled = rowOf('label')
  for (const n of PLANNED_FOR) {
    wanted.push(...labelled.given(n).map((each) => ({ ...each, in: ['alpha', 'beta'] })))
  }
  for (const { name, http } of clusters) {
    const here = wanted.filter((each) => each.in.includes(name))
    // Pods of nodes that were made for them come after those.
    const [pods, others] = [here.filter(isPod), here.filter((each) => !isPod(each))]
    for (const batch of [others, pods]) {
      await inTurns(8, batch, ({ resource, body }) =>
        http.must(http.post(`${resource.path}?fieldManager=somebody`, { ...typeOf(resource), ...body })),
      )
    }
    const again = here.filter(({ revised }) => revised)
    await atRest(http, '1')
    await inTurns(8, again, ({ resource, body, revised: change }) =>
      http.must(http.patch(`${resource.path}/${body.metadata.name}`, 'merge', change)),
    )
    await atRest(http, '1')
    for (const { body } of again) await atRest(http, '2', body.metadata.name)
    await eventually(
      async () => {
        const { items } = await http.must(http.get(`/api/v1/namespaces/${NAMESPACE}/pods`))
        const waiting = items.filter(
          (pod) => at(pod, 'spec.nodeName') === 'node-0' && at(pod, 'status.phase') !== 'Running',
        )
        if (waiting.length > 0) throw new Error(`${waiting.length} pods do not run`)
      },
      { timeoutMs: 60_000, everyMs: 100 },
    )
    await eventually(
      async () => {
        const lists = { deployments: 'deployments', services: 'services', ingresses: 'ingresses' } as const
        const known = await gateway.query<Record<string, { totalCount: number }>>(
          `query ($filter: [String!], $in: [String!]) { ${Object.keys(lists)
            .map((list) => `${list}(filter: { clusters: $filter, namespaces: $in }) { totalCount }`)
            .join(' ')} }`,
          { filter: [name], in: [NAMESPACE] },
        )
        for (const [list, { totalCount }] of Object.entries(known)) {
          const there = here.filter(({ resource }) => resource.path.endsWith(`/${list}`)).length
          if (there !== totalCount) throw new Error(`${totalCount} of ${there} ${list} of ${name} are known`)
        }
      },
      { timeoutMs: 60_000, everyMs: 50 },
    )
  }
}

function isPod({ resource }: Given): boolean {
  return resource.kind === 'Pod'
}

function typeOf({ apiVersion, kind }: Resource) {
  return { apiVersion, kind }
}

/** So many at a time. */
async function inTurns<T>(
  width: number,
  all: readonly T[],
  work: (one: T) => Promise<unknown>,
): Promise<void> {
  const queue = all.values()
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (const one of queue) await work(one)
    }),
  )
}

/** Deployments, or one of them: the controller has seen them, and made this revision of them at least. */
async function atRest(http: PlacedCluster['http'], revision: string, name?: string): Promise<void> {
  await eventually(
    async () => {
      const { items } = await http.must(http.get(`/apis/apps/v1/namespaces/${NAMESPACE}/deployments`))
      for (const deployment of items) {
        const { metadata } = deployment
        if (name !== undefined && metadata.name !== name) continue
        const seen = at(deployment, 'status.observedGeneration') === metadata.generation
        const made = Number(metadata.annotations?.['deployment.kubernetes.io/revision'] ?? 0)
        if (!seen || made < Number(revision)) throw new Error(`${metadata.name} is not at rest`)
      }
    },
    { timeoutMs: 60_000, everyMs: 100 },
  )
}

/** By `Kind name`: those of this name, and Jobs whose names begin with it. */
async function stateOf({ http }: PlacedCluster, resources: readonly Resource[], n: string): Promise<State> {
  const state = new Map<string, { content: string; version: string }>()
  for (const { kind, path } of resources) {
    for (const object of kind === 'Job' ? await beginningWith(http, path, n) : await named(http, path, n)) {
      // On its way: it goes when its grace period or its finalizers let it.
      if (object.metadata.deletionTimestamp !== undefined) continue
      state.set(`${kind} ${object.metadata.name}`, {
        content: contentOf(kind, object),
        version: kind === 'Node' ? '' : object.metadata.resourceVersion,
      })
    }
  }
  return state
}

async function named(http: PlacedCluster['http'], path: string, name: string): Promise<readonly KubeJson[]> {
  const answer = await http.get(`${path}/${name}`)
  return answer.status === 404 ? [] : [await http.must(Promise.resolve(answer))]
}

async function beginningWith(http: PlacedCluster['http'], path: string, n: string) {
  const { items } = await http.must(http.get(path))
  return items.filter(({ metadata }) => metadata.name.startsWith(`${n}-`))
}

const OF_CONTROLLERS =
  /^(deployment\.kubernetes\.io|node\.alpha\.kubernetes\.io|autoscaling\.alpha\.kubernetes\.io)\//

function contentOf(kind: string, object: KubeJson): string {
  const { metadata, status: _status, spec, ...rest } = object
  const { uid, labels, annotations = {} } = metadata
  const own = Object.entries(annotations).filter(([key]) => !OF_CONTROLLERS.test(key))
  const { taints: _taints, ...nodeSpec } = (spec ?? {}) as { readonly taints?: unknown }
  return JSON.stringify({
    uid,
    labels,
    annotations: Object.fromEntries(own),
    spec: kind === 'Node' ? nodeSpec : spec,
    ...rest,
  })
}

function changedKeys(before: State, after: State): readonly string[] {
  return [...new Set([...before.keys(), ...after.keys()])].filter(
    (key) => before.get(key)?.content !== after.get(key)?.content,
  )
}

/** Well put together, and without the address of a cluster. */
const SENTENCES = /^(?!.*(\.\.|127\.0\.0\.1)).+$/s

/** Whatever changed was said to have changed, or to be uncertain; and what was said to be done was done. */
function expectTruth(cluster: string, results: readonly Result[], before: State, after: State): void {
  const changed = new Set(changedKeys(before, after))
  const said = new Map(inCluster(results, cluster).map((each) => [`${each.kind} ${each.name}`, each]))
  for (const { error } of said.values()) if (error) expect(error.message).toMatch(SENTENCES)
  for (const key of new Set([...before.keys(), ...after.keys()])) {
    const result = said.get(key)
    const about = `${key} in ${cluster}: ${result ? `${result.outcome} ${result.error?.message ?? ''}` : 'no result'}`
    if (!result || result.dryRun || result.outcome === 'UNCHANGED') {
      expect(changed.has(key), about).toBe(false)
    } else if (!result.error) expect(changed.has(key), about).toBe(true)
    else if (!result.error.mayHaveBeenApplied) expect(changed.has(key), about).toBe(false)
  }
}

/** Somebody else does something with the object that is about to be changed. */
async function interfere(
  { http }: PlacedCluster,
  resources: readonly Resource[],
  { kind, name, manifest, outcome }: Result,
): Promise<void> {
  const resource = resources.find((each) => each.kind === kind)!
  if (outcome !== 'CREATED') {
    const metadata = { labels: { interfered: 'yes' } }
    await http.must(http.patch(`${resource.path}/${name}`, 'merge', { metadata }))
    return
  }
  const { metadata, status: _status, ...rest } = manifest!
  const body = { ...rest, metadata: { name: metadata.name, labels: metadata.labels } }
  // What an API server chose when it was tried, and would not choose again.
  if (kind === 'Service') Object.assign(body, { spec: { ports: at(manifest, 'spec.ports') } })
  if (kind === 'Job')
    Object.assign(body, { spec: { template: { spec: at(manifest, 'spec.template.spec') } } })
  await http.must(http.post(resource.path, body))
}
