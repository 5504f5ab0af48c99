/**
 * A real Kubernetes control plane for tests: etcd, kube-apiserver, kube-controller-manager and
 * kube-scheduler as processes of their own on free loopback ports, with TLS, RBAC and an audit log.
 *
 * Invariants: `close()` leaves no process, port or file behind; where the test process dies without
 * it (even by SIGKILL) a small reaper process does the same. Nothing listens beyond 127.0.0.1.
 *
 * It knows both ages of server that `test/e2e/build-assets.ts` builds (1.20 and 1.34 or later): a flag
 * is given only to a binary whose `--help` names it. It deliberately knows nothing of nodes: without a
 * kubelet (`fake-kubelet.ts`) pods stay Pending.
 *
 * Users: `adminToken` and the client certificate are in `system:masters`; every other token comes from
 * `token()`, which a webhook in this process vouches for, so tokens appear and end without a restart.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer as createNetServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { requireAssets, type Origin } from '../e2e/build-assets.ts'
import { eventually } from './eventually.ts'
import { Kubectl, type CommandResult } from './kubectl.ts'
import { KubernetesHttp } from './kubernetes-http.ts'
import { startReaper, type Reaper } from './reaper.ts'
import { createCertificateAuthority } from './test-certificates.ts'
import { startTokenReviews, type TokenReviews } from './token-reviews.ts'

const execute = promisify(execFile)

export interface ControlPlaneOptions {
  /** Names the context, cluster and user of its kubeconfig, and its directory. */
  readonly name: string
  /** Which build of the binaries; default: what is there (KUBEBUILDER_ASSETS, modules, debian). */
  readonly assets?: Origin
  readonly signal?: AbortSignal
  /** The API server ends a watch without timeoutSeconds after this many seconds up to twice as many; default 1800. */
  readonly minRequestTimeoutSeconds?: number
  /** Default: all of them. An API server alone starts in half of the time. */
  readonly controllers?: boolean
  /** More flags of kube-apiserver, as `--flag=value`. */
  readonly apiServerFlags?: readonly string[]
}

/** One entry of the audit log at level Metadata, stage ResponseComplete (watches: ResponseStarted too). */
interface AuditEntry {
  readonly auditID: string
  readonly stage: string
  readonly verb: string
  readonly requestURI: string
  /** Without a name where the credential was refused. */
  readonly user: { readonly username?: string; readonly groups?: readonly string[] }
  readonly impersonatedUser?: { readonly username: string; readonly groups?: readonly string[] }
  readonly userAgent?: string
  readonly objectRef?: {
    readonly resource?: string
    readonly namespace?: string
    readonly name?: string
    readonly apiGroup?: string
    readonly subresource?: string
  }
  readonly responseStatus?: { readonly code?: number }
  readonly requestReceivedTimestamp: string
}

export interface ControlPlane {
  readonly name: string
  /** `https://127.0.0.1:port`; the same after a restart. */
  readonly url: string
  /** PEM. */
  readonly ca: string
  /** The server's version, as `v1.36.3`. */
  readonly version: string
  /** The 36 of `v1.36.3`. */
  readonly minor: number
  readonly adminToken: string
  /** A client of `system:masters`. */
  readonly http: KubernetesHttp
  /** Admin client certificate; `path` is a file that lives as long as the control plane. */
  readonly kubeconfig: { readonly path: string; readonly text: string }
  /** Cluster certificate authority's key pair on disk, for stand-ins of other components. */
  readonly files: { readonly dir: string; readonly caCert: string; readonly caKey: string }
  /** A kubeconfig with another credential: a token, or a file that a token is read from. */
  kubeconfigWith(credential: { readonly token: string } | { readonly tokenFile: string }): string
  /** A new bearer token for a user; `system:authenticated` is added by the API server. */
  token(user: string, groups?: readonly string[]): string
  /** Ends a token; resolves when it is refused: the API server remembers a good one for ten seconds. */
  revokeToken(token: string): Promise<void>
  /**
   * Writes a new admin token to `tokenFile` and ends the one that stood there, as a cluster does that
   * rotates credentials. The first call creates the file.
   */
  rotateToken(tokenFile: string): Promise<string>
  /** Runs the kubectl of the same build as admin. A non-zero exit is a result, not an error. */
  kubectl(...args: string[]): Promise<CommandResult>
  /** For input, and for commands that go on; closed with the control plane. */
  readonly kubectlClient: Kubectl
  killApiServer(signal?: 'SIGKILL' | 'SIGTERM'): Promise<void>
  /** On the same port; resolves when it is ready. */
  startApiServer(): Promise<void>
  /** SIGSTOP: connections stay open and nothing answers. Returns when the process stands still. */
  stopApiServer(): void
  continueApiServer(): void
  /** Compacts etcd up to now. The API server's watch cache still serves recent versions: see `expireHistory`. */
  compact(): Promise<void>
  /** Compacts, and restarts the API server to empty its watch cache: every older version is 410 from then on. */
  expireHistory(): Promise<void>
  auditLog(): Promise<readonly AuditEntry[]>
  /** How many requests were made, counted by `verb resource` (`watch pods`), each once; without the control plane's own. */
  requestsSeen(): Promise<ReadonlyMap<string, number>>
  /** The end of the named component's log: for messages of failures. */
  log(component: Component): Promise<string>
  close(): Promise<void>
}

