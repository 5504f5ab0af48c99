/** The truth: what kubectl shows of a real control plane. */
import { describeKubectl } from '../contract/kubectl/kubectl.ts'
import { startRealCluster } from '../support/real-cluster.ts'

describeKubectl('a real control plane', async () => {
  const cluster = await startRealCluster({ name: 'kubectl' })
  const { plane, nodeNames } = cluster
  return { kubectl: plane.kubectlClient, minor: plane.minor, nodeNames, close: () => cluster.close() }
})
