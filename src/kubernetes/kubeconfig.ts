/**
 * Kubeconfig files as kubectl reads them (`client.config.k8s.io/v1`): parsed with positions, merged,
 * and turned into `Connection`s. Reads no file and connects to nothing.
 * https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
 *
 * Not client-node's KubeConfig: that one drops `tokenFile`, `as-groups`, `as-uid`, `as-user-extra`,
 * `disable-compression` and extensions, lets files beat data where kubectl lets data beat files, throws
 * on names that two merged files share where kubectl takes the first, and names no line in its errors.
 */
import { dirname, isAbsolute, resolve } from 'node:path'
import { LineCounter, parseDocument, type Document } from 'yaml'
import * as z from 'zod'
import type { Connection, ExecPlugin, Pem, UserCredentials } from './connection.ts'

/** A file that is no kubeconfig, or not a whole one. `message` starts with `file:line`. */
export class KubeconfigError extends Error {
  override readonly name = 'KubeconfigError'
  readonly code = 'INVALID_KUBECONFIG'
  readonly file: string
  /** From 1. */
  readonly line: number

  constructor(file: string, line: number, text: string, cause?: unknown) {
    super(`${file}:${line}: ${text}`, { cause })
    this.file = file
    this.line = line
  }
}

/** Empty strings count as absent, as in Go. */
const text = z
  .string()
  .nullish()
  .transform((value) => (value === '' || value === null ? undefined : value))
const base64 = text.refine((value) => value === undefined || /^[\sA-Za-z0-9+/]+={0,2}\s*$/.test(value), {
  message: 'expected base64',
})
const list = <T extends z.ZodType>(entry: T) =>
  z
    .array(entry)
    .nullish()
    .transform((value) => value ?? [])

const extensions = list(z.object({ name: z.string(), extension: z.unknown() }))

const clusterShape = z.object({
  server: z.url({ protocol: /^https?$/, message: 'expected a URL, http or https' }),
  'tls-server-name': text,
  'insecure-skip-tls-verify': z.boolean().nullish(),
  'certificate-authority': text,
  'certificate-authority-data': base64,
  'proxy-url': text.refine(
    (value) => value === undefined || /^(https?|socks5h?):\/\//.test(value),
    'expected a URL, http, https or socks5',
  ),
  'disable-compression': z.boolean().nullish(),
  extensions,
})

const userShape = z
  .object({
    'client-certificate': text,
    'client-certificate-data': base64,
    'client-key': text,
    'client-key-data': base64,
    token: text,
    tokenFile: text,
    as: text,
    'as-uid': text,
    'as-groups': list(z.string()),
    'as-user-extra': z.record(z.string(), z.array(z.string())).nullish(),
    username: text,
    password: text,
    'auth-provider': z
      .object({ name: z.string(), config: z.record(z.string(), z.unknown()).nullish() })
      .nullish(),
    exec: z
      .object({
        apiVersion: z.string(),
        command: z.string().min(1),
        args: list(z.string()),
        env: list(z.object({ name: z.string(), value: z.string() })),
        installHint: text,
        provideClusterInfo: z.boolean().nullish(),
        interactiveMode: z.enum(['Never', 'IfAvailable', 'Always']).nullish(),
      })
      .nullish(),
  })
  .nullish()

const shape = z.object({
  clusters: list(z.object({ name: z.string(), cluster: clusterShape })),
  users: list(z.object({ name: z.string(), user: userShape })),
  contexts: list(
    z.object({
      name: z.string(),
      context: z.object({ cluster: z.string(), user: text, namespace: text, extensions }),
    }),
  ),
  'current-context': text,
})

type Shape = z.infer<typeof shape>
type ClusterEntry = Shape['clusters'][number]['cluster']
type UserEntry = Shape['users'][number]['user']
type ContextEntry = Shape['contexts'][number]['context']

/** An entry, and where it stands: for relative paths and for messages. */
interface Located<T> {
  readonly value: T
  readonly file: string
  readonly line: number
}

export interface Kubeconfig {
  readonly clusters: ReadonlyMap<string, Located<ClusterEntry>>
  readonly users: ReadonlyMap<string, Located<UserEntry>>
  readonly contexts: ReadonlyMap<string, Located<ContextEntry>>
  readonly currentContext: string | undefined
}

/** `file` is for messages and relative paths. Throws `KubeconfigError`. */
export function parseKubeconfig(content: string, file: string): Kubeconfig {
  const lines = new LineCounter()
  const document = parseDocument(content, { lineCounter: lines })
  const [broken] = document.errors
  if (broken)
    throw new KubeconfigError(
      file,
      lines.linePos(broken.pos[0]).line,
      `not valid YAML: ${broken.message.split('\n', 1)[0]}`,
    )
  const input: unknown = document.toJS()
  if (typeof input !== 'object' || input === null || Array.isArray(input))
    throw new KubeconfigError(file, 1, 'empty, or no kubeconfig: expected clusters, users and contexts.')
  const result = shape.safeParse(input)
  if (!result.success) {
    const issue = result.error.issues[0] as z.core.$ZodIssue
    const key = issue.path.map(String).join('.')
    throw new KubeconfigError(file, lineOf(document, lines, issue.path), `${key}: ${issue.message}.`)
  }
  if (result.data.clusters.length === 0 || result.data.contexts.length === 0)
    throw new KubeconfigError(
      file,
      1,
      'no kubeconfig, or only a part of one: it has no clusters or no contexts.',
    )
  const { clusters, users, contexts } = result.data
  const place = <T>(key: string, index: number, value: T): Located<T> => ({
    value,
    file,
    line: lineOf(document, lines, [key, index]),
  })
  return {
    clusters: first(clusters.map(({ name, cluster }, i) => [name, place('clusters', i, cluster)])),
    users: first(users.map(({ name, user }, i) => [name, place('users', i, user)])),
    contexts: first(contexts.map(({ name, context }, i) => [name, place('contexts', i, context)])),
    currentContext: result.data['current-context'],
  }
}

