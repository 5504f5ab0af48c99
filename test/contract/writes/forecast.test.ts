/** The simulator has to answer what a forecast asks as a real API server does. */
import { startSimulatedCluster } from '../../support/simulated-cluster.ts'
import { describeForecast } from './forecast.ts'

describeForecast('the simulator', async () => {
  const cluster = await startSimulatedCluster({ name: 'forecast' })
  return { kubeconfig: JSON.stringify(cluster.simulator.kubeconfig()), close: () => cluster.close() }
})
