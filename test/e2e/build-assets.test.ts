/** Where the binaries of a control plane are looked for; what a real build makes is proven by every other test here. */
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { BINARIES, locateAssets, requireAssets } from './build-assets.ts'

describe('the binaries of a control plane', () => {
  let dir = ''
  const fill = async (where: string, names: readonly string[]): Promise<void> => {
    await mkdir(where, { recursive: true })
    for (const name of names) {
      await writeFile(join(where, name), '')
      await chmod(join(where, name), 0o755)
    }
  }
  /** The cache directory that the pins of this commit lead to, learned from the error that names it. */
  const cacheOfPins = async (): Promise<string> => {
    const failure = await requireAssets('modules').then(
      () => '',
      (error: Error) => error.message,
    )
    return /in (\S+): run/.exec(failure)?.[1] ?? ''
  }

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'fleetgraph-assets-'))
    vi.stubEnv('FLEETGRAPH_CACHE', join(dir, 'cache'))
    vi.stubEnv('KUBEBUILDER_ASSETS', undefined)
  })
  afterEach(async () => {
    vi.unstubAllEnvs()
    await rm(dir, { recursive: true })
  })

  test('are those of KUBEBUILDER_ASSETS, if it has every one', async () => {
    const given = join(dir, 'given')
    vi.stubEnv('KUBEBUILDER_ASSETS', given)
    await fill(given, ['etcd', 'kube-apiserver', 'kubectl'])
    expect(await locateAssets()).toBeUndefined()
    await fill(given, BINARIES)
    expect(await locateAssets()).toEqual({ dir: given })
  })

  test('are else those of the cache, under the name of the pinned versions', async () => {
    const cache = await cacheOfPins()
    expect(cache).toMatch(/\/cache\/control-plane\/v1\.\d+\.\d+-[0-9a-f]{12}$/)
    await fill(cache, BINARIES)
    expect(await locateAssets()).toEqual({ dir: cache })
  })

  test('are never taken from a build that is not complete', async () => {
    const cache = await cacheOfPins()
    await fill(`${cache}.building-1`, BINARIES)
    await fill(cache, BINARIES.slice(1))
    expect(await locateAssets()).toBeUndefined()
  })

  test('that are missing are an error that says what to run', async () => {
    await expect(requireAssets()).rejects.toThrow(/run `npm run e2e:assets`, or set KUBEBUILDER_ASSETS/)
    expect(await readdir(dir)).toEqual([])
  })
})
