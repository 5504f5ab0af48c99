/**
 * Executes GraphQL requests, whatever brought them: one set of limits, one executor, one way of telling
 * errors. Request → operation, if it is admitted (`admission.ts`, `documents.ts`) → coerced variables → cost → compiled code where it is known
 * to be right (`compiled-query.ts`), graphql-js's `execute` everywhere else → errors masked.
 *
 * `answer` gives the bytes of the answer, from the answers kept where nothing has changed (`answers.ts`).
 * It is synchronous unless the query waits for a live read, or for what was written (`at-least.ts`): nothing
 * else waits for a cluster, so two
 * equal requests never run at the same time.
 *
 * Deliberately knows nothing of HTTP.
 */
import {
  createSourceEventStream,
  execute,
  getVariableValues,
  GraphQLError,
  OperationTypeNode,
  validateSubscriptionArgs,
  type ExecutionArgs,
  type ExecutionResult,
  type GraphQLSchema,
  type ValidatedSubscriptionArgs,
} from 'graphql'
import type { Reads } from '../access/reads.ts'
import type { Viewer } from '../access/viewer.ts'
import type { Reached } from '../events/freshness.ts'
import { LiveSource, type Witness } from '../events/live.ts'
import { PositionError } from '../events/position.ts'
import { systemClock, type Clock } from '../fleet/clock.ts'
import { badUserInput } from '../graph/errors.ts'
import { Admission } from './admission.ts'
import { internal, RequestAborted, tellable } from './answer-errors.ts'
import { Answers, canonical } from './answers.ts'
import type { AtLeast } from './at-least.ts'
import { BoundedCache } from './bounded-cache.ts'
import { compile, type CompiledQuery, type VariableValues } from './compiled-query.ts'
import { coded, Documents, type Operation } from './documents.ts'
import { DEFAULT_LIMITS, tooMuch, type Limits } from './limits.ts'
import type { Logger } from './logger.ts'
import type { RateLimits } from './rate-limits.ts'
import type { Records, Subject } from './records.ts'
import type { GraphQLRequest, Caller } from './request.ts'
import { renderFor, Rendering, type Subscription } from './subscription.ts'
import { textKey } from './text-key.ts'
import { hashOf, type TrustedDocuments } from './trusted-documents.ts'

/** What execution needs to know of the GraphQL context. */
export interface ExecutionContext {
  readonly fleet: { readonly reads: ExecutionReads }
}

/** What is told of access needs telling only where there is access control. */
export type ExecutionReads = Pick<Reads, 'unchanged' | 'volatile'> &
  Partial<Pick<Reads, 'pending' | 'denied' | 'privileged' | 'written' | 'asked' | 'onNoted'>>

/** Who asks, and what their request needs if it comes to executing it. */
export interface Asker {
  readonly viewer: Viewer
  /** A new context, with reads of its own. The asker's end ends its live reads. */
  context(): ExecutionContext
  /** A new context for work that others share: it goes on when this asker has gone. */
  sharedContext(): ExecutionContext
  /** Aborted when the asker waits no longer. Default: never. */
  readonly signal?: AbortSignal
}

/** See `Freshness`; as far as this viewer may see. */
type Reach = (
  viewer: Viewer,
  wanted: { readonly cursor: string; readonly timeoutMs: number; readonly signal: AbortSignal },
) => Reached | Promise<Reached>

export interface ExecutorOptions {
  readonly schema: GraphQLSchema
  readonly logger: Logger
  readonly limits?: Partial<Limits>
  readonly introspection?: boolean
  /** "Did you mean …?" in error messages. Default: as `introspection`. */
  readonly suggestions?: boolean
  /** See `Policy.rightsKey`. */
  readonly rightsKey: (viewer: Viewer) => string
  /** Bytes of answers kept; 0 keeps none. Default 64 MiB. */
  readonly answerBytes?: number
  /** Documents that may be named instead of sent, and perhaps the only ones. Default: none. */
  readonly trusted?: TrustedDocuments
  /** Default: as often as anybody likes. */
  readonly rates?: RateLimits
  /** Default: nothing is recorded. */
  readonly records?: Records
  /** For queries with `@atLeast`. Default: they wait for nothing. */
  readonly reach?: Reach
  readonly clock?: Clock
}

