/** Our client while a real API server freezes, dies, comes back and changes its mind about a token. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createApiClient } from '../../src/kubernetes/api-client.ts'
import { TransportError, type ApiClient } from '../../src/kubernetes/client.ts'
import { serverVersion } from '../../src/kubernetes/discovery.ts'
import { connectionOf, parseKubeconfig } from '../../src/kubernetes/kubeconfig.ts'
import * as requests from '../../src/kubernetes/requests.ts'
import { RecordedSink } from '../kubernetes/support/recorded-sink.ts'
import { startControlPlane, type ControlPlane } from '../support/control-plane.ts'
import { eventually } from '../support/eventually.ts'

const configMaps = { group: '', version: 'v1', resource: 'configmaps' }

describe('a real API server', () => {
  let plane: ControlPlane

  beforeAll(async () => {
    plane = await startControlPlane({ name: 'faults', controllers: false })
  }, 180_000)
  afterAll(() => plane?.close())

  function client(kubeconfig: string): ApiClient {
    const config = parseKubeconfig(kubeconfig, 'kubeconfig')
    const made = createApiClient(connectionOf(config, [...config.contexts.keys()][0] ?? ''))
    onTestFinished(() => made.close())
    return made
  }

  async function failure(call: Promise<unknown>): Promise<TransportError> {
    const error = await call.then(
      () => undefined,
      (error: unknown) => error,
    )
    expect(error).toBeInstanceOf(TransportError)
    return error as TransportError
  }

  function watch(from: ApiClient): RecordedSink {
    const sink = new RecordedSink()
    const path = '/api/v1/namespaces/default/configmaps'
    const stream = from.stream({ path, query: { watch: 1, timeoutSeconds: 600 } }, sink)
    onTestFinished(() => stream.abort())
    return sink
  }

  const create = (from: ApiClient, name: string) =>
    requests.create(from, configMaps, 'default', {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name },
    })

  test('that freezes times out and, when it thaws, is used again; its watches went on', async () => {
    const ours = client(plane.kubeconfig.text)
    const sink = watch(ours)
    await sink.until(({ calls }) => calls.length > 0)
    plane.stopApiServer()
    try {
      expect(await failure(serverVersion(ours, { timeoutMs: 300 }))).toMatchObject({ code: 'TIMEOUT' })
      // On a new connection, because the old one may be dead: the handshake is not answered either.
      expect(await failure(serverVersion(ours, { timeoutMs: 300 }))).toMatchObject({ code: 'TIMEOUT' })
    } finally {
      plane.continueApiServer()
    }
    await create(ours, 'thawed')
    await sink.until(({ text }) => text.includes('"thawed"'))
    expect(sink.errors).toEqual([])
  })

  test('that is killed ends its watches, refuses, and is used again after its restart', async () => {
    const ours = client(plane.kubeconfig.text)
    const sink = watch(ours)
    await sink.until(({ calls }) => calls.length > 0)
    await plane.killApiServer('SIGKILL')
    await sink.finished
    expect(sink.errors[0]).toBeInstanceOf(TransportError)
    const refused = await failure(serverVersion(ours))
    expect(refused).toMatchObject({ code: 'UNREACHABLE' })
    expect(refused.message).toContain('connection refused')
    await plane.startApiServer()
    expect((await serverVersion(ours)).gitVersion).toBe(plane.version)
  })

  test('that no longer takes a token is sent the one that took its place in the file', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'fleetgraph-token-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const tokenFile = join(folder, 'token')
    const first = await plane.rotateToken(tokenFile)
    const ours = client(plane.kubeconfigWith({ tokenFile }))
    // A new token works only after the API server has asked for it.
    await eventually(() => requests.listPage(ours, configMaps, { limit: 1 }))
    expect(await plane.rotateToken(tokenFile)).not.toBe(first)
    await plane.revokeToken(first)
    await requests.listPage(ours, configMaps, { limit: 1 })
  })
})
