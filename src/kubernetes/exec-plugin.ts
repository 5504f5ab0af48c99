/**
 * Credentials from an exec plugin (`aws eks get-token`, `gke-gcloud-auth-plugin`, `kubelogin`…), by the
 * protocol client.authentication.k8s.io/v1 and v1beta1:
 * https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
 *
 * One process at a time however many ask; its answer is kept until shortly before it expires, or until
 * the API server refuses it. A plugin gets no terminal: it must not ask questions.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { isAbsolute, resolve } from 'node:path'
import { TransportError } from './client.ts'
import type { Connection, ExecPlugin } from './connection.ts'
import type { Credential, CredentialOptions, Credentials } from './credentials.ts'
import { SharedWork } from './shared-work.ts'

const VERSIONS = ['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1']
const PLUGIN_TIMEOUT_MS = 60_000
const KILL_AFTER_MS = 2_000
const MAX_OUTPUT = 1 << 20
/** A plugin that just failed is not started again at once by the next of many watches. */
const FAILURE_KEPT_MS = 1_000

export interface ExecPluginOptions extends CredentialOptions {
  /** Default 60,000. */
  readonly pluginTimeoutMs?: number
}

export function execPlugin(
  connection: Connection,
  plugin: ExecPlugin,
  { now = Date.now, pluginTimeoutMs = PLUGIN_TIMEOUT_MS }: ExecPluginOptions = {},
): Credentials {
  let kept: { credential: Credential; until: number } | undefined
  let failure: { error: unknown; until: number } | undefined
  const work = new SharedWork(async (signal) => {
    try {
      const { credential, expires } = await run(connection, plugin, pluginTimeoutMs, signal)
      kept = { credential, until: renewAt(expires, now()) }
      failure = undefined
      return credential
    } catch (error) {
      if (!signal.aborted) failure = { error, until: now() + FAILURE_KEPT_MS }
      throw error
    }
  })
  return {
    get(signal) {
      if (kept && now() < kept.until) return kept.credential
      if (failure && now() < failure.until) return Promise.reject(failure.error)
      return work.join(signal)
    },
    reject(credential) {
      if (kept?.credential === credential) kept = undefined
      return true
    },
    close: () => work.stop(),
  }
}

/**
 * When to renew what expires then (epoch milliseconds): a minute before, or a fifth of its life where
 * that is shorter, so that no request sets out with a credential that dies on the way.
 */
export function renewAt(expires: number | undefined, now: number): number {
  if (expires === undefined) return Infinity
  return expires - Math.min(60_000, Math.max(0, expires - now) / 5)
}

interface ExecCredential {
  readonly apiVersion?: string
  readonly kind?: string
  readonly status?: {
    readonly token?: string
    readonly clientCertificateData?: string
    readonly clientKeyData?: string
    readonly expirationTimestamp?: string
  }
}

async function run(
  connection: Connection,
  plugin: ExecPlugin,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<{ credential: Credential; expires: number | undefined }> {
  const fail = (text: string, cause?: unknown): never => {
    throw new TransportError(
      'CREDENTIALS',
      `Cluster ${connection.cluster}: the credential plugin ${plugin.command} ${text}`,
      cause,
    )
  }
  if (!VERSIONS.includes(plugin.apiVersion))
    fail(`asks for apiVersion ${plugin.apiVersion}, which is none of ${VERSIONS.join(', ')}.`)
  if (plugin.interactiveMode === 'Always')
    fail('wants a terminal (interactiveMode: Always). Use one that can run unattended.')
  const command =
    /[\\/]/.test(plugin.command) && !isAbsolute(plugin.command) && plugin.directory !== undefined
      ? resolve(plugin.directory, plugin.command)
      : plugin.command
  const child = spawn(command, plugin.args ?? [], {
    // A process group of its own, so that the plugin's children end with it.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      ...Object.fromEntries((plugin.env ?? []).map(({ name, value }) => [name, value])),
      KUBERNETES_EXEC_INFO: JSON.stringify(await execInfo(connection, plugin)),
    },
  })
  const { code, stdout, stderr, spawnError, timedOut } = await finish(child, timeoutMs, signal)
  if (signal.aborted) throw signal.reason
  if (spawnError) {
    const missing = spawnError.code === 'ENOENT'
    const hint = missing && plugin.installHint ? ` ${plugin.installHint.trim()}` : ''
    fail(
      missing
        ? `was not found.${hint || ' Install it, or correct users[].user.exec.command.'}`
        : `could not be started (${spawnError.code}).`,
      spawnError,
    )
  }
  const said = stderr.trim() === '' ? '' : `: ${redact(stderr.trim()).slice(-300)}`
  if (timedOut) fail(`gave no answer within ${timeoutMs / 1000} s and was stopped${said}.`)
  if (code !== 0) fail(`failed (exit code ${code})${said}`)
  return read(stdout, plugin, fail)
}

