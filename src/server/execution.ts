/**
 * Executes GraphQL requests, whatever brought them: one set of limits, one executor, one way of telling
 * errors. Text → operation (`documents.ts`) → coerced variables → cost → compiled code where it is known
 * to be right (`compiled-query.ts`), graphql-js's `execute` everywhere else → errors masked.
 *
 * `answer` gives the bytes of the answer, from the answers kept where nothing has changed (`answers.ts`).
 * It is synchronous unless the query waits for a live read: nothing else waits for a cluster, so two
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
} from 'graphql'
import type { Reads } from '../access/authorized-fleet.ts'
import type { Viewer } from '../access/viewer.ts'
import { LiveSource } from '../events/live.ts'
import { internal, tellable } from './answer-errors.ts'
import { Answers, canonical } from './answers.ts'
import { BoundedCache } from './bounded-cache.ts'
import { compile, type CompiledQuery, type VariableValues } from './compiled-query.ts'
import { coded, Documents, type Operation } from './documents.ts'
import { DEFAULT_LIMITS, tooMuch, type Limits } from './limits.ts'
import type { Logger } from './logger.ts'
import type { GraphQLRequest } from './request.ts'
import { Rendering, type Subscription } from './subscription.ts'

/** What execution needs to know of the GraphQL context. */
export interface ExecutionContext {
  readonly fleet: { readonly reads: Pick<Reads, 'unchanged' | 'volatile'> }
}

/** Who asks, and what their request needs if it comes to executing it. */
export interface Asker {
  readonly viewer: Viewer
  /** A new context, with reads of its own. The asker's end ends its live reads. */
  context(): ExecutionContext
  /** A new context for work that others share: it goes on when this asker has gone. */
  sharedContext(): ExecutionContext
}

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
}

export interface Answer {
  /** The JSON of the answer. */
  readonly body: Buffer | string
  /** Nothing was executed: the request itself is at fault. */
  readonly refused: boolean
}

export type Extensions = { readonly cost: { readonly requested: number; readonly limit: number } }

/** Documents are compiled on their second use: most texts of one-off queries never come back. */
const COMPILE_AT_USE = 2

export class Executor {
  readonly schema: GraphQLSchema
  readonly limits: Limits
  readonly #documents: Documents
  /** By operation and the values of its conditions; `null`: it cannot be compiled. */
  readonly #compiled = new BoundedCache<string, CompiledQuery | null>({ maxCount: 500, maxBytes: Infinity })
  readonly #answers: Answers
  readonly #rightsKey: (viewer: Viewer) => string
  readonly #logger: Logger
  readonly #suggestions: boolean

