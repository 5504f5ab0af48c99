/**
 * The README promises only what runs: its demo is started as it says, and each of its requests is sent.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createClient } from 'graphql-ws'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { stringify } from 'yaml'
import { loadConfig } from '../../src/config.ts'
import { eventually } from '../support/eventually.ts'
import { startCommand, type GatewayProcess } from '../support/gateway-process.ts'
import { findKubectl } from '../support/kubectl.ts'
import { startRedisServer } from '../support/redis-server.ts'
import { ADMIN, writeTokens } from '../support/test-tokens.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const README = readFileSync(join(ROOT, 'README.md'), 'utf8')
const TOUR = join(ROOT, 'examples/portal/tour')

function blocks(language: string): string[] {
  return [...README.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, 'gm'))].map(
    ([, text]) => text!,
  )
}

/** Of the tour, what only reads and is answered once. */
const queries = blocks('graphql').filter((document) => /\nquery /.test(document))

interface LiveChange {
  readonly type: string
  readonly object: { readonly cluster: { readonly name: string } } | null
  readonly cursor: string | null
}

/** Built by `npm run e2e:assets`, or on the PATH; without one there is nothing to run. */
const kubectl = await findKubectl()
let directory: string
let demo: GatewayProcess
let startedWithinMs: number

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'fleetgraph-readme-'))
  expect(scripts()['demo']).toBe('node src/main.ts demo')
  const before = performance.now()
  demo = await startCommand(['demo', '--kubeconfig', join(directory, 'kubeconfig')], {
    FLEETGRAPH_SERVER_PORT: '0',
  })
  await eventually(async () => {
    const { summary } = await demo.query<{ summary: { coverage: readonly { state: string }[] } }>(
      '{ summary { coverage { state } } }',
    )
    expect(summary.coverage.map(({ state }) => state)).toEqual(['CURRENT', 'CURRENT', 'CURRENT'])
  })
  startedWithinMs = performance.now() - before
})

afterAll(async () => {
  expect(await demo?.close()).toBe(0)
  rmSync(directory, { recursive: true, force: true })
})

