/**
 * Clusters of kubeconfig files: of one or several merged like `KUBECONFIG`, or of every file in a folder.
 *
 * Invariant: a broken or half-written file, or a context that points nowhere, keeps its last good state
 * and is a problem; only a file or context that is gone takes its clusters along.
 */
import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, delimiter, dirname, join } from 'node:path'
import * as z from 'zod'
import type { ApiClientOptions } from '../../kubernetes/api-client.ts'
import {
  connectionOf,
  contextExtension,
  mergeKubeconfigs,
  parseKubeconfig,
  type Kubeconfig,
} from '../../kubernetes/kubeconfig.ts'
import type { LabelSet } from '../../kubernetes/rows.ts'
import { define, problem, whenChanged } from './definition.ts'
import {
  clusterNameFrom,
  isClusterName,
  uniqueNames,
  type ClusterDefinition,
  type ClusterSource,
  type SourceListener,
  type SourceProblem,
} from './source.ts'
import { WatchedFolders, type WatchedFoldersOptions } from './watched-folders.ts'

interface Common extends WatchedFoldersOptions {
  /** Of every cluster; those of a context win. */
  readonly labels?: LabelSet
  readonly client?: ApiClientOptions
}

export interface KubeconfigSourceOptions extends Common {
  /** Absolute. Default: `$KUBECONFIG`, or `~/.kube/config`. */
  readonly paths?: readonly string[]
  /** Names of contexts; default all. */
  readonly contexts?: readonly string[]
  /** By context; win over the context's extension `fleetgraph`. */
  readonly contextLabels?: Readonly<Record<string, LabelSet>>
  readonly env?: Readonly<Record<string, string | undefined>>
}

/**
 * A cluster for each context, named for it (see `clusterNameFrom`), or as its extension says:
 * `extensions: [{name: fleetgraph, extension: {name: prod-eu, labels: {env: prod}}}]`.
 */
export function kubeconfigSource(options: KubeconfigSourceOptions = {}): ClusterSource {
  const paths = options.paths ?? defaultPaths(options.env ?? process.env)
  const description = `kubeconfig ${paths.join(delimiter)}`
  const files = new KubeconfigFiles()
  const contexts = new Contexts(options)
  return watched(
    description,
    options,
    () => foldersOf(paths),
    async () => {
      const { read, problems } = await files.read(paths)
      const kubeconfig = mergeKubeconfigs([...read.values()])
      const wanted = options.contexts ?? [...kubeconfig.contexts.keys()]
      if (read.size === 0 && problems.length === 0)
        problems.push({
          source: description,
          message: `${description}: no such file. Write one, or set paths; it is looked for again.`,
        })
      const clusters = wanted.flatMap((context) => {
        const entry = kubeconfig.contexts.get(context)
        // Nothing to say about contexts while there is nothing to find them in.
        if (!entry && read.size > 0)
          problems.push({
            source: description,
            message: `${description}: there is no context ${context}. There is: ${[...kubeconfig.contexts.keys()].join(', ')}.`,
          })
        if (!entry) return []
        return contexts.define(kubeconfig, context, entry.file, clusterNameFrom(context), problems)
      })
      contexts.settle()
      return { clusters, problems }
    },
  )
}

export interface DirectorySourceOptions extends Common {
  /** Absolute. */
  readonly path: string
}

