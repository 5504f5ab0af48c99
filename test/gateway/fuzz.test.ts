/**
 * Mutations with inputs that nobody means, sent over a socket to a gateway as its users run it, over simulated
 * clusters: whatever is sent is answered in a moment and clearly, and what is refused has changed nothing.
 *
 * A run takes `FUZZ_SECONDS` (default 45) from a seed that it prints; `FUZZ_SEED` is another one. Without it each run
 * begins alike, so that a run that fails has found something new in the code and not in the inputs.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { canonical } from '../../src/writes/fingerprint.ts'
import { createSchema } from '../../src/graph/schema.ts'
import type { KubeObjectInput, ResourceKey } from '../../src/simulator/registry.ts'
import { startSimulator, type Simulator } from '../../src/simulator/simulator.ts'
import { eventually } from '../support/eventually.ts'
import { startGatewayProcess, type GatewayProcess } from '../support/gateway-process.ts'
import { hostileCalls, MANIFEST_BOMBS, type HostileCall } from '../support/hostile-inputs.ts'
import { watchLoop, type LoopWatch } from '../support/loop-watch.ts'
import { sparePort } from '../support/spare-port.ts'
import { ADMIN, tokenFor } from '../support/test-tokens.ts'

const SECONDS = Number(process.env['FUZZ_SECONDS'] ?? 45)
const SEED = Number(process.env['FUZZ_SEED'] ?? 407_334)

/** A request that has to wait for nobody is answered within this, on a machine that has much else to do. */
const ANSWER_MS = 10_000
/** However it is asked, the loop is held for no longer: others are answered meanwhile. */
const HELD_MS = 3_000

/** Of `server.bodyBytes`: what is larger is refused before it is read. */
const BODY_BYTES = 8 << 20

// ── The clusters ────────────────────────────────────────────────────────────────────────────────

const template = {
  metadata: { labels: { app: 'web' } },
  spec: { containers: [{ name: 'main', image: 'nginx:1.28', ports: [{ name: 'http', containerPort: 80 }] }] },
}
const selector = { matchLabels: { app: 'web' } }
const inShop = (name: string) => ({ name, namespace: 'shop', labels: { app: 'web' } })

type Seed = readonly [group: string, resource: string, object: KubeObjectInput]

const PASSWORD = Buffer.from('a-password-of-the-shop').toString('base64')

const SEEDS: readonly Seed[] = [
  ...['shop', 'empty', 'vault'].map((name): Seed => [
    '',
    'namespaces',
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name } },
  ]),
  ['', 'nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-0' } }],
  [
    'apps',
    'deployments',
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: inShop('web'),
      spec: { replicas: 2, selector, template },
    },
  ],
  [
    'apps',
    'statefulsets',
    {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: inShop('db'),
      spec: { serviceName: 'db', selector, template },
    },
  ],
  [
    'apps',
    'daemonsets',
    { apiVersion: 'apps/v1', kind: 'DaemonSet', metadata: inShop('agent'), spec: { selector, template } },
  ],
  [
    'batch',
    'cronjobs',
    {
      apiVersion: 'batch/v1',
      kind: 'CronJob',
      metadata: inShop('nightly'),
      spec: {
        schedule: '@daily',
        jobTemplate: {
          spec: { template: { ...template, spec: { ...template.spec, restartPolicy: 'Never' } } },
        },
      },
    },
  ],
  [
    '',
    'services',
    { apiVersion: 'v1', kind: 'Service', metadata: inShop('web'), spec: { ports: [{ port: 80 }] } },
  ],
  [
    '',
    'pods',
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: inShop('web-1'),
      spec: { ...template.spec, nodeName: 'node-0' },
    },
  ],
  ['', 'configmaps', { apiVersion: 'v1', kind: 'ConfigMap', metadata: inShop('settings'), data: { a: 'b' } }],
  [
    '',
    'secrets',
    { apiVersion: 'v1', kind: 'Secret', metadata: inShop('credentials'), data: { token: PASSWORD } },
  ],
  [
    '',
    'configmaps',
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'hidden-treasure', namespace: 'vault' } },
  ],
  [
    'apps',
    'deployments',
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'hidden-engine', namespace: 'vault', labels: { app: 'web' } },
      spec: { replicas: 1, selector, template },
    },
  ],
]

