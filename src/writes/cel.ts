/**
 * Expressions of policies: the Common Expression Language (https://cel.dev) with the names and functions that
 * policies have, as Kubernetes gives them to its own (KEP-3488). It knows what an expression sees, and not what
 * follows from its answer.
 *
 * Invariants: an expression reads, and reaches nothing but what it is given; it ends in time, whatever object it is
 * given; whole numbers of an object are CEL's `int`, as in Kubernetes.
 */
import { createContext, Script } from 'node:vm'
import { Environment, type ParseResult } from '@marcbachmann/cel-js'
import type { KubernetesJson } from '../kubernetes/json.ts'
import { list } from '../kubernetes/projections/fields.ts'
import { quantityValue } from '../kubernetes/quantity.ts'
import { fullReference } from './images.ts'
import { imagesOf, podSpecOf } from './pod-template.ts'

/** What an expression sees. */
export interface Scene {
  /** As it would be; `null`: it would be gone. */
  readonly object: KubernetesJson | null
  /** As it is; `null`: it is not there, or cannot be read. */
  readonly oldObject: KubernetesJson | null
  readonly user: {
    readonly name: string
    readonly groups: readonly string[]
    /** Who vouches; `''`: nobody does. */
    readonly issuer: string
    readonly method: string
  }
  readonly cluster: { readonly name: string; readonly labels: Readonly<Record<string, string>> }
  readonly request: {
    /** The mutation: `scale`. */
    readonly verb: string
    readonly operation: 'CREATE' | 'UPDATE' | 'DELETE'
    readonly apiVersion: string
    readonly kind: string
    /** Of a Namespace its own name, as in Kubernetes; `''` for other objects without one. */
    readonly namespace: string
    readonly name: string
  }
  /** `null`: it is not about a number of replicas. */
  readonly replicas: number | null
}

/** How long an expression may take: far beyond what any takes that ends at all. */
export const EVALUATION_MS = 100

/** Of the text of an expression, so that nobody writes a program. */
const LIMITS = { maxAstNodes: 2_000, maxDepth: 64, maxListElements: 500, maxMapEntries: 500 }

/** An amount of a resource (`250m`, `1Gi`). */
class Amount {
  readonly value: number

  constructor(value: number) {
    this.value = value
  }
}

/** What becomes of an object's JSON in an expression. */
type CelValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | readonly CelValue[]
  | ReadonlyMap<string, CelValue>

const environment = new Environment({
  enableOptionalTypes: true,
  homogeneousAggregateLiterals: false,
  limits: LIMITS,
})
  .registerVariable('object', 'dyn')
  .registerVariable('oldObject', 'dyn')
  .registerVariable({
    name: 'user',
    schema: { name: 'string', groups: 'list<string>', issuer: 'string', method: 'string' },
  })
  .registerVariable({ name: 'cluster', schema: { name: 'string', labels: 'map<string, string>' } })
  .registerVariable({
    name: 'request',
    schema: {
      verb: 'string',
      operation: 'string',
      apiVersion: 'string',
      kind: 'string',
      namespace: 'string',
      name: 'string',
    },
  })
  .registerVariable('replicas', 'dyn')
  .registerType('Quantity', { ctor: Amount, fields: {} })
  .registerFunction('isQuantity(dyn): bool', (value: unknown) => amountOf(value) !== undefined)
  .registerFunction('quantity(dyn): Quantity', (value: unknown) => {
    const amount = amountOf(value)
    if (amount === undefined) throw new Error(`${quoted(value)} is not a quantity`)
    return new Amount(amount)
  })
  .registerFunction('Quantity.isLessThan(Quantity): bool', (a: Amount, b: Amount) => a.value < b.value)
  .registerFunction('Quantity.isGreaterThan(Quantity): bool', (a: Amount, b: Amount) => a.value > b.value)
  .registerFunction('Quantity.compareTo(Quantity): int', (a: Amount, b: Amount) =>
    BigInt(Math.sign(a.value - b.value)),
  )
  .registerFunction('Quantity.asApproximateFloat(): double', (a: Amount) => a.value)
  .registerFunction('containers(dyn): list<dyn>', (value: unknown) => containersOf(value))
  .registerFunction('images(dyn): list<string>', (value: unknown) =>
    imagesOf(sourceOf(value)).map((image) => fullReference(image) ?? image),
  )

/** What is wrong with an expression, where it is: `1:7: Unexpected token`. `undefined`: nothing. */
export function expressionProblem(expression: string, result: 'bool' | 'string'): string | undefined {
  const { valid, type, error } = environment.check(expression)
  if (!valid)
    return `${position(expression, error?.range?.start ?? 0)}: ${error?.summary ?? 'it is not valid'}`
  return type === result || type === 'dyn' ? undefined : `1:1: it is of type ${type}, expected ${result}`
}

