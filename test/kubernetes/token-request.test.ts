/** Requests that bring a token of somebody else: nothing of the gateway's may go with them. */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { UserCredentials } from '../../src/kubernetes/connection.ts'
import { eventually } from '../support/eventually.ts'
import {
  createCertificateAuthority,
  type Certificate,
  type CertificateAuthority,
} from '../support/test-certificates.ts'
import { clientOf, json, rejection, startApiServer, type ApiServer } from './support/api-server.ts'
import { RecordedSink } from './support/recorded-sink.ts'

let folder: string
let authority: CertificateAuthority
let server: Certificate
let gateway: Certificate

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetgraph-tokens-'))
  authority = await createCertificateAuthority(folder)
  server = await authority.issue('server', { commonName: 'api', alternativeNames: ['IP:127.0.0.1'] })
  gateway = await authority.issue('gateway', { commonName: 'gateway' })
  return () => rm(folder, { recursive: true })
})

/** Asks for client certificates, and tells of each request whose certificate it came with. */
async function certificateServer(http2: boolean): Promise<ApiServer> {
  return startApiServer(
    (request, response) => {
      // A request of HTTP/2 shows a proxy of its socket, which has no certificate to show.
      const socket = 'stream' in request ? request.stream.session?.socket : request.socket
      const certificate = (socket as TLSSocket | undefined)?.getPeerCertificate().subject?.CN ?? 'nobody'
      json(response, 200, { certificate, authorization: request.headers.authorization ?? null })
    },
    { tls: { ...server, ca: authority.pem, requestCert: true, rejectUnauthorized: false }, http2 },
  )
}

const withCertificate = (): UserCredentials => ({
  clientCertificate: { data: gateway.cert },
  clientKey: { data: gateway.key },
})

