import { createServer } from 'node:http'
import { mkdir, writeFile } from 'node:fs/promises'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { configuredSources, inClusterSource } from '../../../src/fleet/sources/configured-sources.ts'
import { clusterNameFrom, combineSources, isClusterName } from '../../../src/fleet/sources/source.ts'
import { kubeconfig, listen, temporaryFolder } from './support.ts'

describe('a server in the configuration', () => {
  test('is a cluster whose client asks that server, with that token', async () => {
    const heard: (string | undefined)[] = []
    const server = createServer((request, response) => {
      heard.push(request.headers.authorization)
      response.end('{"ok":true}')
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    const tokenFile = join(await temporaryFolder(), 'token')
    await writeFile(tokenFile, 'secret\n')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const now = await listen(
      configuredSources([
        { type: 'server', name: 'edge', server: `${url}/`, tokenFile, labels: { site: 'one' } },
      ]),
    )
    expect(now.clusters).toMatchObject([
      { name: 'edge', labels: { site: 'one' }, source: 'configuration, cluster edge' },
    ])
    const client = now.cluster('edge').connect()
    onTestFinished(() => client.close())
    expect(client.server).toBe(url)
    expect(await client.json({ path: '/x' })).toEqual({ ok: true })
    expect(heard).toEqual(['Bearer secret'])
  })
})

describe('the cluster that we run in', () => {
  test('is reached as the pod’s service account, once that is mounted', async () => {
    const root = join(await temporaryFolder(), 'serviceaccount')
    const env = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' }
    const now = await listen(inClusterSource({ name: 'local', env, root, pollMs: 20 }))
    expect(now.problems[0]?.message).toContain(`there is no ${join(root, 'token')}`)
    await mkdir(root)
    await writeFile(join(root, 'token'), 't')
    await now.until(({ names, problems }) => expect([names, problems]).toEqual([['local'], []]))
    const client = now.cluster('local').connect()
    expect(client.server).toBe('https://[fd00::1]')
    await client.close()
  })

  test('is a problem elsewhere, and says what to do', async () => {
    const now = await listen(inClusterSource({ name: 'local', env: {} }))
    expect(now.clusters).toEqual([])
    expect(now.problems[0]?.message).toBe(
      'in-cluster service account: KUBERNETES_SERVICE_HOST is not set. Run in a pod with its service account mounted, or take inCluster out of the configuration.',
    )
  })
})

describe('several sources', () => {
  test('are one list; a name that is taken stays with the first, and the clash names both', async () => {
    const path = join(await temporaryFolder(), 'config')
    await writeFile(path, kubeconfig(['a', 'b']))
    const server = (name: string) => ({ type: 'server', name, server: 'https://x' }) as const
    const now = await listen(
      configuredSources([server('b'), { type: 'kubeconfig', paths: [path] }, server('c'), server('a')]),
    )
    expect(now.clusters.map(({ name, source }) => [name, source])).toEqual([
      ['b', 'configuration, cluster b'],
      ['a', `kubeconfig ${path}, context a`],
      ['c', 'configuration, cluster c'],
    ])
    expect(now.problems.map(({ message }) => message)).toEqual([
      `kubeconfig ${path}, context b: the cluster name b is taken by configuration, cluster b; left out. Rename one of them.`,
      `configuration, cluster a: the cluster name a is taken by kubeconfig ${path}, context a; left out. Rename one of them.`,
    ])
    expect(now.calls).toBe(1)
  })

  test('that are none say so at once', async () => {
    expect((await listen(combineSources([]))).names).toEqual([])
  })
})

test('names of clusters are made to fit', () => {
  const long = 'x'.repeat(300)
  expect(
    ['prod-eu', 'kubernetes-admin@Kubernetes', 'a/b', '_x_', 'a..b', 'a-.-b', '…', long].map(clusterNameFrom),
  ).toEqual(['prod-eu', 'kubernetes-admin-kubernetes', 'a-b', 'x', 'a.b', 'a.b', '', 'x'.repeat(253)])
  expect(['a', 'a.b-c', 'A', 'a/b', '-a', 'a.', ''].filter(isClusterName)).toEqual(['a', 'a.b-c'])
})