export interface Answer {
  /** The JSON of the answer. */
  readonly body: Buffer | string
  /** Nothing was executed: the request itself is at fault. */
  readonly refused: boolean
  /** Refused for now, and not for what it is: when it may be sent again. */
  readonly retryAfterSeconds?: number
}

export type Extensions = {
  readonly cost: { readonly requested: number; readonly limit: number }
  /** Of a query with `@atLeast`. */
  readonly atLeast?: Reached
}

/** How long an answer waits, at most, for rights that are being found out: then it is given without them. */
const PENDING_MS = 1_000

/** Documents are compiled on their second use: most texts of one-off queries never come back. */
const COMPILE_AT_USE = 2

export class Executor {
  readonly schema: GraphQLSchema
  readonly limits: Limits
  readonly #admission: Admission
  /** By operation and the values of its conditions; `null`: it cannot be compiled. */
  readonly #compiled = new BoundedCache<string, CompiledQuery | null>({ maxCount: 500, maxBytes: Infinity })
  readonly #renderings = new BoundedCache<string, Rendering>({ maxCount: 2_000, maxBytes: 32 << 20 })
  readonly #answers: Answers
  readonly #rightsKey: (viewer: Viewer) => string
  readonly #logger: Logger
  readonly #suggestions: boolean
  readonly #records: Records | undefined
  readonly #reachFor: Reach | undefined
  readonly #clock: Clock

  constructor(options: ExecutorOptions) {
    const { schema, logger, introspection = false, answerBytes = 64 << 20 } = options
    this.schema = schema
    this.limits = { ...DEFAULT_LIMITS, ...options.limits }
    this.#logger = logger
    this.#suggestions = options.suggestions ?? introspection
    this.#rightsKey = options.rightsKey
    this.#answers = new Answers({ maxCount: answerBytes > 0 ? 10_000 : 0, maxBytes: answerBytes })
    this.#records = options.records
    this.#reachFor = options.reach
    this.#clock = options.clock ?? systemClock
    const documents = new Documents(schema, {
      limits: this.limits,
      introspection,
      suggestions: this.#suggestions,
      bounds: { maxCount: 2_000, maxBytes: 64 << 20 },
    })
    this.#admission = new Admission({ documents, trusted: options.trusted, rates: options.rates })
  }

