/** The MCP server over streamable HTTP, for `node:http`: each request is its user's, by the token that it brings. */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream } from 'node:stream/web'
import {
  createMcpHandler,
  hostHeaderValidationResponse,
  localhostAllowedHostnames,
  localhostAllowedOrigins,
  originValidationResponse,
} from '@modelcontextprotocol/server'
import { createGatewayClient } from './gateway-client.ts'
import { createFleetServer } from './mcp-tools.ts'

/** `hostnames`: under which it is reached; a page in a browser that calls it by another name is refused. */
export function mcpOverHttp(
  gateway: string,
  hostnames: string[] = localhostAllowedHostnames(),
): RequestListener {
  const handler = createMcpHandler(({ requestInfo }) => {
    const [, token] = /^Bearer (.+)$/i.exec(requestInfo?.headers.get('authorization') ?? '') ?? []
    return createFleetServer(createGatewayClient(gateway, token))
  })
  const answer = (request: Request): Response | Promise<Response> => {
    if (new URL(request.url).pathname !== '/mcp') return new Response(null, { status: 404 })
    return (
      hostHeaderValidationResponse(request, hostnames) ??
      originValidationResponse(request, localhostAllowedOrigins()) ??
      (request.headers.has('authorization')
        ? handler.fetch(request)
        : new Response(null, { status: 401, headers: { 'www-authenticate': 'Bearer' } }))
    )
  }
  return (incoming, outgoing) => {
    // Who leaves ends what was begun for them to read.
    const gone = new AbortController()
    outgoing.on('close', () => gone.abort())
    void (async () => {
      await send(await answer(requestOf(incoming, gone.signal)), outgoing)
    })().catch(() => outgoing.destroy())
  }
}

function requestOf(incoming: IncomingMessage, signal: AbortSignal): Request {
  const { method = 'GET', url = '/', headers } = incoming
  const init = {
    method,
    headers: Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)]),
    body: method === 'GET' || method === 'HEAD' ? null : (Readable.toWeb(incoming) as BodyInit),
    // What fetch asks of a body that is a stream.
    duplex: 'half',
    signal,
  }
  return new Request(new URL(url, `http://${headers.host ?? 'localhost'}`), init)
}

async function send(response: Response, outgoing: ServerResponse): Promise<void> {
  outgoing.writeHead(response.status, Object.fromEntries(response.headers))
  if (response.body) await pipeline(Readable.fromWeb(response.body as ReadableStream), outgoing)
  else outgoing.end()
}
