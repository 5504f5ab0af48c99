/**
 * A way to an API server on which something happens: writes are cut off after they were done or before, held, or
 * answered by somebody else. Plain HTTP on loopback on this side, HTTP or HTTPS on the other; reads go through, and so
 * do reviews of tokens and rights, which change nothing. What was written is noted, with the user as whom.
 */
import { once } from 'node:events'
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import { request as requestByTls } from 'node:https'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream'

type Fault =
  /** Nothing. */
  | { readonly type: 'NONE' }
  /** The API server does it, and its answer never arrives. */
  | { readonly type: 'CUT' }
  /** The connection ends before the API server has heard of it. */
  | { readonly type: 'LOST' }
  /** So many writes go through, and then nothing does that is done as a user: neither writes nor reads. */
  | { readonly type: 'GONE'; readonly afterWrites: number }
  /** Neither the request nor an answer goes any further. */
  | { readonly type: 'HELD' }
  /** The request does not reach the API server; this is the answer. */
  | {
      readonly type: 'ANSWERED'
      readonly status: number
      readonly body: object
      readonly headers?: Readonly<Record<string, string>>
      /** So many writes, then none. */
      readonly times?: number
    }

interface PassedWrite {
  readonly method: string
  /** With its query. */
  readonly url: string
  /** Whom it impersonates; `undefined`: nobody. */
  readonly user: string | undefined
}

export interface FaultyWay {
  readonly url: string
  fault: Fault
  /** Writes that came by. */
  readonly writes: number
  /** The same, in order. */
  readonly passed: readonly PassedWrite[]
  /** Called with each write before anything is done with it. */
  onWrite: ((write: PassedWrite) => void) | undefined
  /** Refuses connections, and ends those there are. */
  close(): Promise<void>
}

/** `ca`: PEM, of a target that speaks HTTPS. */
export async function startFaultyWay(
  target: string,
  { ca }: { readonly ca?: string } = {},
): Promise<FaultyWay> {
  let fault: Fault = { type: 'NONE' }
  let answered = 0
  /** Since the fault was set. */
  let begun = 0
  let onWrite: FaultyWay['onWrite']
  const passed: PassedWrite[] = []
  const pass = (incoming: IncomingMessage, outgoing: ServerResponse, cut: boolean) => {
    const { method, url } = incoming
    // As they came: repeated headers stay apart.
    const options = { method, headers: incoming.rawHeaders, agent: false as const }
    const heard = (answer: IncomingMessage) => {
      if (cut) {
        answer.resume().on('end', () => outgoing.destroy())
        return
      }
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      // A watch has no end to wait for: its beginning is told at once.
      outgoing.flushHeaders()
      // Whichever side breaks takes the other one with it.
      pipeline(answer, outgoing, () => undefined)
    }
    const to = new URL(url ?? '/', target)
    const onward =
      ca === undefined ? request(to, options, heard) : requestByTls(to, { ...options, ca }, heard)
    onward.on('error', () => outgoing.destroy())
    outgoing.on('close', () => {
      if (!outgoing.writableFinished && !cut) onward.destroy()
    })
    incoming.pipe(onward)
  }
  const server = createServer((incoming, outgoing) => {
    const { method = 'GET', url = '/', headers } = incoming
    const user = headers['impersonate-user']
    const now = fault
    const isWrite = method !== 'GET' && !REVIEWS.test(url)
    if (now.type === 'GONE' && user !== undefined && begun >= now.afterWrites) {
      return void outgoing.destroy()
    }
    if (!isWrite) return pass(incoming, outgoing, false)
    const write = { method, url, user: Array.isArray(user) ? user[0] : user }
    passed.push(write)
    begun++
    onWrite?.(write)
    if (now.type === 'HELD') return
    if (now.type === 'LOST') return void outgoing.destroy()
    if (now.type === 'ANSWERED' && answered < (now.times ?? Infinity)) {
      answered++
      incoming.resume().on('end', () => {
        outgoing.writeHead(now.status, { 'content-type': 'application/json', ...now.headers })
        outgoing.end(JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', ...now.body }))
      })
      return
    }
    pass(incoming, outgoing, now.type === 'CUT')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  let closing: Promise<void> | undefined
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get fault() {
      return fault
    },
    set fault(next) {
      fault = next
      answered = 0
      begun = 0
    },
    get writes() {
      return passed.length
    },
    passed,
    get onWrite() {
      return onWrite
    },
    set onWrite(listener) {
      onWrite = listener
    },
    close() {
      closing ??= new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
      return closing
    },
  }
}

const REVIEWS = /^\/apis\/(authorization|authentication)\.k8s\.io\//
