/**
 * What all mutations that change clusters share: one input object with the same options, the way from it to a
 * change, and the payload. A verb's file says only what is its own: its fields, and how they become steps.
 *
 * Each verb's input is also a field of `PlannedChange`, so that everything that can be done can be planned.
 */
import { createHash } from 'node:crypto'
import type { InputFieldMap, InputObjectRef } from '@pothos/core'
import { GraphQLError } from 'graphql'
import { matchesLabels } from '../../kubernetes/label-selector.ts'
import { quoted } from '../../kubernetes/quoted.ts'
import type { Action, Change, ObjectKey, Preconditions, StepResult, Verb } from '../../writes/change.ts'
import type { Strategy } from '../../writes/operation.ts'
import { ChangeRefused, type RunOutcome, type Writes } from '../../writes/writes.ts'
import { builder, type Types } from '../builder.ts'
import { within } from '../changes.ts'
import type { GraphContext } from '../context.ts'
import { badUserInput } from '../errors.ts'
import { labelSelectorOf, type InputFields } from '../filters.ts'
import { ChangePayloadRef } from './payload.ts'

const OnFailure = builder.enumType('OnFailure', {
  description: 'What happens after a wave in which more failed than `maxFailures`.',
  values: {
    STOP: { description: 'Nothing further is begun. What was done stays.' },
    CONTINUE: { description: 'The next wave is begun all the same.' },
    ROLL_BACK: {
      description:
        'Nothing further is begun, and what was done is put back, newest first, where nobody else has changed it since.',
    },
  } satisfies Record<Strategy['onFailure'], { description: string }>,
})

interface StrategyInput {
  readonly waves?: readonly string[] | null | undefined
  readonly waveSize?: number | null | undefined
  readonly concurrency?: number | null | undefined
  readonly pauseSeconds?: number | null | undefined
  readonly onFailure?: Strategy['onFailure'] | null | undefined
  readonly maxFailures?: number | null | undefined
  readonly waitForReady?: boolean | null | undefined
  readonly readyTimeoutSeconds?: number | null | undefined
}

const StrategyRef = builder.inputRef<StrategyInput>('StrategyInput').implement({
  description:
    'How a change goes through its clusters, as an operation that survives the replica which carries it out. The mutation answers when it is begun: follow its `operation`.',
  fields: (t) => ({
    waves: t.stringList({
      description:
        'Selectors of clusters by their labels, wave after wave: `["env=dev", "env=prod,region=eu"]`. A cluster belongs to the first that it matches; those that match none are the last wave. Up to 100, and each has to match a cluster of the fleet. Not together with `waveSize`.',
    }),
    waveSize: t.int({
      description: 'So many clusters a wave, in order of their names. Absent, without `waves`: all at once.',
    }),
    concurrency: t.int({
      description: 'Clusters of a wave that are worked on at a time; absent: all of them.',
    }),
    pauseSeconds: t.int({ defaultValue: 0, description: 'Seconds between two waves: 0 to 86,400.' }),
    onFailure: t.field({
      type: OnFailure,
      defaultValue: 'STOP',
      description: 'What happens after a wave in which something failed.',
    }),
    maxFailures: t.int({
      defaultValue: 0,
      description: 'Clusters that may fail in a wave before it counts as failed.',
    }),
    waitForReady: t.boolean({
      defaultValue: false,
      description:
        'Whether a cluster is only done when the workloads that were changed in it are rolled out; those that are not in time count as failed.',
    }),
    readyTimeoutSeconds: t.int({
      defaultValue: 300,
      description: 'Seconds to wait for that: 1 to 86,400.',
    }),
  }),
})

const DAY_S = 86_400

/** As many as anybody can follow. */
const MOST_WAVES = 100

