/**
 * Packages of Debian, binary and source, fetched and unpacked into a directory without installing them:
 * apt with lists and caches of its own, over the sources that the system has. Needs no root.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { requireTools, run } from './run-command.ts'

export interface DebianPackages {
  /** Unpacks binary packages below `root` and returns it. */
  unpack(names: readonly string[], root: string): Promise<string>
  /** Unpacks a source package, with Debian's patches, into `target`. */
  source(name: string, target: string): Promise<void>
}

/** Reads the package lists into `work`, which the caller removes. */
export async function debianPackages(work: string): Promise<DebianPackages> {
  await requireTools(['apt-get', 'dpkg-deb'], 'this is a road for Debian and its kin')
  const apt = await privateApt(work)
  await run('apt-get', [...apt, '-qq', 'update'], { cwd: work })
  return {
    async unpack(names, root) {
      const dir = join(work, 'packages')
      await mkdir(dir, { recursive: true })
      await run('apt-get', [...apt, '-qq', 'download', ...names], { cwd: dir })
      for (const file of await readdir(dir)) await run('dpkg-deb', ['-x', file, root], { cwd: dir })
      return root
    },
    async source(name, target) {
      await requireTools(['dpkg-source'], 'apt-get install dpkg-dev')
      const dir = join(work, 'sources')
      await mkdir(dir, { recursive: true })
      await run('apt-get', [...apt, '-qq', 'source', '--download-only', name], { cwd: dir })
      const description = (await readdir(dir)).find((file) => file.endsWith('.dsc'))
      if (description === undefined)
        throw new Error('apt-get source brought no .dsc: are there deb-src lists?')
      await run('dpkg-source', ['--no-check', '-x', description, target], { cwd: dir })
    },
  }
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