/** A line of a shell, in the project's folder. */
async function run(
  line: string,
): Promise<{ readonly code: number; readonly output: string; readonly errors: string }> {
  const child = spawn('sh', ['-c', line], { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  let errors = ''
  child.stdout.on('data', (chunk) => (output += String(chunk)))
  child.stderr.on('data', (chunk) => (errors += String(chunk)))
  const [code] = (await once(child, 'close')) as [number]
  return { code, output, errors }
}

function scripts(): Readonly<Record<string, string>> {
  const text = readFileSync(join(ROOT, 'package.json'), 'utf8')
  return (JSON.parse(text) as { scripts: Record<string, string> }).scripts
}

describe('the README', () => {
  it('starts a demo that says where to go', () => {
    expect(demo.output()).toContain(`GraphiQL    ${demo.url}`)
    expect(demo.output()).toContain('prod-eu, prod-us, staging')
    console.log(`the demo answered for three clusters after ${Math.round(startedWithinMs)} ms`)
  })

  it('names its version', async () => {
    const version = await fetch(demo.url.replace('/graphql', '/version'))
    expect(await version.json()).toEqual({ name: 'fleetgraph', version: '0.1.0' })
  })

  it('shows a curl command that answers for every cluster', async () => {
    const command = blocks('sh').find((block) => block.startsWith('curl'))!
    const { output } = await run(command.replace('http://127.0.0.1:4000/graphql', demo.url))
    expect(JSON.parse(output)).toMatchObject({
      data: {
        clusters: { nodes: [{ name: 'prod-eu', state: 'UP' }, { name: 'prod-us' }, { name: 'staging' }] },
        pods: { nodes: [{}, {}, {}], coverage: [{ state: 'CURRENT' }, {}, {}] },
      },
    })
  })

  it("shows one of the demo's people what RBAC lets them see, and says where that is nothing", async () => {
    const command = blocks('sh').find((block) => block.includes('.demo/bob.token'))!
    const { output } = await run(
      command.replace('http://127.0.0.1:4000/graphql', demo.url).replace('.demo/', `${directory}/`),
    )
    const { data } = JSON.parse(output) as {
      data: { viewer: object; pods: { nodes: readonly { namespace: string }[]; coverage: readonly object[] } }
    }
    expect(data.viewer).toEqual({ name: 'bob', groups: ['shop-team', 'system:authenticated'] })
    expect(data.pods.nodes).toHaveLength(3)
    for (const pod of data.pods.nodes) {
      expect(pod).toMatchObject({ namespace: 'shop', viewerCan: { delete: true, logs: true } })
    }
    expect(data.pods.coverage).toMatchObject([
      { cluster: 'prod-eu', state: 'CURRENT' },
      { cluster: 'prod-us', state: 'FORBIDDEN' },
      { cluster: 'staging', state: 'CURRENT' },
    ])
  })

  it('shows configurations that can be loaded', () => {
    for (const [index, block] of blocks('yaml').entries()) {
      const file = join(directory, `shown-${index}.yaml`)
      writeFileSync(file, block)
      expect(() => loadConfig(file, {})).not.toThrow()
    }
  })

  it('holds the documents of the tour as GraphiQL opens them', () => {
    const files = readdirSync(TOUR)
      .toSorted()
      .map((name) => readFileSync(join(TOUR, name), 'utf8'))
    const shown = blocks('graphql')
    expect(shown).toHaveLength(8)
    expect(files.slice(0, 8).toSorted()).toEqual(shown.toSorted())
  })

  it('follows what happens to the pods of the shop, from what is there on', async () => {
    const document = blocks('graphql').find((block) => block.includes('\nsubscription '))!
    const client = createClient({ url: demo.url.replace('http', 'ws'), webSocketImpl: WebSocket })
    const shown: Record<string, number> = {}
    for await (const { data, errors } of client.iterate<{ podChanges: LiveChange }>({ query: document })) {
      expect(errors).toBeUndefined()
      const { type, object, cursor } = data!.podChanges
      if (type === 'SYNCED') {
        expect(cursor).toEqual(expect.any(String))
        break
      }
      expect(type).toBe('ADDED')
      shown[object!.cluster.name] = (shown[object!.cluster.name] ?? 0) + 1
    }
    await client.dispose()
    expect(Object.keys(shown).toSorted()).toEqual(['prod-eu', 'prod-us', 'staging'])
  })

  it('draws a dashboard of the demo that changes with it', async () => {
    const command = blocks('sh')
      .find((block) => block.includes('examples/dashboard'))!
      .trim()
    const [program, ...args] = command.split(' ')
    const child = spawn(program!, [...args, demo.url], { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] })
    const exited = once(child, 'exit')
    let types = ''
    for await (const line of createInterface({ input: child.stdout })) {
      const { type, pods, counts } = JSON.parse(line) as { type: string; pods: number; counts: object }
      types += `${type} `
      // The demo never rests: an image that cannot be pulled is tried for ever.
      if (!types.includes('SYNCED') || type !== 'MODIFIED') continue
      expect(Object.keys(counts).toSorted()).toEqual(['prod-eu', 'prod-us', 'staging'])
      expect(pods).toBeGreaterThan(30)
      break
    }
    child.kill('SIGTERM')
    expect(await exited).toEqual([0, null])
  })

  it('serves the same clusters as two replicas that share one Redis', async () => {
    const command = blocks('sh').find((block) => block.startsWith('REDIS_URL='))!
    expect(command).toBe(
      'REDIS_URL=redis://127.0.0.1:6379 FLEETGRAPH_AUTHENTICATION_TOKENS_FILE=tokens.yaml npm start\n',
    )
    const tokensFile = join(directory, 'replicas-tokens.yaml')
    writeTokens(tokensFile, [ADMIN])
    const redis = await startRedisServer()
    const env = {
      REDIS_URL: redis.url,
      FLEETGRAPH_AUTHENTICATION_TOKENS_FILE: tokensFile,
      KUBECONFIG: join(directory, 'kubeconfig'),
      FLEETGRAPH_SERVER_PORT: '0',
    }
    const replicas = await Promise.all([
      startCommand(['serve'], env, ADMIN),
      startCommand(['serve'], env, ADMIN),
    ])
    for (const replica of replicas) {
      await eventually(async () => {
        const { pods } = await replica.query<{ pods: object }>('{ pods { totalCount coverage { state } } }')
        const current = { state: 'CURRENT' }
        expect(pods).toMatchObject({ coverage: [current, current, current] })
      })
    }
    const watched = replicas.map(({ log }) => log.filter(({ owned }) => owned === true))
    expect(watched.flat().length).toBeGreaterThanOrEqual(3)
    for (const replica of replicas) expect(await replica.close()).toBe(0)
    await redis.close()
  })

  it('walks from the fleet over nodes and a workload to the links of its service, in all three clusters', async () => {
    const [fleet, nodes, workload, service] = await Promise.all(
      queries.map((document) => demo.query<Record<string, { nodes: readonly object[] }>>(document)),
    )
    expect(fleet!['clusters']!.nodes).toHaveLength(3)
    expect(nodes!['nodes']!.nodes.length).toBeGreaterThan(3)
    const storefronts = workload!['deployments']!.nodes
    expect(storefronts).toHaveLength(3)
    for (const each of storefronts) {
      expect(each).toMatchObject({
        name: 'storefront',
        rollout: { status: 'COMPLETE' },
        replicaSets: expect.arrayContaining([
          { name: expect.any(String), revision: 1, ready: 0, containers: [{ image: expect.any(String) }] },
        ]),
        pods: {
          nodes: expect.arrayContaining([
            expect.objectContaining({ status: 'Running', node: { name: expect.any(String) } }),
          ]),
        },
      })
    }
    for (const each of service!['services']!.nodes) {
      expect(each).toMatchObject({
        workloads: [{ kind: 'Deployment', name: 'storefront' }],
        links: expect.arrayContaining([
          { kind: 'LOAD_BALANCER', url: expect.stringMatching(/^http:\/\/[\d.]+:80$/) },
        ]),
      })
    }
  })

  it('deploys to the production clusters, opens links to what runs there, and scales what was planned', async () => {
    const [deploy, expose, plan] = blocks('graphql').filter((document) => /\nmutation /.test(document))
    const deployed = await demo.query<{ deploy: { summary: object; results: object[] } }>(deploy!)
    expect(deployed.deploy.summary).toEqual({ ok: true, message: '4 created (prod-eu, prod-us).' })
    const exposed = await demo.query<{ expose: { results: object[] } }>(expose!)
    const created = { outcome: 'CREATED', error: null }
    const links = [{ url: expect.stringMatching(/^http:\/\/[\d.]+:80$/) as string }]
    expect(exposed.expose.results).toEqual([
      { clusterName: 'prod-eu', ...created, links },
      { clusterName: 'prod-us', ...created, links },
    ])
    const planned = await demo.query<{ plan: { token: string; blastRadius: object; results: object[] } }>(
      plan!,
    )
    expect(planned.plan).toMatchObject({
      blastRadius: { clusters: ['prod-eu', 'prod-us'], podsAdded: 4, budgets: [] },
      results: [{ message: '1 → 3 replicas', diff: expect.stringContaining('+  replicas: 3') }, {}],
    })
    const confirm = `mutation ($token: String!) {
      confirm(token: $token) { replayed summary { message } results { outcome } }
    }`
    const { token } = planned.plan
    const confirmed = { summary: { message: '2 updated (prod-eu, prod-us).' }, results: [{}, {}] }
    expect(await demo.query(confirm, { token })).toMatchObject({ confirm: { ...confirmed, replayed: false } })
    expect(await demo.query(confirm, { token })).toMatchObject({ confirm: { ...confirmed, replayed: true } })
  })

  it.skipIf(kubectl === undefined)(
    'changes the simulated clusters by kubectl, and the next answer shows it',
    { timeout: 120_000 },
    async () => {
      const commands = blocks('sh').find((block) => block.startsWith('kubectl'))!
      const here = commands
        .replaceAll('.demo/kubeconfig', join(directory, 'kubeconfig'))
        .replaceAll(/^kubectl/gm, kubectl!)
      const { code, output } = await run(`set -e; export HOME=${directory}; ${here}`)
      expect(code).toBe(0)
      expect(output).toMatch(/^shop +storefront +3\/3/m)
      expect(output).toContain('deployment.apps/storefront scaled')
      expect(output).toContain('deployment "storefront" successfully rolled out')
      await eventually(async () => {
        const { deployments } = await demo.query<{ deployments: { nodes: readonly object[] } }>(
          `{ deployments(filter: { clusters: ["prod-eu"], name: { equals: "storefront" } }) {
              nodes { desired ready rollout { status } }
          } }`,
        )
        expect(deployments.nodes).toEqual([{ desired: 5, ready: 5, rollout: { status: 'COMPLETE' } }])
      })
    },
  )

  it('makes a token, and with it serves the default kubeconfig without any configuration', async () => {
    const [make, start] = blocks('sh')
      .find((block) => block.includes('token create'))!
      .split('\n')
    const tokensFile = join(directory, 'tokens-of-mine.yaml')
    const made = await run(make!.replace('tokens.yaml', tokensFile))
    expect(made.output).toMatch(/^fg_\w+\n$/)
    expect(start).toBe('FLEETGRAPH_AUTHENTICATION_TOKENS_FILE=tokens.yaml npm start')
    expect(scripts()['start']).toBe('node src/main.ts serve')
    const started = await startCommand(['serve'], {
      FLEETGRAPH_AUTHENTICATION_TOKENS_FILE: tokensFile,
      KUBECONFIG: join(directory, 'kubeconfig'),
      FLEETGRAPH_SERVER_PORT: '0',
    })
    await eventually(async () => {
      const { pods } = await started.query<{ pods: { coverage: readonly object[] } }>(
        '{ pods { coverage { cluster state } } }',
        {},
        made.output.trim(),
      )
      expect(pods.coverage).toEqual([
        { cluster: 'prod-eu', state: 'CURRENT' },
        { cluster: 'prod-us', state: 'CURRENT' },
        { cluster: 'staging', state: 'CURRENT' },
      ])
    })
    expect(await started.close()).toBe(0)
  })

  it('checks clusters: which answer, in which version, and what is wrong with the others', async () => {
    const command = blocks('sh').find((block) => block.includes('check'))!
    const config = join(directory, 'fleetgraph.yaml')
    const demoClusters = { type: 'kubeconfig', paths: [join(directory, 'kubeconfig')] }
    writeFileSync(config, stringify({ clusters: [demoClusters] }))
    const good = await run(command.replace('fleetgraph.yaml', config))
    expect(good.output).toMatch(/^prod-eu\s+yes\s+v1\.34\.1\s+everything/m)
    expect(good.output).toMatch(/^staging\s+yes\s+v1\.35\.0\s+everything/m)
    expect(good.output).toContain('prod-eu: the credentials may do more than the gateway needs: * *.*.')
    expect(good.output).toContain('kind: ClusterRole')
    expect(good.code).toBe(0)

    const lab = { type: 'server', name: 'lab', server: 'http://127.0.0.1:1' }
    writeFileSync(config, stringify({ clusters: [demoClusters, lab] }))
    const bad = await run(command.replace('fleetgraph.yaml', config))
    expect(bad.output).toMatch(/^lab\s+no\s+-\s+-/m)
    expect(bad.output).toMatch(/^lab: .*127\.0\.0\.1:1/m)
    expect(bad.code).toBe(1)
  })

  it('exits with 2 and names the line when the configuration is wrong', async () => {
    const config = join(directory, 'wrong.yaml')
    writeFileSync(config, 'server:\n  prot: 1\n')
    const { code, errors } = await run(`npm run --silent fleetgraph -- serve --config ${config}`)
    expect(errors).toContain('wrong.yaml:2:3: server.prot: there is no such key')
    expect(code).toBe(2)
  })
})
