import { describe, expect, it } from 'vitest'
import {
  type AuthenticatingProxyOptions,
  ProxyAuthenticator,
} from '../../../src/access/authentication/proxy.ts'
import { refusal, request } from './support.ts'

const PROXY: AuthenticatingProxyOptions = {
  addresses: ['10.1.0.0/16', '2001:db8::/32', '127.0.0.1'],
  certificateNames: [],
  userHeader: 'X-Remote-User',
  uidHeader: 'X-Remote-Uid',
  groupHeader: 'X-Remote-Group',
  extraHeaderPrefix: 'X-Remote-Extra-',
}

const ALICE = [
  ['X-Remote-User', 'alice'],
  ['X-Remote-Group', 'dev'],
  ['X-Remote-Group', 'cn=ops, ou=it'],
] as const

const from = (remoteAddress: string | undefined, more: { readonly certificateName?: string } = {}) =>
  request(ALICE, { remoteAddress, ...more })

describe('a proxy that authenticates users', () => {
  it('says who it is, group by group, with uid and extra keys', () => {
    const authenticator = new ProxyAuthenticator([PROXY])
    const viewer = authenticator.authenticate(
      request(
        [
          ...ALICE,
          ['x-remote-uid', '42'],
          ['X-Remote-Extra-Acme.com%2FProject', 'one'],
          ['x-remote-extra-acme.com%2fproject', 'two'],
          ['X-Remote-Extra-%zz', 'three'],
        ],
        { remoteAddress: '10.1.2.3' },
      ),
    )
    expect(viewer).toMatchObject({
      method: 'PROXY',
      issuer: null,
      token: null,
      expiresAt: null,
      clusters: null,
      user: {
        name: 'alice',
        uid: '42',
        groups: ['dev', 'cn=ops, ou=it', 'system:authenticated'],
        extra: { 'acme.com/project': ['one', 'two'], '%zz': ['three'] },
      },
    })
  })

  it('is known as one before it says who it is, where all that is configured of it agrees', () => {
    const authenticator = new ProxyAuthenticator([{ ...PROXY, certificateNames: ['front-proxy'] }])
    const isProxy = (remoteAddress: string, certificateName?: string) =>
      authenticator.isProxy({ remoteAddress, ...(certificateName !== undefined && { certificateName }) })
    expect(isProxy('10.1.2.3', 'front-proxy')).toBe(true)
    expect(isProxy('10.1.2.3')).toBe(false)
    expect(isProxy('10.2.0.1', 'front-proxy')).toBe(false)
    expect(isProxy('10.1.2.3', 'somebody')).toBe(false)
  })

  it('is one viewer for one user, and another one for other groups', () => {
    const authenticator = new ProxyAuthenticator([PROXY])
    const viewer = authenticator.authenticate(from('10.1.2.3'))
    expect(authenticator.authenticate(from('10.1.9.9'))).toBe(viewer)
    const fewer = request(ALICE.slice(0, 2), { remoteAddress: '10.1.2.3' })
    expect(authenticator.authenticate(fewer)).not.toBe(viewer)
  })

  it('reads names as UTF-8, as Kubernetes does', () => {
    const name = Buffer.from('zoë').toString('latin1')
    const viewer = new ProxyAuthenticator([PROXY]).authenticate(
      request([['X-Remote-User', name]], { remoteAddress: '127.0.0.1' }),
    )
    expect(viewer?.user.name).toBe('zoë')
  })

  it.each([
    ['10.1.2.3', true],
    ['::ffff:10.1.2.3', true],
    ['127.0.0.1', true],
    ['2001:db8::7', true],
    ['10.2.0.1', false],
    ['::ffff:10.2.0.1', false],
    ['127.0.0.2', false],
    ['2001:db9::1', false],
    ['fe80::1%eth0', false],
    ['', false],
    [undefined, false],
  ])('is believed from %s: %s', (address, believed) => {
    const viewer = new ProxyAuthenticator([PROXY]).authenticate(from(address))
    expect(viewer !== undefined).toBe(believed)
  })

  it('is nobody to headers that only look like its own, or that an address claims', () => {
    const authenticator = new ProxyAuthenticator([PROXY])
    for (const lines of [
      [['X-Forwarded-For', '10.1.2.3'], ...ALICE],
      [['Forwarded', 'for=10.1.2.3'], ...ALICE],
    ] as const) {
      expect(authenticator.authenticate(request(lines))).toBeUndefined()
    }
    const underscores = request([['X_Remote_User', 'alice']], { remoteAddress: '10.1.2.3' })
    expect(authenticator.authenticate(underscores)).toBeUndefined()
  })

  it('is told by a certificate, or by both where both are configured', () => {
    const certified = { ...PROXY, addresses: [], certificateNames: ['front-proxy'] }
    const only = new ProxyAuthenticator([certified])
    expect(only.authenticate(from('203.0.113.1', { certificateName: 'front-proxy' }))).toBeDefined()
    expect(only.authenticate(from('10.1.2.3', { certificateName: 'another' }))).toBeUndefined()
    expect(only.authenticate(from('10.1.2.3'))).toBeUndefined()
    const both = new ProxyAuthenticator([{ ...PROXY, certificateNames: ['front-proxy'] }])
    expect(both.authenticate(from('10.1.2.3', { certificateName: 'front-proxy' }))).toBeDefined()
    expect(both.authenticate(from('203.0.113.1', { certificateName: 'front-proxy' }))).toBeUndefined()
    expect(both.authenticate(from('10.1.2.3'))).toBeUndefined()
  })

  it('cannot make anybody one of Kubernetes’ own', async () => {
    const authenticator = new ProxyAuthenticator([PROXY])
    const from = { remoteAddress: '10.1.2.3' }
    const admin = request([['X-Remote-User', 'system:admin']], from)
    expect(await refusal(() => authenticator.authenticate(admin))).toMatchObject({ code: 'UNAUTHENTICATED' })
    const viewer = authenticator.authenticate(request([...ALICE, ['X-Remote-Group', 'system:masters']], from))
    expect(viewer?.user.groups).not.toContain('system:masters')
  })

  it('names one user, or is refused: it may have passed on a header of its client', async () => {
    const twice = request([...ALICE, ['x-remote-user', 'bob']], { remoteAddress: '10.1.2.3' })
    expect(await refusal(() => new ProxyAuthenticator([PROXY]).authenticate(twice))).toEqual({
      code: 'UNAUTHENTICATED',
      message: 'The proxy names more than one user. Correct the proxy.',
    })
  })

  it('says nothing without a user, whatever groups there are', () => {
    const groups = request([['X-Remote-Group', 'dev']], { remoteAddress: '10.1.2.3' })
    expect(new ProxyAuthenticator([PROXY]).authenticate(groups)).toBeUndefined()
  })

  it('is refused in the configuration where anybody could be it, or an address is none', () => {
    expect(() => new ProxyAuthenticator([{ ...PROXY, addresses: [] }])).toThrow(
      'authentication.proxies[0]: addresses or certificateNames must say which peer is the proxy',
    )
    for (const address of [
      '10.0.0.0/33',
      '10.0.0',
      'proxy.example.com',
      '::1/129',
      '10.0.0.0/',
      '1.2.3.4/8/8',
    ]) {
      expect(() => new ProxyAuthenticator([PROXY, { ...PROXY, addresses: [address] }])).toThrow(
        `authentication.proxies[1].addresses: ${JSON.stringify(address)} is no IP address`,
      )
    }
  })
})