describe('a request with a token of somebody else', () => {
  it.each([true, false])(
    'goes over a connection without our certificate, kept apart from ours (HTTP/2: %s)',
    async (http2) => {
      const api = await certificateServer(http2)
      const client = clientOf({
        server: api.url,
        certificateAuthority: { data: authority.pem },
        user: { ...withCertificate(), token: 'ours' },
      })
      const asUs = { certificate: 'gateway', authorization: 'Bearer ours' }
      const asAda = { certificate: 'nobody', authorization: 'Bearer ada' }
      // Ours first and in between: a kept connection, and a TLS session, would be there to be taken.
      for (let round = 0; round < 3; round++) {
        expect(await client.json({ path: '/x' })).toEqual(asUs)
        expect(await client.json({ path: '/x', as: { user: 'bob' } })).toEqual(asUs)
        expect(await client.json({ path: '/x', token: 'ada' })).toEqual(asAda)
        expect(await client.json({ path: '/x', token: 'eve' })).toMatchObject({
          certificate: 'nobody',
          authorization: 'Bearer eve',
        })
      }
      // A few connections each: theirs are kept as ours are.
      expect(api.accepted()).toBeLessThanOrEqual(6)
    },
  )

  it('goes without our certificate after a TLS session was resumed and connections were cut', async () => {
    const api = await certificateServer(false)
    const client = clientOf({
      server: api.url,
      certificateAuthority: { data: authority.pem },
      user: withCertificate(),
    })
    for (let round = 0; round < 3; round++) {
      expect(await client.json({ path: '/x' })).toMatchObject({ certificate: 'gateway' })
      expect(await client.json({ path: '/x', token: 'ada' })).toMatchObject({ certificate: 'nobody' })
      api.dropConnections()
      await eventually(() => expect(api.open()).toBe(0))
    }
  })

  it('carries one Authorization, and no impersonation that the kubeconfig asks for', async () => {
    const api = await startApiServer((_, response) => json(response, 200, {}))
    const client = clientOf({
      server: api.url,
      user: { username: 'us', password: 'secret', impersonate: { user: 'deputy', groups: ['admins'] } },
    })
    await client.json({ path: '/x', token: 'ada' })
    await client.text({ path: '/x', token: 'ada' })
    const sink = new RecordedSink()
    client.stream({ path: '/x', token: 'ada' }, sink)
    await sink.finished
    expect(api.heard).toHaveLength(3)
    for (const { rawHeaders } of api.heard) {
      const names = rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase())
      expect(names.filter((name) => name.startsWith('impersonate-'))).toEqual([])
      expect(rawHeaders.filter((_, i) => names[(i - 1) / 2] === 'authorization')).toEqual(['Bearer ada'])
    }
  })

  it('does not wait for our credentials, nor ask a plugin for any', async () => {
    const own = await mkdtemp(join(tmpdir(), 'fleetgraph-'))
    onTestFinished(() => rm(own, { recursive: true }))
    const command = join(own, 'plugin')
    await writeFile(command, `#!/bin/sh\ntouch ${join(own, 'asked')}\nexit 1\n`, { mode: 0o700 })
    const api = await startApiServer((_, response) => json(response, 200, { ok: true }))
    const exec = { apiVersion: 'client.authentication.k8s.io/v1', command, interactiveMode: 'Never' } as const
    const client = clientOf({ server: api.url, user: { exec } })
    expect(await client.json({ path: '/x', token: 'ada' })).toEqual({ ok: true })
    expect(await readdir(own)).toEqual(['plugin'])
  })

  it('is made where our own certificate cannot be read', async () => {
    const api = await certificateServer(false)
    const client = clientOf({
      server: api.url,
      certificateAuthority: { data: authority.pem },
      user: { clientCertificate: { file: '/nowhere/tls.crt' }, clientKey: { file: '/nowhere/tls.key' } },
    })
    expect(await client.json({ path: '/x', token: 'ada' })).toMatchObject({ certificate: 'nobody' })
  })

  it('that is refused is not tried with anything of ours, and says whose token it was', async () => {
    const own = await mkdtemp(join(tmpdir(), 'fleetgraph-'))
    onTestFinished(() => rm(own, { recursive: true }))
    const tokenFile = join(own, 'token')
    await writeFile(tokenFile, 'ours')
    const api = await startApiServer((_, response) =>
      json(response, 401, { kind: 'Status', message: 'Unauthorized' }),
    )
    const client = clientOf({ server: api.url, user: { tokenFile } })
    const error = await rejection(client.json({ path: '/x', token: 'ended' }))
    expect(error).toMatchObject({ statusCode: 401, code: 'Unauthorized' })
    expect(error.message).toBe(
      `Cluster prod (${api.url}): the API server does not accept the token of the sign-in (Unauthorized). Sign in with one that this cluster knows.`,
    )
    expect(api.heard.map(({ headers }) => headers['authorization'])).toEqual(['Bearer ended'])
  })

  it('is not made with a token that is empty or would end the header, which is not shown', async () => {
    const api = await startApiServer((_, response) => json(response, 200, {}))
    const client = clientOf({ server: api.url, user: { token: 'ours' } })
    for (const token of ['', ' ', 'sesame\r\nImpersonate-User: root', 'sesame open', 'sésame']) {
      const error = await rejection(client.json({ path: '/x', token }))
      expect(error).toBeInstanceOf(TypeError)
      expect(error.message).not.toMatch(/s.same/)
    }
    expect(api.heard).toEqual([])
  })

  it('does not impersonate: asking for both is a programming error', async () => {
    const api = await startApiServer((_, response) => json(response, 200, {}))
    const client = clientOf({ server: api.url })
    const both = { path: '/x', token: 'ada', as: { user: 'bob' } }
    expect(await rejection(client.json(both))).toBeInstanceOf(TypeError)
    const sink = new RecordedSink()
    client.stream(both, sink)
    await sink.finished
    expect(sink.errors).toMatchObject([{ name: 'TypeError' }])
    expect(api.heard).toEqual([])
  })

  it('ends with the client, and its connections do too', async () => {
    const api = await startApiServer((_, response) => void response.write('line'))
    const client = clientOf({ server: api.url })
    const sink = new RecordedSink()
    client.stream({ path: '/watch', token: 'ada' }, sink)
    await sink.until(({ text }) => text === 'line')
    await client.close()
    expect(sink.errors).toMatchObject([{ code: 'CLOSED' }])
    await eventually(() => expect(api.open()).toBe(0))
  })
})