function read(stdout: string, plugin: ExecPlugin, fail: (text: string, cause?: unknown) => never) {
  let answer: ExecCredential
  try {
    answer = JSON.parse(stdout) as ExecCredential
  } catch (cause) {
    // The parser's own message would quote the output.
    return fail('did not print JSON.', cause instanceof SyntaxError ? undefined : cause)
  }
  if (answer.kind !== 'ExecCredential' || answer.apiVersion !== plugin.apiVersion)
    fail(
      `answered with ${answer.apiVersion} ${answer.kind} where ${plugin.apiVersion} ExecCredential was asked for.`,
    )
  const { token, clientCertificateData, clientKeyData, expirationTimestamp } = answer.status ?? {}
  if (!token && !(clientCertificateData && clientKeyData))
    fail('printed neither a token nor a client certificate with its key.')
  const expires = expirationTimestamp ? Date.parse(expirationTimestamp) : undefined
  if (Number.isNaN(expires)) fail('printed an expirationTimestamp that is no RFC 3339 time.')
  const credential: Credential = {
    ...(token && { authorization: `Bearer ${token}` }),
    ...(clientCertificateData &&
      clientKeyData && { clientCertificate: clientCertificateData, clientKey: clientKeyData }),
  }
  return { credential, expires }
}

/** What the plugin is told: https://kubernetes.io/docs/reference/config-api/client-authentication.v1/ */
async function execInfo(connection: Connection, plugin: ExecPlugin): Promise<unknown> {
  const spec: Record<string, unknown> = { interactive: false }
  if (plugin.provideClusterInfo) {
    const ca = connection.certificateAuthority
    const pem = ca && ('file' in ca ? await readFile(ca.file) : Buffer.from(ca.data))
    spec['cluster'] = {
      server: connection.server,
      ...(connection.tlsServerName !== undefined && { 'tls-server-name': connection.tlsServerName }),
      ...(connection.insecureSkipTlsVerify && { 'insecure-skip-tls-verify': true }),
      ...(pem && { 'certificate-authority-data': pem.toString('base64') }),
      ...(connection.proxyUrl !== undefined && { 'proxy-url': connection.proxyUrl }),
      ...(connection.disableCompression && { 'disable-compression': true }),
      ...(connection.execConfig !== undefined && { config: connection.execConfig }),
    }
  }
  return { apiVersion: plugin.apiVersion, kind: 'ExecCredential', spec }
}

interface Finished {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  readonly spawnError?: NodeJS.ErrnoException
  readonly timedOut: boolean
}

/** Settles when the process is gone; never rejects. */
function finish(child: ChildProcess, timeoutMs: number, signal: AbortSignal): Promise<Finished> {
  return new Promise((settle) => {
    const stdout: Buffer[] = []
    const stderr: Buffer[] = []
    let size = 0
    let timedOut = false
    let killTimer: NodeJS.Timeout | undefined
    const collect = (into: Buffer[]) => (chunk: Buffer) => {
      if ((size += chunk.length) <= MAX_OUTPUT) into.push(chunk)
      else kill()
    }
    child.stdout?.on('data', collect(stdout))
    child.stderr?.on('data', collect(stderr))
    const kill = (): void => {
      if (killTimer) return
      killGroup(child, 'SIGTERM')
      killTimer = setTimeout(() => killGroup(child, 'SIGKILL'), KILL_AFTER_MS)
    }
    const timer = setTimeout(() => {
      timedOut = true
      kill()
    }, timeoutMs)
    signal.addEventListener('abort', kill, { once: true })
    if (signal.aborted) kill()
    const done = (code: number | null, spawnError?: NodeJS.ErrnoException): void => {
      clearTimeout(timer)
      clearTimeout(killTimer)
      signal.removeEventListener('abort', kill)
      settle({
        code,
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
        ...(spawnError && { spawnError }),
        timedOut,
      })
    }
    child.once('error', (error) => done(null, error))
    child.once('close', (code) => done(code))
  })
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // It ended by itself.
  }
}

/** What a plugin writes to stderr is shown to people; anything that could be a token is not. */
function redact(text: string): string {
  return text.replaceAll(/[A-Za-z0-9+/_=.-]{40,}/g, '…')
}
