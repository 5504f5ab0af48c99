/**
 * Owns the binaries of a real control plane: etcd, kube-apiserver, kube-controller-manager,
 * kube-scheduler and kubectl. Finds them (`locateAssets`), or builds them once per user and machine
 * (`npm run e2e:assets`): from the Go modules that the go.mod files beside this file pin, or from
 * Debian's source package (`-- --from debian`) where there is no Go module registry.
 *
 * Invariant: a directory under its final name holds every binary, whole: a build happens in a
 * directory beside it, which is renamed when it is complete. It knows nothing of how they are started.
 */
import { createHash } from 'node:crypto'
import { access, constants, mkdir, readFile, readdir, rename, rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { buildFromDebian, DEBIAN_VERSION } from './debian-assets.ts'
import { goToolchain } from './go-toolchain.ts'
import { run } from './run-command.ts'

export const BINARIES = [
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kubectl',
] as const

export type Origin = 'modules' | 'debian'

export interface Assets {
  /** Holds every one of `BINARIES`. */
  readonly dir: string
}

export class AssetsError extends Error {
  readonly code = 'E2E_ASSETS'
  override readonly name = 'AssetsError'
}

const HERE = import.meta.dirname

/** One Go module per family of tools, since their dependencies disagree. */
const FAMILIES = [
  { module: 'etcd', packages: [['etcd', 'go.etcd.io/etcd/server/v3']], version: 'go.etcd.io/etcd/server/v3' },
  {
    module: 'kubernetes',
    packages: ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubectl'].map((name) => [
      name,
      `k8s.io/kubernetes/cmd/${name}`,
    ]),
    version: 'k8s.io/kubernetes',
  },
] as const

/**
 * The binaries, if they are there: in `KUBEBUILDER_ASSETS`, else in the cache. An older pin of the
 * cache is not taken for a newer one. Undefined where nothing is built yet.
 */
export async function locateAssets(origin?: Origin): Promise<Assets | undefined> {
  const given = process.env['KUBEBUILDER_ASSETS']
  if (given !== undefined && origin === undefined && (await complete(given))) return { dir: given }
  for (const candidate of origin === undefined ? (['modules', 'debian'] as const) : [origin]) {
    const dir = await cacheDirectory(candidate)
    if (await complete(dir)) return { dir }
  }
  return undefined
}

/** As `locateAssets`; fails with what to run where there are none. */
export async function requireAssets(origin?: Origin): Promise<Assets> {
  const assets = await locateAssets(origin)
  if (assets) return assets
  throw new AssetsError(
    `no binaries of a control plane in ${await cacheDirectory(origin ?? 'modules')}: run \`npm run e2e:assets\`, ` +
      `or set KUBEBUILDER_ASSETS to a directory with ${BINARIES.join(', ')}`,
  )
}

/** Builds what is missing; returns at once where all is there. */
export async function buildAssets(origin: Origin, log: (line: string) => void): Promise<Assets> {
  const dir = await cacheDirectory(origin)
  if (await complete(dir)) return { dir }
  const building = `${dir}.building-${process.pid}`
  await rm(building, { recursive: true, force: true })
  await mkdir(building, { recursive: true })
  try {
    if (origin === 'modules') await buildFromModules(building, log)
    else await buildFromDebian(building, log)
    if (!(await complete(building)))
      throw new AssetsError(`the build left no complete set of binaries in ${building}`)
    await rename(building, dir).catch(async (error: unknown) => {
      // Another build was first: its result is as good as ours.
      if (!(await complete(dir))) throw error
    })
  } finally {
    await rm(building, { recursive: true, force: true })
  }
  await removeOlder(dir)
  return { dir }
}

