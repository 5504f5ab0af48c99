/**
 * The webhook of a Slack app with the slash command `/fleet`.
 *
 *     SLACK_SIGNING_SECRET=… node examples/chatbot/slack.ts --users users.json [--port 4200] [http://127.0.0.1:4000/graphql]
 *
 * `users.json` says who is who: `{ "T01TEAM/U02USER": "a token of the gateway" }`. It is read for each command, so that
 * a line that is taken out holds at once.
 */
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'
import { slackServer } from './slack-server.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    users: { type: 'string' },
    port: { type: 'string', default: '4200' },
    // Where else answers may be posted to, for tests: an origin.
    'response-origin': { type: 'string', multiple: true },
  },
})
const secret = process.env['SLACK_SIGNING_SECRET']
const { users } = values
if (!secret || users === undefined) {
  console.error('Set SLACK_SIGNING_SECRET, and name the file of users by --users.')
  process.exit(2)
}

async function tokenOf(user: string): Promise<string | undefined> {
  const tokens = new Map(Object.entries(JSON.parse(await readFile(users!, 'utf8')) as Record<string, string>))
  return tokens.get(user)
}

const server = createServer(
  slackServer({
    gateway: positionals[0] ?? 'http://127.0.0.1:4000/graphql',
    signingSecret: secret,
    tokenOf,
    ...(values['response-origin'] && { responseOrigins: values['response-origin'] }),
    onError: (error) => console.error(error instanceof Error ? error.message : error),
  }),
)
server.listen(Number(values.port), '127.0.0.1', () => {
  console.error(`listening on http://127.0.0.1:${(server.address() as AddressInfo).port}/slack/commands`)
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(0))
