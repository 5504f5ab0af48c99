import { readFileSync } from 'node:fs'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Connection, ExecPlugin } from '../../src/kubernetes/connection.ts'
import { execPlugin, type ExecPluginOptions } from '../../src/kubernetes/exec-plugin.ts'
import { eventually } from '../support/eventually.ts'
import { createCertificateAuthority } from '../support/test-certificates.ts'
import { clientOf, json, rejection, startApiServer } from './support/api-server.ts'

const V1 = 'client.authentication.k8s.io/v1'

/**
 * A plugin that is a real program: notes each start (with what it was told) in a log, then does what the
 * script says. `$N` is the number of the start, from 1.
 */
async function plugin(script: string, more: Partial<ExecPlugin> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'fleetgraph-exec-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const command = join(folder, 'plugin')
  const log = join(folder, 'log')
  await writeFile(
    command,
    `#!/bin/sh\nprintf '%s\\n' "$KUBERNETES_EXEC_INFO" >> ${log}\nN=$(wc -l < ${log})\nN=$((N))\n${script}\n`,
  )
  await chmod(command, 0o755)
  return {
    plugin: { apiVersion: V1, command, ...more } satisfies ExecPlugin,
    folder,
    /** What each start was told. */
    starts: async () =>
      (await readFile(log, 'utf8').catch(() => ''))
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as { apiVersion: string; spec: Record<string, unknown> }),
  }
}

function answer(status: string, apiVersion = V1): string {
  return `echo '{"apiVersion":"${apiVersion}","kind":"ExecCredential","status":${status}}'`
}
/** A token with the number of the start in it. */
const TOKEN = `echo '{"apiVersion":"${V1}","kind":"ExecCredential","status":{"token":"token-'$N'"}}'`

const connection: Connection = { cluster: 'prod', server: 'https://api.example.org', user: {} }

function credentials(exec: ExecPlugin, options: ExecPluginOptions = {}, at: Connection = connection) {
  const made = execPlugin(at, exec, options)
  onTestFinished(() => made.close())
  return made
}

