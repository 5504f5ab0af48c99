/**
 * What people and browsers expect of a GraphQL endpoint beside `POST` with JSON, through graphql-yoga:
 * the GraphiQL page and queries by GET. It shares executor, limits and access with
 * `graphql-endpoint.ts`; of Yoga only the parsing of requests and the writing of answers is used.
 *
 * A GET is a request that any site can make a browser send: it needs a header that a foreign site cannot
 * set, and never runs a mutation.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { useCSRFPrevention } from '@graphql-yoga/plugin-csrf-prevention'
import { GraphQLError, type ExecutionResult } from 'graphql'
import { createYoga, type GraphiQLOptions, type GraphQLParams } from 'graphql-yoga'
import { internal } from './answer-errors.ts'
import { located } from './documents.ts'
import { Exchange } from './exchange.ts'
import { credentialsOf, refusalOf, RESPONSE_JSON, type EndpointOptions } from './graphql-endpoint.ts'
import { graphiqlPage } from './graphiql.ts'
import { callerOfRequest } from './reply.ts'
import { BadRequest, requestOf } from './request.ts'

/** One of them makes a GET a request that no foreign site can send. */
const CSRF_HEADERS = ['x-fleetgraph-csrf', 'x-graphql-yoga-csrf', 'apollo-require-preflight'] as const

interface Sockets {
  readonly req: IncomingMessage
  readonly res: ServerResponse
}

export interface YogaEndpointOptions extends EndpointOptions {
  readonly path: string
  /** `false`: no page. */
  readonly graphiql: GraphiQLOptions | false
}

/** Answers anything at the GraphQL path that `GraphQLEndpoint` does not. */
export function yogaEndpoint(
  options: YogaEndpointOptions,
): (request: IncomingMessage, response: ServerResponse) => void {
  const { executor, access, waiting, logger, graphiql } = options

  const execute = async (params: GraphQLParams, { req, res }: Sockets) => {
    try {
      const early = access.refusal?.(credentialsOf(req))
      if (early) throw early
      const request = requestOf(asSent(params, req), callerOfRequest(req))
      const viewer = await access.authenticate(credentialsOf(req))
      const exchange = new Exchange(viewer, access)
      const type = executor.operationType(request, exchange)
      if (req.method === 'GET' && type === 'mutation') {
        return refusal('A mutation has to be sent by POST.', 'METHOD_NOT_ALLOWED', 405)
      }
      const result = await waiting.until(Promise.resolve(executor.execute(request, exchange)), exchange, {
        client: res,
        caller: request.caller,
      })
      const retryAfter = retryAfterOf(result.errors?.[0])
      if (!('data' in result) && retryAfter !== undefined) {
        return notExecuted(result, 429, { 'retry-after': String(retryAfter) })
      }
      return 'data' in result || !req.headers.accept?.includes(RESPONSE_JSON)
        ? result
        : notExecuted(result, 400)
    } catch (error) {
      if (error instanceof BadRequest) access.refused?.(credentialsOf(req))
      const told =
        error instanceof GraphQLError ? error : internal(error, logger, undefined, callerOfRequest(req))
      const { status, headers } = refusalOf(error, retryAfterOf(told))
      return notExecuted({ errors: [told] }, status, headers)
    }
  }

  const yoga = createYoga<Sockets>({
    schema: executor.schema,
    graphqlEndpoint: options.path,
    graphiql,
    ...(graphiql && { renderGraphiQL: () => graphiqlPage(graphiql) }),
    landingPage: false,
    cors: false,
    multipart: false,
    batching: false,
    maskedErrors: false,
    parserAndValidationCache: false,
    maxRequestBodySize: executor.limits.bodyBytes,
    logging: {
      debug: (...words) => logger.debug({}, words.join(' ')),
      info: (...words) => logger.info({}, words.join(' ')),
      warn: (...words) => logger.warn({}, words.join(' ')),
      error: (...words) => logger.error({}, words.join(' ')),
    },
    plugins: [
      useCSRFPrevention({ requestHeaders: [...CSRF_HEADERS] }),
      {
        onRequestParse({ url, setRequestParser }) {
          for (const name of ['variables', 'extensions']) {
            const text = url.searchParams.get(name)
            if (text && !isJsonText(text)) throw refused(`"${name}" has to be JSON.`, 'BAD_REQUEST', 400)
          }
          const { searchParams } = url
          // Yoga wants a query: what names its document instead is read without it.
          if (
            !searchParams.has('query') &&
            (searchParams.has('documentId') || searchParams.has('extensions'))
          ) {
            setRequestParser(() => named(searchParams))
          }
        },
        onParams({ setParamsHandler }) {
          setParamsHandler(({ params, context }) => execute(params, context as unknown as Sockets) as never)
        },
      },
    ],
  })

  return (request, response) => {
    const { headers } = request
    const isPage = graphiql !== false && (headers.accept?.includes('text/html') ?? false)
    if (!isPage && !CSRF_HEADERS.some((name) => headers[name] !== undefined)) {
      refuseSimple(response, options.draining())
      return
    }
    response.setHeader('cache-control', 'no-store')
    if (isPage) {
      response.setHeader('content-security-policy', PAGE_POLICY)
      response.setHeader('x-frame-options', 'DENY')
      response.setHeader('referrer-policy', 'no-referrer')
    }
    if (options.draining()) response.setHeader('connection', 'close')
    const answered = yoga(request, response)
    Promise.resolve(answered).catch((error: unknown) => {
      logger.error({ err: error }, 'a request failed unexpectedly')
      response.destroy()
    })
  }
}