async function buildFromModules(target: string, log: (line: string) => void): Promise<void> {
  const go = await goToolchain(await goVersion(), join(target, '..'), log).catch((cause: unknown) => {
    throw new AssetsError(
      'no Go 1.21 or later here, and none could be fetched: install it (https://go.dev/dl/), or build an older ' +
        'control plane with `npm run e2e:assets -- --from debian`, or set KUBEBUILDER_ASSETS',
      { cause },
    )
  })
  for (const family of FAMILIES) {
    const cwd = join(HERE, family.module)
    const version = await pinned(family.module, family.version)
    for (const [name, path] of family.packages) {
      const started = performance.now()
      log(`building ${name} ${version}`)
      await run(
        go.command,
        ['build', '-trimpath', '-ldflags', linkerFlags(version), '-o', join(target, name), path],
        {
          cwd,
          env: { CGO_ENABLED: '0', GOFLAGS: '-mod=readonly', GOWORK: 'off', ...go.env },
        },
      )
      log(`built ${name} in ${((performance.now() - started) / 1000).toFixed(0)} s`)
    }
  }
}

/** Without these a server built from modules would report v0.0.0-master and clients would misjudge it. */
function linkerFlags(version: string): string {
  const [major = '', minor = ''] = version.slice(1).split('.')
  const values = { gitVersion: version, gitMajor: major, gitMinor: minor, gitTreeState: 'clean' }
  const packages = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version']
  return [
    '-s',
    '-w',
    ...packages.flatMap((path) =>
      Object.entries(values).map(([field, value]) => `-X ${path}.${field}=${value}`),
    ),
  ].join(' ')
}

/** What the go.mod of Kubernetes asks for: all the others are content with it. */
async function goVersion(): Promise<string> {
  const file = join(HERE, 'kubernetes/go.mod')
  const version = /^go (\d+\.\d+\.\d+)$/m.exec(await readFile(file, 'utf8'))?.[1]
  if (version === undefined) throw new AssetsError(`${file} names no release of Go`)
  return version
}

async function cacheDirectory(origin: Origin): Promise<string> {
  const root =
    process.env['FLEETGRAPH_CACHE'] ??
    join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'fleetgraph')
  if (origin === 'debian') return join(root, 'control-plane', `debian-${DEBIAN_VERSION}`)
  const hash = createHash('sha256')
  for (const { module } of FAMILIES) {
    for (const file of ['go.mod', 'go.sum']) hash.update(await readFile(join(HERE, module, file)))
  }
  const version = await pinned('kubernetes', 'k8s.io/kubernetes')
  return join(root, 'control-plane', `${version}-${hash.digest('hex').slice(0, 12)}`)
}

async function pinned(module: string, path: string): Promise<string> {
  const file = join(HERE, module, 'go.mod')
  const line = (await readFile(file, 'utf8')).split('\n').find((line) => line.includes(`${path} v`))
  const version = /\bv\d+\.\d+\.\d+\S*/.exec(line?.slice(line.indexOf(`${path} v`) + path.length) ?? '')?.[0]
  if (version === undefined) throw new AssetsError(`${file} requires no version of ${path}`)
  return version
}

async function complete(dir: string): Promise<boolean> {
  const found = await Promise.all(
    BINARIES.map((name) =>
      access(join(dir, name), constants.X_OK).then(
        () => true,
        () => false,
      ),
    ),
  )
  return found.every(Boolean)
}

/** Builds of older pins, and halves of builds that died more than a day ago. */
async function removeOlder(dir: string): Promise<void> {
  const root = join(dir, '..')
  for (const name of await readdir(root)) {
    const path = join(root, name)
    const age = Date.now() - (await stat(path)).mtimeMs
    if (name.startsWith('go-')) continue
    const half = name.includes('.building-')
    if (path !== dir && age > (half ? 1 : 30) * 86_400_000) await rm(path, { recursive: true, force: true })
  }
}

if (import.meta.main) {
  const from = process.argv.indexOf('--from')
  const asked = from === -1 ? undefined : process.argv[from + 1]
  if (asked !== undefined && asked !== 'debian' && asked !== 'modules') {
    console.error(`--from takes "modules" or "debian", not ${JSON.stringify(asked)}`)
    process.exit(2)
  }
  try {
    const assets = (await locateAssets(asked)) ?? (await buildAssets(asked ?? 'modules', console.error))
    process.stdout.write(`${assets.dir}\n`)
  } catch (error) {
    console.error(error instanceof AssetsError ? error.message : error)
    process.exit(1)
  }
}