  constructor(options: ExecutorOptions) {
    const { schema, logger, introspection = false, answerBytes = 64 << 20 } = options
    this.schema = schema
    this.limits = { ...DEFAULT_LIMITS, ...options.limits }
    this.#logger = logger
    this.#suggestions = options.suggestions ?? introspection
    this.#rightsKey = options.rightsKey
    this.#answers = new Answers({ maxCount: answerBytes > 0 ? 10_000 : 0, maxBytes: answerBytes })
    this.#documents = new Documents(schema, {
      limits: this.limits,
      introspection,
      suggestions: this.#suggestions,
      bounds: { maxCount: 2_000, maxBytes: 64 << 20 },
    })
  }

  /** Never throws; a promise only where the query waits for a live read. */
  answer(request: GraphQLRequest, asker: Asker): Answer | Promise<Answer> {
    const { operation, errors } = this.#documents.find(request.query, request.operationName)
    if (!operation) return refuse(errors)
    const isQuery = operation.node.operation === OperationTypeNode.QUERY
    if (subscribes(operation)) return refuse([noStream()])
    let key = ''
    if (isQuery) {
      try {
        key = `${this.#keyOf(operation, request)}\n${this.#rightsKey(asker.viewer)}`
      } catch (error) {
        if (!(error instanceof RangeError)) throw error
        return refuse([coded(new GraphQLError('The variables are nested too deep.'), 'BAD_USER_INPUT')])
      }
      const kept = this.#answers.get(key)
      if (kept) return { body: kept, refused: false }
    }
    const context = asker.context()
    const result = this.#run(operation, request, context)
    const finish = (result: ExecutionResult): Answer => {
      try {
        if (!('data' in result)) return refuse(result.errors ?? [])
        const text = JSON.stringify(result)
        const keep = isQuery && !result.errors
        return { body: keep ? this.#answers.offer(key, text, context.fleet.reads) : text, refused: false }
      } catch (error) {
        return failed(error, this.#logger)
      }
    }
    return isPromise(result) ? result.then(finish) : finish(result)
  }

  /** The same as an object. Never throws; a promise only where the query waits for a live read. */
  execute(request: GraphQLRequest, asker: Asker): ExecutionResult | Promise<ExecutionResult> {
    const { operation, errors } = this.#documents.find(request.query, request.operationName)
    if (!operation) return { errors }
    return subscribes(operation) ? { errors: [noStream()] } : this.#run(operation, request, asker.context())
  }

  /** What a subscription follows. Never throws; a promise only where its source takes one to be had. */
  subscribe(request: GraphQLRequest, asker: Asker): Subscription | Promise<Subscription> {
    const { operation, errors } = this.#documents.find(request.query, request.operationName)
    if (!operation) return refused(errors)
    const checked = this.#check(operation, request)
    if (!('variables' in checked)) return refused(checked.errors)
    try {
      const args = validateSubscriptionArgs(this.#argumentsOf(operation, request, asker.context()))
      if (!('schema' in args)) return refused(args)
      const rendering = new Rendering({
        // The context of the source is done with: each batch has its own.
        args: { ...args, contextValue: undefined },
        context: () => asker.sharedContext(),
        compiled: () => this.#compiledFor(operation, checked.variables)?.bind(checked.variables),
        logger: this.#logger,
      })
      const from = (source: AsyncIterable<unknown> | ExecutionResult): Subscription => {
        if (!(Symbol.asyncIterator in source)) return refused(tellable(source.errors ?? [], this.#logger))
        return source instanceof LiveSource && !operation.readsLive
          ? {
              type: 'live',
              source,
              key: this.#keyOf(operation, request),
              render: (events) => rendering.batch(events),
            }
          : { type: 'stream', events: source, render: (event, context) => rendering.one(event, context) }
      }
      const source = createSourceEventStream(args)
      if (!isPromise(source)) return from(source)
      return source.then(from, (error: unknown) => refused([internal(error, this.#logger)]))
    } catch (error) {
      return refused([internal(error, this.#logger)])
    }
  }

  /** What the request asks for, as far as its text tells: transports have rules about that. */
  operationType({ query, operationName }: GraphQLRequest): OperationTypeNode | undefined {
    return this.#documents.find(query, operationName).operation?.node.operation
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
    // JSON holds no line break: what comes after one cannot be taken for a part of it.
    return key
  }

  #check(
    operation: Operation,
    request: GraphQLRequest,
  ):
    | { readonly variables: VariableValues; readonly extensions: Extensions }
    | { readonly errors: readonly GraphQLError[] } {
    const { errors, variableValues } = getVariableValues(
      this.schema,
      operation.node.variableDefinitions ?? [],
      request.variables ?? {},
      { maxErrors: this.limits.errors, hideSuggestions: !this.#suggestions },
    )
    if (errors) return { errors: errors.map((error) => coded(error, 'BAD_USER_INPUT')) }
    const { cost: limit } = this.limits
    const requested = operation.cost(variableValues.coerced, limit)
    if (requested > limit) {
      return { errors: [tooMuch('cost', `The query may return more than ${limit} objects`, limit)] }
    }
    return { variables: variableValues, extensions: { cost: { requested, limit } } }
  }

  #run(
    operation: Operation,
    request: GraphQLRequest,
    context: ExecutionContext,
  ): ExecutionResult | Promise<ExecutionResult> {
    const checked = this.#check(operation, request)
    if (!('variables' in checked)) return checked
    const { variables, extensions } = checked
    const compiled = ++operation.uses < COMPILE_AT_USE ? undefined : this.#compiledFor(operation, variables)
    if (compiled) {
      const data = compiled.bind(variables)(context)
      if (data) return { data, extensions }
      if (compiled.waits) operation.compilable = false
    }
    try {
      const result = execute(this.#argumentsOf(operation, request, context))
      if (!isPromise(result)) return this.#finish(result, extensions)
      operation.compilable = false
      return result.then(
        (result) => this.#finish(result, extensions),
        (error: unknown) => this.#finish(failure(error), extensions),
      )
    } catch (error) {
      return this.#finish(failure(error), extensions)
    }
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

  #finish(result: ExecutionResult, extensions: Extensions): ExecutionResult {
    const { errors, data } = result
    if (!errors) return { data: data ?? null, extensions }
    const told = tellable(errors, this.#logger)
    return data === undefined ? { errors: told } : { errors: told, data, extensions }
  }
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
  return { body: JSON.stringify({ errors }), refused: true }
}

/** An answer for a request that did not get as far as execution. */
export function failed(error: unknown, logger: Logger): Answer {
  return refuse([error instanceof GraphQLError ? error : internal(error, logger)])
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return value instanceof Promise || typeof (value as { then?: unknown }).then === 'function'
}
