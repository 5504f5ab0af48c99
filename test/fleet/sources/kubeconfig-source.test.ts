import { mkdirSync, rmdirSync } from 'node:fs'
import { mkdir, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { directorySource, kubeconfigSource } from '../../../src/fleet/sources/kubeconfig-source.ts'
import { kubeconfig, listen, temporaryFolder } from './support.ts'

/** The kernel's notice is what is tested: the poll is too slow to help. */
const byNotice = { debounceMs: 10, pollMs: 3_600_000 }
const byPoll = { debounceMs: 3_600_000, pollMs: 20 }

describe('a kubeconfig', () => {
  test('gives a cluster for each context, named for it, with labels from all sides', async () => {
    const path = join(await temporaryFolder(), 'config')
    const names = ['prod-eu', 'gke_shop_europe-west1_prod', 'arn:aws:eks:eu-west-1:1:cluster/dev']
    await writeFile(path, kubeconfig(names, { extension: '{"labels":{"env":"prod","tier":"1"}}' }))
    const { clusters, problems } = await listen(
      kubeconfigSource({
        ...byNotice,
        paths: [path],
        labels: { owner: 'shop', env: 'unknown' },
        contextLabels: { 'prod-eu': { region: 'eu', tier: '2' } },
      }),
    )
    expect(problems).toEqual([])
    expect(clusters.map(({ name, labels, source }) => ({ name, labels, source }))).toEqual([
      {
        name: 'prod-eu',
        labels: { owner: 'shop', env: 'prod', tier: '2', region: 'eu' },
        source: `kubeconfig ${path}, context prod-eu`,
      },
      {
        name: 'gke-shop-europe-west1-prod',
        labels: { owner: 'shop', env: 'prod', tier: '1' },
        source: `kubeconfig ${path}, context gke_shop_europe-west1_prod`,
      },
      {
        name: 'arn-aws-eks-eu-west-1-1-cluster-dev',
        labels: { owner: 'shop', env: 'prod', tier: '1' },
        source: `kubeconfig ${path}, context arn:aws:eks:eu-west-1:1:cluster/dev`,
      },
    ])
  })

  test('may name a cluster in its extension, and only the contexts asked for are taken', async () => {
    const path = join(await temporaryFolder(), 'config')
    await writeFile(path, kubeconfig(['a'], { extension: '{"name":"shop.prod"}' }))
    expect((await listen(kubeconfigSource({ ...byNotice, paths: [path] }))).names).toEqual(['shop.prod'])
    await writeFile(path, kubeconfig(['a', 'b', 'c']))
    const some = await listen(kubeconfigSource({ ...byNotice, paths: [path], contexts: ['c', 'x'] }))
    expect(some.names).toEqual(['c'])
    expect(some.problems.map(({ message }) => message)).toEqual([
      `kubeconfig ${path}: there is no context x. There is: a, b, c.`,
    ])
  })

  test('is found where kubectl finds it', async () => {
    const home = await temporaryFolder()
    await mkdir(join(home, '.kube'))
    await writeFile(join(home, '.kube', 'config'), kubeconfig(['home']))
    await writeFile(join(home, 'other'), kubeconfig(['other']))
    const at = async (env: Record<string, string>) =>
      (await listen(kubeconfigSource({ ...byNotice, env }))).names
    expect(await at({ HOME: home })).toEqual(['home'])
    const KUBECONFIG = `${join(home, 'missing')}:${join(home, 'other')}::${join(home, '.kube/config')}`
    expect(await at({ HOME: home, KUBECONFIG })).toEqual(['other', 'home'])
  })

  test('that is edited changes the one cluster, and no other’s fingerprint', async () => {
    const path = join(await temporaryFolder(), 'config')
    const write = (tokenOfB: string) =>
      writeFile(path, kubeconfig(['a', 'b']).replace(/("name":"b","user":\{"token":")t/, `$1${tokenOfB}`))
    await write('one')
    const now = await listen(kubeconfigSource({ ...byNotice, paths: [path] }))
    const [a, b] = [now.cluster('a'), now.cluster('b')]
    await write('two')
    await now.until(() => expect(now.cluster('b').fingerprint).not.toBe(b.fingerprint))
    expect(now.cluster('a').fingerprint).toBe(a.fingerprint)
    expect(JSON.stringify(now.clusters)).not.toMatch(/one|two/)
  })

  test('gains and loses clusters with its contexts, its replacement and its removal', async () => {
    const folder = await temporaryFolder()
    const path = join(folder, 'config')
    const now = await listen(kubeconfigSource({ ...byNotice, paths: [path] }))
    expect(now.names).toEqual([])
    expect(now.problems[0]?.message).toBe(
      `kubeconfig ${path}: no such file. Write one, or set paths; it is looked for again.`,
    )
    await writeFile(path, kubeconfig(['a']))
    await now.until(({ names, problems }) => expect([names, problems]).toEqual([['a'], []]))
    // As editors save: a new file takes the name of the old one.
    await writeFile(`${path}~new`, kubeconfig(['a', 'b']))
    await rename(`${path}~new`, path)
    await now.until(({ names }) => expect(names).toEqual(['a', 'b']))
    await rm(path)
    await now.until(({ names }) => expect(names).toEqual([]))
  })

  test('that is broken keeps its last good state, and the problem names file and line until it is mended', async () => {
    const path = join(await temporaryFolder(), 'config')
    await writeFile(path, kubeconfig(['a', 'b']))
    const now = await listen(kubeconfigSource({ ...byNotice, paths: [path] }))
    const before = now.clusters.map(({ fingerprint }) => fingerprint)
    await writeFile(path, 'clusters:\n- name: [')
    await now.until(({ problems }) => expect(problems).toHaveLength(1))
    expect(now.problems[0]?.message).toContain(`${path}:2: not valid YAML`)
    expect(now.problems[0]?.message).toContain('Its last good content stays in use.')
    await truncate(path)
    await now.until(({ problems }) => expect(problems[0]?.message).toContain(`${path}:1: empty`))
    expect(now.clusters.map(({ fingerprint }) => fingerprint)).toEqual(before)
    await writeFile(path, kubeconfig(['b']))
    await now.until(({ names, problems }) => expect([names, problems]).toEqual([['b'], []]))
  })

  test('whose context points nowhere keeps that cluster as it was, and takes in the others', async () => {
    const path = join(await temporaryFolder(), 'config')
    await writeFile(path, kubeconfig(['a', 'b']))
    const now = await listen(kubeconfigSource({ ...byNotice, paths: [path] }))
    const { fingerprint } = now.cluster('b')
    const text = kubeconfig(['a', 'b', 'c']).replace(/"users":\[(.*)\{"name":"b",[^}]*\}\},/, '"users":[$1')
    await writeFile(path, text)
    await now.until(({ names }) => expect(names).toEqual(['a', 'b', 'c']))
    expect(now.cluster('b').fingerprint).toBe(fingerprint)
    expect(now.problems.map(({ message }) => message)).toEqual([
      `kubeconfig ${path}, context b: ${path}:1: context b names the user b, which does not exist. Its last good state stays in use.`,
    ])
  })

  test('is polled where the kernel says nothing', async () => {
    const folder = await temporaryFolder()
    const path = join(folder, 'sub', 'config')
    const now = await listen(kubeconfigSource({ ...byPoll, paths: [path] }))
    await mkdir(join(folder, 'sub'))
    await writeFile(path, kubeconfig(['late']))
    await now.until(({ names }) => expect(names).toEqual(['late']))
  })

  test('behind a link is followed when either changes', async () => {
    const folder = await temporaryFolder()
    const target = join(folder, 'target')
    await mkdir(target)
    await writeFile(join(target, 'config'), kubeconfig(['one']))
    await mkdir(join(folder, 'link'))
    const path = join(folder, 'link', 'config')
    await symlink(join(target, 'config'), path)
    const now = await listen(kubeconfigSource({ ...byNotice, paths: [path] }))
    await writeFile(join(target, 'config'), kubeconfig(['two']))
    await now.until(({ names }) => expect(names).toEqual(['two']))
  })

  test('is silent when nothing changed, and after it was closed or aborted', async () => {
    const path = join(await temporaryFolder(), 'config')
    await writeFile(path, kubeconfig(['a']))
    const closed = kubeconfigSource({ ...byPoll, paths: [path] })
    const before = await listen(closed)
    const stop = new AbortController()
    const aborted = await listen(kubeconfigSource({ ...byPoll, paths: [path] }), stop.signal)
    const witness = await listen(kubeconfigSource({ ...byPoll, paths: [path] }))
    closed.close()
    stop.abort()
    // In one step: a poll this fast would see the file half-written, and rightly say so.
    const replace = async (text: string) => {
      await writeFile(`${path}~new`, text)
      await rename(`${path}~new`, path)
    }
    await replace(kubeconfig(['a']))
    await replace(kubeconfig(['b']))
    await witness.until(({ names }) => expect(names).toEqual(['b']))
    expect(witness.calls).toBe(2)
    expect([before.calls, aborted.calls]).toEqual([1, 1])
  })
})

describe('a directory', () => {
  test('gives a cluster for each file with one context, and for each context of other files', async () => {
    const folder = await temporaryFolder()
    const write = (name: string, text: string) => writeFile(join(folder, name), text)
    await write('prod-eu.yaml', kubeconfig(['default']))
    await write('prod-us.kubeconfig', kubeconfig(['default']))
    await write('many', kubeconfig(['x', 'y']))
    for (const ignored of ['README.md', '.hidden', 'prod-eu.yaml~', '#lock#', 'prod-eu.yaml.swp'])
      await write(ignored, 'not a kubeconfig')
    await mkdir(join(folder, 'below.yaml'))
    const now = await listen(directorySource({ ...byNotice, path: folder, labels: { env: 'prod' } }))
    expect(now.problems).toEqual([])
    expect(now.names).toEqual(['x', 'y', 'prod-eu', 'prod-us'])
    expect(now.cluster('prod-eu').labels).toEqual({ env: 'prod' })
  })

  test('follows files that come, change and go, and disturbs no other', async () => {
    const folder = await temporaryFolder()
    const file = (name: string) => join(folder, `${name}.yaml`)
    await writeFile(file('a'), kubeconfig(['default']))
    const now = await listen(directorySource({ ...byNotice, path: folder }))
    const { fingerprint } = now.cluster('a')
    await writeFile(file('b'), kubeconfig(['default']))
    await now.until(({ names }) => expect(names).toEqual(['a', 'b']))
    const old = now.cluster('b').fingerprint
    await writeFile(file('b'), kubeconfig(['default'], { server: 'https://elsewhere' }))
    await now.until(() => expect(now.cluster('b').fingerprint).not.toBe(old))
    await rm(file('b'))
    await now.until(({ names }) => expect(names).toEqual(['a']))
    expect(now.cluster('a').fingerprint).toBe(fingerprint)
  })

  test('sees what Kubernetes does to a mounted secret: one link swapped for another', async () => {
    const folder = await temporaryFolder()
    const version = async (name: string, files: Readonly<Record<string, string>>) => {
      await mkdir(join(folder, name))
      for (const [file, text] of Object.entries(files)) await writeFile(join(folder, name, file), text)
    }
    await version('..2026_01', { prod: kubeconfig(['default'], { token: 'old' }) })
    await symlink('..2026_01', join(folder, '..data'))
    await symlink('..data/prod', join(folder, 'prod'))
    const now = await listen(directorySource({ ...byNotice, path: folder }))
    expect(now.names).toEqual(['prod'])
    const { fingerprint } = now.cluster('prod')
    await version('..2026_02', { prod: kubeconfig(['default'], { token: 'new' }) })
    await symlink('..2026_02', join(folder, '..data_tmp'))
    await rename(join(folder, '..data_tmp'), join(folder, '..data'))
    await rm(join(folder, '..2026_01'), { recursive: true })
    await now.until(() => expect(now.cluster('prod').fingerprint).not.toBe(fingerprint))
    expect(now.problems).toEqual([])
  })

  test('with one broken file has all the others, and says which', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'good.yaml'), kubeconfig(['default']))
    await writeFile(join(folder, 'bad.yaml'), 'kind: Pod\n')
    const now = await listen(directorySource({ ...byNotice, path: folder }))
    expect(now.names).toEqual(['good'])
    expect(now.problems.map(({ message }) => message)).toEqual([
      `${join(folder, 'bad.yaml')}:1: no kubeconfig, or only a part of one: it has no clusters or no contexts.`,
    ])
  })

  test('that does not exist yet is found when it does, and loses its clusters when it goes', async () => {
    const folder = join(await temporaryFolder(), 'clusters')
    const now = await listen(directorySource({ ...byPoll, path: folder }))
    expect(now.problems[0]?.message).toContain('cannot be listed (ENOENT)')
    await mkdir(folder)
    await writeFile(join(folder, 'a'), kubeconfig(['default']))
    await now.until(({ names, problems }) => expect([names, problems]).toEqual([['a'], []]))
    await rm(folder, { recursive: true })
    await now.until(({ names }) => expect(names).toEqual([]))
  })

  test('is still watched when it was removed and made anew in one instant, under the same inode', async () => {
    const folder = join(await temporaryFolder(), 'clusters')
    await mkdir(folder)
    const now = await listen(directorySource({ ...byNotice, path: folder }))
    rmdirSync(folder)
    mkdirSync(folder)
    await writeFile(join(folder, 'a'), kubeconfig(['default']))
    await now.until(({ names }) => expect(names).toEqual(['a']))
    await writeFile(join(folder, 'b'), kubeconfig(['default']))
    await now.until(({ names }) => expect(names).toEqual(['a', 'b']))
  })

  test('says when two of its files name a cluster alike', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'a.json'), kubeconfig(['default']))
    await writeFile(join(folder, 'a.yaml'), kubeconfig(['default']))
    const { names, problems } = await listen(directorySource({ ...byNotice, path: folder }))
    expect(names).toEqual(['a'])
    expect(problems[0]?.message).toBe(
      `kubeconfig ${join(folder, 'a.yaml')}, context default: the cluster name a is taken by kubeconfig ${join(folder, 'a.json')}, context default; left out. Rename one of them.`,
    )
  })
})
