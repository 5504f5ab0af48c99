/**
 * Sources that stand in the configuration itself: servers named one by one, the cluster that the gateway
 * runs in, and the one function that turns the configuration's `clusters` into a source. Files that they
 * name (tokens, certificates) are re-read by the client; there is nothing else to watch.
 */
import { access } from 'node:fs/promises'
import { isIPv6 } from 'node:net'
import { join } from 'node:path'
import type { ApiClientOptions } from '../../kubernetes/api-client.ts'
import type { Connection, Pem, UserCredentials } from '../../kubernetes/connection.ts'
import type { LabelSet } from '../../kubernetes/rows.ts'
import { systemClock, type Clock } from '../clock.ts'
import { define, whenChanged } from './definition.ts'
import { directorySource, kubeconfigSource } from './kubeconfig-source.ts'
import {
  combineSources,
  isClusterName,
  type ClusterDefinition,
  type ClusterSource,
  type SourceProblem,
} from './source.ts'
import type { WatchedFoldersOptions } from './watched-folders.ts'

/** An API server by its address. Paths are absolute. */
interface ServerEntry {
  readonly name: string
  readonly server: string
  readonly labels?: LabelSet
  readonly caFile?: string | undefined
  /** PEM. */
  readonly caData?: string | undefined
  readonly tlsServerName?: string | undefined
  readonly insecureSkipTlsVerify?: boolean | undefined
  readonly proxyUrl?: string | undefined
  readonly disableCompression?: boolean | undefined
  readonly token?: string | undefined
  readonly tokenFile?: string | undefined
  readonly clientCertificateFile?: string | undefined
  readonly clientKeyFile?: string | undefined
}

function serverSource(entries: readonly ServerEntry[], client?: ApiClientOptions): ClusterSource {
  const description = `configuration (${entries.map(({ name }) => name).join(', ')})`
  const wrong = entries.filter(({ name }) => !isClusterName(name))
  return once(description, () => ({
    clusters: entries
      .filter(({ name }) => isClusterName(name))
      .map((entry) =>
        define(connectionTo(entry), entry.labels ?? {}, `configuration, cluster ${entry.name}`, client),
      ),
    problems: wrong.map(({ name }) => ({
      source: description,
      message: `configuration: ${JSON.stringify(name)} is no cluster name: expected lower-case letters, digits, "-" and "." (RFC 1123).`,
    })),
  }))
}

function connectionTo(entry: ServerEntry): Connection {
  const ca = pem(entry.caFile, entry.caData)
  const clientCertificate = pem(entry.clientCertificateFile, undefined)
  const clientKey = pem(entry.clientKeyFile, undefined)
  const user: UserCredentials = {
    ...(entry.token !== undefined && { token: entry.token }),
    ...(entry.tokenFile !== undefined && { tokenFile: entry.tokenFile }),
    ...(clientCertificate && { clientCertificate }),
    ...(clientKey && { clientKey }),
  }
  return {
    cluster: entry.name,
    server: entry.server.replace(/\/+$/, ''),
    ...(ca && { certificateAuthority: ca }),
    ...(entry.tlsServerName !== undefined && { tlsServerName: entry.tlsServerName }),
    ...(entry.insecureSkipTlsVerify && { insecureSkipTlsVerify: true }),
    ...(entry.proxyUrl !== undefined && { proxyUrl: entry.proxyUrl }),
    ...(entry.disableCompression && { disableCompression: true }),
    user,
  }
}

function pem(file: string | undefined, data: string | undefined): Pem | undefined {
  if (data !== undefined) return { data }
  return file === undefined ? undefined : { file }
}

export interface InClusterSourceOptions {
  readonly name: string
  readonly labels?: LabelSet
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Where Kubernetes mounts the service account. Default `/var/run/secrets/kubernetes.io/serviceaccount`. */
  readonly root?: string
  readonly client?: ApiClientOptions
  readonly clock?: Clock
  /** How often to look again where the service account is not mounted. Default 10,000. */
  readonly pollMs?: number
}

