/** Every mutation as users meet it: a gateway process over simulated clusters. */
import { KubernetesHttp } from '../support/kubernetes-http.ts'
import { startSimulatedCluster } from '../support/simulated-cluster.ts'
import { describeMutations } from '../contract/mutations/mutations.ts'
import { GATEWAY_USER } from '../contract/mutations/world.ts'

const TOKEN = 'of-the-gateway'

describeMutations('simulated clusters', async (name) => {
  const cluster = await startSimulatedCluster({ name })
  const { simulator } = cluster
  simulator.addUser(TOKEN, { username: GATEWAY_USER, groups: [] })
  const http = new KubernetesHttp({ url: simulator.url, token: simulator.token })
  return {
    name,
    http,
    url: simulator.url,
    ca: undefined,
    token: TOKEN,
    kill: () => simulator.faults.kill(),
    revive: () => simulator.faults.revive(),
    freeze: async () => simulator.faults.freeze(),
    thaw: async () => simulator.faults.thaw(),
    holdWatches: () => simulator.faults.holdWatches(),
    releaseWatches: () => simulator.faults.releaseWatches(),
    async close() {
      await http.close()
      await cluster.close()
    },
  }
})
