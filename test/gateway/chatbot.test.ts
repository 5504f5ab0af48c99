/**
 * The MCP server of `examples/chatbot`, as a model's host meets it: a process, spoken to by the official client over
 * its standard input and output, and over HTTP.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Client, StreamableHTTPClientTransport, type CallToolResult } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { followRollout } from '../../examples/chatbot/fleet.ts'
import { startChatbotFleet, type ChatbotFleet } from '../support/chatbot-fleet.ts'
import { eventually } from '../support/eventually.ts'
import { startCommand } from '../support/gateway-process.ts'
import type { TestToken } from '../support/test-tokens.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const web = { cluster: 'prod-eu', namespace: 'shop', kind: 'Deployment', name: 'web' }

let fleet: ChatbotFleet
let open: { close(): Promise<unknown> }[]

beforeAll(async () => {
  fleet = await startChatbotFleet()
})
afterAll(() => fleet.close())
beforeEach(() => {
  open = []
})
afterEach(async () => {
  for (const each of open.toReversed()) await each.close()
})

/** A host with the server as its child. What the server writes to standard error is kept in `errors`. */
async function host(
  { token }: TestToken,
  gateway = fleet.gateway.url,
): Promise<{ readonly client: Client; readonly errors: () => string }> {
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: ['examples/chatbot/mcp.ts', gateway],
    cwd: ROOT,
    env: { FLEET_TOKEN: token },
    stderr: 'pipe',
  })
  let errors = ''
  transport.stderr?.on('data', (chunk) => (errors += String(chunk)))
  const client = new Client({ name: 'test', version: '1.0.0' })
  await client.connect(transport)
  open.push(client)
  return { client, errors: () => errors }
}

/** What the tests read of answers. */
interface Data extends Readonly<Record<string, unknown>> {
  readonly replayed?: boolean
  readonly results?: readonly { readonly generation: number }[]
  readonly workload?: { readonly viewerCan: { readonly scale: boolean } }
}

async function call(client: Client, name: string, args: Record<string, unknown> = {}) {
  const result = await client.callTool({ name, arguments: args })
  return { ...result, data: result.structuredContent as Data, text: textOf(result) }
}

/** Follows a rollout that has yet to begin: `progress` is the first that is told of it. */
function follow(client: Client, args: Record<string, unknown>) {
  const first = Promise.withResolvers<string | undefined>()
  const result = client.callTool(
    { name: 'follow_rollout', arguments: args },
    { onprogress: ({ message }) => first.resolve(message) },
  )
  result.catch(first.reject)
  return { progress: first.promise, result }
}

function textOf({ content }: CallToolResult): string {
  return content.flatMap((part) => (part.type === 'text' ? part.text : [])).join('\n')
}

