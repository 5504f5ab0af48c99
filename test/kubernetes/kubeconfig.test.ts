import { describe, expect, test } from 'vitest'
import {
  connectionOf,
  KubeconfigError,
  mergeKubeconfigs,
  parseKubeconfig,
} from '../../src/kubernetes/kubeconfig.ts'

const PEM = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'
const encoded = Buffer.from(PEM).toString('base64')

const full = `
apiVersion: v1
kind: Config
current-context: prod
clusters:
- name: c
  cluster:
    server: https://api.example.org:6443/prefix/
    certificate-authority: ca.crt
    tls-server-name: kubernetes
    proxy-url: socks5://proxy:1080
    insecure-skip-tls-verify: false
    disable-compression: true
    extensions:
    - name: client.authentication.k8s.io/exec
      extension: {audience: a}
contexts:
- name: prod
  context: {cluster: c, user: u, namespace: shop}
users:
- name: u
  user:
    client-certificate: /abs/tls.crt
    client-certificate-data: ${encoded}
    client-key: tls.key
    tokenFile: token
    as: admin
    as-uid: "7"
    as-groups: [a, b]
    as-user-extra: {scopes: [x]}
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: ./plugin
      args: null
      interactiveMode: Never
`

function parse(text: string, file = '/home/ada/.kube/config') {
  return parseKubeconfig(text, file)
}

function minimal(name: string, server: string, user = '{}', extra = ''): string {
  return `clusters: [{name: ${name}, cluster: {server: "${server}"}}]
contexts: [{name: ${name}, context: {cluster: ${name}, user: ${name}}}]
users: [{name: ${name}, user: ${user}}]
${extra}`
}

function failure(parse: () => unknown): string {
  try {
    parse()
  } catch (error) {
    expect(error).toBeInstanceOf(KubeconfigError)
    return (error as KubeconfigError).message
  }
  throw new Error('expected a KubeconfigError')
}

describe('a context', () => {
  test('becomes a connection: paths against its file, data before files, all of impersonation', () => {
    expect(connectionOf(parse(full), 'prod', 'prod-eu')).toEqual({
      cluster: 'prod-eu',
      server: 'https://api.example.org:6443/prefix',
      certificateAuthority: { file: '/home/ada/.kube/ca.crt' },
      tlsServerName: 'kubernetes',
      proxyUrl: 'socks5://proxy:1080',
      disableCompression: true,
      execConfig: { audience: 'a' },
      user: {
        clientCertificate: { data: PEM },
        clientKey: { file: '/home/ada/.kube/tls.key' },
        tokenFile: '/home/ada/.kube/token',
        exec: {
          apiVersion: 'client.authentication.k8s.io/v1',
          command: './plugin',
          args: [],
          env: [],
          interactiveMode: 'Never',
          directory: '/home/ada/.kube',
        },
        impersonate: { user: 'admin', uid: '7', groups: ['a', 'b'], extra: { scopes: ['x'] } },
      },
    })
  })

  test('may do without a user, and empty strings count as absent', () => {
    const config = parse(`
clusters: [{name: c, cluster: {server: "http://localhost:8080", certificate-authority: "", proxy-url: ""}}]
contexts: [{name: c, context: {cluster: c, user: ""}}]
`)
    expect(connectionOf(config, 'c')).toEqual({ cluster: 'c', server: 'http://localhost:8080', user: {} })
  })

  test('that points nowhere is said with its line', () => {
    const config = parse(
      `clusters:\n- name: a\n  cluster: {server: "https://a"}\ncontexts:\n- name: x\n  context: {cluster: b}\n- name: y\n  context: {cluster: a, user: nobody}\n`,
    )
    expect(failure(() => connectionOf(config, 'x'))).toBe(
      '/home/ada/.kube/config:5: context x names the cluster b, which does not exist.',
    )
    expect(failure(() => connectionOf(config, 'y'))).toBe(
      '/home/ada/.kube/config:7: context y names the user nobody, which does not exist.',
    )
    expect(failure(() => connectionOf(config, 'z'))).toContain('there is no context z. There is: x, y.')
  })
})

describe('several files', () => {
  test('merge like KUBECONFIG: the first to name something wins, and paths stay with their file', () => {
    const merged = mergeKubeconfigs([
      parse(minimal('a', 'https://first', '{tokenFile: t}', 'current-context: a'), '/one/config'),
      parse(minimal('a', 'https://second', '{}', 'current-context: b'), '/two/config'),
      parse(minimal('b', 'https://b', '{tokenFile: t}'), '/three/config'),
    ])
    expect([...merged.contexts.keys()]).toEqual(['a', 'b'])
    expect(merged.currentContext).toBe('a')
    expect(connectionOf(merged, 'a')).toMatchObject({
      server: 'https://first',
      user: { tokenFile: '/one/t' },
    })
    expect(connectionOf(merged, 'b')).toMatchObject({ server: 'https://b', user: { tokenFile: '/three/t' } })
  })
})

describe('a file that is no kubeconfig', () => {
  test.each([
    ['empty', '', ':1: empty, or no kubeconfig'],
    ['text', 'hello', ':1: empty, or no kubeconfig'],
    ['cut off', full.slice(0, full.indexOf('contexts:')), ':1: no kubeconfig, or only a part of one'],
    ['broken YAML', 'clusters:\n- name: [', ':2: not valid YAML'],
    ['a server that is no URL', minimal('a', 'api'), ':1: clusters.0.cluster.server: expected a URL'],
    [
      'data that is no base64',
      minimal('a', 'https://a', '{client-key-data: "ä"}'),
      ':3: users.0.user.client-key-data: expected base64',
    ],
    ['a list that is none', 'clusters: 5\n', ':1: clusters: Invalid input'],
  ])('is said with file, line and key: %s', (_, text, message) => {
    expect(failure(() => parse(text))).toContain(`/home/ada/.kube/config${message}`)
  })
})
