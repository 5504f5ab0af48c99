/**
 * The Slack webhook of `examples/chatbot` as a process, before a Slack that signs as Slack does and takes the answers
 * that are posted to its `response_url`.
 */
import { spawn } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { json } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseCommand } from '../../examples/chatbot/slack-commands.ts'
import { slackSignatureCheck } from '../../examples/chatbot/slack-signature.ts'
import { startChatbotFleet, type ChatbotFleet } from '../support/chatbot-fleet.ts'
import { eventually } from '../support/eventually.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const SECRET = '8f742231b10e8888abcd99yyyzzz85a5'
const OPERATOR = 'T1/U-operator'
const READER = 'T1/U-reader'

function signed(body: string, { secret = SECRET, at = Date.now() } = {}): Record<string, string> {
  const timestamp = String(Math.floor(at / 1_000))
  const mac = createHmac('sha256', secret).update(`v0:${timestamp}:${body}`).digest('hex')
  return { 'x-slack-request-timestamp': timestamp, 'x-slack-signature': `v0=${mac}` }
}

describe('the signature of Slack', () => {
  const now = 1_531_420_618_000
  const body = 'token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&command=%2Fweather&text=94070'
  const check = () => slackSignatureCheck(SECRET, () => now)
  const of = (text: string) => Buffer.from(text)

  it('is made of the timestamp and of the body as it came', () => {
    expect(check()(signed(body, { at: now }), of(body))).toBeUndefined()
    expect(check()(signed(body, { at: now }), of(`${body} `))).toBe('Its signature is wrong.')
    const headers = signed(body, { at: now })
    const other = { ...headers, 'x-slack-request-timestamp': String(now / 1_000 - 1) }
    expect(check()(other, of(body))).toBe('Its signature is wrong.')
  })

  it('is refused where it is forged, cut off, or not there', () => {
    expect(check()(signed(body, { at: now, secret: 'another' }), of(body))).toBe('Its signature is wrong.')
    const headers = signed(body, { at: now })
    const cut = { ...headers, 'x-slack-signature': headers['x-slack-signature']!.slice(0, -1) }
    expect(check()(cut, of(body))).toBe('Its signature is wrong.')
    expect(check()({}, of(body))).toBe('It is not signed.')
    expect(check()({ ...headers, 'x-slack-request-timestamp': 'NaN' }, of(body))).toBe('It is not signed.')
  })

  it('holds for five minutes, either way, and once', () => {
    const late = (seconds: number) => check()(signed(body, { at: now + seconds * 1_000 }), of(body))
    expect([late(-300), late(300)]).toEqual([undefined, undefined])
    expect([late(-301), late(301)]).toEqual(['Its timestamp is not of now.', 'Its timestamp is not of now.'])
    const same = check()
    expect(same(signed(body, { at: now }), of(body))).toBeUndefined()
    expect(same(signed(body, { at: now }), of(body))).toBe('It was sent before.')
  })
})

describe('a line after /fleet', () => {
  const target = { namespace: undefined, name: 'web', clusters: ['prod-eu'] }

  it.each([
    ['', { type: 'help' }],
    ['status', { type: 'health' }],
    ['status web', { type: 'find', name: 'web' }],
    ['explain shop/web in prod-eu', { type: 'explain', target: { ...target, namespace: 'shop' } }],
    ['scale web to 3 in prod-eu', { type: 'change', target, change: { action: 'scale', to: 3 } }],
    ['restart  web in prod-eu', { type: 'change', target, change: { action: 'restart' } }],
    ['rollback web in prod-eu', { type: 'change', target, change: { action: 'roll_back' } }],
    [
      'rollback web to 4 in prod-eu',
      { type: 'change', target, change: { action: 'roll_back', toRevision: 4 } },
    ],
    [
      'image web ghcr.io/acme/web:2 in prod-eu, prod-us',
      {
        type: 'change',
        target: { ...target, clusters: ['prod-eu', 'prod-us'] },
        change: { action: 'set_image', image: 'ghcr.io/acme/web:2' },
      },
    ],
  ])('"%s" is understood', (line, command) => {
    expect(parseCommand(line)).toEqual(command)
  })

  it.each([
    'scale web in prod-eu',
    'scale web to 3',
    'scale web to -1 in prod-eu',
    'scale web to many in prod-eu',
    'image web in prod-eu',
    'restart web to 2 in prod-eu',
    'explain web nginx in prod-eu',
    'delete web in prod-eu',
    'status web; scale web to 0',
  ])('"%s" is not', (line) => {
    expect(parseCommand(line)).toBeUndefined()
  })
})