/**
 * The cluster that this process runs in, as its pod's service account.
 * https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/
 */
export function inClusterSource(options: InClusterSourceOptions): ClusterSource {
  const {
    env = process.env,
    root = '/var/run/secrets/kubernetes.io/serviceaccount',
    clock = systemClock,
    pollMs = 10_000,
  } = options
  const description = 'in-cluster service account'
  let close = (): void => {}
  return {
    description,
    start(onChange, signal) {
      if (signal?.aborted) return
      const say = whenChanged(onChange)
      let cancelTimer = (): void => {}
      let closed = false
      close = () => {
        closed = true
        cancelTimer()
      }
      signal?.addEventListener('abort', close, { once: true })
      const look = async (): Promise<void> => {
        const host = env['KUBERNETES_SERVICE_HOST']
        const port = env['KUBERNETES_SERVICE_PORT'] ?? '443'
        const tokenFile = join(root, 'token')
        const mounted = await access(tokenFile).then(
          () => true,
          () => false,
        )
        if (closed) return
        if (host && mounted) {
          const server = `https://${isIPv6(host) ? `[${host}]` : host}:${port}`
          const connection = {
            cluster: options.name,
            server,
            certificateAuthority: { file: join(root, 'ca.crt') },
            user: { tokenFile },
          }
          say([define(connection, options.labels ?? {}, description, options.client)], [])
          return
        }
        const missing = host ? `there is no ${tokenFile}` : 'KUBERNETES_SERVICE_HOST is not set'
        const message = `${description}: ${missing}. Run in a pod with its service account mounted, or take inCluster out of the configuration.`
        say([], [{ source: description, message }])
        // Without the variable no wait helps: it cannot change in a running process.
        if (host) cancelTimer = clock.after(pollMs, () => void look())
      }
      void look()
    },
    close: () => close(),
  }
}

/** Says its clusters once. */
function once(
  description: string,
  find: () => {
    readonly clusters: readonly ClusterDefinition[]
    readonly problems: readonly SourceProblem[]
  },
): ClusterSource {
  let closed = false
  return {
    description,
    start(onChange, signal) {
      queueMicrotask(() => {
        if (closed || signal?.aborted) return
        const { clusters, problems } = find()
        onChange(clusters, problems)
      })
    },
    close() {
      closed = true
    },
  }
}

/** One entry of the configuration's `clusters`. */
export type ClusterSourceEntry =
  | {
      readonly type: 'kubeconfig'
      readonly paths?: readonly string[] | undefined
      readonly contexts?: readonly string[] | undefined
      readonly labels?: LabelSet
      readonly contextLabels?: Readonly<Record<string, LabelSet>>
    }
  | { readonly type: 'directory'; readonly path: string; readonly labels?: LabelSet }
  | { readonly type: 'inCluster'; readonly name: string; readonly labels?: LabelSet }
  | ({ readonly type: 'server' } & ServerEntry)

export interface ConfiguredSourcesOptions extends WatchedFoldersOptions {
  readonly client?: ApiClientOptions
  readonly env?: Readonly<Record<string, string | undefined>>
}

/** All entries as one source; where names clash, the earlier entry wins. */
export function configuredSources(
  entries: readonly ClusterSourceEntry[],
  options: ConfiguredSourcesOptions = {},
): ClusterSource {
  return combineSources(
    entries.map((entry) => {
      switch (entry.type) {
        case 'kubeconfig': {
          const { paths, contexts, ...rest } = entry
          return kubeconfigSource({
            ...options,
            ...rest,
            ...(paths && { paths }),
            ...(contexts && { contexts }),
          })
        }
        case 'directory':
          return directorySource({ ...options, ...entry })
        case 'inCluster':
          return inClusterSource({ ...options, ...entry })
        case 'server':
          return serverSource([entry], options.client)
      }
    }),
  )
}
