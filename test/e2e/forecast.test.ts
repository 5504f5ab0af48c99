/** The truth: what is reckoned of a change against a real control plane. */
import { describeForecast } from '../contract/writes/forecast.ts'
import { startRealCluster } from '../support/real-cluster.ts'

describeForecast('a real control plane', async () => {
  const cluster = await startRealCluster({ name: 'forecast' })
  return { kubeconfig: cluster.plane.kubeconfig.text, close: () => cluster.close() }
})