type Component = 'etcd' | 'kube-apiserver' | 'kube-controller-manager' | 'kube-scheduler'

const AUDIT_POLICY = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [{ level: 'Metadata' }],
}

export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { dir: binaries } = await requireAssets(options.assets)
  const dir = await mkdtemp(join(tmpdir(), `fleetgraph-${options.name}-`))
  const reaper = startReaper(dir)
  const tokens = await startTokenReviews()
  const plane = new RunningControlPlane(options, binaries, dir, reaper, tokens)
  try {
    await plane.start()
  } catch (error) {
    const log = await plane.log('kube-apiserver').catch(() => '')
    await plane.close()
    throw new Error(`the control plane ${options.name} did not start:\n${log}`, { cause: error })
  }
  options.signal?.addEventListener('abort', () => void plane.close(), { once: true })
  return plane
}

class RunningControlPlane implements ControlPlane {
  readonly name: string
  readonly adminToken = randomBytes(16).toString('hex')
  readonly kubectlClient: Kubectl
  readonly #options: ControlPlaneOptions
  readonly #binaries: string
  readonly #dir: string
  readonly #reaper: Reaper
  readonly #tokens: TokenReviews
  readonly #children = new Map<Component, ChildProcess>()
  readonly #flags = new Map<string, Promise<string>>()
  #port = 0
  #etcdPort = 0
  #ca = ''
  #version = ''
  #kubeconfig = ''
  #http: KubernetesHttp | undefined
  #closing: Promise<void> | undefined

  constructor(
    options: ControlPlaneOptions,
    binaries: string,
    dir: string,
    reaper: Reaper,
    tokens: TokenReviews,
  ) {
    this.name = options.name
    this.#options = options
    this.#binaries = binaries
    this.#dir = dir
    this.#reaper = reaper
    this.#tokens = tokens
    this.kubectlClient = new Kubectl(
      join(binaries, 'kubectl'),
      this.#path('admin.kubeconfig'),
      this.#path('kubectl-cache'),
    )
  }