/** What `dev` may do: everything, in `shop`. */
const RIGHTS: readonly Seed[] = [
  [
    'rbac.authorization.k8s.io',
    'rolebindings',
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: { name: 'devs', namespace: 'shop' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'devs' }],
    },
  ],
]

const keyOf = (group: string, resource: string): ResourceKey => ({ group, resource })

/** A cluster without controllers: nothing changes in it but by a request, and what follows from that at once. */
class QuietCluster {
  readonly simulator: Simulator
  /** Commits so far. */
  commits = 0

  constructor(simulator: Simulator) {
    this.simulator = simulator
    const { registry } = simulator
    registry.onCommit(({ type, key, object: { metadata } }) => {
      this.commits++
      if (type === 'DELETED' || metadata.deletionTimestamp === undefined) return
      queueMicrotask(() => this.#finish(key, metadata.namespace ?? '', metadata.name))
    })
  }

  /**
   * Every object of what the seeds have. Without its version and its managers: whoever applies what is there already
   * is noted as a manager of it, and has changed nothing.
   */
  objects(): readonly string[] {
    const { registry } = this.simulator
    const resources = new Set([...SEEDS, ...RIGHTS].map(([group, resource]) => `${group}/${resource}`))
    return [...resources].flatMap((resource) => {
      const [group = '', name = ''] = resource.split('/')
      return registry.list(keyOf(group, name)).map(({ metadata, ...rest }) => {
        const { managedFields: _managers, resourceVersion: _version, ...shown } = metadata
        // In whichever order its fields stand.
        return canonical({ metadata: shown, ...rest })
      })
    })
  }

  /** What is gone comes again. */
  seed(): void {
    const { registry } = this.simulator
    for (const [group, resource, object] of [...SEEDS, ...RIGHTS]) {
      const { namespace = '', name = '' } = object.metadata
      if (!registry.get(keyOf(group, resource), namespace, name)) {
        registry.create(keyOf(group, resource), object)
      }
    }
  }

  /** The part of kubelets, of the namespace controller and of the garbage collector. */
  #finish(key: ResourceKey, namespace: string, name: string): void {
    const { registry } = this.simulator
    if (key.resource === 'namespaces') {
      for (const { key, objects } of registry.listNamespace(name)) {
        for (const { metadata } of objects) {
          registry.delete(key, name, metadata.name, { gracePeriodSeconds: 0 })
        }
      }
    }
    const found = registry.get(key, namespace, name)
    if (!found) return
    const metadata = { ...found.metadata, finalizers: [] }
    registry.update(
      key,
      { ...found, metadata, ...(key.resource === 'namespaces' && { spec: { finalizers: [] } }) },
      { subresource: 'all' },
    )
    if (registry.get(key, namespace, name)) registry.finishDelete(key, namespace, name)
  }
}

// ── Asking ──────────────────────────────────────────────────────────────────────────────────────

const RESULTS = /* GraphQL */ `
  fragment Results on ChangeResult {
    clusterName apiVersion kind namespace name action outcome dryRun message
    error { code message causes { field reason message } policy mayHaveBeenApplied retryAfterSeconds }
    changes { path before after } diff yaml manifest object { __typename name } links { url }
  }
`
const OPERATION = /* GraphQL */ `
  fragment Story on Operation {
    id state title user stepsTotal waves { clusters state } events { type message }
    results { ...Results } rollback { ...Results } summary { ok total message }
  }
`
const PAYLOAD = `{ results { ...Results } summary { ok total message } cursor replayed operation { ...Story } }`
const PLAN = `{ token expiresAt results { ...Results } summary { ok total message }
  blastRadius { clusters namespaces unknown created updated deleted budgets { name } capacity { fits } } }`

const schema = createSchema()

