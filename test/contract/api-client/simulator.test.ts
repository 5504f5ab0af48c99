/** The simulator has to serve our client as a real API server does. */
import { startSimulatedCluster } from '../../support/simulated-cluster.ts'
import { describeApiClient } from './api-client.ts'

describeApiClient('the simulator', async () => {
  const cluster = await startSimulatedCluster({ name: 'client' })
  return {
    kubeconfig: JSON.stringify(cluster.simulator.kubeconfig()),
    minor: 34,
    close: () => cluster.close(),
  }
})
