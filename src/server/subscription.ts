/**
 * What a subscription is made of once its request is in order: where its events come from, and how one
 * becomes bytes. Events of a `LiveSource` are rendered once for all who share a key; any other stream is
 * its subscriber's alone.
 *
 * Deliberately knows nothing of the hub's groups, nor of sockets.
 */
import {
  executeSubscriptionEvent,
  isCompositeType,
  Kind,
  visit,
  type ASTNode,
  type ExecutionResult,
  type FragmentDefinitionNode,
  type GraphQLError,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionSetNode,
  type ValidatedSubscriptionArgs,
} from 'graphql'
import type { LiveEvent, LiveSource, Payload, Render } from '../events/live.ts'
import { internal, tellable } from './answer-errors.ts'
import type { Run } from './compiled-query.ts'
import type { Asker } from './execution.ts'
import type { Logger } from './logger.ts'

/** A subscription that may begin, or why it may not. Nothing runs before its source is joined or read. */
export type Subscription =
  | {
      readonly type: 'live'
      readonly source: LiveSource
      /** Names the selection, the variables and the rights, but not where a follower begins. */
      readonly key: string
      /** With the rights that its subscriber has by then; it holds on to little else. */
      readonly render: Render
    }
  | {
      readonly type: 'stream'
      readonly events: AsyncIterable<unknown>
      /** One event with a context of its own, as JSON. Never throws or rejects. */
      readonly render: (event: unknown, context: unknown) => string | Promise<string>
      /** To be told what ended the events, where they did not end by themselves. */
      readonly onFailed: (error: unknown) => void
    }
  | { readonly type: 'refused'; readonly errors: readonly GraphQLError[] }

type Fragments = ReadonlyMap<string, FragmentDefinitionNode>

/** Arguments of a root field that say where one subscriber begins, and nothing of what is sent. */
const START_ARGUMENTS = new Set(['snapshot', 'after'])

/** Variables that stand for nothing but a root field's `snapshot` and `after`. */
export function startVariables(
  fragments: Fragments,
  operation: OperationDefinitionNode,
): ReadonlySet<string> {
  const uses = new Map<string, number>()
  const count = (nodes: readonly ASTNode[]) => {
    for (const node of nodes) {
      visit(node, {
        VariableDefinition: () => false,
        Variable: ({ name }) => void uses.set(name.value, (uses.get(name.value) ?? 0) + 1),
      })
    }
  }
  count([operation, ...fragments.values()])
  const seen = new Set<string>()
  const rootArguments = ({ selections }: SelectionSetNode): void => {
    for (const selection of selections) {
      if (selection.kind === Kind.FIELD) {
        for (const { name, value } of selection.arguments ?? []) {
          if (value.kind !== Kind.VARIABLE || !START_ARGUMENTS.has(name.value)) continue
          uses.set(value.name.value, (uses.get(value.name.value) ?? 0) - 1)
        }
      } else if (selection.kind === Kind.INLINE_FRAGMENT) rootArguments(selection.selectionSet)
      else if (!seen.has(selection.name.value)) {
        seen.add(selection.name.value)
        const fragment = fragments.get(selection.name.value)
        if (fragment) rootArguments(fragment.selectionSet)
      }
    }
  }
  rootArguments(operation.selectionSet)
  return new Set([...uses].filter(([, times]) => times === 0).map(([name]) => name))
}

/**
 * Whether the selection has a field that is marked `extensions: { live: true }`: one that is read from an
 * API server, as the user, for whoever asked. Such events cannot be rendered at once for a group.
 */
export function readsLive(
  schema: GraphQLSchema,
  fragments: Fragments,
  operation: OperationDefinitionNode,
): boolean {
  const seen = new Set<string>()
  const search = (parent: unknown, { selections }: SelectionSetNode): boolean =>
    isCompositeType(parent) &&
    selections.some((selection) => {
      if (selection.kind === Kind.FIELD) {
        const field = schema.getField(parent, selection.name.value)
        if (!field) return false
        if (field.extensions['live'] === true) return true
        if (!selection.selectionSet) return false
        let type: unknown = field.type
        while (typeof type === 'object' && type !== null && 'ofType' in type) type = type.ofType
        return search(type, selection.selectionSet)
      }
      if (selection.kind === Kind.INLINE_FRAGMENT) {
        const on = selection.typeCondition ? schema.getType(selection.typeCondition.name.value) : parent
        return search(on, selection.selectionSet)
      }
      const fragment = fragments.get(selection.name.value)
      if (!fragment || seen.has(selection.name.value)) return false
      seen.add(selection.name.value)
      return search(schema.getType(fragment.typeCondition.name.value), fragment.selectionSet)
    })
  return search(schema.getRootType(operation.operation), operation.selectionSet)
}

/** Events rendered by graphql-js before the selection is compiled: most subscriptions see more than these. */
const COMPILE_AT_EVENT = 4

/** What one follower gives its group: beside what it shares with the others, only who sees. */
export function renderFor(rendering: Rendering, asker: Pick<Asker, 'sharedContext'>): Render {
  return (events) => rendering.batch(events, asker.sharedContext())
}

export interface RenderingOptions {
  /** Without a context: each batch is given its own. */
  readonly args: ValidatedSubscriptionArgs
  /** Compiled code with these variables, where it is known to be right. Asked once. */
  readonly compiled: () => Run | undefined
  readonly logger: Logger
}

/**
 * Renders events of one selection with one set of variables, for all who follow the same: whose eyes an event
 * is seen with is said by the context alone, so none of them is kept here.
 */
export class Rendering {
  readonly #options: RenderingOptions
  #events = 0
  #run: Run | undefined

  constructor(options: RenderingOptions) {
    this.#options = options
  }

  /** All of them from one context, so from the fleet at one moment. */
  batch(events: readonly LiveEvent[], context: unknown): readonly Payload[] {
    return events.map((event) => Buffer.from(this.#shared(event, context)))
  }

  /** Never throws or rejects. */
  one(event: unknown, context: unknown): string | Promise<string> {
    try {
      const result = this.#execute(event, context)
      if (!(result instanceof Promise)) return this.#json(result)
      return result.then(
        (result) => this.#json(result),
        (error: unknown) => this.#failure(error),
      )
    } catch (error) {
      return this.#failure(error)
    }
  }

  #shared(event: LiveEvent, context: unknown): string {
    if (++this.#events === COMPILE_AT_EVENT) this.#run = this.#options.compiled()
    try {
      const data = this.#run?.(context, event)
      if (data) return JSON.stringify({ data })
      const result = this.#execute(event, context)
      if (!(result instanceof Promise)) return this.#json(result)
      result.catch(() => undefined)
      throw new TypeError(
        'A field of a subscription returned a promise: fields that read live have to say so by extensions.live',
      )
    } catch (error) {
      return this.#failure(error)
    }
  }

  #execute(rootValue: unknown, contextValue: unknown): ExecutionResult | Promise<ExecutionResult> {
    return executeSubscriptionEvent({ ...this.#options.args, rootValue, contextValue })
  }

  #json({ errors, data = null }: ExecutionResult): string {
    return errors
      ? JSON.stringify({ errors: tellable(errors, this.#options.logger), data })
      : JSON.stringify({ data })
  }

  #failure(error: unknown): string {
    return JSON.stringify({ errors: [internal(error, this.#options.logger)], data: null })
  }
}