function position(text: string, offset: number): string {
  const lines = text.slice(0, offset).split('\n')
  return `${lines.length}:${lines.at(-1)!.length + 1}`
}

/** A scene as expressions see it. */
export interface View {
  readonly variables: Readonly<Record<string, unknown>>
  /** How many there are of values in its objects. */
  readonly values: number
}

export function viewOf(scene: Scene): View {
  const { user, cluster, request, replicas } = scene
  const count = { values: 0 }
  const variables = {
    object: objectValue(scene.object, count),
    oldObject: objectValue(scene.oldObject, count),
    user: new Map(Object.entries(user)),
    cluster: new Map<string, unknown>([
      ['name', cluster.name],
      ['labels', new Map(Object.entries(cluster.labels))],
    ]),
    request: new Map(Object.entries(request)),
    replicas: celValue(replicas, count),
  }
  return { variables, values: count.values }
}

/** What goes through lists and maps: inside each other they take a power of what there is. */
const LOOP = /\.(?:all|exists|exists_one|map|filter)\b/g

/** Steps that surely take no longer than `EVALUATION_MS`. */
const SHORT = 100_000

/** An expression that is known to be valid. */
export class Expression {
  /** Whether it looks into objects: in doubt it does. */
  readonly readsObjects: boolean
  readonly #text: string
  readonly #loops: number
  readonly #matches: boolean
  #program: ParseResult
  #running = false

  constructor(text: string) {
    this.readsObjects = /\b(?:object|oldObject|replicas)\b/.test(text)
    this.#text = text
    this.#loops = text.match(LOOP)?.length ?? 0
    this.#matches = /\bmatches\b/.test(text)
    this.#program = environment.parse(text)
  }

  /** Throws where it cannot be decided. */
  evaluate(view: View): unknown {
    const short = !this.#matches && view.values ** this.#loops <= SHORT
    return short ? this.#run(view) : inTime(() => this.#run(view))
  }

  #run({ variables }: View): unknown {
    // A program holds where it is: one that was stopped half-way is not used again.
    if (this.#running) this.#program = environment.parse(this.#text)
    this.#running = true
    try {
      const value: unknown = this.#program(variables)
      this.#running = false
      return value
    } catch (error) {
      this.#running = false
      throw error
    }
  }
}

const room: { run: (() => unknown) | undefined } = { run: undefined }
createContext(room)
const door = new Script('run()')

/**
 * Runs something that must end: it is stopped after `EVALUATION_MS`, wherever it is, and then throws. A regular
 * expression of `matches` may take for ever over some text, and texts come from whoever asks. Costs a thread, 0.2 ms.
 */
function inTime<T>(run: () => T): T {
  room.run = run
  try {
    return door.runInContext(room, { timeout: EVALUATION_MS }) as T
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error
    throw new Error(`it took longer than ${EVALUATION_MS} ms`, { cause: error })
  } finally {
    room.run = undefined
  }
}

/** Maps, since an object's keys come from whoever asks: `__proto__` is a key like any other. */
function celValue(value: unknown, count: { values: number }): CelValue {
  count.values++
  if (typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value
  if (typeof value !== 'object' || value === null) return null
  if (Array.isArray(value)) return value.map((item) => celValue(item, count))
  const map = new Map<string, CelValue>()
  for (const key of Object.keys(value)) map.set(key, celValue((value as Record<string, unknown>)[key], count))
  return map
}

/** What an object's value was made from, so that nothing has to be made JSON again. */
const sources = new WeakMap<object, KubernetesJson>()

function objectValue(object: KubernetesJson | null, count: { values: number }): CelValue {
  const value = celValue(object, count)
  if (object && value instanceof Map) sources.set(value, object)
  return value
}

/** Throws for whatever is none of the two objects: nothing in it would look like nothing against it. */
function sourceOf(value: unknown): KubernetesJson | null {
  if (value === null) return null
  const source = value instanceof Map ? sources.get(value) : undefined
  if (!source) throw new Error('containers() and images() are of object or oldObject')
  return source
}

const containersKnown = new WeakMap<KubernetesJson, readonly CelValue[]>()

/** Of its pod template, all of them: what is run before the others, and what is run beside them. */
function containersOf(value: unknown): readonly CelValue[] {
  const object = sourceOf(value)
  if (!object) return []
  let containers = containersKnown.get(object)
  if (!containers) {
    const spec = podSpecOf(object)
    const items = [...list(spec['initContainers']), ...list(spec['containers'])]
    containers = items.map((item) => celValue(item, { values: 0 }))
    containersKnown.set(object, containers)
  }
  return containers
}

function amountOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value
  if (typeof value === 'bigint') return Number(value)
  return typeof value === 'string' ? quantityValue(value) : undefined
}

function quoted(value: unknown): string {
  return JSON.stringify(typeof value === 'string' ? value.slice(0, 40) : typeof value)
}
