import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { isTrustworthy, ProviderHttp } from '../../../src/access/authentication/provider-http.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

async function serve(answer: RequestListener): Promise<string> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/path`
}

function client(): ProviderHttp {
  const http = new ProviderHttp(undefined)
  closing.push(() => http.close())
  return http
}

describe('a question to a provider', () => {
  it('is asked again, once, where the connection was cut', async () => {
    let asked = 0
    const url = await serve((request, response) => {
      asked++
      if (asked === 2 || asked > 3) request.socket.destroy()
      else response.end('{"a":1}')
    })
    const http = client()
    expect(await http.get(url)).toEqual({ status: 200, body: { a: 1 } })
    expect(await http.get(url)).toEqual({ status: 200, body: { a: 1 } })
    expect(asked).toBe(3)
    await expect(http.get(url)).rejects.toThrow(
      /^no answer from http:\/\/127\.0\.0\.1:\d+\/path \(UND_ERR_SOCKET\)$/,
    )
    expect(asked).toBe(5)
  })

  it('shows id and secret as RFC 6749 wants them, and what is no JSON as nothing', async () => {
    const seen: (string | undefined)[] = []
    const echo = await serve((request, response) => {
      seen.push(request.headers.authorization)
      response.end('no JSON')
    })
    expect(await client().post(echo, { token: 'x' }, { id: 'a:b', secret: 'c d+é' })).toEqual({
      status: 200,
      body: undefined,
    })
    expect(seen).toEqual([`Basic ${Buffer.from('a%3Ab:c+d%2B%C3%A9').toString('base64')}`])
  })

  it('goes over plain HTTP to this machine only', async () => {
    for (const url of [
      'https://id.example.com',
      'http://localhost:1',
      'http://127.9.9.9',
      'http://[::1]:8080',
    ]) {
      expect(isTrustworthy(url)).toBe(true)
    }
    for (const url of [
      'http://id.example.com',
      'http://127.0.0.1.example.com',
      'file:///etc/passwd',
      'ftp://localhost',
    ]) {
      expect(isTrustworthy(url)).toBe(false)
      await expect(client().get(url)).rejects.toThrow('is not https://')
    }
  })

  it('ends with the client', async () => {
    const { promise: asked, resolve: onAsked } = Promise.withResolvers<void>()
    const url = await serve(() => onAsked())
    const http = client()
    const answer = http.get(url)
    await asked
    await Promise.all([expect(answer).rejects.toThrow('no answer from'), http.close()])
  })
})
