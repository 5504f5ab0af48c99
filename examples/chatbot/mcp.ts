/**
 * The MCP server, for one user over standard input and output, or for many over streamable HTTP.
 *
 *     FLEET_TOKEN=… node examples/chatbot/mcp.ts [http://127.0.0.1:4000/graphql]
 *     node examples/chatbot/mcp.ts --http 4100 [http://127.0.0.1:4000/graphql]
 *
 * Over standard input and output the user's token stands in the environment; over HTTP each request brings its own as
 * `Authorization: Bearer …`, and the gateway says whether it is good. Nothing is kept, and none is logged.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'
import { serveStdio } from '@modelcontextprotocol/server/stdio'
import { createGatewayClient } from './gateway-client.ts'
import { mcpOverHttp } from './mcp-http.ts'
import { createFleetServer } from './mcp-tools.ts'

const { values, positionals } = parseArgs({ allowPositionals: true, options: { http: { type: 'string' } } })
const gateway = positionals[0] ?? 'http://127.0.0.1:4000/graphql'

if (values.http === undefined) {
  const client = createGatewayClient(gateway, process.env['FLEET_TOKEN'])
  serveStdio(() => createFleetServer(client), { onerror: ({ message }) => console.error(message) })
} else {
  const server = createServer(mcpOverHttp(gateway))
  server.listen(Number(values.http), '127.0.0.1', () => {
    console.error(`listening on http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`)
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(0))
}
