/** Whose pages may connect. */
import type { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { describe, expect, test } from 'vitest'
import { Origins } from '../../src/server/origins.ts'
import { zooServer } from './support.ts'
import { rawUpgrade } from './websocket-client.ts'

function request(headers: IncomingMessage['headers'], socket = new Socket()) {
  return { headers, socket }
}

describe('a page', () => {
  const host = 'fleet.example'

  test('of our own origin may connect, and so may programs', () => {
    const origins = new Origins()
    expect(origins.admits(request({ host }))).toBe(true)
    expect(origins.admits(request({ host, origin: 'https://fleet.example' }))).toBe(true)
    expect(origins.admits(request({ host: 'fleet.example:443', origin: 'https://fleet.example' }))).toBe(true)
    for (const origin of [
      'https://elsewhere.example',
      'https://fleet.example:8443',
      'null',
      'nonsense',
      '',
    ]) {
      expect([origin, origins.admits(request({ host, origin, cookie: 'session=1' }))]).toEqual([
        origin,
        false,
      ])
    }
    expect(origins.admits(request({ origin: 'https://fleet.example' }))).toBe(false)
  })

  test('of an origin that is allowed may, and of none beside it', () => {
    const origins = new Origins(['https://portal.example/some/page', 'http://localhost:3000'])
    expect(origins.admits(request({ host, origin: 'https://portal.example' }))).toBe(true)
    expect(origins.admits(request({ host, origin: 'http://localhost:3000' }))).toBe(true)
    for (const origin of [
      'http://portal.example',
      'https://portal.example:444',
      'https://portal.example.evil.example',
      'http://localhost:3001',
    ]) {
      expect([origin, origins.admits(request({ host, origin }))]).toEqual([origin, false])
    }
  })

  test('that came in plain text may not connect to what we encrypt', () => {
    const socket = new TLSSocket(new Socket())
    const origins = new Origins()
    expect(origins.admits(request({ host, origin: 'https://fleet.example' }, socket))).toBe(true)
    expect(origins.admits(request({ host, origin: 'http://fleet.example' }, socket))).toBe(false)
    socket.destroy()
  })

  test('is refused before there is a WebSocket', async () => {
    const server = await zooServer({ options: { allowedOrigins: ['https://portal.example'] } })
    const head = async (origin: string) => {
      const { socket, head } = await rawUpgrade(server.url, { origin })
      socket.destroy()
      return head.slice(9, 12)
    }
    expect(await head('https://portal.example')).toBe('101')
    expect(await head('https://elsewhere.example')).toBe('403')
    await server.close({ graceMs: 0 })
  })
})
