/** The truth: the steps of changes against a real control plane. */
import { describeWrites } from '../contract/writes/writes.ts'
import { startRealCluster } from '../support/real-cluster.ts'

describeWrites('a real control plane', async () => {
  const cluster = await startRealCluster({ name: 'writes' })
  return { kubeconfig: cluster.plane.kubeconfig.text, close: () => cluster.close() }
})
