/**
 * The road to a control plane without a Go module registry: Debian's source package of kubernetes
 * (bookworm: 1.20.2), built with Debian's Go, beside Debian's etcd. Changes nothing of the system:
 * packages are unpacked, not installed. Six to eighteen minutes on 2 cores, as busy as they are.
 */
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { debianPackages } from './debian-packages.ts'
import { requireTools, run } from './run-command.ts'

export const DEBIAN_VERSION = '1.20.2'

/** Newer ones refuse what Kubernetes 1.20 vendors. */
export const DEBIAN_GO = { packages: ['golang-1.19-go', 'golang-1.19-src'], root: 'usr/lib/go-1.19' } as const

const TARGETS = ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubectl']

/** Leaves the binaries in `target`. What is unpacked and built lies beside it, and is removed at the end. */
export async function buildFromDebian(target: string, log: (line: string) => void): Promise<void> {
  await requireTools(['make', 'gcc', 'rsync'], 'apt-get install make gcc rsync')
  const work = `${target}.work`
  await rm(work, { recursive: true, force: true })
  await mkdir(work, { recursive: true })
  try {
    log('reading the package lists')
    const packages = await debianPackages(work)
    log('fetching the source of kubernetes, a Go compiler and etcd')
    const root = await packages.unpack([...DEBIAN_GO.packages, 'etcd-server'], join(work, 'root'))
    await packages.source('kubernetes', join(work, 'source'))
    await mendReflection(join(work, 'source/vendor/github.com/modern-go/reflect2'))
    await copyFile(join(root, 'usr/bin/etcd'), join(target, 'etcd'))
    log(`building kubernetes ${DEBIAN_VERSION}`)
    await build(work, join(root, DEBIAN_GO.root))
    for (const name of TARGETS) await copyFile(join(work, 'source/_output/bin', name), join(target, name))
  } finally {
    await rm(work, { recursive: true, force: true, maxRetries: 3 })
  }
}

/**
 * What Kubernetes 1.20 vendors to walk maps takes the iterator from the runtime; since Go 1.18 the caller
 * hands it in. Unmended, an API server crashes on the first custom
 * resource. The iterator's size and its pointers have to be those of the runtime's `hiter`.
 */
async function mendReflection(dir: string): Promise<void> {
  await replaceIn(join(dir, 'unsafe_link.go'), [
    ['m unsafe.Pointer) *hiter', 'm unsafe.Pointer, it *hiter)'],
    ['// rest fields are ignored', 'pointers [6]unsafe.Pointer\n\twords [4]uintptr'],
  ])
  await replaceIn(join(dir, 'unsafe_map.go'), [
    [
      '\treturn &UnsafeMapIterator{',
      '\tit := &hiter{}\n\tmapiterinit(type2.rtype, *(*unsafe.Pointer)(obj), it)\n\treturn &UnsafeMapIterator{',
    ],
    ['mapiterinit(type2.rtype, *(*unsafe.Pointer)(obj)),', 'it,'],
  ])
}

async function replaceIn(file: string, replacements: readonly (readonly [string, string])[]): Promise<void> {
  let text = await readFile(file, 'utf8')
  for (const [from, to] of replacements) {
    if (text.split(from).length !== 2) throw new Error(`${file} is not as expected: ${JSON.stringify(from)}`)
    text = text.replace(from, () => to)
  }
  await writeFile(file, text)
}

async function build(work: string, goRoot: string): Promise<void> {
  const version = join(work, 'version')
  const [major, minor] = DEBIAN_VERSION.split('.')
  const values = {
    KUBE_GIT_COMMIT: 'debian',
    KUBE_GIT_TREE_STATE: 'clean',
    KUBE_GIT_VERSION: `v${DEBIAN_VERSION}`,
    KUBE_GIT_MAJOR: major,
    KUBE_GIT_MINOR: minor,
  }
  const lines = Object.entries(values).map(([name, value]) => `${name}='${value}'\n`)
  await writeFile(version, lines.join(''))
  await mkdir(join(work, 'home'), { recursive: true })
  await run('make', [`WHAT=${TARGETS.map((name) => `cmd/${name}`).join(' ')}`], {
    cwd: join(work, 'source'),
    env: {
      PATH: `${join(goRoot, 'bin')}:${process.env['PATH'] ?? '/usr/bin:/bin'}`,
      GOROOT: goRoot,
      HOME: join(work, 'home'),
      KUBE_GIT_VERSION_FILE: version,
      GOFLAGS: '-mod=vendor',
      GOPROXY: 'off',
    },
  })
}
