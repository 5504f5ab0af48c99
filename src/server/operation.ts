/**
 * One operation of a client that holds a stream open – over a WebSocket or as an event stream –, from its
 * request to its last word. Queries and mutations are answered once, live sources are joined, any other
 * stream is pulled as fast as the client reads.
 *
 * Invariant: after `stop`, and after its last word, nothing is written to its outlet, and nothing that it
 * began goes on: no membership, no iterator, no live read, no place among those of its user.
 *
 * Deliberately knows nothing of how an outlet writes.
 */
import { GraphQLError, OperationTypeNode } from 'graphql'
import { type Membership, type Sink, StreamEnded } from '../events/live.ts'
import { PositionError } from '../events/position.ts'
import { internal, RequestAborted, tellable } from './answer-errors.ts'
import { Exchange, type Access, type Waiting } from './exchange.ts'
import type { Answer, Executor } from './execution.ts'
import type { Logger } from './logger.ts'
import type { Place, Quotas } from './quotas.ts'
import type { GraphQLRequest } from './request.ts'
import type { Subscription } from './subscription.ts'

/** The client's end of one operation. `write` is the sink's: many events of a shared stream at once. */
export interface Outlet extends Sink {
  /** One answer, or one event of a stream that is this client's alone. */
  next(json: Buffer | string): void
  /** The last word: nothing was executed, or the stream broke. `errors` is not empty. */
  fail(errors: readonly GraphQLError[]): void
  /** The last word: all was sent. */
  complete(): void
}

export interface OperationSetup {
  readonly executor: Executor
  readonly access: Access
  readonly waiting: Waiting
  readonly logger: Logger
  readonly quotas: Quotas
}

export class Operation {
  readonly #setup: OperationSetup
  readonly #outlet: Outlet
  readonly #exchange: Exchange
  #stopped = false
  #membership: Membership | undefined
  #iterator: AsyncIterator<unknown> | undefined
  /** Of a subscription, until it ends. */
  #place: Place | undefined
  /** Ends the wait for the client to read. */
  #wake: (() => void) | undefined
  /** Of the event that is being rendered, where that reads live. */
  #event: Exchange | undefined

  constructor(setup: OperationSetup, exchange: Exchange, outlet: Outlet) {
    this.#setup = setup
    this.#exchange = exchange
    this.#outlet = outlet
  }

  /** Called once. Never throws: what goes wrong is said to the outlet. */
  start(request: GraphQLRequest): void {
    const { executor, waiting, quotas } = this.#setup
    let place: Place | undefined
    try {
      const type = executor.operationType(request, this.#exchange)
      if (type === OperationTypeNode.SUBSCRIPTION) {
        this.#place = quotas.take(this.#exchange.viewer, 'subscriptionsPerUser', request.caller)
        const subscription = executor.subscribe(request, this.#exchange)
        if (subscription instanceof Promise) this.#await(subscription, (it) => this.#follow(it))
        else this.#follow(subscription)
        return
      }
      this.#exchange.pin()
      // What has begun to change something is not to be refused any more.
      if (type === OperationTypeNode.MUTATION) place = waiting.place(this.#exchange, request.caller)
      const answer = executor.answer(request, this.#exchange)
      if (answer instanceof Promise) {
        this.#await(waiting.until(answer, this.#exchange, { place, caller: request.caller }), (answer) =>
          this.#answer(answer),
        )
      } else {
        place?.free()
        this.#answer(answer)
      }
    } catch (error) {
      place?.free()
      this.#fail(error)
    }
  }

  /** The client has gone, or wants no more of it. Idempotent. */
  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#place?.free()
    this.#place = undefined
    this.#membership?.leave()
    this.#membership = undefined
    const gone = new RequestAborted('CLIENT_CLOSED', 'The client has gone.')
    this.#exchange.abort(gone)
    this.#event?.abort(gone)
    // A generator that waits ends with its signal; one that does not wait, with this.
    this.#iterator?.return?.().then(undefined, () => undefined)
    this.#iterator = undefined
    this.#outlet.onReady = undefined
    this.#wake?.()
  }

  #await<T>(promise: Promise<T>, then: (value: T) => void): void {
    promise
      .then((value) => then(value))
      .catch((error: unknown) => {
        if (!this.#stopped) this.#fail(error)
      })
  }

  #answer({ body, refused }: Answer): void {
    if (this.#stopped) return
    this.#stopped = true
    if (refused) this.#outlet.fail((JSON.parse(String(body)) as { errors: readonly GraphQLError[] }).errors)
    else {
      this.#outlet.next(body)
      this.#outlet.complete()
    }
  }

  #follow(subscription: Subscription): void {
    switch (subscription.type) {
      case 'refused':
        if (!this.#stopped) this.#end(() => this.#outlet.fail(subscription.errors))
        return
      case 'live': {
        if (this.#stopped) return
        const { key, render, source } = subscription
        const { hub, request, eyes, start } = source
        this.#membership = hub.join({ key, eyes, render, request, start, sink: this.#outlet })
        return
      }
      case 'stream':
        this.#await(this.#pull(subscription), () => undefined)
    }
  }

  /** One event at a time, and none while the client has not read what it was sent. */
  async #pull({ events, render, onFailed }: Subscription & { type: 'stream' }): Promise<void> {
    const iterator = events[Symbol.asyncIterator]()
    if (this.#stopped) {
      await iterator.return?.()
      return
    }
    this.#iterator = iterator
    const { access, waiting } = this.#setup
    for (;;) {
      if (!this.#outlet.ready) {
        await new Promise<void>((resolve) => (this.#outlet.onReady = this.#wake = resolve))
      }
      if (this.#stopped) return
      const { done, value } = await iterator.next().catch((error: unknown): never => {
        onFailed(error)
        throw error
      })
      if (this.#stopped) return
      if (done) break
      this.#event = new Exchange(this.#exchange.viewer, access)
      const rendered = render(value, this.#event.context())
      const json = typeof rendered === 'string' ? rendered : await waiting.within(rendered, this.#event)
      this.#event = undefined
      if (this.#stopped) return
      this.#outlet.next(json)
    }
    this.#end(() => this.#outlet.complete())
  }

  #fail(error: unknown): void {
    const { logger } = this.#setup
    const told =
      error instanceof PositionError
        ? new GraphQLError(error.message, { extensions: { code: 'BAD_USER_INPUT', argument: 'after' } })
        : error instanceof StreamEnded
          ? streamEnded(error.message)
          : error instanceof GraphQLError
            ? (tellable([error], logger)[0] ?? error)
            : internal(error, logger)
    this.#end(() => this.#outlet.fail([told]))
  }

  /** Says the last word; what was begun ends with it. */
  #end(lastWord: () => void): void {
    try {
      lastWord()
    } finally {
      this.stop()
    }
  }
}

/** What a client is told whose stream the server ended. */
export function streamEnded(reason: string): GraphQLError {
  return new GraphQLError(reason, { extensions: { code: 'STREAM_ENDED' } })
}