describe('a credential plugin', () => {
  test('runs once for everybody who asks at the same time', async () => {
    const { plugin: exec, starts } = await plugin(`sleep 0.1\n${TOKEN}`)
    const server = await startApiServer((_, response) => json(response, 200, {}))
    const client = clientOf({ server: server.url, user: { exec } })
    await Promise.all(Array.from({ length: 10 }, () => client.json({ path: '/x' })))
    expect(await starts()).toHaveLength(1)
    expect(new Set(server.heard.map(({ headers }) => headers['authorization']))).toEqual(
      new Set(['Bearer token-1']),
    )
  })

  test('runs again after a 401, and the request goes again with its answer', async () => {
    const { plugin: exec, starts } = await plugin(TOKEN)
    const server = await startApiServer((request, response) => {
      const ok = request.headers['authorization'] === 'Bearer token-2'
      json(response, ok ? 200 : 401, { ok })
    })
    const client = clientOf({ server: server.url, user: { exec } })
    expect(await client.json({ path: '/x' })).toEqual({ ok: true })
    expect(await client.json({ path: '/x' })).toEqual({ ok: true })
    expect(await starts()).toHaveLength(2)
  })

  test('that keeps giving what the server refuses runs twice, and the 401 is told', async () => {
    const { plugin: exec, starts } = await plugin(answer('{"token":"stale"}'))
    const server = await startApiServer((_, response) => json(response, 401, {}))
    const client = clientOf({ server: server.url, user: { exec } })
    expect(await rejection(client.json({ path: '/x' }))).toMatchObject({ statusCode: 401 })
    expect(server.heard).toHaveLength(2)
    expect(await starts()).toHaveLength(2)
  })

  test('runs again a minute before its answer expires', async () => {
    const { plugin: exec, starts } = await plugin(
      answer(`{"token":"t","expirationTimestamp":"2026-01-01T01:00:00Z"}`),
    )
    let now = Date.parse('2026-01-01T00:00:00Z')
    const made = credentials(exec, { now: () => now })
    const first = await made.get()
    now = Date.parse('2026-01-01T00:58:59Z')
    expect(made.get()).toBe(first)
    now = Date.parse('2026-01-01T00:59:00Z')
    await made.get()
    expect(await starts()).toHaveLength(2)
  })

  test('is told the version, that nobody can answer questions, and the cluster where it asks', async () => {
    const { plugin: exec, starts } = await plugin(TOKEN)
    await credentials(exec).get()
    await credentials(
      { ...exec, provideClusterInfo: true },
      {},
      {
        ...connection,
        certificateAuthority: { data: 'PEM' },
        tlsServerName: 'api',
        proxyUrl: 'http://proxy',
        disableCompression: true,
        execConfig: { audience: 'a' },
      },
    ).get()
    expect(await starts()).toEqual([
      { apiVersion: V1, kind: 'ExecCredential', spec: { interactive: false } },
      {
        apiVersion: V1,
        kind: 'ExecCredential',
        spec: {
          interactive: false,
          cluster: {
            server: 'https://api.example.org',
            'tls-server-name': 'api',
            'certificate-authority-data': Buffer.from('PEM').toString('base64'),
            'proxy-url': 'http://proxy',
            'disable-compression': true,
            config: { audience: 'a' },
          },
        },
      },
    ])
  })

  test('gets its arguments and variables, and this process’s own', async () => {
    const { plugin: exec } = await plugin(
      `echo '{"apiVersion":"${V1}","kind":"ExecCredential","status":{"token":"'"$1 $PROFILE $HOME"'"}}'`,
      { args: ['get token'], env: [{ name: 'PROFILE', value: 'shop' }] },
    )
    expect(await credentials(exec).get()).toEqual({
      authorization: `Bearer get token shop ${process.env['HOME']}`,
    })
  })

  test('is found beside the kubeconfig where its path is relative', async () => {
    const { plugin: exec, folder } = await plugin(TOKEN)
    const relative = { ...exec, command: `./${join('.', 'plugin')}`, directory: folder }
    expect(await credentials(relative).get()).toEqual({ authorization: 'Bearer token-1' })
    expect(dirname(exec.command)).toBe(folder)
  })

  test('speaks v1beta1 too, and has to answer in the version it is asked in', async () => {
    const old = 'client.authentication.k8s.io/v1beta1'
    const { plugin: exec } = await plugin(answer('{"token":"t"}', old), { apiVersion: old })
    expect(await credentials(exec).get()).toEqual({ authorization: 'Bearer t' })
    expect(await failure({ ...exec, apiVersion: V1 })).toContain(`answered with ${old} ExecCredential`)
    expect(await failure({ ...exec, apiVersion: 'client.authentication.k8s.io/v1alpha1' })).toContain(
      'asks for apiVersion client.authentication.k8s.io/v1alpha1, which is none of',
    )
  })

  test('may give a client certificate', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'fleetgraph-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const authority = await createCertificateAuthority(folder)
    const tls = await authority.issue('server', { commonName: 'api', alternativeNames: ['IP:127.0.0.1'] })
    const ada = await authority.issue('ada', { commonName: 'ada' })
    const status = JSON.stringify({ clientCertificateData: ada.cert, clientKeyData: ada.key })
    const { plugin: exec } = await plugin(
      `cat <<'END'\n{"apiVersion":"${V1}","kind":"ExecCredential","status":${status}}\nEND`,
    )
    const server = await startApiServer(
      (request, response) => {
        const socket = request.socket as unknown as { getPeerCertificate(): { subject?: { CN?: string } } }
        response.end(socket.getPeerCertificate().subject?.CN)
      },
      { tls: { ...tls, ca: authority.pem, requestCert: true, rejectUnauthorized: false } },
    )
    const client = clientOf({
      server: server.url,
      certificateAuthority: { data: authority.pem },
      user: { exec },
    })
    expect(await client.text({ path: '/x' })).toBe('ada')
  })

  test('that is missing is told with its install hint', async () => {
    const missing = { apiVersion: V1, command: 'no-such-plugin-here', installHint: 'See https://example.org' }
    expect(await failure(missing)).toBe(
      'Cluster prod: the credential plugin no-such-plugin-here was not found. See https://example.org',
    )
  })

  test('that fails is told with what it wrote, but no token', async () => {
    const secret = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg'
    const { plugin: exec } = await plugin(`echo "session ended, token ${secret}" >&2; exit 3`)
    const message = await failure(exec)
    expect(message).toContain('failed (exit code 3): session ended, token …')
    expect(message).not.toContain(secret)
    const { plugin: odd } = await plugin(`echo "${secret}"`)
    expect(await failure(odd)).toMatch(/did not print JSON\.$/)
    const { plugin: empty } = await plugin(answer('{}'))
    expect(await failure(empty)).toContain('neither a token nor a client certificate')
    expect(await failure({ ...exec, interactiveMode: 'Always' })).toContain('wants a terminal')
  })

  test('that just failed is not started again at once', async () => {
    const { plugin: exec, starts } = await plugin('exit 1')
    let now = 0
    const made = credentials(exec, { now: () => now })
    const ask = () => rejection(Promise.resolve(made.get()))
    await ask()
    now = 999
    await ask()
    expect(await starts()).toHaveLength(1)
    now = 1000
    await ask()
    expect(await starts()).toHaveLength(2)
  })

  test('that hangs is stopped with its children', async () => {
    const { plugin: exec, folder } = await plugin('sleep 600 & echo $! > "$0.pid"; wait')
    expect(await failure(exec, { pluginTimeoutMs: 200 })).toContain('gave no answer within 0.2 s')
    await expectGone(join(folder, 'plugin.pid'))
  })

  test('is stopped when the last who waits for it gives up', async () => {
    const { plugin: exec, folder } = await plugin('sleep 600 & echo $! > "$0.pid"; wait')
    const server = await startApiServer((_, response) => json(response, 200, {}))
    const client = clientOf({ server: server.url, user: { exec } })
    const first = new AbortController()
    const second = new AbortController()
    const pending = [first, second].map(({ signal }) => rejection(client.json({ path: '/x', signal })))
    const pid = join(folder, 'plugin.pid')
    await eventually(async () => expect(await readFile(pid, 'utf8')).toMatch(/\d+\n/))
    first.abort(new Error('first'))
    expect(await pending[0]).toMatchObject({ message: 'first' })
    expect(isRunning(Number(await readFile(pid, 'utf8')))).toBe(true)
    second.abort(new Error('second'))
    expect(await pending[1]).toMatchObject({ message: 'second' })
    await expectGone(pid)
    expect(server.heard).toEqual([])
  })
})

async function failure(exec: ExecPlugin, options?: ExecPluginOptions): Promise<string> {
  const error = await rejection(Promise.resolve(credentials(exec, options).get()))
  expect(error).toMatchObject({ name: 'TransportError', code: 'CREDENTIALS' })
  return error.message
}

async function expectGone(pidFile: string): Promise<void> {
  const pid = Number(await readFile(pidFile, 'utf8'))
  await eventually(() => expect(isRunning(pid)).toBe(false))
}

/** A process that ended, but that init has not reaped yet, does not run. */
function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}