function strategyOf(input: StrategyInput, { fleet }: GraphContext, path: string): Strategy {
  const { waves, waveSize, concurrency } = input
  if (waves && waveSize != null) {
    throw badUserInput('Give "waves" or "waveSize", not both.', `${path}.waveSize`)
  }
  if (waves && (waves.length === 0 || waves.length > MOST_WAVES)) {
    throw badUserInput(`These are ${waves.length} waves: give 1 to ${MOST_WAVES}.`, `${path}.waves`)
  }
  waves?.forEach((text, i) => {
    const at = `${path}.waves[${i}]`
    const selector = labelSelectorOf(text, at)
    // A typing error would put the clusters that are meant to be first into the last wave.
    if (fleet.clusters().some(({ labels }) => matchesLabels(selector, labels))) return
    throw badUserInput(`No cluster has labels that match ${quoted(text)}: no wave would be begun for it.`, at)
  })
  const count = (name: string, value: number, least: number, most: number) =>
    within(`${path}.${name}`, value, least, most)
  return {
    ...(waves && { waves }),
    ...(waveSize != null && { waveSize: count('waveSize', waveSize, 1, 10_000) }),
    ...(concurrency != null && { concurrency: count('concurrency', concurrency, 1, 10_000) }),
    pauseMs: count('pauseSeconds', input.pauseSeconds ?? 0, 0, DAY_S) * 1_000,
    onFailure: input.onFailure ?? 'STOP',
    maxFailures: count('maxFailures', input.maxFailures ?? 0, 0, 10_000),
    readyTimeoutMs: input.waitForReady
      ? count('readyTimeoutSeconds', input.readyTimeoutSeconds ?? 300, 1, DAY_S) * 1_000
      : 0,
  }
}

interface OptionsInput {
  readonly dryRun?: boolean | null | undefined
  readonly idempotencyKey?: string | null | undefined
  readonly strategy?: StrategyInput | null | undefined
}

function optionFields(t: InputFields) {
  return {
    dryRun: t.boolean({
      defaultValue: false,
      description:
        'Whether the API servers only check it: they validate and admit, and store nothing. The results say what would come of it.',
    }),
    idempotencyKey: t.string({
      description:
        'A text of your own for this one request, up to 255 characters, such as a UUID. Whoever sends it again with the same input – after a lost answer, at the same time, to another replica – gets the first result, and nothing is done twice. Kept for a day; the payload says in `operation { storage }` whether other replicas know it.',
    }),
    strategy: t.field({
      type: StrategyRef,
      description:
        'In waves, with an operation to follow. Absent: all clusters at once, and the answer waits.',
    }),
  }
}

/** A step, before it has its place. */
export interface StepSpec {
  readonly object: ObjectKey
  readonly action: Action
  readonly preconditions?: Preconditions
  /** Default 0. */
  readonly stage?: number
  /** Of steps that only come after each other: where one fails, other groups of the cluster go on. */
  readonly group?: string
  /** What is done with the object, for a person: `scale to 3`. */
  readonly purpose: string
  /** With its result, where it was changed: what else there is to know. A sentence. */
  readonly note?: string
}

/** What a verb makes of its input. */
export interface Composed {
  /** A sentence for a person: `scale Deployment shop/web to 3 in 2 clusters`. */
  readonly title: string
  readonly steps: readonly StepSpec[]
  readonly known?: readonly StepResult[]
}

interface ChangeVerb<I> {
  /** Its value is an `I` with the options. */
  readonly input: InputObjectRef<Types, object>
  readonly compose: (input: I, context: GraphContext, path: string) => Composed | Promise<Composed>
  readonly strategy?: Strategy
}

/** By verb, for `plan`. */
export const CHANGE_VERBS = new Map<Verb, ChangeVerb<object>>()

/**
 * A mutation field of the verb's name. `compose` throws BAD_USER_INPUT; `path` is where its input stands, for the
 * errors' arguments. `after` is done before the mutation answers, with what came of it.
 */
export function changeField<I extends object>(
  verb: Verb,
  {
    description,
    fields,
    compose,
    after,
    strategy: own,
  }: {
    readonly description: string
    readonly fields: (t: InputFields) => InputFieldMap
    readonly compose: ChangeVerb<I>['compose']
    readonly after?: (outcome: RunOutcome, input: I, context: GraphContext) => Promise<void>
    /** Of what takes its time: it is an operation, also where no strategy is asked for. */
    readonly strategy?: Strategy
  },
): void {
  const name = `${verb.charAt(0).toUpperCase()}${verb.slice(1)}Input`
  const input = builder.inputRef<object>(name).implement({
    description: `The input of the mutation \`${verb}\`.`,
    fields: (t) => ({ ...fields(t), ...optionFields(t) }),
  }) as InputObjectRef<Types, object>
  CHANGE_VERBS.set(verb, {
    input,
    compose: compose as ChangeVerb<object>['compose'],
    ...(own && { strategy: own }),
  })
  builder.mutationField(verb, (t) =>
    t.field({
      type: ChangePayloadRef,
      // One that is refused takes nothing from those beside it in the same request: those have been carried out.
      nullable: true,
      description,
      args: { input: t.arg({ type: input, required: true, description: 'What to do, with what, where.' }) },
      resolve: async (_root, args, context) => {
        const given = args.input as I & OptionsInput
        const { dryRun, idempotencyKey, strategy } = given
        if (idempotencyKey != null && (idempotencyKey === '' || idempotencyKey.length > 255)) {
          throw badUserInput('"idempotencyKey" has 1 to 255 characters.', 'input.idempotencyKey')
        }
        const { fleet, signal } = context
        const carryOut = async () => {
          const change = await changeOf(verb, given, context, 'input')
          const how = strategy ? strategyOf(strategy, context, 'input.strategy') : own
          return writesOf(context).run(
            fleet,
            change,
            {
              dryRun: dryRun ?? false,
              ...(idempotencyKey != null && { idempotencyKey }),
              ...(how && !dryRun && { strategy: how }),
            },
            signal,
          )
        }
        const outcome = await refusable(async () => {
          if (idempotencyKey == null || dryRun) return carryOut()
          const digest = digestOf(askedFor(verb, given))
          const claimed = await writesOf(context).claim(fleet, { idempotencyKey, digest }, signal)
          if (typeof claimed !== 'function') return claimed
          try {
            return await carryOut()
          } finally {
            claimed()
          }
        })
        await after?.(outcome, given, context)
        return outcome
      },
    }),
  )
}

