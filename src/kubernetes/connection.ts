/**
 * What it takes to reach one API server, as data: where it is, whom to trust, who we are. Made by
 * `kubeconfig.ts` and by the sources of clusters; used up by `api-client.ts`. Plain and comparable: no
 * file is read here, and nothing is resolved.
 */
import type { Impersonation } from './client.ts'

/** PEM text, or the file that holds it; files are re-read, so that rotated certificates count. */
export type Pem = { readonly file: string } | { readonly data: string }

/** `user.exec` of a kubeconfig: a credential plugin, `client.authentication.k8s.io/v1` or `v1beta1`. */
export interface ExecPlugin {
  readonly apiVersion: string
  readonly command: string
  readonly args?: readonly string[]
  readonly env?: readonly { readonly name: string; readonly value: string }[]
  /** Shown when the command is not found. */
  readonly installHint?: string
  readonly provideClusterInfo?: boolean
  /** `Always` needs a terminal and is refused: a gateway has none. */
  readonly interactiveMode?: 'Never' | 'IfAvailable' | 'Always'
  /** Where a relative command with a slash starts: the kubeconfig's folder. */
  readonly directory?: string
}

export interface UserCredentials {
  readonly clientCertificate?: Pem
  readonly clientKey?: Pem
  readonly token?: string
  /** Wins over `token`, and is re-read. */
  readonly tokenFile?: string
  readonly username?: string
  readonly password?: string
  readonly exec?: ExecPlugin
  /** The legacy `auth-provider`: `oidc` is ours, others are client-node's. */
  readonly authProvider?: { readonly name: string; readonly config: Readonly<Record<string, unknown>> }
  /** Who every request is made as, unless the request says otherwise. */
  readonly impersonate?: Impersonation
}

export interface Connection {
  /** The cluster's name, for messages. */
  readonly cluster: string
  /** `https://host:port`, perhaps with a path in front of the API (Rancher, proxies); no trailing slash. */
  readonly server: string
  readonly certificateAuthority?: Pem
  /** The name that the server's certificate is checked against, and SNI. */
  readonly tlsServerName?: string
  readonly insecureSkipTlsVerify?: boolean
  /** `http://`, `https://` or `socks5://`. */
  readonly proxyUrl?: string
  readonly disableCompression?: boolean
  /** Handed to exec plugins that ask for the cluster (`client.authentication.k8s.io/exec`). */
  readonly execConfig?: unknown
  readonly user: UserCredentials
}
