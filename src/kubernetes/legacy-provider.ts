/**
 * The old `auth-provider` entries of clouds (`gcp`, `azure`), which kubectl dropped in 1.26 and client-node
 * still carries: its KubeConfig computes the `Authorization` header. It is loaded on first use only,
 * because importing it costs 90 MB of memory and a third of a second.
 */
import type { KubeConfig } from '@kubernetes/client-node'
import { TransportError } from './client.ts'
import type { Connection, UserCredentials } from './connection.ts'
import type { Credential, Credentials } from './credentials.ts'
import { SharedWork } from './shared-work.ts'

export function legacyProvider(
  connection: Connection,
  authProvider: NonNullable<UserCredentials['authProvider']>,
): Credentials {
  let kubeConfig: KubeConfig | undefined
  let kept: Credential = {}
  const work = new SharedWork(async () => {
    try {
      kubeConfig ??= await load(authProvider)
      const options: { headers?: Record<string, string> } = {}
      await kubeConfig.applyToHTTPSOptions(options)
      const authorization = options.headers?.['Authorization'] ?? ''
      if (authorization === '') throw new Error('it gave no token')
      if (authorization !== kept.authorization) kept = { authorization }
      return kept
    } catch (error) {
      throw new TransportError(
        'CREDENTIALS',
        `Cluster ${connection.cluster}: auth-provider ${authProvider.name} gives no credentials (${(error as Error).message}). Replace it by an exec plugin.`,
        error,
      )
    }
  })
  return {
    get: (signal) => work.join(signal),
    reject() {
      // A new KubeConfig has no cached token.
      kubeConfig = undefined
      return true
    },
    close: () => work.stop(),
  }
}

async function load(authProvider: NonNullable<UserCredentials['authProvider']>): Promise<KubeConfig> {
  const { KubeConfig } = await import('@kubernetes/client-node')
  const config = new KubeConfig()
  // Only the header is wanted: where the server is and how to trust it is not its affair.
  config.loadFromClusterAndUser(
    { name: 'cluster', server: 'https://localhost', skipTLSVerify: false },
    { name: 'user', authProvider: structuredClone(authProvider) },
  )
  return config
}