  /**
   * A promise only where the query waits for a live read, for rights, or for what was written; it rejects only
   * where the asker has gone. `beforeMutation` is called before anything is changed: what it throws is thrown, and
   * nothing is executed. Throws nothing else.
   */
  answer(request: GraphQLRequest, asker: Asker, beforeMutation?: () => void): Answer | Promise<Answer> {
    const { caller } = request
    const startedAt = this.#records?.now() ?? null
    let operation: Operation
    try {
      const admitted = this.#admitted(request, asker, startedAt)
      if (!('node' in admitted)) return refuse(admitted)
      operation = admitted
    } catch (error) {
      return failed(error, this.#logger, caller)
    }
    if (operation.node.operation === OperationTypeNode.MUTATION) beforeMutation?.()
    try {
      if (!operation.atLeast) return this.#answer(operation, request, asker, startedAt)
      const reached = this.#reach(operation, operation.atLeast, request, asker, startedAt)
      const answer = (reached: MaybeReached) =>
        isErrors(reached) ? refuse(reached) : this.#answer(operation, request, asker, startedAt, reached)
      return isPromise(reached) ? reached.then(answer) : answer(reached)
    } catch (error) {
      return failed(error instanceof RangeError ? tooDeep() : error, this.#logger, caller)
    }
  }

  /** The same of an operation that was admitted; `reached` of one with `@atLeast`. */
  #answer(
    operation: Operation,
    request: GraphQLRequest,
    asker: Asker,
    startedAt: number | null,
    reached?: Reached,
  ): Answer | Promise<Answer> {
    const { caller } = request
    try {
      // An answer that is behind is nothing for those whose answer is not.
      const isQuery = operation.node.operation === OperationTypeNode.QUERY && reached?.reached !== false
      const key = isQuery ? this.#answerKey(operation, request, asker) : ''
      const kept = isQuery ? this.#answers.get(key) : undefined
      if (kept) {
        const subject = () => subjectOf(request, asker, operation, startedAt)
        this.#records?.executed(OperationTypeNode.QUERY, kept.reads, undefined, subject)
        return { body: kept.body, refused: false }
      }
      return this.#perform({ operation, request, asker, startedAt, reached }, key, (result, reads, key) => {
        try {
          if (!('data' in result)) return refuse(result.errors ?? [])
          const text = JSON.stringify(result)
          const keep = isQuery && key !== null && reads && !result.errors && !reads.pending?.size
          return { body: keep ? this.#answers.offer(key, text, reads) : text, refused: false }
        } catch (error) {
          return failed(error, this.#logger, caller)
        }
      })
    } catch (error) {
      return failed(error instanceof RangeError ? tooDeep() : error, this.#logger, caller)
    }
  }

  /** The same as an object. Never throws; a promise only where the query waits for a live read, or for rights. */
  execute(request: GraphQLRequest, asker: Asker): ExecutionResult | Promise<ExecutionResult> {
    try {
      const startedAt = this.#records?.now() ?? null
      const operation = this.#admitted(request, asker, startedAt)
      if (!('node' in operation)) return { errors: operation }
      const perform = (reached?: Reached) =>
        this.#perform({ operation, request, asker, startedAt, reached }, '', (result) => result)
      if (!operation.atLeast) return perform()
      const reached = this.#reach(operation, operation.atLeast, request, asker, startedAt)
      const answer = (reached: MaybeReached) => (isErrors(reached) ? { errors: reached } : perform(reached))
      return isPromise(reached) ? reached.then(answer) : answer(reached)
    } catch (error) {
      const cause = error instanceof RangeError ? tooDeep() : error
      return { errors: [cause instanceof GraphQLError ? cause : this.#internal(cause, request)] }
    }
  }

  /** What a subscription follows. Never throws; a promise only where its source takes one to be had. */
  subscribe(request: GraphQLRequest, asker: Asker): Subscription | Promise<Subscription> {
    const { caller } = request
    try {
      const { operation, errors } = this.#admission.admit(request, asker.viewer)
      const subject = () => subjectOf(request, asker, operation, null)
      if (!operation) return this.#refused(errors, subject)
      const checked = this.#check(operation, request, asker.viewer)
      if (!('variables' in checked)) return this.#refused(checked.errors, subject)
      const context = asker.context()
      const args = validateSubscriptionArgs(this.#argumentsOf(operation, request, context))
      if (!('schema' in args)) return refused(args)
      const key = this.#keyOf(operation, request)
      const rendering = this.#renderingOf(key, operation, checked.variables, args)
      const from = (source: AsyncIterable<unknown> | ExecutionResult): Subscription => {
        if (!(Symbol.asyncIterator in source)) {
          this.#records?.executed(
            OperationTypeNode.SUBSCRIPTION,
            context.fleet.reads,
            source.errors ?? [],
            subject,
          )
          return refused(tellable(source.errors ?? [], this.#logger, caller))
        }
        this.#records?.following(context.fleet.reads, subject)
        if (source instanceof LiveSource && this.#records) {
          source.eyes.witness = new LossRecord(this.#records, operation, asker, caller)
        }
        return source instanceof LiveSource && !operation.readsLive
          ? { type: 'live', source, key, render: renderFor(rendering, asker) }
          : {
              type: 'stream',
              events: source,
              onFailed: (error) => this.#records?.ended(error, subject),
              render: (event, context) => {
                // Of live reads: what a client that reads slowly is not sent is not read either.
                this.#records?.following((context as ExecutionContext).fleet.reads, subject)
                return rendering.one(event, context)
              },
            }
      }
      const source = createSourceEventStream(args)
      if (!isPromise(source)) return from(source)
      return source.then(from, (error: unknown) => refused([this.#internal(error, request)]))
    } catch (error) {
      return refused([error instanceof RangeError ? tooDeep() : this.#internal(error, request)])
    }
  }

  /**
   * Counts a request that no transport could make one of. RATE_LIMITED where its user has to wait for the next.
   */
  malformed(viewer: Viewer): GraphQLError | undefined {
    return this.#admission.malformed(viewer)
  }

  /**
   * What the request asks for, as far as its text tells: transports have rules about that. `undefined` where it
   * will be refused.
   */
  operationType(request: GraphQLRequest, asker: Asker): OperationTypeNode | undefined {
    return this.#admission.operationType(request, asker.viewer)
  }

  /** The operation to execute, or why there is none. */
  #admitted(
    request: GraphQLRequest,
    asker: Asker,
    startedAt: number | null,
  ): Operation | readonly GraphQLError[] {
    const { operation, errors } = this.#admission.admit(request, asker.viewer)
    if (operation) return subscribes(operation) ? [noStream()] : operation
    this.#records?.refused(errors, () => subjectOf(request, asker, undefined, startedAt))
    return errors
  }

  /** Waits for what was written; or what is wrong with the cursor. Rejects where the asker has gone meanwhile. */
  #reach(
    operation: Operation,
    atLeast: AtLeast,
    request: GraphQLRequest,
    asker: Asker,
    startedAt: number | null,
  ): MaybeReached | Promise<Reached> {
    const refused = (errors: readonly GraphQLError[]) => {
      this.#records?.refused(errors, () => subjectOf(request, asker, operation, startedAt))
      return errors
    }
    const checked = this.#variablesOf(operation, request, asker.viewer)
    if (!('variables' in checked)) return refused(checked.errors)
    const { signal = NEVER } = asker
    let reached: Reached | Promise<Reached> | undefined
    try {
      const wanted = atLeast.wanted(checked.variables)
      reached = wanted ? this.#reachFor?.(asker.viewer, { ...wanted, signal }) : NOTHING_TO_REACH
    } catch (error) {
      const told = error instanceof PositionError ? brokenCursor(error) : error
      if (!(told instanceof GraphQLError)) throw error
      this.#admission.refused(asker.viewer, [told])
      return refused([told])
    }
    if (!reached || !isPromise(reached)) return reached
    return reached.then((reached) => {
      const { reason } = signal as { reason: unknown }
      if (reason instanceof RequestAborted && reason.code === 'CLIENT_CLOSED') throw reason
      return reached
    })
  }

  #refused(errors: readonly GraphQLError[], subject: () => Subject): Subscription {
    this.#records?.refused(errors, subject)
    return refused(errors)
  }

  /**
   * Executes it, and once more where it met rights that were still being found out: those are waited for, but
   * not for long, and the second answer counts as it is. `finish` is told what was read, and the key that the
   * answer may be kept under: of the rights that it was executed with; `null` where these changed on the way.
   */
  #perform<T>(
    { operation, request, asker, startedAt, reached }: Performance,
    firstKey: string,
    finish: (result: ExecutionResult, reads: ExecutionReads | undefined, key: string | null) => T,
  ): T | Promise<T> {
    const subject = () => subjectOf(request, asker, operation, startedAt)
    const allowed = this.#check(operation, request, asker.viewer)
    if (!('variables' in allowed)) {
      this.#records?.refused(allowed.errors, subject)
      return finish(allowed, undefined, firstKey)
    }
    const checked = reached
      ? { ...allowed, extensions: { ...allowed.extensions, atLeast: reached } }
      : allowed
    const type = operation.node.operation
    const run = (key: string, again: boolean): T | Promise<T> => {
      const context = asker.context()
      const { reads } = context.fleet
      const isPending = () => !again && type === OperationTypeNode.QUERY && (reads.pending?.size ?? 0) > 0
      const runAgain = () =>
        this.#settled(reads.pending ?? []).then(() => run(this.#answerKey(operation, request, asker), true))
      const answered = (result: ExecutionResult, waited: boolean): T | Promise<T> => {
        if (isPending()) return runAgain()
        this.#admission.changed(asker.viewer, reads.asked ?? 0)
        this.#records?.executed(type, reads, result.errors, subject)
        // What was read after the asker's rights had changed is nothing for those who have the old ones.
        const isOfKey = !waited || key === '' || key === this.#answerKey(operation, request, asker)
        return finish(result, reads, isOfKey ? key : null)
      }
      const result = this.#run(operation, request, checked, context)
      if (!isPromise(result)) return answered(result, false)
      // What it waits for is read once more then: nobody waits for both.
      return isPending() ? runAgain() : result.then((result) => answered(result, true))
    }
    return run(firstKey, false)
  }

  async #settled(pending: Iterable<Promise<void>>): Promise<void> {
    let cancel = () => {}
    const late = new Promise<void>((resolve) => {
      cancel = this.#clock.after(PENDING_MS, resolve)
    })
    await Promise.race([Promise.all(pending), late])
    cancel()
  }

  /** JSON holds no line break: what comes after one cannot be taken for a part of it. */
  #answerKey(operation: Operation, request: GraphQLRequest, asker: Asker): string {
    return `${this.#keyOf(operation, request)}\n${this.#rightsKey(asker.viewer)}`
  }

  #keyOf(operation: Operation, { variables }: GraphQLRequest): string {
    let key = `${operation.id}`
    if (variables) {
      for (const name of operation.variableNames) {
        if (operation.startVariables.has(name)) continue
        // A variable that is given as null and one that is not given may differ.
        if (Object.hasOwn(variables, name)) key += ` ${name}:${canonical(variables[name])}`
      }
    }
    return textKey(key)
  }

  #check(
    operation: Operation,
    request: GraphQLRequest,
    viewer: Viewer,
  ): Checked | { readonly errors: readonly GraphQLError[] } {
    const checked = this.#variablesOf(operation, request, viewer)
    if (!('variables' in checked)) return checked
    const { variables } = checked
    const { cost: limit } = this.limits
    const requested = operation.cost(variables.coerced, limit)
    if (requested > limit) {
      const errors = [tooMuch('cost', `The query costs more than ${limit}`, limit)]
      this.#admission.refused(viewer, errors)
      return { errors }
    }
    const tooOften = this.#admission.charge(viewer, requested)
    if (tooOften) return { errors: [tooOften] }
    return { variables, extensions: { cost: { requested, limit } } }
  }

  #variablesOf(
    operation: Operation,
    request: GraphQLRequest,
    viewer: Viewer,
  ): { readonly variables: VariableValues } | { readonly errors: readonly GraphQLError[] } {
    const { errors, variableValues } = getVariableValues(
      this.schema,
      operation.node.variableDefinitions ?? [],
      request.variables ?? {},
      { maxErrors: this.limits.errors, hideSuggestions: !this.#suggestions },
    )
    if (!errors) return { variables: variableValues }
    const told = errors.map((error) => coded(error, 'BAD_USER_INPUT'))
    this.#admission.refused(viewer, told)
    return { errors: told }
  }

  #run(
    operation: Operation,
    request: GraphQLRequest,
    { variables, extensions }: Checked,
    context: ExecutionContext,
  ): ExecutionResult | Promise<ExecutionResult> {
    const compiled = ++operation.uses < COMPILE_AT_USE ? undefined : this.#compiledFor(operation, variables)
    if (compiled) {
      const data = compiled.bind(variables)(context)
      if (data) return { data, extensions }
      if (compiled.waits) operation.compilable = false
    }
    try {
      const result = execute(this.#argumentsOf(operation, request, context))
      if (!isPromise(result)) return this.#finish(result, extensions, request)
      operation.compilable = false
      return result.then(
        (result) => this.#finish(result, extensions, request),
        (error: unknown) => this.#finish(failure(error), extensions, request),
      )
    } catch (error) {
      return this.#finish(failure(error), extensions, request)
    }
  }

  /** One for all who follow the same: what is left to each of them is whose eyes it is seen with. */
  #renderingOf(
    key: string,
    operation: Operation,
    variables: VariableValues,
    args: ValidatedSubscriptionArgs,
  ): Rendering {
    let rendering = this.#renderings.get(key)
    if (!rendering) {
      rendering = new Rendering({
        // The context of the source is done with.
        args: { ...args, contextValue: undefined },
        compiled: () => this.#compiledFor(operation, variables)?.bind(variables),
        logger: this.#logger,
      })
      // Where the first of them began – a cursor is long – is kept with it, and is not in the key.
      let bytes = 2_048 + key.length * 2
      for (const value of Object.values(variables.coerced))
        if (typeof value === 'string') bytes += value.length
      this.#renderings.set(key, rendering, bytes)
    }
    return rendering
  }

  #internal(error: unknown, { caller }: GraphQLRequest): GraphQLError {
    return internal(error, this.#logger, undefined, caller)
  }

  #compiledFor(operation: Operation, { coerced }: VariableValues): CompiledQuery | undefined {
    if (!operation.compilable) return undefined
    let key = `${operation.id}`
    for (const name of operation.conditions) {
      const value = coerced[name]
      if (typeof value !== 'boolean') return undefined
      key += value ? '+' : '-'
    }
    let compiled = this.#compiled.get(key)
    if (compiled === undefined) {
      compiled = compile(this.schema, operation.fragments, operation.node, coerced) ?? null
      this.#compiled.set(key, compiled, 0)
    }
    return compiled ?? undefined
  }

  #argumentsOf(
    { document, node }: Operation,
    { variables }: GraphQLRequest,
    contextValue: ExecutionContext,
  ): ExecutionArgs {
    return {
      schema: this.schema,
      document,
      contextValue,
      operationName: node.name?.value ?? null,
      variableValues: variables ?? {},
      hideSuggestions: !this.#suggestions,
    }
  }

  #finish(result: ExecutionResult, extensions: Extensions, { caller }: GraphQLRequest): ExecutionResult {
    const { errors, data } = result
    if (!errors) return { data: data ?? null, extensions }
    const told = tellable(errors, this.#logger, caller)
    return data === undefined ? { errors: told } : { errors: told, data, extensions }
  }
}

/** A request whose operation was admitted. */
interface Performance {
  readonly operation: Operation
  readonly request: GraphQLRequest
  readonly asker: Asker
  readonly startedAt: number | null
  /** Of an operation with `@atLeast`. */
  readonly reached: Reached | undefined
}

/** Of a query with `@atLeast` that was given no cursor. */
const NOTHING_TO_REACH: Reached = { reached: true, behind: [] }

/** How far memory is, or what is wrong with what was asked for; `undefined`: nobody knows. */
type MaybeReached = Reached | undefined | readonly GraphQLError[]

const NEVER = new AbortController().signal

function isErrors(told: MaybeReached): told is readonly GraphQLError[] {
  return Array.isArray(told)
}

function brokenCursor(cause: PositionError): GraphQLError {
  return badUserInput(
    'The `cursor` of @atLeast is none. Use the `cursor` of a mutation’s payload unchanged, or null to wait for nothing.',
    'cursor',
    cause,
  )
}

interface Checked {
  readonly variables: VariableValues
  readonly extensions: Extensions
}

/** The name of an operation is a client's. */
const MAX_NAME = 200

function subjectOf(
  { query, operationName, caller }: GraphQLRequest,
  { viewer }: Asker,
  operation: Operation | undefined,
  startedAt: number | null,
): Subject {
  return {
    viewer,
    caller,
    startedAt,
    operationName: (operation?.node.name?.value ?? operationName)?.slice(0, MAX_NAME) ?? null,
    operationHash: operation ? operation.hash() : query === '' ? null : hashOf(query),
  }
}

/** Has a record made when a stream shows less than before. There is one for each stream: no request is held by it. */
class LossRecord implements Witness {
  readonly #records: Records
  readonly #operation: Operation
  readonly #asker: Asker
  readonly #caller: Caller | undefined