/** Files that are not kubeconfigs by their name – notes, backups, hidden files – are left alone. */
const KUBECONFIG_FILE = /^[^.#][^~]*$/
const OTHER_FILE = /\.(?!kubeconfig$|ya?ml$|json$|conf$|config$)[a-z]{2,4}$/i
const EXTENSIONS = /(\.(kubeconfig|ya?ml|json|conf|config))+$/i

/**
 * Every kubeconfig in a folder, but not in folders below. A file with one context gives a cluster named
 * for the file – installers call their contexts alike, `default` or `kubernetes-admin@kubernetes` –
 * a file with several gives one for each, named for the context.
 */
export function directorySource(options: DirectorySourceOptions): ClusterSource {
  const description = `directory ${options.path}`
  const files = new KubeconfigFiles()
  const contexts = new Contexts(options)
  return watched(
    description,
    options,
    () => Promise.resolve([options.path]),
    async () => {
      const listed = await kubeconfigFilesIn(options.path)
      if (!Array.isArray(listed)) {
        const message = `${description}: cannot be listed (${listed.code}). Create it, or correct path; it is looked for again.`
        // Gone is gone; a folder that cannot be read for a moment is not.
        const clusters = listed.code === 'ENOENT' ? [] : contexts.lastClusters
        return { clusters, problems: [{ source: description, message }] }
      }
      const { read, problems } = await files.read(listed)
      const clusters = [...read].flatMap(([file, kubeconfig]) => {
        const names = [...kubeconfig.contexts.keys()]
        return names.flatMap((context) =>
          contexts.define(
            kubeconfig,
            context,
            file,
            clusterNameFrom(names.length === 1 ? basename(file).replace(EXTENSIONS, '') : context),
            problems,
          ),
        )
      })
      contexts.settle()
      return { clusters, problems }
    },
  )
}

function defaultPaths(env: Readonly<Record<string, string | undefined>>): readonly string[] {
  const listed = (env['KUBECONFIG'] ?? '').split(delimiter).filter((path) => path !== '')
  return listed.length > 0 ? listed : [join(env['HOME'] || homedir(), '.kube', 'config')]
}

interface Found {
  readonly clusters: readonly ClusterDefinition[]
  readonly problems: readonly SourceProblem[]
}

function watched(
  description: string,
  options: WatchedFoldersOptions,
  folders: () => Promise<readonly string[]>,
  find: () => Promise<Found>,
): ClusterSource {
  let watching: WatchedFolders | undefined
  return {
    description,
    start(onChange: SourceListener, signal) {
      if (signal?.aborted) return
      const say = whenChanged(onChange)
      const folder = new WatchedFolders(
        folders,
        async () => {
          const { clusters, problems } = await find()
          if (signal?.aborted || watching !== folder) return
          const { clusters: unique, clashes } = uniqueNames(clusters)
          say(unique, [...problems, ...clashes])
        },
        options,
      )
      watching = folder
      signal?.addEventListener('abort', () => folder.close(), { once: true })
      folder.start()
    },
    close() {
      watching?.close()
      watching = undefined
    },
  }
}

/** Where changes of these files show: beside each, and beside what it links to. */
async function foldersOf(paths: readonly string[]): Promise<readonly string[]> {
  const real = await Promise.all(paths.map((path) => realpath(path).catch(() => path)))
  return [...new Set([...paths, ...real].map((path) => dirname(path)))]
}

async function kubeconfigFilesIn(folder: string): Promise<string[] | NodeJS.ErrnoException> {
  try {
    const names = (await readdir(folder)).sort()
    const files: string[] = []
    for (const name of names) {
      if (!KUBECONFIG_FILE.test(name) || OTHER_FILE.test(name)) continue
      const path = join(folder, name)
      // Follows links, as Kubernetes mounts secrets.
      const found = await stat(path).catch(() => undefined)
      if (found?.isFile()) files.push(path)
    }
    return files
  } catch (error) {
    return error as NodeJS.ErrnoException
  }
}

interface GoodFile {
  readonly content: string
  readonly parsed: Kubeconfig
}

/** Reads files, and remembers the last good content of each. */
class KubeconfigFiles {
  #good = new Map<string, GoodFile>()

  /** In the order of `paths`, without those that do not exist. */
  async read(paths: readonly string[]) {
    const good = new Map<string, GoodFile>()
    const problems: SourceProblem[] = []
    for (const path of paths) {
      const last = this.#good.get(path)
      try {
        const content = await readFile(path, 'utf8')
        if (content === last?.content) good.set(path, last)
        else good.set(path, { content, parsed: parseKubeconfig(content, path) })
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException
        if (code === 'ENOENT') continue
        const what = code === 'INVALID_KUBECONFIG' ? message : `${path}: cannot be read (${code}).`
        const keeps = last ? ' Its last good content stays in use.' : ''
        problems.push({ source: `kubeconfig ${path}`, message: what + keeps })
        if (last) good.set(path, last)
      }
    }
    this.#good = good
    return { read: new Map([...good].map(([path, { parsed }]) => [path, parsed])), problems }
  }
}

const extensionShape = z.strictObject({
  name: z
    .string()
    .refine(isClusterName, 'expected lower-case letters, digits, "-" and "." (RFC 1123)')
    .optional(),
  labels: z.record(z.string(), z.string()).default({}),
})

/** Turns contexts into definitions, and remembers the last good one of each. */
class Contexts {
  readonly #options: Common & Pick<KubeconfigSourceOptions, 'contextLabels'>
  #good = new Map<string, ClusterDefinition>()
  #next = new Map<string, ClusterDefinition>()

  constructor(options: Common & Pick<KubeconfigSourceOptions, 'contextLabels'>) {
    this.#options = options
  }

  get lastClusters(): readonly ClusterDefinition[] {
    return [...this.#good.values()]
  }

  /** None or one; what is wrong is added to `problems`. */
  define(
    kubeconfig: Kubeconfig,
    context: string,
    file: string,
    name: string,
    problems: SourceProblem[],
  ): ClusterDefinition[] {
    const source = `kubeconfig ${file}, context ${context}`
    const key = `${file}\n${context}`
    try {
      const extension = extensionShape.parse(contextExtension(kubeconfig, context, 'fleetgraph') ?? {})
      const cluster = extension.name ?? name
      if (!isClusterName(cluster))
        throw new Error(`no cluster name can be made of ${JSON.stringify(context)}. Rename the context.`)
      const labels = {
        ...this.#options.labels,
        ...extension.labels,
        ...this.#options.contextLabels?.[context],
      }
      const connection = connectionOf(kubeconfig, context, cluster)
      const definition = define(connection, labels, source, this.#options.client)
      this.#next.set(key, definition)
      return [definition]
    } catch (error) {
      const last = this.#good.get(key)
      const what =
        error instanceof z.ZodError
          ? new Error(
              `extension fleetgraph: ${error.issues[0]?.path.join('.')}: ${error.issues[0]?.message}.`,
            )
          : error
      const { message } = problem(source, what)
      problems.push({ source, message: last ? `${message} Its last good state stays in use.` : message })
      if (!last) return []
      this.#next.set(key, last)
      return [last]
    }
  }

  /** After a look: contexts that were not defined in it are forgotten. */
  settle(): void {
    this.#good = this.#next
    this.#next = new Map()
  }
}
