import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { clientOf, json, rejection, startApiServer } from './support/api-server.ts'

test('an auth-provider of client-node gives the token, and a new one after a 401', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'fleetgraph-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const command = join(folder, 'print-token')
  const state = join(folder, 'count')
  await writeFile(
    command,
    `#!/bin/sh\necho x >> ${state}\necho '{"token":{"value":"token-'$(wc -l < ${state} | tr -d ' ')'","expiry":"2999-01-01T00:00:00Z"}}'\n`,
    { mode: 0o755 },
  )
  const server = await startApiServer((request, response) => {
    const ok = request.headers['authorization'] === 'Bearer token-2'
    json(response, ok ? 200 : 401, { ok })
  })
  const authProvider = {
    name: 'gcp',
    config: { 'cmd-path': command, 'token-key': '{.token.value}', 'expiry-key': '{.token.expiry}' },
  }
  const client = clientOf({ server: server.url, user: { authProvider } })
  expect(await client.json({ path: '/x' })).toEqual({ ok: true })
  expect(await client.json({ path: '/x' })).toEqual({ ok: true })
  expect(server.heard.map(({ headers }) => headers['authorization'])).toEqual([
    'Bearer token-1',
    'Bearer token-2',
    'Bearer token-2',
  ])
})

test('an auth-provider that nobody knows says so', async () => {
  const client = clientOf({
    server: 'http://127.0.0.1:1',
    user: { authProvider: { name: 'odd', config: {} } },
  })
  expect(await rejection(client.json({ path: '/x' }))).toMatchObject({
    code: 'CREDENTIALS',
    message:
      'Cluster prod: auth-provider odd gives no credentials (it gave no token). Replace it by an exec plugin.',
  })
})
