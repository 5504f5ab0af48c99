/** What a client sends and wants: media types, bodies, warnings, and answers in the wanted form. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { parse, stringify } from 'yaml'
import { isObject, type JsonObject } from './json.ts'
import type { TableFormat } from './printers.ts'
import { decodeProtobuf } from './protobuf.ts'
import { badRequest, StatusError, unsupportedMediaType } from './status-error.ts'

export interface Wanted {
  readonly as: 'object' | 'table' | 'metadata'
  readonly table: TableFormat
  readonly yaml: boolean
}

/** Largest request body, as the real server's limit (etcd's, doubled). */
const maxBodyBytes = 3 * 1024 * 1024

/** Throws 406 when nothing that the client accepts can be had. */
export function wanted(request: IncomingMessage, query: URLSearchParams): Wanted {
  const include = query.get('includeObject')
  const table: TableFormat = { include: include === 'None' || include === 'Object' ? include : 'Metadata' }
  const accept = request.headers.accept ?? '*/*'
  for (const clause of accept.split(',')) {
    const [type = '', ...rest] = clause.split(';').map((part) => part.trim())
    const isJson = type === 'application/json' || type === '*/*' || type === 'application/*'
    const isYaml = type === 'application/yaml'
    if (!isJson && !isYaml) continue
    const parameters = new Map(
      rest.map((part) => [part.slice(0, part.indexOf('=')), part.slice(part.indexOf('=') + 1)]),
    )
    const as = parameters.get('as')
    if (as === undefined) return { as: 'object', table, yaml: isYaml }
    if (parameters.get('g') !== 'meta.k8s.io') continue
    if (as === 'Table') return { as: 'table', table, yaml: isYaml }
    if (as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList')
      return { as: 'metadata', table, yaml: isYaml }
  }
  throw new StatusError(
    406,
    'NotAcceptable',
    'only the following media types are accepted: application/json, application/yaml',
  )
}

/** Reads the whole body. Throws 413 for one that is too large. */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) continue
    size += chunk.length
    if (size > maxBodyBytes) {
      throw new StatusError(
        413,
        'RequestEntityTooLarge',
        `Request entity too large: limit is ${maxBodyBytes}`,
      )
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

export function mediaType(request: IncomingMessage): string {
  return (request.headers['content-type'] ?? 'application/json').split(';')[0]!.trim().toLowerCase()
}

/** A body in JSON or YAML as an object. Throws 400, or 415 for other media types. */
export function parseBody(body: Buffer, type: string): unknown {
  const text = body.toString('utf8')
  if (type === 'application/yaml' || type === 'application/apply-patch+yaml') {
    try {
      return parse(text, { maxAliasCount: 100 })
    } catch (error) {
      throw badRequest(`error decoding YAML: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  if (type.endsWith('json')) {
    try {
      return JSON.parse(text)
    } catch (error) {
      throw badRequest(
        `couldn't get version/kind; json parse error: ${error instanceof Error ? error.message : String(error)}`,
      )
    }
  }
  throw unsupportedMediaType(['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf'])
}

/** A body that holds one object; `model` is its type, for bodies in protobuf. */
export function objectBody(body: Buffer, type: string, model?: string): JsonObject {
  if (type === 'application/vnd.kubernetes.protobuf') return decodeProtobuf(body, model)
  const value = parseBody(body, type)
  if (!isObject(value)) throw badRequest('the object provided is unrecognized (must be of type object)')
  return value
}

/** Answers with a value; `warnings` become Warning headers (RFC 7234 § 5.5, code 299). */
export function answer(
  response: ServerResponse,
  code: number,
  value: unknown,
  options: {
    readonly yaml?: boolean
    readonly warnings?: readonly string[]
    readonly contentType?: string
  } = {},
): void {
  const text = options.yaml === true ? stringify(value) : `${JSON.stringify(value)}\n`
  const body = Buffer.from(text)
  const warnings = (options.warnings ?? []).map((warning) => `299 - ${JSON.stringify(warning)}`)
  if (warnings.length > 0) response.setHeader('warning', warnings)
  response.writeHead(code, {
    'content-type': options.contentType ?? (options.yaml === true ? 'application/yaml' : 'application/json'),
    'cache-control': 'no-cache, private',
    'content-length': body.length,
  })
  response.end(body)
}

export function answerError(response: ServerResponse, error: StatusError): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  const retryAfter = error.status.details?.retryAfterSeconds
  if (retryAfter !== undefined) response.setHeader('retry-after', String(retryAfter))
  if (error.code === 401) response.setHeader('www-authenticate', 'Bearer')
  answer(response, error.code, error.status)
}