/** GraphiQL is one page of inline scripts with workers made from blobs; nothing of it is elsewhere. */
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'unsafe-inline' 'unsafe-eval' blob:",
  "style-src 'unsafe-inline'",
  'worker-src blob:',
  'img-src data:',
  'font-src data:',
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** What any site could make a browser send. */
function refuseSimple(response: ServerResponse, close: boolean): void {
  const message = `A GET needs the header "${CSRF_HEADERS[0]}", with any value: no foreign site can make a browser send it. Or send a POST.`
  const body = JSON.stringify({ errors: [{ message, extensions: { code: 'CSRF' } }] })
  response.writeHead(403, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    ...(close && { connection: 'close' }),
  })
  response.end(body)
}

function refusal(message: string, code: string, status: number) {
  return { errors: [refused(message, code, status)] }
}

function refused(message: string, code: string, status: number): GraphQLError {
  return new GraphQLError(message, { extensions: { code, http: { status } } })
}

/** Nothing was executed: the status says so, as it does for a POST. */
function notExecuted(
  { errors = [] }: ExecutionResult,
  status: number,
  headers: Readonly<Record<string, string>> = {},
): ExecutionResult {
  const http = { status, headers }
  return {
    errors: errors.map(({ message, locations, extensions }) =>
      located(new GraphQLError(message, { extensions: { ...extensions, http } }), locations),
    ),
  }
}

function retryAfterOf(error: GraphQLError | undefined): number | undefined {
  const seconds = error?.extensions['retryAfterSeconds']
  return typeof seconds === 'number' ? seconds : undefined
}

/** The parameters that Yoga knows, and the one that it does not. */
function asSent(params: GraphQLParams, { url = '' }: IncomingMessage): Record<string, unknown> {
  const { query, operationName, variables, extensions } = params
  const documentId = new URLSearchParams(url.slice(url.indexOf('?') + 1)).get('documentId') ?? undefined
  return { query, documentId, operationName, variables, extensions }
}

/** The parameters of a GET without a query, whose JSON was found to be some. */
function named(parameters: URLSearchParams): GraphQLParams {
  const json = (name: string) => JSON.parse(parameters.get(name) || 'null') as Record<string, unknown>
  return {
    query: '',
    operationName: parameters.get('operationName') ?? undefined,
    variables: json('variables'),
    extensions: json('extensions'),
  } as GraphQLParams
}

function isJsonText(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
