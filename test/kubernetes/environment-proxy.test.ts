import { expect, test } from 'vitest'
import { environmentProxy } from '../../src/kubernetes/environment-proxy.ts'

const PROXY = 'http://proxy:3128'
const env = (NO_PROXY = '') => ({ HTTPS_PROXY: PROXY, NO_PROXY })

test('the proxy of the server’s scheme is taken, in capitals or not, with or without a scheme', () => {
  const both = { HTTPS_PROXY: 'http://secure', HTTP_PROXY: 'http://plain' }
  expect(environmentProxy('https://api.example.org', both)).toBe('http://secure')
  expect(environmentProxy('http://api.example.org', both)).toBe('http://plain')
  expect(environmentProxy('https://api.example.org', { https_proxy: 'proxy:3128' })).toBe(PROXY)
  expect(environmentProxy('https://api.example.org', { HTTP_PROXY: PROXY })).toBeUndefined()
})

test('this machine is never reached by proxy', () => {
  for (const host of ['localhost', '127.0.0.1', '127.1.2.3', '[::1]'])
    expect(environmentProxy(`https://${host}:6443`, env()), host).toBeUndefined()
})

test.each([
  ['*', 'https://anything', true],
  ['example.org', 'https://example.org', true],
  ['example.org', 'https://api.example.org:6443', true],
  ['example.org', 'https://notexample.org', false],
  ['.example.org', 'https://example.org', false],
  ['.example.org', 'https://api.example.org', true],
  ['*.example.org', 'https://api.example.org', true],
  ['other, Example.org', 'https://example.org', true],
  ['example.org:6443', 'https://example.org:6443', true],
  ['example.org:6443', 'https://example.org', false],
  ['example.org:443', 'https://example.org', true],
  ['10.0.0.1', 'https://10.0.0.1:6443', true],
  ['10.0.0.1', 'https://10.0.0.10', false],
  ['10.0.0.0/8', 'https://10.9.8.7', true],
  ['10.0.0.0/8', 'https://11.0.0.1', false],
  ['10.0.0.0/99', 'https://10.0.0.1', false],
  ['10.0.0.0/8', 'https://example.org', false],
  ['fd00::/8', 'https://[fd12::1]:6443', true],
  ['fd00::/8', 'https://[2001:db8::1]', false],
  ['', 'https://example.org', false],
])('NO_PROXY=%s and %s: direct %s', (exceptions, server, direct) => {
  expect(environmentProxy(server, env(exceptions))).toBe(direct ? undefined : PROXY)
})