interface Posted {
  readonly text: string
  readonly replace_original?: boolean
  readonly blocks?: readonly { readonly elements?: readonly { readonly value: string }[] }[]
}

describe('the webhook', () => {
  const ends: (() => unknown)[] = []
  let fleet: ChatbotFleet
  let origin: string
  /** By the `response_url` that it was posted to. */
  const posted = new Map<string, Posted[]>()
  let url: string
  let sent = 0

  beforeAll(async () => {
    fleet = await startChatbotFleet()
    ends.push(() => fleet.close())
    const folder = mkdtempSync(join(tmpdir(), 'fleetgraph-slack-'))
    ends.push(() => rmSync(folder, { recursive: true, force: true }))
    const users = join(folder, 'users.json')
    writeFileSync(users, JSON.stringify({ [OPERATOR]: fleet.operator.token, [READER]: fleet.reader.token }))
    const slack = createServer((request, response) => {
      const take = async () => {
        const to = `${origin}${request.url}`
        posted.set(to, [...(posted.get(to) ?? []), (await json(request)) as Posted])
        response.end('ok')
      }
      void take()
    })
    await once(slack.listen(0, '127.0.0.1'), 'listening')
    ends.push(() => slack.close())
    origin = `http://127.0.0.1:${(slack.address() as AddressInfo).port}`
    const webhook = spawn(
      process.execPath,
      [
        'examples/chatbot/slack.ts',
        '--users',
        users,
        '--port',
        '0',
        '--response-origin',
        origin,
        fleet.gateway.url,
      ],
      { cwd: ROOT, env: { SLACK_SIGNING_SECRET: SECRET }, stdio: ['ignore', 'ignore', 'pipe'] },
    )
    const exited = once(webhook, 'exit')
    ends.push(() => {
      webhook.kill('SIGTERM')
      return exited
    })
    const [line] = (await once(createInterface({ input: webhook.stderr }), 'line')) as [string]
    url = new URL(/http:\S+/.exec(line)![0]).origin
  })
  afterAll(async () => {
    for (const end of ends.toReversed()) await end()
  })
  function send(path: string, body: string, headers = signed(body)): Promise<Response> {
    return fetch(`${url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
      body,
    })
  }

  /** Its own for each request, as Slack's is. */
  const responseUrl = () => `${origin}/${++sent}`

  function bodyOf(text: string, user: string, answerTo: string): string {
    const [team, id] = user.split('/') as [string, string]
    return new URLSearchParams({
      command: '/fleet',
      team_id: team,
      user_id: id,
      response_url: answerTo,
      text,
    }).toString()
  }

  /** What the user is told at once, and then. */
  async function command(text: string, user = OPERATOR) {
    const answerTo = responseUrl()
    const response = await send('/slack/commands', bodyOf(text, user, answerTo))
    expect(response.status).toBe(200)
    const { text: first } = (await response.json()) as { text: string }
    return { first, answer: answers(answerTo) }
  }

  async function press(token: string, user = OPERATOR) {
    const [team, id] = user.split('/')
    const answerTo = responseUrl()
    const payload = {
      type: 'block_actions',
      team: { id: team },
      user: { id },
      response_url: answerTo,
      actions: [{ action_id: 'confirm', value: token }],
    }
    const response = await send(
      '/slack/actions',
      new URLSearchParams({ payload: JSON.stringify(payload) }).toString(),
    )
    expect(response.status).toBe(200)
    return answers(answerTo)
  }

  /** The `count`th answer that is posted there. */
  function answers(answerTo: string) {
    return (count = 1) =>
      eventually(
        () => {
          const message = posted.get(answerTo)?.[count - 1]
          if (!message) throw new Error(`No answer ${count} so far: ${JSON.stringify(posted.get(answerTo))}`)
          return message
        },
        { timeoutMs: 30_000 },
      )
  }

  const replicas = async (cluster = 'prod-eu') => (await fleet.deployment(cluster)).spec.replicas

  it('answers at once, and posts what it found', async () => {
    const found = await command('status web')
    expect(found.first).toBe('One moment…')
    expect((await found.answer()).text).toContain(
      'prod-us Deployment shop/web: 2/2 ready, complete, nginx:1.27',
    )
    expect((await command('what is up')).first).toContain('I do not understand that.')
    expect((await command('help')).first).toContain('/fleet scale')
    const explained = await command('explain web in prod-eu')
    expect((await explained.answer()).text).toContain('prod-eu Deployment shop/web')
    const health = await command('status')
    expect((await health.answer()).text).toContain('prod-eu is UP')
  })

  it('plans a change, makes it when its button is pressed, and says when it is rolled out', async () => {
    const plan = await (await command('scale web to 3 in prod-eu')).answer()
    expect(plan.text).toContain('This would be done:')
    expect(plan.text).toContain('In prod-eu: 1 pods added, 0 removed, 0 replaced.')
    expect(await replicas()).toBe(2)
    const token = plan.blocks!.at(-1)!.elements![0]!.value

    // Buttons of others are of no use.
    const stolen = await press(token, READER)
    expect((await stolen()).text).toContain('PLAN_INVALID')
    expect(await replicas()).toBe(2)

    const pressed = await press(token)
    expect(await pressed()).toMatchObject({
      text: expect.stringContaining('UPDATED'),
      replace_original: true,
    })
    expect(await replicas()).toBe(3)
    expect((await pressed(2)).text).toBe(
      'Deployment shop/web in prod-eu is complete: 3/3 updated, 3 available',
    )
    const again = await press(token)
    expect((await again()).text).toContain('This was done before')
  })

  it('makes the last plan of whoever says confirm, in several clusters', async () => {
    expect((await command('confirm', READER)).first).toContain('There is nothing to confirm')
    await (await command('image web nginx:1.28 in prod-eu,prod-us')).answer()
    const confirmed = await command('confirm')
    expect(confirmed.first).toBe('One moment…')
    const rolledOut = await confirmed.answer(2)
    for (const cluster of ['prod-eu', 'prod-us']) {
      expect(rolledOut.text).toContain(`shop/web in ${cluster} is complete`)
      expect(JSON.stringify(await fleet.deployment(cluster))).toContain('"image":"nginx:1.28"')
    }
  })

  it('lets nobody do what their clusters do not let them, and knows nobody who is not in its file', async () => {
    const before = await fleet.generation('prod-us')
    const refused = await (await command('scale web to 9 in prod-us', READER)).answer()
    expect(refused.text).toContain('This cannot be done as asked')
    expect(refused.text).toContain('FORBIDDEN')
    expect(refused.blocks).toBeUndefined()
    const unknown = await command('scale web to 9 in prod-us', 'T2/U-operator')
    expect((await unknown.answer()).text).toContain('You are not known to the fleet')
    const missing = await command('scale nothing to 9 in prod-us')
    expect((await missing.answer()).text).toBe('NOT_FOUND: There is no nothing in prod-us that you may see.')
    expect(await fleet.generation('prod-us')).toBe(before)
  })

  it('does nothing for who is not Slack', async () => {
    const answerTo = responseUrl()
    const body = bodyOf('status', OPERATOR, answerTo)
    const status = async (...args: Parameters<typeof send>) => (await send(...args)).status
    expect(await status('/slack/commands', body, {})).toBe(401)
    expect(await status('/slack/commands', body, signed(body, { secret: 'forged' }))).toBe(401)
    expect(await status('/slack/commands', body, signed(body, { at: Date.now() - 301_000 }))).toBe(401)
    expect(await status('/slack/commands', `${body}&text=confirm`, signed(body))).toBe(401)
    const elsewhere = bodyOf('status', OPERATOR, 'https://evil.example.com/commands/1')
    expect(await status('/slack/commands', elsewhere)).toBe(400)
    expect(await status('/slack/commands', `text=${'x'.repeat(70_000)}`)).toBe(413)
    expect(await status('/slack/other', body)).toBe(404)

    const headers = signed(body)
    expect(await status('/slack/commands', body, headers)).toBe(200)
    expect(await status('/slack/commands', body, headers)).toBe(401)
    expect((await answers(answerTo)()).text).toContain('prod-eu is UP')
    expect(posted.get(answerTo)).toHaveLength(1)
  })
})