  constructor(records: Records, operation: Operation, asker: Asker, caller: Caller | undefined) {
    this.#records = records
    this.#operation = operation
    this.#asker = asker
    this.#caller = caller
  }

  lost(clusters: readonly string[]): void {
    this.#records.lost(
      clusters,
      subjectOf({ query: '', caller: this.#caller }, this.#asker, this.#operation, null),
    )
  }
}

function tooDeep(): GraphQLError {
  return coded(new GraphQLError('The variables are nested too deep.'), 'BAD_USER_INPUT')
}

/** Execution was given up: nothing of it counts. */
function failure(error: unknown): ExecutionResult {
  const cause = error instanceof Error ? error : new Error(String(error))
  return { errors: [new GraphQLError(cause.message, { originalError: cause })], data: null }
}

function refused(errors: readonly GraphQLError[]): Subscription {
  return { type: 'refused', errors }
}

function subscribes({ node }: Operation): boolean {
  return node.operation === OperationTypeNode.SUBSCRIPTION
}

function noStream(): GraphQLError {
  return new GraphQLError(
    'A subscription needs a stream: connect a WebSocket (graphql-transport-ws), or POST with "Accept: text/event-stream".',
    { extensions: { code: 'STREAM_REQUIRED' } },
  )
}

function refuse(errors: readonly GraphQLError[]): Answer {
  const retryAfterSeconds = errors[0]?.extensions['retryAfterSeconds']
  const body = JSON.stringify({ errors })
  return typeof retryAfterSeconds === 'number'
    ? { body, refused: true, retryAfterSeconds }
    : { body, refused: true }
}

/** An answer for a request that did not get as far as execution. */
export function failed(error: unknown, logger: Logger, caller?: Caller): Answer {
  return refuse([error instanceof GraphQLError ? error : internal(error, logger, undefined, caller)])
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return value instanceof Promise || typeof (value as { then?: unknown }).then === 'function'
}