describe('the MCP server', () => {
  it('offers nine tools, and says which of them write', async () => {
    const { client } = await host(fleet.operator)
    const { tools } = await client.listTools()
    const writing = tools.filter(({ annotations }) => annotations?.readOnlyHint !== true)
    expect(tools).toHaveLength(9)
    expect(writing.map(({ name }) => name)).toEqual(['confirm_plan', 'scale', 'roll_back'])
    for (const { annotations } of writing) {
      expect(annotations).toMatchObject({ destructiveHint: true, idempotentHint: true })
    }
  })

  it('takes a model from a look to a plan, its confirmation, the rollout, and back', async () => {
    const { client, errors } = await host(fleet.operator)
    const found = await call(client, 'list_workloads', { name: 'web' })
    expect(found.data).toMatchObject({
      total: 2,
      workloads: [
        { ...web, ready: 2, desired: 2, images: ['nginx:1.27'] },
        { cluster: 'prod-us', ready: 2 },
      ],
      missing: [],
    })
    expect(found.text).toContain('prod-eu Deployment shop/web: 2/2 ready, complete, nginx:1.27')
    expect((await call(client, 'fleet_health')).data).toMatchObject({ unreadyWorkloads: 0, missing: [] })
    expect((await call(client, 'explain_workload', web)).data).toMatchObject({
      workload: { ready: 2, viewerCan: { scale: true }, replicaSets: [{ revision: 1 }] },
    })

    const before = await fleet.generation('prod-eu')
    const change = { action: 'set_image', image: 'nginx:1.28' }
    const plan = await call(client, 'plan_change', { workloads: [web], change })
    expect(plan.isError).toBeFalsy()
    expect(plan.data).toMatchObject({
      token: expect.any(String),
      clusters: ['prod-eu'],
      podsReplaced: 2,
      results: [{ cluster: 'prod-eu', outcome: 'UPDATED', diff: expect.stringContaining('nginx:1.28') }],
    })
    expect(await fleet.generation('prod-eu')).toBe(before)

    const { progress, result } = follow(client, { ...web, generation: before + 1 })
    expect(await progress).toMatch(/^progressing: 2\/2 updated, 2 available/)
    const confirmed = await call(client, 'confirm_plan', { token: plan.data['token'] })
    expect(confirmed.data).toMatchObject({ ok: true, replayed: false, results: [{ outcome: 'UPDATED' }] })
    expect(confirmed.data.results![0]!.generation).toBe(before + 1)
    const followed = await result
    expect(followed.structuredContent).toMatchObject({
      status: 'COMPLETE',
      desired: 2,
      updated: 2,
      available: 2,
    })

    const status = await call(client, 'operation_status', { id: confirmed.data['operationId'] })
    expect(status.data).toMatchObject({ state: 'SUCCEEDED', results: [{ outcome: 'UPDATED' }] })

    const back = await call(client, 'roll_back', { workloads: [web] })
    expect(back.data).toMatchObject({ ok: true, results: [{ outcome: 'UPDATED' }] })
    const { generation: last } = back.data.results![0]!
    const rolledBack = await call(client, 'follow_rollout', { ...web, generation: last })
    expect(rolledBack.data).toMatchObject({ status: 'COMPLETE' })
    expect(JSON.stringify(await fleet.deployment('prod-eu'))).toContain('"image":"nginx:1.27"')
    expect(errors()).toBe('')
  })

  it('carries out a plan once, also when its confirmation is sent twice at the same time', async () => {
    const { client } = await host(fleet.operator)
    const before = await fleet.generation('prod-us')
    const workloads = [{ ...web, cluster: 'prod-us' }]
    const plan = await call(client, 'plan_change', { workloads, change: { action: 'restart' } })
    const token = plan.data['token']
    const both = await Promise.all([
      call(client, 'confirm_plan', { token }),
      call(client, 'confirm_plan', { token }),
    ])
    expect(both.map(({ data }) => data['ok'])).toEqual([true, true])
    expect(both.filter(({ data }) => data.replayed)).toHaveLength(1)
    expect(await fleet.generation('prod-us')).toBe(before + 1)
    expect((await call(client, 'confirm_plan', { token })).text).toContain('This was done before')
  })

  it('leaves alone what somebody changed since the plan', async () => {
    const { client } = await host(fleet.operator)
    const workloads = [{ ...web, cluster: 'prod-us' }]
    const plan = await call(client, 'plan_change', { workloads, change: { action: 'scale', to: 5 } })
    await fleet.scale('prod-us', 3)
    const confirmed = await call(client, 'confirm_plan', { token: plan.data['token'] })
    expect(confirmed.isError).toBe(true)
    expect(confirmed.data).toMatchObject({ ok: false, results: [{ outcome: 'CONFLICT' }] })
    expect((await fleet.deployment('prod-us')).spec.replicas).toBe(3)
  })

  it('does a call once that is sent again with its key, and each call without one', async () => {
    const { client } = await host(fleet.operator)
    const scale = (to: number, idempotencyKey?: string) =>
      call(client, 'scale', { workloads: [web], to, ...(idempotencyKey && { idempotencyKey }) })
    expect((await scale(4, 'first')).data).toMatchObject({ ok: true, replayed: false })
    expect((await scale(3)).data).toMatchObject({ ok: true, replayed: false })
    expect((await scale(4, 'first')).data).toMatchObject({ ok: true, replayed: true })
    expect((await fleet.deployment('prod-eu')).spec.replicas).toBe(3)
    expect((await scale(2)).data).toMatchObject({ ok: true, replayed: false })
    const reused = await scale(5, 'first')
    expect(reused).toMatchObject({ isError: true, text: expect.stringContaining('IDEMPOTENCY_KEY_REUSED') })
  })

  it('refuses clearly who may only look', async () => {
    const { client, errors } = await host(fleet.reader)
    expect((await call(client, 'explain_workload', web)).data).toMatchObject({
      workload: { viewerCan: { scale: false } },
    })
    const before = await fleet.generation('prod-eu')
    const plan = await call(client, 'plan_change', { workloads: [web], change: { action: 'scale', to: 9 } })
    expect(plan).toMatchObject({
      isError: true,
      data: { token: null, results: [{ errorCode: 'FORBIDDEN' }] },
    })
    expect(plan.text).toContain('This cannot be done as asked')
    const scaled = await call(client, 'scale', { workloads: [web], to: 9 })
    expect(scaled).toMatchObject({ isError: true, data: { results: [{ outcome: 'FORBIDDEN' }] } })
    expect(await fleet.generation('prod-eu')).toBe(before)
    expect(errors()).not.toContain(fleet.reader.token)
  })

  it('says what is wrong with a call, and with a token', async () => {
    const { client } = await host(fleet.operator)
    const missing = await call(client, 'explain_workload', { ...web, name: 'nothing' })
    expect(missing).toMatchObject({ isError: true, text: expect.stringMatching(/^NOT_FOUND: There is no/) })
    const unknown = await call(client, 'list_workloads', { cluster: 'nowhere' })
    expect(unknown).toMatchObject({ isError: true, text: expect.stringContaining('nowhere') })
    const forged = await call(client, 'confirm_plan', { token: 'forged' })
    expect(forged).toMatchObject({ isError: true, text: expect.stringContaining('PLAN_INVALID') })
    const { client: stranger } = await host({ ...fleet.operator, token: 'fg_nonsense' })
    const refused = await call(stranger, 'fleet_health')
    expect(refused).toMatchObject({ isError: true, text: expect.stringContaining('UNAUTHENTICATED') })
    const unheard = await call(stranger, 'follow_rollout', web)
    expect(unheard).toMatchObject({ isError: true, text: expect.stringContaining('UNAUTHENTICATED') })
  })

  it('tells how to ask again where the answer to a change was lost', async () => {
    const gateway = createServer((_request, response) => response.destroy())
    await once(gateway.listen(0, '127.0.0.1'), 'listening')
    open.push({ close: async () => gateway.close() })
    const { port } = gateway.address() as AddressInfo
    const { client } = await host(fleet.operator, `http://127.0.0.1:${port}/graphql`)
    const { isError, text } = await call(client, 'roll_back', { workloads: [web] })
    expect(isError).toBe(true)
    expect(text).toMatch(/^UNREACHABLE: .* call again with the idempotencyKey "[0-9a-f]{64}" to be told\.$/)
    const given = await call(client, 'roll_back', { workloads: [web], idempotencyKey: 'mine' })
    expect(given.text).toContain('"mine"')
    expect((await call(client, 'fleet_health')).text).not.toContain('call again')
  })

  it('follows nothing for who has stopped listening', async () => {
    const leaving = new AbortController()
    const seen: string[] = []
    // A generation that never comes.
    for await (const { status } of followRollout(
      fleet.client,
      { ...web, kind: 'Deployment' },
      { generation: 1_000_000, timeoutSeconds: 600 },
      leaving.signal,
    )) {
      seen.push(status)
      leaving.abort()
    }
    expect(seen).toEqual(['PROGRESSING'])
  })
})

