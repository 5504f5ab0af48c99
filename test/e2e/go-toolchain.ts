/**
 * A Go that is new enough, found or fetched: the one on the PATH, if it is 1.21 or later, for such a Go
 * gets the release that a go.mod asks for by itself. An older one, or Debian's where there is none, can
 * at least fetch that release as what it is, too: a Go module, checked against the checksum database.
 */
import { chmod, cp, mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DEBIAN_GO } from './debian-assets.ts'
import { debianPackages } from './debian-packages.ts'
import { output } from './run-command.ts'

export interface GoToolchain {
  readonly command: string
  /** For every run of it. */
  readonly env: Readonly<Record<string, string>>
}

const PLACES = ['go', '/usr/local/go/bin/go', '/usr/lib/go/bin/go']
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' }

/** `version` as `1.26.0`: the release to fetch. What is fetched is kept in `cache`. */
export async function goToolchain(
  version: string,
  cache: string,
  log: (line: string) => void,
  places: readonly string[] = PLACES,
): Promise<GoToolchain> {
  let older: string | undefined
  for (const command of places) {
    const minor = await minorOf(command)
    if (minor >= 21) return { command, env: { GOTOOLCHAIN: 'auto' } }
    if (minor >= 13) older ??= command
  }
  const home = join(cache, `go-${version}`)
  const fetched: GoToolchain = { command: join(home, 'bin/go'), env: { GOTOOLCHAIN: 'local', GOROOT: home } }
  if ((await minorOf(fetched.command, fetched.env)) >= 21) return fetched
  const work = join(cache, `go-${version}.fetching-${process.pid}`)
  await mkdir(work, { recursive: true })
  try {
    log(older === undefined ? 'no Go here: fetching one' : `${older} is too old: fetching Go ${version}`)
    await fetchToolchain(older ?? (await debianGo(work)), version, work)
    await rename(join(work, 'go'), home)
  } finally {
    await output('chmod', ['-R', 'u+w', work]).catch(() => undefined)
    await rm(work, { recursive: true, force: true })
  }
  return fetched
}

async function debianGo(work: string): Promise<string> {
  const dir = join(work, 'debian')
  await mkdir(dir)
  const root = await (await debianPackages(dir)).unpack(DEBIAN_GO.packages, join(work, 'root'))
  return join(root, DEBIAN_GO.root, 'bin/go')
}

async function fetchToolchain(go: string, version: string, work: string): Promise<void> {
  const platform = `${process.platform}-${ARCHITECTURES[process.arch] ?? process.arch}`
  const modules = join(work, 'modules')
  const answer = await output(
    go,
    ['mod', 'download', '-json', `golang.org/toolchain@v0.0.1-go${version}.${platform}`],
    {
      GOMODCACHE: modules,
      GOFLAGS: '-mod=mod',
      ...(go.endsWith(join(DEBIAN_GO.root, 'bin/go')) && { GOROOT: join(go, '../..') }),
    },
  )
  const { Dir: dir } = JSON.parse(answer) as { Dir: string }
  const home = join(work, 'go')
  await cp(dir, home, { recursive: true })
  await output('chmod', ['-R', 'u+w', home])
  // A module zip has no executable bits; newer releases of Go set them for themselves.
  for (const bin of ['bin', `pkg/tool/${platform.replace('-', '_')}`]) {
    for (const name of await readdir(join(home, bin))) await chmod(join(home, bin, name), 0o755)
  }
}

async function minorOf(command: string, env: Readonly<Record<string, string>> = {}): Promise<number> {
  const version = await output(command, ['version'], env).catch(() => '')
  return Number(/\bgo1\.(\d+)/.exec(version)?.[1] ?? 0)
}