function documentOf(mutation: string): string {
  const field = schema.getMutationType()!.getFields()[mutation]!
  const variables = field.args.map(({ name, type }) => `$${name}: ${String(type)}`).join(', ')
  const args = field.args.map(({ name }) => `${name}: $${name}`).join(', ')
  const type = String(field.type).replace('!', '')
  const selection = type === 'Plan' ? PLAN : type === 'Operation' ? '{ ...Story }' : PAYLOAD
  const story = type === 'Plan' ? '' : OPERATION
  return `mutation (${variables}) { answer: ${mutation}(${args}) ${selection} } ${RESULTS} ${story}`
}

interface Result {
  readonly outcome: string
  readonly dryRun: boolean
  readonly message: string | null
  readonly error: {
    readonly code: string
    readonly message: string
    readonly mayHaveBeenApplied: boolean
    readonly causes: readonly { readonly message: string | null }[]
  } | null
}
interface Answered {
  readonly token?: string | null
  readonly state?: string
  readonly results: readonly Result[]
  readonly summary: { readonly message: string }
  readonly replayed?: boolean
  readonly operation?: { readonly id: string; readonly state: string } | null
}
interface Reply {
  readonly status: number
  readonly ms: number
  readonly text: string
  readonly data?: { readonly answer?: Answered | null } | null
  readonly errors?: readonly {
    readonly message: string
    readonly extensions?: { readonly code?: string; readonly argument?: string; readonly limit?: string }
  }[]
}

const DEV = tokenFor({ user: 'dev', groups: ['devs'] })
const WITH_CHANGES = new Set(['CREATED', 'UPDATED', 'DELETED'])
const ENDED = new Set(['SUCCEEDED', 'FAILED', 'CANCELLED', 'ROLLED_BACK'])

/** Why a whole request is refused. Never that something is broken. */
const REFUSALS = new Set([
  'BAD_USER_INPUT',
  'BAD_REQUEST',
  'LIMIT_EXCEEDED',
  'BODY_TOO_LARGE',
  'IDEMPOTENCY_KEY_REUSED',
  'PLAN_INVALID',
  'PLAN_EXPIRED',
  'OPERATION_NOT_FOUND',
  'TOO_MANY_OPERATIONS',
  'TOO_LARGE',
])

const COERCION =
  /^(Variable "\$\w+" has invalid value|Too many errors processing variables|The variables are nested too deep)/

