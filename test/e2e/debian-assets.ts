/**
 * The road to a control plane without a Go module registry: Debian's source package of kubernetes
 * (bookworm: 1.20.2), built with Debian's Go, beside Debian's etcd. Needs apt and dpkg-source, no root,
 * and changes nothing of the system: packages are unpacked, not installed. About 17 minutes on 2 cores.
 */
import { spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { access, copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export const DEBIAN_VERSION = '1.20.2'

/** Newer ones refuse what Kubernetes 1.20 vendors. */
const GO = 'golang-1.19'
const TARGETS = ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubectl']

/** Leaves the binaries in `target`. What is unpacked and built lies beside it, and is removed at the end. */
export async function buildFromDebian(target: string, log: (line: string) => void): Promise<void> {
  for (const tool of ['apt-get', 'dpkg-source', 'dpkg-deb', 'make', 'gcc', 'rsync']) await requireTool(tool)
  const work = `${target}.work`
  await rm(work, { recursive: true, force: true })
  try {
    const apt = await privateApt(work)
    log('reading the package lists')
    await run('apt-get', [...apt, '-qq', 'update'], { cwd: work })
    log(`fetching the source of kubernetes, and ${GO}`)
    await run('apt-get', [...apt, '-qq', 'source', '--download-only', 'kubernetes'], { cwd: work })
    await run('apt-get', [...apt, '-qq', 'download', `${GO}-go`, `${GO}-src`, 'etcd-server'], { cwd: work })
    const root = join(work, 'root')
    for (const file of await readdir(work)) {
      if (file.endsWith('.deb')) await run('dpkg-deb', ['-x', file, root], { cwd: work })
    }
    const description = (await readdir(work)).find((file) => file.endsWith('.dsc'))
    if (description === undefined) throw new Error('apt-get source brought no .dsc: are there deb-src lists?')
    await run('dpkg-source', ['--no-check', '-x', description, 'source'], { cwd: work })
    await copyFile(join(root, 'usr/bin/etcd'), join(target, 'etcd'))
    log(`building kubernetes ${DEBIAN_VERSION}`)
    await build(work, join(root, 'usr/lib/go-1.19'))
    for (const name of TARGETS) {
      await copyFile(join(work, 'source/_output/bin', name), join(target, name))
    }
  } finally {
    // Go's module cache and build cache are read-only where they are unpacked.
    await rm(work, { recursive: true, force: true, maxRetries: 3 })
  }
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

/** Options that point apt at lists and caches of its own, with the system's sources and their deb-src. */
async function privateApt(work: string): Promise<string[]> {
  const parts = join(work, 'parts')
  for (const dir of [parts, join(work, 'lists/partial'), join(work, 'cache/archives/partial')]) {
    await mkdir(dir, { recursive: true })
  }
  const system = '/etc/apt/sources.list.d'
  const files = ['/etc/apt/sources.list', ...(await readdir(system)).map((name) => join(system, name))]
  for (const [index, file] of files.entries()) {
    const text = await readFile(file, 'utf8').catch(() => '')
    if (file.endsWith('.sources')) {
      const withSource = text.replaceAll(/^Types:.*$/gm, 'Types: deb deb-src')
      await writeFile(join(parts, `${index}.sources`), ofDebian(withSource.split(/\n\s*\n/), '\n\n'))
    } else if (file.endsWith('.list')) {
      const lines = text.split('\n').filter((line) => line.startsWith('deb '))
      const withSource = lines.flatMap((line) => [line, line.replace(/^deb /, 'deb-src ')])
      await writeFile(join(parts, `${index}.list`), ofDebian(withSource, '\n'))
    }
  }
  const options = {
    'Dir::Etc::sourcelist': '/dev/null',
    'Dir::Etc::sourceparts': parts,
    'Dir::State::lists': join(work, 'lists'),
    'Dir::Cache': join(work, 'cache'),
    'APT::Sandbox::User': 'root',
  }
  return Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`])
}

/** Other vendors' sources have no deb-src as a rule, and apt gives up on the first that is missing. */
function ofDebian(entries: readonly string[], separator: string): string {
  return `${entries.filter((entry) => /debian/i.test(entry)).join(separator)}\n`
}

async function requireTool(name: string): Promise<void> {
  for (const dir of (process.env['PATH'] ?? '').split(':')) {
    if (
      await access(join(dir, name), constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return
  }
  throw new Error(`${name} is needed to build from Debian's sources: apt-get install dpkg-dev make gcc rsync`)
}

function run(
  command: string,
  args: readonly string[],
  { cwd, env }: { readonly cwd: string; readonly env?: Readonly<Record<string, string>> },
): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      // Standard output is for the result: the directory of the binaries.
      stdio: ['ignore', process.stderr, process.stderr],
    })
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve()
      else reject(new Error(`\`${command} ${args.at(-1) ?? ''}\` ended with ${code}`))
    })
  })
}