describe('the MCP server over HTTP', () => {
  // As most hosts speak today, and as of the protocol's version 2026-07-28.
  it.each(['legacy', 'auto'] as const)(
    'serves each request as its user, and nobody else (%s)',
    async (mode) => {
      const server = spawn(process.execPath, ['examples/chatbot/mcp.ts', '--http', '0', fleet.gateway.url], {
        cwd: ROOT,
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      const exited = once(server, 'exit')
      open.push({
        close: async () => {
          server.kill('SIGTERM')
          await exited
        },
      })
      const [line] = (await once(createInterface({ input: server.stderr }), 'line')) as [string]
      const url = /http:\S+/.exec(line)![0]
      const connect = async ({ token }: TestToken) => {
        const client = new Client({ name: 'test', version: '1.0.0' }, { versionNegotiation: { mode } })
        const requestInit = { headers: { authorization: `Bearer ${token}` } }
        await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit }))
        open.push(client)
        return client
      }
      const operator = await connect(fleet.operator)
      const reader = await connect(fleet.reader)
      const may = async (client: Client) => {
        const { data } = await call(client, 'explain_workload', web)
        return data.workload!.viewerCan.scale
      }
      expect(await Promise.all([may(operator), may(reader)])).toEqual([true, false])

      const plan = await call(operator, 'plan_change', { workloads: [web], change: { action: 'restart' } })
      const generation = (await fleet.generation('prod-eu')) + 1
      const { progress, result } = follow(operator, { ...web, generation })
      expect(await progress).toMatch(/^progressing/)
      await call(operator, 'confirm_plan', { token: plan.data['token'] })
      expect((await result).structuredContent).toMatchObject({ status: 'COMPLETE' })

      expect((await fetch(url, { method: 'POST' })).status).toBe(401)
      const page = { authorization: `Bearer ${fleet.operator.token}`, origin: 'https://evil.example.com' }
      expect((await fetch(url, { method: 'POST', headers: page })).status).toBe(403)
      expect((await fetch(new URL('/', url))).status).toBe(404)
    },
  )
})

