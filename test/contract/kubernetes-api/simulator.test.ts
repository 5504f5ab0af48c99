/** The simulator has to pass, unchanged, what a real API server passes. */
import { randomUUID } from 'node:crypto'
import { KubernetesHttp } from '../../support/kubernetes-http.ts'
import { startSimulatedCluster } from '../../support/simulated-cluster.ts'
import { describeKubernetesApi } from './kubernetes-api.ts'

describeKubernetesApi('the simulator', async () => {
  const cluster = await startSimulatedCluster({ name: 'contract' })
  const { simulator, nodeNames } = cluster
  const http = new KubernetesHttp({ url: simulator.url, token: simulator.token })
  return {
    http,
    minor: 34,
    nodeNames,
    token(user, groups = []) {
      const token = randomUUID()
      simulator.addUser(token, {
        username: user,
        uid: `uid-of-${user}`,
        groups: [...groups, 'system:authenticated'],
      })
      return token
    },
    async expireHistory() {
      simulator.faults.compact()
    },
    async close() {
      await http.close()
      await cluster.close()
    },
  }
})
