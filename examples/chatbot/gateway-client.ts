/**
 * One user's way to the gateway: trusted documents, named by their hash. Queries and mutations go over HTTP,
 * subscriptions over a WebSocket. The token is sent to the gateway and nowhere else, and stands in no message.
 */
import { createClient } from 'graphql-ws'
import type { TrustedDocument } from '../trusted-document.ts'

/** What the gateway refused, or could not be asked. The message is for a person, and says what to do next. */
export class GatewayError extends Error {
  override readonly name = 'GatewayError'
  /** As in `extensions.code` of the answer, such as BAD_USER_INPUT; or UNREACHABLE, of the gateway itself. */
  readonly code: string

  constructor(code: string, message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

export interface GatewayClient {
  /** One answer. Throws `GatewayError`. */
  ask<R, V>(document: TrustedDocument<R, V>, variables: V, signal?: AbortSignal): Promise<R>
  /** Every event, until the gateway ends it or the signal does. Throws `GatewayError`. */
  follow<R, V>(document: TrustedDocument<R, V>, variables: V, signal?: AbortSignal): AsyncIterable<R>
}

interface Answer<R> {
  readonly data?: R | null | undefined
  readonly errors?: readonly GraphQLErrorLike[] | undefined
}

interface GraphQLErrorLike {
  readonly message: string
  readonly extensions?: { readonly code?: string }
}

const TIMEOUT_MS = 60_000

/** `url`: of the GraphQL endpoint. `token`: of the user; without one the gateway takes nobody but in its demo. */
export function createGatewayClient(url: string, token: string | undefined): GatewayClient {
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` }
  return {
    async ask(document, variables, signal) {
      const timeout = AbortSignal.timeout(TIMEOUT_MS)
      let response: Response
      try {
        response = await fetch(url, {
          method: 'POST',
          headers: { 'content-type': 'application/json', accept: 'application/json', ...authorization },
          body: JSON.stringify({ documentId: `sha256:${document.hash}`, variables }),
          // A redirect would take the token along.
          redirect: 'error',
          signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
        })
      } catch (error) {
        throw unreachable(url, error)
      }
      const answer = (await response.json().catch(() => undefined)) as Answer<never> | undefined
      if (!answer) throw new GatewayError('UNREACHABLE', `${url} answered with HTTP ${response.status}.`)
      return dataOf(answer)
    },

    async *follow(document, variables, signal) {
      const client = createClient({ url: url.replace(/^http/, 'ws'), connectionParams: authorization })
      const results = client.iterate({
        query: '',
        variables: variables as Record<string, unknown>,
        extensions: { persistedQuery: { version: 1, sha256Hash: document.hash } },
      })
      const stop = () => void results.return?.()
      signal?.addEventListener('abort', stop, { once: true })
      try {
        for await (const answer of results) {
          if (signal?.aborted) return
          yield dataOf(answer as Answer<never>)
        }
      } catch (error) {
        throw error instanceof GatewayError ? error : refusedSocket(url, error)
      } finally {
        signal?.removeEventListener('abort', stop)
        await client.dispose()
      }
    },
  }
}

function dataOf<R>({ data, errors }: Answer<R>): R {
  if (errors?.length) throw refused(errors)
  return data!
}

function refused(errors: readonly GraphQLErrorLike[]): GatewayError {
  const code = errors[0]?.extensions?.code ?? 'FAILED'
  if (code === 'PERSISTED_QUERY_NOT_FOUND') {
    return new GatewayError(
      code,
      'The gateway does not know this document: name the folder schema/operations of this version by server.documentsDirectory.',
    )
  }
  return new GatewayError(code, errors.map(({ message }) => message).join('\n'))
}

function refusedSocket(url: string, error: unknown): GatewayError {
  if (Array.isArray(error)) return refused(error as readonly GraphQLErrorLike[])
  const { code, reason } = (error ?? {}) as { code?: unknown; reason?: unknown }
  if (typeof code === 'number' && code >= 4_400 && code < 4_500) {
    return new GatewayError('UNAUTHENTICATED', `The gateway closed the connection: ${String(reason)}`)
  }
  return unreachable(url, error)
}

function unreachable(url: string, cause: unknown): GatewayError {
  return new GatewayError('UNREACHABLE', `The gateway at ${url} does not answer.`, cause)
}