/**
 * What is asked for, and not how: whether it is only tried is another matter. Coercion has put the fields in the schema's
 * order and their defaults in the place of what is left out; what is null is left out, too.
 */
function askedFor(verb: Verb, input: object): string {
  const { dryRun: _dryRun, idempotencyKey: _key, ...asked } = input as OptionsInput
  return JSON.stringify([verb, asked], (_field, value: unknown) => value ?? undefined)
}

function digestOf(asked: string): string {
  return createHash('sha256').update(asked).digest('hex')
}

/** Throws BAD_USER_INPUT. */
export async function changeOf(
  verb: Verb,
  input: object,
  context: GraphContext,
  path: string,
): Promise<Change> {
  const { compose } = CHANGE_VERBS.get(verb)!
  const { title, steps, known = [] } = await compose(input, context, path)
  requireSteps(steps.length, `${path}.targets`)
  const text = askedFor(verb, input)
  requireSize(steps, text.length, path)
  return {
    verb,
    title,
    digest: digestOf(text),
    steps: steps.map(({ stage = 0, ...step }, index) => ({ index, stage, ...step })),
    known,
  }
}

const MOST_STEPS = 5_000
/** Characters of all steps together, as JSON: they are kept in memory and in Redis, and travel. */
const MOST_CHARACTERS = 32 * 1_048_576

/** Throws BAD_USER_INPUT. To be called before that many are made. */
export function requireSteps(count: number, path: string): void {
  if (count <= MOST_STEPS) return
  const message = `These would be ${count} objects to change, of all clusters together: at most ${MOST_STEPS} in one request. Name fewer objects, or fewer clusters.`
  throw badUserInput(message, path)
}

/** What was sent once may be meant for a thousand objects. */
function requireSize(steps: readonly StepSpec[], asked: number, path: string): void {
  // No step is larger than what it was made of.
  if (steps.length * asked <= MOST_CHARACTERS) return
  let size = 0
  for (const { action } of steps) {
    size += JSON.stringify(action).length
    if (size <= MOST_CHARACTERS) continue
    const message = `What is to be written to ${steps.length} objects has more than ${MOST_CHARACTERS} characters together. Name fewer objects, or fewer clusters.`
    throw badUserInput(message, `${path}.targets`)
  }
}

/** The strategy of an input of whichever verb. Throws BAD_USER_INPUT. */
export function plannedStrategy(
  verb: Verb,
  input: object,
  context: GraphContext,
  path: string,
): Strategy | undefined {
  const { dryRun, idempotencyKey, strategy } = input as OptionsInput
  if (dryRun) throw badUserInput('A plan is a dry run: leave "dryRun" out.', `${path}.dryRun`)
  if (idempotencyKey != null) {
    throw badUserInput(
      'A plan is carried out once, whatever happens: leave "idempotencyKey" out.',
      `${path}.idempotencyKey`,
    )
  }
  return strategy ? strategyOf(strategy, context, `${path}.strategy`) : CHANGE_VERBS.get(verb)!.strategy
}

export function writesOf({ writes }: GraphContext): Writes {
  if (!writes) throw new Error('This gateway changes nothing: give the context its writes.')
  return writes
}

/** `ChangeRefused` as GraphQL says it: nothing was begun. */
export async function refusable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof ChangeRefused)) throw error
    throw new GraphQLError(error.message, { extensions: { code: error.code }, originalError: error })
  }
}