/** As KUBECONFIG with several files: the first to name a cluster, user, context or current-context wins. */
export function mergeKubeconfigs(files: readonly Kubeconfig[]): Kubeconfig {
  return {
    clusters: first(files.flatMap(({ clusters }) => [...clusters])),
    users: first(files.flatMap(({ users }) => [...users])),
    contexts: first(files.flatMap(({ contexts }) => [...contexts])),
    currentContext: files.find(({ currentContext }) => currentContext !== undefined)?.currentContext,
  }
}

/**
 * How to reach the cluster of a context. Paths become absolute, against the file that they stand in.
 * `cluster` is the name for messages. Throws `KubeconfigError` where the context, its cluster or user is
 * missing.
 */
export function connectionOf(kubeconfig: Kubeconfig, context: string, cluster = context): Connection {
  const entry = kubeconfig.contexts.get(context)
  if (!entry) {
    const known = [...kubeconfig.contexts.keys()].join(', ')
    throw new KubeconfigError('kubeconfig', 1, `there is no context ${context}. There is: ${known}.`)
  }
  const named = <T>(what: string, entries: ReadonlyMap<string, Located<T>>, name: string): Located<T> => {
    const found = entries.get(name)
    if (found) return found
    throw new KubeconfigError(
      entry.file,
      entry.line,
      `context ${context} names the ${what} ${name}, which does not exist.`,
    )
  }
  const server = named('cluster', kubeconfig.clusters, entry.value.cluster)
  const user = entry.value.user === undefined ? undefined : named('user', kubeconfig.users, entry.value.user)
  const at = pathsOf(server.file)
  const exec = extension(server.value.extensions, 'client.authentication.k8s.io/exec')
  return defined<Connection>({
    cluster,
    server: server.value.server.replace(/\/+$/, ''),
    certificateAuthority: pem(
      at(server.value['certificate-authority']),
      server.value['certificate-authority-data'],
    ),
    tlsServerName: server.value['tls-server-name'],
    insecureSkipTlsVerify: server.value['insecure-skip-tls-verify'] || undefined,
    proxyUrl: server.value['proxy-url'],
    disableCompression: server.value['disable-compression'] || undefined,
    execConfig: exec,
    user: user ? credentials(user) : {},
  })
}

/** What a context's `extensions` hold under the name, e.g. `fleetgraph`. */
export function contextExtension(kubeconfig: Kubeconfig, context: string, name: string): unknown {
  return extension(kubeconfig.contexts.get(context)?.value.extensions ?? [], name)
}

function credentials({ value, file }: Located<UserEntry>): UserCredentials {
  if (!value) return {}
  const at = pathsOf(file)
  const { exec } = value
  return defined<UserCredentials>({
    clientCertificate: pem(at(value['client-certificate']), value['client-certificate-data']),
    clientKey: pem(at(value['client-key']), value['client-key-data']),
    token: value.token,
    tokenFile: at(value.tokenFile),
    username: value.username,
    password: value.password,
    exec:
      exec &&
      defined<ExecPlugin>({
        ...exec,
        provideClusterInfo: exec.provideClusterInfo ?? undefined,
        interactiveMode: exec.interactiveMode ?? undefined,
        directory: dirname(resolve(file)),
      }),
    authProvider: value['auth-provider']
      ? { name: value['auth-provider'].name, config: value['auth-provider'].config ?? {} }
      : undefined,
    impersonate:
      value.as === undefined
        ? undefined
        : defined({
            user: value.as,
            uid: value['as-uid'],
            groups: value['as-groups'],
            extra: value['as-user-extra'] ?? undefined,
          }),
  })
}

/** Data overrides the file, as in kubectl. */
function pem(file: string | undefined, data: string | undefined): Pem | undefined {
  if (data !== undefined) return { data: Buffer.from(data, 'base64').toString() }
  return file === undefined ? undefined : { file }
}

function pathsOf(file: string): (path: string | undefined) => string | undefined {
  return (path) => (path === undefined || isAbsolute(path) ? path : resolve(dirname(resolve(file)), path))
}

function extension(list: ContextEntry['extensions'], name: string): unknown {
  return list.find((entry) => entry.name === name)?.extension
}

function first<T>(entries: readonly (readonly [string, T])[]): Map<string, T> {
  const map = new Map<string, T>()
  for (const [name, value] of entries) if (!map.has(name)) map.set(name, value)
  return map
}

/** The same without keys that hold undefined or null, which `exactOptionalPropertyTypes` tells apart. */
function defined<T extends object>(value: { [K in keyof T]: T[K] | undefined | null }): T {
  return Object.fromEntries(
    Object.entries(value).filter(([, part]) => part !== undefined && part !== null),
  ) as T
}

/** Of the node at the path, or of the nearest one above it. */
function lineOf(document: Document, lines: LineCounter, path: readonly PropertyKey[]): number {
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length), true)
    const range = (node as { range?: readonly number[] | null } | undefined)?.range
    if (range) return lines.linePos(range[0] ?? 0).line
  }
  return 1
}
