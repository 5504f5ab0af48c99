/**
 * Whatever clusters grant, take away, and fail to answer, in whatever order: nothing is shown that was not
 * granted within twice the time of the cache, and after some quiet what is shown is what is granted.
 */
import * as fc from 'fast-check'
import { expect, it, onTestFinished } from 'vitest'
import type { ReadRight } from '../../src/access/policy.ts'
import { AskedReviews } from '../../src/access/reviews.ts'
import { viewerOf } from '../../src/access/viewer.ts'
import type { Scope } from '../../src/fleet/selection.ts'
import { ApiError, TransportError, type ApiRequest } from '../../src/kubernetes/client.ts'
import { project } from '../../src/kubernetes/projections/projections.ts'
import type { Kind } from '../../src/kubernetes/rows.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { FakeCluster, FakeFleet, UP } from '../support/fake-fleet.ts'

const CACHE_MS = 10_000
const NAMESPACES = ['a', 'b', 'c']
const KINDS = ['Pod', 'Service'] as const satisfies readonly Kind[]
const VERBS = ['list', 'watch'] as const
const ada = viewerOf({ name: 'ada', groups: [] })

/** `list pods in a`; of the whole cluster without a namespace. */
const GRANTS = VERBS.flatMap((verb) =>
  ['pods', 'services'].flatMap((resource) =>
    ['', ...NAMESPACES].map((namespace) => `${verb} ${resource} in ${namespace}`),
  ),
)

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant('toggle'), grant: fc.constantFrom(...GRANTS) }) },
  { weight: 6, arbitrary: fc.record({ type: fc.constant('wait'), ms: fc.integer({ min: 1, max: 15_000 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('pause'), ms: fc.integer({ min: 50_000, max: 150_000 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constantFrom('silent', 'refuses', 'answers', 'down', 'up', 'rules', 'namespace'),
    }),
  },
)
interface Step {
  readonly type: string
  readonly grant?: string
  readonly ms?: number
}
interface Question {
  readonly kind: (typeof KINDS)[number]
  readonly verb: (typeof VERBS)[number]
}

const EVERYTHING = KINDS.flatMap((kind) => VERBS.map((verb): Question => ({ kind, verb })))
/** What is asked for after a step: not always the same, so that rights are found out at different times. */
const questions = fc.subarray(EVERYTHING)

class Model {
  readonly cluster = new FakeCluster('east')
  readonly clock = new FakeClock()
  readonly reviews: AskedReviews
  readonly #granted = new Set<string>()
  /** When each was granted last. */
  readonly #grantedAt = new Map<string, number>()
  readonly #namespaces = ['a', 'b']
  #fails: Error | undefined
  #rulesComplete = true

  constructor() {
    this.cluster.answer = (request) => this.#answer(request)
    this.cluster.load(
      'Namespace',
      this.#namespaces.map((name) => namespaceOf(name)),
    )
    this.reviews = new AskedReviews({
      fleet: new FakeFleet(this.cluster),
      clock: this.clock,
      cacheMs: CACHE_MS,
    })
  }

  async do({ type, grant = '', ms = 0 }: Step, asked: readonly Question[]): Promise<void> {
    if (type === 'toggle') {
      if (this.#granted.delete(grant)) this.#grantedAt.set(grant, this.clock.now())
      else this.#granted.add(grant)
    } else if (type === 'wait' || type === 'pause') await this.clock.advance(ms)
    else if (type === 'silent') this.#fails = new TransportError('TIMEOUT', 'silent')
    else if (type === 'refuses') this.#fails = new ApiError(403, { message: 'no' })
    else if (type === 'answers') this.#fails = undefined
    else if (type === 'down') this.cluster.health = { ...UP, state: 'DOWN' }
    else if (type === 'up') this.cluster.health = UP
    else if (type === 'rules') this.#rulesComplete = !this.#rulesComplete
    else if (!this.#namespaces.includes('c')) {
      this.#namespaces.push('c')
      const row = project('Namespace')(namespaceOf('c'), 'east')
      this.cluster.apply('Namespace', { type: 'Apply', row, resourceVersion: '101', partial: false } as never)
    }
    // What is waited for is read at once; a pause is one in which nobody reads.
    if (type !== 'pause') this.check(asked)
  }

  /** Nothing is shown that was not granted lately. */
  check(asked: readonly Question[] = EVERYTHING): void {
    const since = this.clock.now() - 2 * CACHE_MS
    const was = (grant: string) => this.#granted.has(grant) || (this.#grantedAt.get(grant) ?? 0) > since
    for (const { kind, verb } of asked) {
      const { scope, state } = this.read(kind, verb)
      if (state !== 'DECIDED') expect(scope).toBeUndefined()
      for (const namespace of shown(scope)) {
        for (const needed of verb === 'watch' ? VERBS : [verb]) {
          const grants = [
            `${needed} ${kind.toLowerCase()}s in `,
            `${needed} ${kind.toLowerCase()}s in ${namespace}`,
          ]
          expect(grants.some(was), `${needed} ${kind} in ${namespace || 'the cluster'}`).toBe(true)
        }
      }
    }
  }

  /** All that is granted is shown. */
  async settle(): Promise<void> {
    this.#fails = undefined
    this.cluster.health = UP
    this.check()
    await this.clock.advance(31_000)
    this.check()
    await this.clock.advance(CACHE_MS + 1_000)
    for (const kind of KINDS) {
      for (const verb of VERBS) {
        const grants = (namespace: string) =>
          (verb === 'watch' ? VERBS : [verb]).every((needed) =>
            ['', namespace].some((at) => this.#granted.has(`${needed} ${kind.toLowerCase()}s in ${at}`)),
          )
        const { scope, state } = this.read(kind, verb)
        expect(state).toBe('DECIDED')
        for (const namespace of this.#namespaces)
          expect(scope === 'all' || (scope?.namespaces.has(namespace) ?? false)).toBe(grants(namespace))
        expect(scope === 'all').toBe(grants(''))
      }
    }
  }

  read(kind: Kind, verb: 'list' | 'watch'): ReadRight {
    return this.reviews.read(ada, this.cluster, kind, verb, 'GATEWAY')
  }

  async #answer({ body }: ApiRequest): Promise<unknown> {
    const { spec } = body as {
      readonly spec: {
        readonly namespace?: string
        readonly resourceAttributes?: {
          readonly verb: string
          readonly resource: string
          readonly namespace?: string
        }
      }
    }
    // As the server knew it when it was asked, and some time on the way.
    const granted = new Set(this.#granted)
    const fails = this.#fails
    await new Promise<void>((resolve) => void this.clock.after(20, resolve))
    if (fails) throw fails
    if (spec.resourceAttributes) {
      const { verb, resource, namespace = '' } = spec.resourceAttributes
      return {
        status: { allowed: [namespace, ''].some((at) => granted.has(`${verb} ${resource} in ${at}`)) },
      }
    }
    const rules = [...granted].map((grant) => /^(\w+) (\w+) in (.*)$/.exec(grant)!.slice(1))
    const resourceRules = rules
      .filter(([, , at]) => at === '' || at === spec.namespace)
      .map(([verb, resource]) => ({ verbs: [verb], apiGroups: [''], resources: [resource] }))
    return { status: { incomplete: !this.#rulesComplete, resourceRules } }
  }
}

function namespaceOf(name: string): unknown {
  return { metadata: { name, uid: name, resourceVersion: name === 'c' ? '101' : '1' } }
}

/** `''`: the whole cluster. */
function shown(scope: Scope | undefined): Iterable<string> {
  return scope === undefined ? [] : scope === 'all' ? [''] : scope.namespaces
}

it('shows what is granted, and nothing that was not', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(step, questions), { minLength: 5, maxLength: 60 }), async (steps) => {
      const model = new Model()
      onTestFinished(() => model.reviews.close())
      try {
        for (const [one, asked] of steps) await model.do(one, asked)
        await model.settle()
      } finally {
        model.reviews.close()
      }
    }),
    { numRuns: 60 },
  )
}, 60_000)