/** What is inside, and nobody's business. */
const INSIDE =
  /\bat .*\.[cm]?[jt]s:\d|node_modules|\/src\/|file:\/\/|127\.0\.0\.1|::1|localhost|ECONN|Internal error|undefined|\[object |TypeError|RangeError|Cannot (read|set|convert)|is not (a function|iterable)|Maximum call stack/

describe('a gateway that is sent what nobody means', () => {
  let directory: string
  let clusters: QuietCluster[]
  let gateway: GatewayProcess
  let loop: LoopWatch
  const seen = {
    requests: 0,
    refused: 0,
    applied: 0,
    failed: 0,
    slowestMs: 0,
    slowest: '',
    codes: new Map<string, number>(),
  }

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'fleetgraph-fuzz-'))
    clusters = await Promise.all(
      ['east', 'west'].map(async (name) => new QuietCluster(await startSimulator({ name }))),
    )
    for (const cluster of clusters) cluster.seed()
    const gone = `http://127.0.0.1:${await sparePort()}`
    const entry = (name: string, kubeconfig: object, labels: Readonly<Record<string, string>>) => {
      const file = join(directory, `${name}.yaml`)
      writeFileSync(file, stringify(kubeconfig))
      return { type: 'kubeconfig', paths: [file], labels }
    }
    gateway = await startGatewayProcess(
      {
        clusters: [
          entry('east', clusters[0]!.simulator.kubeconfig(), { env: 'prod', region: 'eu' }),
          entry('west', clusters[1]!.simulator.kubeconfig(), { env: 'prod', region: 'us' }),
          entry(
            'gone',
            {
              apiVersion: 'v1',
              kind: 'Config',
              clusters: [{ name: 'gone', cluster: { server: gone } }],
              users: [{ name: 'gone', user: { token: 'x' } }],
              contexts: [{ name: 'gone', context: { cluster: 'gone', user: 'gone' } }],
              'current-context': 'gone',
            },
            { env: 'dev' },
          ),
        ],
        limits: {
          bodyBytes: BODY_BYTES,
          timeoutMs: 3_000,
          requestsPerMinute: 1_000_000,
          refusedRequestWeight: 1,
          costPerMinute: 1_000_000_000,
        },
      },
      [DEV],
    )
    const states = async () => {
      const { clusters } = await gateway.query<{ clusters: { nodes: { name: string; state: string }[] } }>(
        '{ clusters { nodes { name state } } }',
      )
      return clusters.nodes.map(({ name, state }) => `${name} ${state}`)
    }
    await eventually(
      async () => expect(await states()).toEqual(expect.arrayContaining(['east UP', 'west UP'])),
      {
        timeoutMs: 30_000,
      },
    )
    loop = watchLoop(new URL('/healthz', gateway.url).href)
  })

  afterAll(async () => {
    await loop?.close()
    await gateway?.close()
    for (const { simulator } of clusters ?? []) await simulator.close()
    rmSync(directory, { recursive: true, force: true })
  })

  async function post(body: string, token?: string): Promise<Reply> {
    const began = performance.now()
    const response = await fetch(gateway.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token ?? ADMIN.token}` },
      body,
    })
    const text = await response.text()
    const ms = performance.now() - began
    return { ...(JSON.parse(text) as object), status: response.status, text, ms }
  }

  const send = ({ mutation, args }: HostileCall, token?: string): Promise<Reply> =>
    post(JSON.stringify({ query: documentOf(mutation), variables: args }), token)

  const commits = () => clusters.reduce((sum, { commits }) => sum + commits, 0)
  const objects = () => clusters.map((cluster) => cluster.objects())

  /** What holds of every answer, whatever was asked. */
  function judge(reply: Reply, own: string): void {
    const { status, errors = [], data, text, ms } = reply
    seen.requests++
    if (ms > seen.slowestMs) Object.assign(seen, { slowestMs: ms, slowest: own.slice(0, 200) })
    expect(status).toBeLessThan(500)
    expect(ms).toBeLessThan(ANSWER_MS)
    const messages = errors.map(({ message }) => message)
    for (const { message, extensions = {} } of errors) {
      const { code = 'none', argument } = extensions
      seen.codes.set(code, (seen.codes.get(code) ?? 0) + 1)
      expect(REFUSALS).toContain(code)
      // Of what is not even of its type graphql-js says the place in its message.
      if (code === 'BAD_USER_INPUT' && !COERCION.test(message)) expect(argument).toMatch(/^[a-zA-Z]/)
    }
    const answer = data?.answer
    for (const { outcome, message, error } of answer?.results ?? []) {
      if (message !== null) messages.push(message)
      if (!error) continue
      expect(error.code).not.toBe('INTERRUPTED')
      messages.push(error.message, ...error.causes.flatMap(({ message }) => message ?? []))
      expect(WITH_CHANGES).not.toContain(outcome)
    }
    for (const message of messages) {
      expect(message).toMatch(/\S/)
      expect(message.length).toBeLessThan(2_000)
      // What a terminal or a log would take for its own. What graphql-js quotes it has made fit itself.
      // oxlint-disable-next-line no-control-regex
      if (!COERCION.test(message)) expect(message).not.toMatch(/[\0-\u0008\u000b-\u001f\u007f]/)
      const told = own.includes('undefined') ? message.replaceAll('undefined', '') : message
      expect(told).not.toMatch(INSIDE)
      expect(told).not.toContain(directory)
    }
    expect(text).not.toContain(PASSWORD)
  }

  /** Sends it, and holds what it did against what it says it did. */
  async function attempt(call: HostileCall, token?: string): Promise<Reply> {
    for (const cluster of clusters) cluster.seed()
    const [before, then] = [objects(), commits()]
    const reply = await send(call, token)
    judge(reply, JSON.stringify(call.args))
    const answer = reply.data?.answer
    if (token === DEV.token) expect(reply.text).not.toContain('hidden-')
    if (reply.errors || !answer) {
      seen.refused++
      expect(commits()).toBe(then)
      expect(objects()).toEqual(before)
      return reply
    }
    const { results, operation } = answer
    const isDone = results.some(({ outcome, dryRun }) => WITH_CHANGES.has(outcome) && !dryRun)
    const mayBe = results.some(({ error }) => error?.mayHaveBeenApplied)
    if (isDone) seen.applied++
    else seen.failed++
    if (operation && !ENDED.has(operation.state)) await end(operation.id, token)
    else if (!isDone && !mayBe) {
      expect(objects(), reply.text).toEqual(before)
    } else if (isDone && !answer.replayed) expect(commits(), reply.text).toBeGreaterThan(then)
    if (answer.token) await attempt({ mutation: 'confirm', args: { token: answer.token } }, token)
    return reply
  }

  /** Stops an operation that would go on for as long as it was asked to wait. */
  async function end(id: string, token?: string): Promise<void> {
    const cancel = { mutation: 'cancelOperation', args: { id } }
    await eventually(
      async () => {
        const { data } = await send(cancel, token)
        expect(ENDED).toContain(data?.answer?.state)
      },
      { timeoutMs: 20_000 },
    )
  }

  async function expectFreeLoop(): Promise<number> {
    const { ms, answers, failures } = await loop.longest()
    expect(failures).toBe(0)
    expect(answers).toBeGreaterThan(0)
    expect(ms).toBeLessThan(HELD_MS)
    return ms
  }

  it.each(Object.entries(MANIFEST_BOMBS))('reads a manifest and refuses it: %s', async (_name, manifest) => {
    await loop.longest()
    const input = { targets: { clusters: ['east', 'west'] }, manifest: manifest() }
    const { errors, ms } = await attempt({ mutation: 'applyManifest', args: { input } })
    expect(errors).toHaveLength(1)
    expect(errors![0]!.extensions).toEqual({ code: 'BAD_USER_INPUT', argument: 'input.manifest' })
    await sleep(20)
    console.log(`  answered in ${Math.round(ms)} ms, the loop was held for ${await expectFreeLoop()} ms`)
  })

  it('does not read a body that is larger than it may be', async () => {
    const input = { targets: { clusters: ['east'] }, manifest: 'x'.repeat(BODY_BYTES) }
    const { status, errors } = await attempt({ mutation: 'applyManifest', args: { input } })
    expect(status).toBe(413)
    expect(errors?.[0]?.extensions?.code).toBe('BODY_TOO_LARGE')
  })

  it(
    `answers each in a moment, clearly, and does what it says: for ${SECONDS} s from seed ${SEED}`,
    { timeout: SECONDS * 1_000 + 120_000 },
    async () => {
      await loop.longest()
      const calls = hostileCalls(schema)
      let count = 0
      await fc.assert(
        fc.asyncProperty(calls, fc.boolean(), async (call, asDev) => {
          count++
          await attempt(call, asDev ? DEV.token : undefined)
        }),
        {
          seed: SEED,
          numRuns: 10_000_000,
          interruptAfterTimeLimit: SECONDS * 1_000,
          markInterruptAsFailure: false,
        },
      )
      const held = await expectFreeLoop()
      const { requests, refused, applied, failed, slowestMs, slowest, codes } = seen
      console.log(
        `seed ${SEED}: ${count} calls, ${requests} requests: ${refused} refused, ${applied} applied, ${failed} not done;`,
        `the slowest answer took ${Math.round(slowestMs)} ms (${slowest}), the loop was held for ${held} ms;`,
        Object.fromEntries(codes),
      )
      // Else it would prove nothing.
      expect(count).toBeGreaterThan(100)
      expect(refused).toBeGreaterThan(20)
      expect(applied).toBeGreaterThan(20)
    },
  )

  it('has found no bug in itself meanwhile', () => {
    expect(gateway.log.filter(({ level }) => Number(level) >= 50)).toEqual([])
  })
})