describe('the README of the chatbot', () => {
  const README = readFileSync(join(ROOT, 'examples/chatbot/README.md'), 'utf8')
  const blocks = (language: string) =>
    [...README.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, 'gm'))].map(([, text]) => text!)
  let folder: string

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'fleetgraph-chatbot-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  it('shows how a host starts the server, over the demo as it is started there', async () => {
    const [start] = blocks('sh')
    expect(start).toBe('FLEETGRAPH_SERVER_DOCUMENTS_DIRECTORY=schema/operations npm run demo\n')
    const demo = await startCommand(['demo', '--kubeconfig', join(folder, 'kubeconfig')], {
      FLEETGRAPH_SERVER_DOCUMENTS_DIRECTORY: 'schema/operations',
      FLEETGRAPH_SERVER_PORT: '0',
    })
    open.push(demo)
    const { mcpServers } = JSON.parse(blocks('json')[0]!) as {
      mcpServers: { fleetgraph: { command: string; args: string[]; env: Record<string, string> } }
    }
    const { command, args, env } = mcpServers.fleetgraph
    expect([command, args[1], Object.keys(env)]).toEqual([
      'node',
      'http://127.0.0.1:4000/graphql',
      ['FLEET_TOKEN'],
    ])
    const client = new Client({ name: 'test', version: '1.0.0' })
    await client.connect(
      new StdioClientTransport({
        command: process.execPath,
        args: [args[0]!, demo.url],
        cwd: ROOT,
        env: { FLEET_TOKEN: readFileSync(join(folder, 'alice.token'), 'utf8').trim() },
      }),
    )
    open.push(client)
    const { tools } = await client.listTools()
    for (const { name } of tools) expect(README).toContain(`| \`${name}\``)
    await eventually(
      async () => {
        expect((await call(client, 'fleet_health')).data).toMatchObject({ missing: [] })
      },
      { timeoutMs: 40_000 },
    )
    expect((await call(client, 'fleet_health')).text).toContain('prod-eu is UP')
    const storefront = { cluster: 'prod-eu', namespace: 'shop', name: 'storefront' }
    const scaled = await call(client, 'scale', { workloads: [storefront], to: 4 })
    expect(scaled).toMatchObject({ data: { ok: true } })
    expect((await call(client, 'follow_rollout', storefront)).text).toContain('complete: 4/4 updated')
  })

  it('shows how to start the webhook, and a request that is signed as Slack signs it', async () => {
    const [, , start, request] = blocks('sh') as [string, string, string, string]
    const users = join(folder, 'users.json')
    writeFileSync(users, blocks('json')[1]!)
    const webhook = spawn('sh', ['-c', `exec env ${start.trim().replace('users.json', users)} --port 0`], {
      cwd: ROOT,
      env: { ...process.env, PATH: `${dirname(process.execPath)}:${process.env['PATH']}` },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const exited = once(webhook, 'exit')
    open.push({
      close: async () => {
        webhook.kill('SIGTERM')
        await exited
      },
    })
    const [line] = (await once(createInterface({ input: webhook.stderr }), 'line')) as [string]
    const origin = new URL(/http:\S+/.exec(line)![0]).origin
    const { stdout } = await promisify(execFile)('sh', [
      '-c',
      request.replace('http://127.0.0.1:4200', origin),
    ])
    expect((JSON.parse(stdout) as { text: string }).text).toContain('/fleet scale')
  })
})
