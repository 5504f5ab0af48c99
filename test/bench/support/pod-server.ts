/**
 * An API server of synthetic pods and nothing else, in a process of its own so that its CPU time is not
 * counted: lists them, streams them as an initial state, and then as many changes as it is asked for.
 *
 * As a program: `node pod-server.ts <pods>` prints its port.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { syntheticPod } from './pods.ts'

export interface PodServer {
  readonly url: string
  close(): Promise<void>
}

/** The bytes of a PodList of so many pods. */
export function podList(count: number): Buffer {
  const items = Array.from({ length: count }, (_, i) => syntheticPod(i))
  const metadata = { resourceVersion: String(2_000_000) }
  return Buffer.from(JSON.stringify({ kind: 'PodList', apiVersion: 'v1', metadata, items }))
}

const object = (i: number, resourceVersion?: number) => ({
  kind: 'Pod',
  apiVersion: 'v1',
  ...syntheticPod(i, resourceVersion),
})

/** The bytes of so many ADDED events and the bookmark that ends them. */
function podStream(count: number): Buffer {
  const lines = Array.from({ length: count }, (_, i) => JSON.stringify({ type: 'ADDED', object: object(i) }))
  const end = {
    type: 'BOOKMARK',
    object: {
      kind: 'Pod',
      apiVersion: 'v1',
      metadata: {
        resourceVersion: '2000000',
        annotations: { 'k8s.io/initial-events-end': 'true' },
      },
    },
  }
  return Buffer.from([...lines, JSON.stringify(end), ''].join('\n'))
}

/** The bytes of so many MODIFIED events, each of another pod. */
export function podChanges(count: number, changes: number): Buffer {
  const lines = Array.from({ length: changes }, (_, i) =>
    JSON.stringify({ type: 'MODIFIED', object: object((i * 7919) % count, 3_000_000 + i) }),
  )
  return Buffer.from([...lines, ''].join('\n'))
}

export async function startPodServer(pods: number, changes = 0): Promise<PodServer> {
  const child: ChildProcess = spawn(
    process.execPath,
    [fileURLToPath(import.meta.url), String(pods), String(changes)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  if (!child.stdout) throw new Error('the pod server has no output')
  const [port] = (await once(child.stdout, 'data')) as [Buffer]
  return {
    url: `http://127.0.0.1:${port.toString().trim()}`,
    async close() {
      child.kill()
      await once(child, 'exit')
    },
  }
}

/** As much as the other side takes, in the chunks of a real server. */
function* chunks(body: Buffer): Generator<Buffer> {
  for (let at = 0; at < body.length; at += 65_536) yield body.subarray(at, at + 65_536)
}

async function send(response: ServerResponse, body: Buffer): Promise<void> {
  for (const chunk of chunks(body)) {
    if (response.destroyed) return
    if (!response.write(chunk)) await once(response, 'drain').catch(() => {})
  }
}

async function main(pods: number, changes: number): Promise<void> {
  const list = podList(pods)
  const stream = podStream(pods)
  const changed = podChanges(pods, changes)
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
    response.setHeader('content-type', 'application/json')
    response.on('error', () => {})
    if (pathname === '/version') response.end('{"gitVersion":"v1.34.1"}')
    else if (pathname === '/readyz') response.end('ok')
    else if (searchParams.get('sendInitialEvents'))
      void send(response, stream).then(() => send(response, changed))
    else if (searchParams.get('watch')) response.flushHeaders()
    else pipeline(chunks(list), response, () => {})
  })
  server.listen(0, '127.0.0.1', () => {
    process.stdout.write(`${(server.address() as AddressInfo).port}\n`)
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main(Number(process.argv[2]), Number(process.argv[3]))
}
