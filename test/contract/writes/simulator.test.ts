/** The simulator has to take our changes as a real API server does. */
import { startSimulatedCluster } from '../../support/simulated-cluster.ts'
import { describeWrites } from './writes.ts'

describeWrites('the simulator', async () => {
  const cluster = await startSimulatedCluster({ name: 'writes' })
  return { kubeconfig: JSON.stringify(cluster.simulator.kubeconfig()), close: () => cluster.close() }
})
