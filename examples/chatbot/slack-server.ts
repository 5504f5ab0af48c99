/**
 * Slack's requests, for `node:http`: slash commands at `/slack/commands`, buttons at `/slack/actions`. Each is answered
 * at once – Slack waits for three seconds – and what comes of it is posted to its `response_url`.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { createGatewayClient, GatewayError, type GatewayClient } from './gateway-client.ts'
import { outcomeOf, parseCommand, runCommand, runConfirm, HELP, type Reply } from './slack-commands.ts'
import { slackSignatureCheck } from './slack-signature.ts'

export interface SlackServerOptions {
  /** Of the GraphQL endpoint. */
  readonly gateway: string
  readonly signingSecret: string
  /** The token of a user of Slack at the gateway, by `TEAM/USER`; `undefined`: they have none. Asked each time. */
  readonly tokenOf: (user: string) => string | undefined | Promise<string | undefined>
  /** Where answers may be posted to. Default: Slack's. */
  readonly responseOrigins?: readonly string[]
  /** How long a rollout is followed. Slack takes answers for 30 minutes. */
  readonly rolloutSeconds?: number
  readonly now?: () => number
  /** What could not be posted. Must not throw. */
  readonly onError?: (error: unknown) => void
}

const MAX_BODY = 64 * 1_024

interface Message {
  readonly text: string
  readonly blocks?: readonly object[]
  readonly replace_original?: boolean
}

export function slackServer(options: SlackServerOptions): RequestListener {
  const {
    gateway,
    signingSecret,
    tokenOf,
    rolloutSeconds = 600,
    now = Date.now,
    onError = () => {},
  } = options
  const origins = new Set(options.responseOrigins ?? ['https://hooks.slack.com'])
  const wrong = slackSignatureCheck(signingSecret, now)
  /** The last plan of each user, for `/fleet confirm`. The gateway forgets plans, and confirms each once. */
  const lastPlans = new Map<string, string>()

  const post = async (url: string, message: Message): Promise<void> => {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ response_type: 'ephemeral', ...message }),
      redirect: 'error',
      signal: AbortSignal.timeout(10_000),
    })
    if (!response.ok) throw new Error(`Slack took no answer: HTTP ${response.status}`)
  }

  /** Does what was asked for, and says what came of it. */
  const work = async ({ user, url, token: pressed }: Asked, run: Run): Promise<void> => {
    // The button goes with the message that it stands in.
    const replace = pressed === undefined ? {} : { replace_original: true }
    const say = (text: string, more: Partial<Message> = {}) =>
      post(url, { text: escaped(text), ...replace, ...more })
    try {
      const token = await tokenOf(user)
      if (token === undefined) {
        await say(`You are not known to the fleet: have an operator add ${user}.`)
        return
      }
      const client = createGatewayClient(gateway, token)
      const reply = await run(client)
      if (reply.token !== undefined) lastPlans.set(user, reply.token)
      await say(
        reply.text,
        reply.token === undefined ? {} : { blocks: confirmation(reply.text, reply.token) },
      )
      const outcome = reply.payload && (await outcomeOf(client, reply.payload, rolloutSeconds))
      if (outcome) await say(outcome, { replace_original: false })
    } catch (error) {
      if (error instanceof GatewayError) {
        await say(`${error.code}: ${error.message}`)
      } else {
        onError(error)
        await say('Something went wrong here. Its log says what.')
      }
    }
  }

  /** Begins what a request asks for. Answers what is said at once. */
  const take = (path: string, form: URLSearchParams): string => {
    const asked = path === '/slack/actions' ? actionOf(form) : commandOf(form)
    const { user, url, token } = asked
    if (!URL.canParse(url) || !origins.has(new URL(url).origin))
      throw new Refused(400, 'No such response_url.')
    const begin = (run: Run) => void work(asked, run).catch(onError)
    if (path === '/slack/actions') {
      if (token === undefined) return 'Nothing is changed.'
      begin((client) => runConfirm(client, token))
      return ''
    }
    const command = parseCommand(form.get('text') ?? '')
    if (!command) return `I do not understand that.\n${HELP}`
    if (command.type === 'help') return HELP
    if (command.type === 'confirm') {
      const planned = lastPlans.get(user)
      if (planned === undefined) return 'There is nothing to confirm: plan a change first.'
      begin((client) => runConfirm(client, planned))
    } else {
      begin((client) => runCommand(client, command))
    }
    return 'One moment…'
  }

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = request.url ?? ''
    if (request.method !== 'POST' || !['/slack/commands', '/slack/actions'].includes(path)) {
      throw new Refused(404, 'Nothing here.')
    }
    if (!(Number(request.headers['content-length']) <= MAX_BODY)) throw new Refused(413, 'Too large.')
    const body = await buffer(request)
    const problem = wrong(request.headers, body)
    if (problem) throw new Refused(401, problem)
    const text = take(path, new URLSearchParams(body.toString('utf8')))
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(text === '' ? '' : JSON.stringify({ response_type: 'ephemeral', text }))
  }

  return (request, response) => {
    handle(request, response).catch((error: unknown) => {
      if (!(error instanceof Refused)) onError(error)
      response.writeHead(error instanceof Refused ? error.status : 500, { connection: 'close' })
      response.end(error instanceof Refused ? error.message : '')
    })
  }
}

type Run = (client: GatewayClient) => Promise<Reply>

class Refused extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

interface Asked {
  readonly user: string
  readonly url: string
  /** Of the plan whose button was pressed. */
  readonly token?: string | undefined
}

function commandOf(form: URLSearchParams): Asked {
  return { user: `${form.get('team_id')}/${form.get('user_id')}`, url: form.get('response_url') ?? '' }
}

interface ActionPayload {
  readonly team?: { readonly id?: string } | null
  readonly user?: { readonly id?: string }
  readonly response_url?: string
  readonly actions?: readonly { readonly action_id?: string; readonly value?: string }[]
}

function actionOf(form: URLSearchParams): Asked {
  const { team, user, response_url: url, actions } = JSON.parse(form.get('payload') ?? '{}') as ActionPayload
  const pressed = actions?.find(({ action_id: id }) => id === 'confirm')
  return { user: `${team?.id}/${user?.id}`, url: url ?? '', token: pressed?.value }
}

function confirmation(text: string, token: string): object[] {
  const button = (label: string, rest: object) => ({
    type: 'button',
    text: { type: 'plain_text', text: label },
    ...rest,
  })
  return [
    // Slack's limit for the text of a section is 3,000 characters.
    { type: 'section', text: { type: 'mrkdwn', text: escaped(text).slice(0, 2_900) } },
    {
      type: 'actions',
      elements: [button('Do it', { action_id: 'confirm', value: token, style: 'danger' })],
    },
  ]
}

/** https://docs.slack.dev/messaging/formatting-message-text: what would else be a mention or a link. */
function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
