/** The truth: our client against a real control plane, over TLS, HTTP/2 and a client certificate. */
import { startRealCluster } from '../support/real-cluster.ts'
import { describeApiClient } from '../contract/api-client/api-client.ts'

describeApiClient('a real control plane', async () => {
  const cluster = await startRealCluster({ name: 'client' })
  return {
    kubeconfig: cluster.plane.kubeconfig.text,
    minor: cluster.plane.minor,
    close: () => cluster.close(),
  }
})