  get url(): string {
    return `https://127.0.0.1:${this.#port}`
  }
  get ca(): string {
    return this.#ca
  }
  get version(): string {
    return this.#version
  }
  get minor(): number {
    return Number(this.#version.split('.')[1])
  }
  get http(): KubernetesHttp {
    if (!this.#http) throw new Error('the control plane is not started')
    return this.#http
  }
  get kubeconfig(): { path: string; text: string } {
    return { path: this.#path('admin.kubeconfig'), text: this.#kubeconfig }
  }
  get files(): { dir: string; caCert: string; caKey: string } {
    return { dir: this.#dir, caCert: this.#path('ca.crt'), caKey: this.#path('ca.key') }
  }

  async start(): Promise<void> {
    const [port, etcdPort, etcdPeerPort] = await freePorts(3)
    this.#port = port
    this.#etcdPort = etcdPort
    await this.#writeFiles()
    await this.#startEtcd(etcdPeerPort)
    await this.startApiServer()
    const { gitVersion } = (await this.http.must(this.http.get('/version'))) as { gitVersion?: string }
    this.#version = gitVersion ?? ''
    if (this.#options.controllers !== false) {
      await this.#startControllers()
      // What every client may rely on in a cluster that has just come up.
      await eventually(
        () => this.http.must(this.http.get('/api/v1/namespaces/default/serviceaccounts/default')),
        {
          timeoutMs: 60_000,
          everyMs: 50,
        },
      )
    }
  }

  async #writeFiles(): Promise<void> {
    const authority = await createCertificateAuthority(this.#dir)
    this.#ca = authority.pem
    const admin = await authority.issue('admin', { commonName: 'admin', organization: 'system:masters' })
    const manager = await authority.issue('kube-controller-manager', {
      commonName: 'system:kube-controller-manager',
      organization: 'system:masters',
    })
    const scheduler = await authority.issue('kube-scheduler', {
      commonName: 'system:kube-scheduler',
      organization: 'system:masters',
    })
    await authority.issue('kubelet-client', { commonName: 'kube-apiserver', organization: 'system:masters' })
    await authority.issue('server', {
      commonName: 'kube-apiserver',
      alternativeNames: ['IP:127.0.0.1', 'DNS:localhost', 'DNS:kubernetes.default.svc', 'IP:10.96.0.1'],
    })
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    this.#kubeconfig = kubeconfig(this.name, this.url, this.#ca, admin)
    this.#http = new KubernetesHttp({ url: this.url, ca: this.#ca, token: this.adminToken })
    const files = {
      'admin.kubeconfig': this.#kubeconfig,
      'kube-controller-manager.kubeconfig': kubeconfig(this.name, this.url, this.#ca, manager),
      'kube-scheduler.kubeconfig': kubeconfig(this.name, this.url, this.#ca, scheduler),
      'service-account.key': privateKey.export({ type: 'pkcs1', format: 'pem' }),
      'service-account.pub': publicKey.export({ type: 'spki', format: 'pem' }),
      'tokens.csv': `${this.adminToken},admin,admin,"system:masters"\n`,
      'audit-policy.json': JSON.stringify(AUDIT_POLICY),
      'token-webhook.kubeconfig': JSON.stringify({
        apiVersion: 'v1',
        kind: 'Config',
        clusters: [{ name: 'tokens', cluster: { server: this.#tokens.url } }],
        users: [{ name: 'kube-apiserver', user: {} }],
        contexts: [{ name: 'tokens', context: { cluster: 'tokens', user: 'kube-apiserver' } }],
        'current-context': 'tokens',
      }),
    }
    for (const [name, text] of Object.entries(files)) await writeFile(this.#path(name), text, { mode: 0o600 })
    await mkdir(this.#path('kubectl-cache'))
  }

  async #startEtcd(peerPort: number): Promise<void> {
    const client = `http://127.0.0.1:${this.#etcdPort}`
    const peer = `http://127.0.0.1:${peerPort}`
    await this.#spawn('etcd', [
      '--name=default',
      `--data-dir=${this.#path('etcd')}`,
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=default=${peer}`,
      '--unsafe-no-fsync',
      '--log-level=warn',
    ])
    await eventually(
      async () => {
        this.#mustRun('etcd')
        const answer = await fetch(`${client}/health`)
        if (!answer.ok) throw new Error(`etcd answers ${answer.status}`)
      },
      { timeoutMs: 20_000 },
    )
  }

  async startApiServer(): Promise<void> {
    await this.#spawn('kube-apiserver', [
      `--etcd-servers=http://127.0.0.1:${this.#etcdPort}`,
      '--bind-address=127.0.0.1',
      `--secure-port=${this.#port}`,
      '--endpoint-reconciler-type=none',
      `--tls-cert-file=${this.#path('server.crt')}`,
      `--tls-private-key-file=${this.#path('server.key')}`,
      `--client-ca-file=${this.#path('ca.crt')}`,
      `--token-auth-file=${this.#path('tokens.csv')}`,
      `--authentication-token-webhook-config-file=${this.#path('token-webhook.kubeconfig')}`,
      '--authentication-token-webhook-version=v1',
      '--authentication-token-webhook-cache-ttl=1s',
      '--authorization-mode=RBAC',
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${this.#path('service-account.pub')}`,
      `--service-account-signing-key-file=${this.#path('service-account.key')}`,
      '--service-cluster-ip-range=10.96.0.0/16',
      '--allow-privileged=true',
      '--kubelet-preferred-address-types=InternalIP',
      `--kubelet-certificate-authority=${this.#path('ca.crt')}`,
      `--kubelet-client-certificate=${this.#path('kubelet-client.crt')}`,
      `--kubelet-client-key=${this.#path('kubelet-client.key')}`,
      `--audit-policy-file=${this.#path('audit-policy.json')}`,
      `--audit-log-path=${this.#path('audit.log')}`,
      '--profiling=false',
      '--insecure-port=0',
      ...(this.#options.minRequestTimeoutSeconds === undefined
        ? []
        : [`--min-request-timeout=${this.#options.minRequestTimeoutSeconds}`]),
      ...(this.#options.apiServerFlags ?? []),
    ])
    await eventually(
      async () => {
        this.#mustRun('kube-apiserver')
        const { status, text } = await this.http.get('/readyz')
        if (status !== 200) throw new Error(`/readyz answers ${status}: ${text}`)
      },
      { timeoutMs: 60_000, everyMs: 50 },
    )
  }

  async #startControllers(): Promise<void> {
    await this.#spawn('kube-controller-manager', [
      `--kubeconfig=${this.#path('kube-controller-manager.kubeconfig')}`,
      '--leader-elect=false',
      '--bind-address=127.0.0.1',
      '--secure-port=0',
      '--port=0',
      `--service-account-private-key-file=${this.#path('service-account.key')}`,
      `--root-ca-file=${this.#path('ca.crt')}`,
      '--kube-api-qps=500',
      '--kube-api-burst=1000',
      '--pvclaimbinder-sync-period=2s',
      '--profiling=false',
    ])
    await this.#spawn('kube-scheduler', [
      `--kubeconfig=${this.#path('kube-scheduler.kubeconfig')}`,
      '--leader-elect=false',
      '--bind-address=127.0.0.1',
      '--secure-port=0',
      '--port=0',
      '--kube-api-qps=500',
      '--kube-api-burst=1000',
      '--profiling=false',
    ])
  }

  /** Spawns with those flags that the binary's own help names: see the header. */
  async #spawn(component: Component, args: readonly string[]): Promise<void> {
    const help = await this.#help(component)
    const known = args.filter((arg) => new RegExp(`${arg.split('=')[0]}(?![\\w-])`).test(help))
    const log = openSync(this.#path(`${component}.log`), 'a')
    try {
      const child = spawn(join(this.#binaries, component), known, {
        cwd: this.#dir,
        stdio: ['ignore', log, log],
      })
      await new Promise<void>((resolve, reject) => {
        child.once('spawn', resolve)
        child.once('error', reject)
      })
      const { pid } = child
      if (pid === undefined) throw new Error(`${component} has no process id`)
      this.#reaper.add(pid)
      child.once('exit', () => this.#reaper.drop(pid))
      this.#children.set(component, child)
    } finally {
      closeSync(log)
    }
  }

  #help(component: Component): Promise<string> {
    let help = this.#flags.get(component)
    if (!help) {
      help = execute(join(this.#binaries, component), ['--help'], { maxBuffer: 8 << 20 }).then(
        ({ stdout, stderr }) => stdout + stderr,
        (error: { stdout?: string; stderr?: string }) => (error.stdout ?? '') + (error.stderr ?? ''),
      )
      this.#flags.set(component, help)
    }
    return help
  }

  #mustRun(component: Component): void {
    const child = this.#children.get(component)
    if (child && (child.exitCode !== null || child.signalCode !== null)) {
      throw new Error(`${component} ended with ${child.exitCode ?? child.signalCode}`)
    }
  }

  kubeconfigWith(credential: { readonly token: string } | { readonly tokenFile: string }): string {
    return kubeconfig(this.name, this.url, this.#ca, credential)
  }

  token(user: string, groups: readonly string[] = []): string {
    return this.#tokens.issue(user, groups)
  }

  async revokeToken(token: string): Promise<void> {
    this.#tokens.revoke(token)
    await eventually(
      async () => {
        const { status } = await this.http.get('/api', { token })
        if (status !== 401) throw new Error(`a revoked token is still answered with ${status}`)
      },
      { timeoutMs: 20_000, everyMs: 200 },
    )
  }

  async rotateToken(tokenFile: string): Promise<string> {
    const before = await readFile(tokenFile, 'utf8').catch(() => undefined)
    const token = this.token('rotating-admin', ['system:masters'])
    await writeFile(tokenFile, token, { mode: 0o600 })
    if (before !== undefined) await this.revokeToken(before.trim())
    return token
  }

  kubectl(...args: string[]): Promise<CommandResult> {
    return this.kubectlClient.run(args)
  }

  async killApiServer(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    await this.#end('kube-apiserver', signal)
  }

  stopApiServer(): void {
    const child = this.#children.get('kube-apiserver')
    child?.kill('SIGSTOP')
    // The signal reaches a process of many threads a little after kill() returns.
    const tick = new Int32Array(new SharedArrayBuffer(4))
    for (let tries = 0; tries < 1000; tries += 1) {
      if (/^State:\tT/m.test(readFileSync(`/proc/${child?.pid}/status`, 'utf8'))) return
      Atomics.wait(tick, 0, 0, 1)
    }
    throw new Error('kube-apiserver does not stand still')
  }
  continueApiServer(): void {
    this.#children.get('kube-apiserver')?.kill('SIGCONT')
  }

  async compact(): Promise<void> {
    const etcd = `http://127.0.0.1:${this.#etcdPort}`
    const call = async (path: string, body: unknown): Promise<{ header?: { revision?: string } }> => {
      const answer = await fetch(etcd + path, { method: 'POST', body: JSON.stringify(body) })
      if (!answer.ok) throw new Error(`etcd answers ${path} with ${answer.status}: ${await answer.text()}`)
      return (await answer.json()) as { header?: { revision?: string } }
    }
    const { header } = await call('/v3/kv/range', { key: Buffer.from('compact_rev_key').toString('base64') })
    await call('/v3/kv/compaction', { revision: header?.revision, physical: true })
  }

  async expireHistory(): Promise<void> {
    // Without a change after the ones to forget, the newest version would still be the compacted one.
    await this.http.must(
      this.http.patch('/api/v1/namespaces/default', 'merge', {
        metadata: { annotations: { 'fleetgraph.test/expired': new Date().toISOString() } },
      }),
    )
    await this.compact()
    await this.killApiServer()
    await this.startApiServer()
  }

  async auditLog(): Promise<readonly AuditEntry[]> {
    const text = await readFile(this.#path('audit.log'), 'utf8')
    // The last line may be half written.
    return text
      .slice(0, text.lastIndexOf('\n') + 1)
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as AuditEntry)
  }

  async requestsSeen(): Promise<ReadonlyMap<string, number>> {
    const seen = new Map<string, number>()
    const counted = new Set<string>()
    for (const { auditID, verb, objectRef, user } of await this.auditLog()) {
      if ((user.username ?? 'system:').startsWith('system:') || counted.has(auditID)) continue
      counted.add(auditID)
      const resource = [objectRef?.resource, objectRef?.subresource].filter(Boolean).join('/')
      const key = `${verb} ${resource}`.trim()
      seen.set(key, (seen.get(key) ?? 0) + 1)
    }
    return seen
  }

  async log(component: Component): Promise<string> {
    const text = await readFile(this.#path(`${component}.log`), 'utf8')
    return text.split('\n').slice(-30).join('\n')
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await this.kubectlClient.close()
    await this.#http?.close()
    await this.#tokens.close()
    // Nothing of it outlives this call, so nothing needs an orderly end.
    await Promise.all([...this.#children.keys()].map((component) => this.#end(component, 'SIGKILL')))
    await rm(this.#dir, { recursive: true, force: true, maxRetries: 5 })
    this.#reaper.close()
  }

  async #end(component: Component, signal: NodeJS.Signals): Promise<void> {
    const child = this.#children.get(component)
    this.#children.delete(component)
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    child.kill(signal)
    await exited
  }

  #path(name: string): string {
    return join(this.#dir, name)
  }
}

function kubeconfig(
  name: string,
  url: string,
  ca: string,
  credential:
    | { readonly cert: string; readonly key: string }
    | { readonly token: string }
    | { readonly tokenFile: string },
): string {
  const base64 = (text: string): string => Buffer.from(text).toString('base64')
  const user =
    'cert' in credential
      ? { 'client-certificate-data': base64(credential.cert), 'client-key-data': base64(credential.key) }
      : credential
  return JSON.stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name, cluster: { server: url, 'certificate-authority-data': base64(ca) } }],
      users: [{ name: `${name}-admin`, user }],
      contexts: [{ name, context: { cluster: name, user: `${name}-admin` } }],
      'current-context': name,
    },
    undefined,
    2,
  )
}

/**
 * Ports that were free a moment ago: the components cannot be asked which one they took. Below the range
 * from which the kernel takes ports of outgoing connections: a client that keeps trying a dead server on
 * loopback could connect to itself there, and hold the port when the server comes back.
 */
async function freePorts(count: 3): Promise<[number, number, number]> {
  const ports = new Set<number>()
  while (ports.size < count) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    const server = createNetServer()
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    await new Promise((resolve) => server.close(resolve))
    if (free) ports.add(port)
  }
  return [...ports] as [number, number, number]
}
