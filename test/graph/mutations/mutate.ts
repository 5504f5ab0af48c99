/** Asks for a mutation of the graph alone: what would be done is written down, and what comes of it is said by the test. */
import { execute, parse, validate, type GraphQLFormattedError } from 'graphql'
import { everything, type Policy } from '../../../src/access/policy.ts'
import type { Fleet } from '../../../src/fleet/fleet.ts'
import { createContext } from '../../../src/graph/context.ts'
import { createSchema } from '../../../src/graph/schema.ts'
import type { KubernetesJson } from '../../../src/kubernetes/json.ts'
import type { Change, ObjectKey, Outcome, Step, StepResult } from '../../../src/writes/change.ts'
import type { OperationRecord, Strategy } from '../../../src/writes/operation.ts'
import { resultsOf } from '../../../src/writes/results.ts'
import type { Plan, RunOptions, RunOutcome, Writes } from '../../../src/writes/writes.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { liveView } from '../follow.ts'

const NOTHING: Plan['blastRadius'] = {
  clusters: [],
  namespaces: [],
  created: 0,
  updated: 0,
  deleted: 0,
  workloads: 0,
  podsAdded: 0,
  podsRemoved: 0,
  podsReplaced: 0,
  capacity: [],
  budgets: [],
  unknown: [],
}

/** What came of an object, unless the test says otherwise: it is as it was. */
export function resultOf(
  object: ObjectKey,
  about: Partial<StepResult> & { readonly outcome?: Outcome } = {},
): StepResult {
  return {
    index: 0,
    object,
    purpose: 'test',
    outcome: 'UNCHANGED',
    dryRun: false,
    before: null,
    after: null,
    error: null,
    resourceVersion: null,
    note: null,
    startedAt: 1_800_000_000_000,
    finishedAt: 1_800_000_001_000,
    ...about,
  }
}

/** Carries nothing out. */
export class RecordingWrites implements Writes {
  shared = false
  readonly changes: Change[] = []
  readonly options: RunOptions[] = []
  readonly plans: { readonly strategy?: Strategy }[] = []
  readonly confirmed: string[] = []
  readonly asked: { readonly first: number; readonly after: string | undefined }[] = []
  kept: readonly OperationRecord[] = []
  /** What becomes of a step; may throw. */
  end: (step: Step) => Partial<StepResult> = () => ({})
  outcome: Partial<RunOutcome> = {}
  token: string | null = 'a-token'
  refusal: Error | undefined

  /** Nobody else is at it. */
  async claim(): Promise<() => void> {
    this.#refuse()
    return () => {}
  }

  async run(_fleet: unknown, change: Change, options: RunOptions): Promise<RunOutcome> {
    this.#refuse()
    this.changes.push(change)
    this.options.push(options)
    return { results: this.#results(change), operation: null, replayed: false, ...this.outcome }
  }

  async plan(_fleet: unknown, change: Change, options: { readonly strategy?: Strategy }): Promise<Plan> {
    this.#refuse()
    this.changes.push(change)
    this.plans.push(options)
    const { token } = this
    return { token, expiresAt: 1_800_000_600_000, results: this.#results(change), blastRadius: NOTHING }
  }

  async confirm(_fleet: unknown, token: string): Promise<RunOutcome> {
    this.#refuse()
    this.confirmed.push(token)
    return { results: [], operation: null, replayed: true, ...this.outcome }
  }

  async operation(_fleet: unknown, id: string): Promise<OperationRecord | undefined> {
    this.#refuse()
    return this.kept.find((operation) => operation.id === id)
  }

  async operations(_fleet: unknown, first: number, after?: string): Promise<readonly OperationRecord[]> {
    this.#refuse()
    this.asked.push({ first, after })
    return this.kept
  }

  async cancel(_fleet: unknown, id: string): Promise<OperationRecord> {
    this.#refuse()
    return this.kept.find((operation) => operation.id === id)!
  }

  // oxlint-disable-next-line require-yield -- nothing is followed here.
  async *follow(): AsyncGenerator<OperationRecord> {
    this.#refuse()
  }

  #refuse(): void {
    if (this.refusal) throw this.refusal
  }

  #results(change: Change): readonly StepResult[] {
    return resultsOf(change, (step) => ({
      ...resultOf(step.object, this.end(step)),
      index: step.index,
      purpose: step.purpose,
    }))
  }
}

export interface Asked {
  // oxlint-disable-next-line typescript/no-explicit-any -- tests read answers of any shape.
  readonly data: any
  readonly errors: readonly GraphQLFormattedError[]
}

export interface AskOptions {
  readonly writes?: RecordingWrites
  readonly policy?: Policy
  readonly clock?: FakeClock
}

/** Any document, with these writes. */
export async function askChanges(
  fleet: Fleet,
  document: string,
  variables: Readonly<Record<string, unknown>> = {},
  { writes = new RecordingWrites(), policy = everything, clock = new FakeClock() }: AskOptions = {},
): Promise<Asked> {
  const schema = createSchema()
  const source = parse(document)
  const invalid = validate(schema, source)
  if (invalid.length > 0) throw new Error(`The document is not valid: ${invalid.join('\n')}`)
  const result = await execute({
    schema,
    document: source,
    variableValues: variables,
    contextValue: createContext(liveView(fleet, policy), undefined, clock, { writes }),
  })
  const { data, errors = [] } = JSON.parse(JSON.stringify(result)) as Partial<Asked>
  return { data, errors }
}

export interface Mutated extends Asked {
  /** What was asked of the writes; `undefined`: nothing. */
  readonly change: Change | undefined
  readonly options: RunOptions | undefined
  /** Of the first error: `BAD_USER_INPUT input.to: "to" is negative.` */
  readonly refusal: string | undefined
}

const SELECTION = '{ results { clusterName kind namespace name action outcome error { code message } } }'

/** One mutation, with this input. */
export async function mutate(
  fleet: Fleet,
  verb: string,
  input: Readonly<Record<string, unknown>>,
  { selection = SELECTION, ...options }: AskOptions & { readonly selection?: string } = {},
): Promise<Mutated> {
  const { writes = new RecordingWrites() } = options
  const type = `${verb.charAt(0).toUpperCase()}${verb.slice(1)}Input`
  const document = `mutation ($input: ${type}!) { answer: ${verb}(input: $input) ${selection} }`
  const { data, errors } = await askChanges(fleet, document, { input }, { ...options, writes })
  const [error] = errors
  return {
    data: data?.answer,
    errors,
    change: writes.changes.at(-1),
    options: writes.options.at(-1),
    refusal:
      error &&
      `${String(error.extensions?.['code'])} ${String(error.extensions?.['argument'])}: ${error.message}`,
  }
}

/** `Deployment prod-eu/shop/web`, of each step. */
export function targetsIn(change: Change | undefined): readonly string[] {
  return (change?.steps ?? []).map(({ object }) => placeOf(object))
}

export function placeOf({ kind, cluster, namespace, name }: ObjectKey): string {
  return `${kind} ${[cluster, ...(namespace === null ? [] : [namespace]), name].join('/')}`
}

export function configMap(name: string, data: Readonly<Record<string, string>> = {}): KubernetesJson {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: 'shop', uid: `${name}-uid`, resourceVersion: '20' },
    data,
  }
}
