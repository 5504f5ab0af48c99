/** The truth: the contract suite of the Kubernetes API against a real control plane. */
import { describeKubernetesApi } from '../contract/kubernetes-api/kubernetes-api.ts'
import { startRealCluster } from '../support/real-cluster.ts'

describeKubernetesApi('a real control plane', async () => {
  const cluster = await startRealCluster({ name: 'contract' })
  const { plane, nodeNames } = cluster
  return {
    http: plane.http,
    minor: plane.minor,
    nodeNames,
    token: (user, groups) => plane.token(user, groups),
    expireHistory: () => plane.expireHistory(),
    close: () => cluster.close(),
  }
})
