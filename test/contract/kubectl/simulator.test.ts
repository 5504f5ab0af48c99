/** kubectl cannot tell the simulator from a cluster: the same commands, the same answers. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'vitest'
import { findKubectl, Kubectl } from '../../support/kubectl.ts'
import { startSimulatedCluster } from '../../support/simulated-cluster.ts'
import { describeKubectl } from './kubectl.ts'

const path = await findKubectl()

if (path === undefined) {
  describe('kubectl against the simulator', () => {
    test.skip('no kubectl here: `npm run e2e:assets` builds one, or put one on the PATH', () => undefined)
  })
} else {
  describeKubectl('the simulator', async () => {
    const cluster = await startSimulatedCluster({ name: 'kubectl', tls: true })
    const { simulator, nodeNames } = cluster
    const dir = await mkdtemp(join(tmpdir(), 'fleetgraph-kubectl-'))
    const kubeconfig = join(dir, 'kubeconfig')
    await writeFile(kubeconfig, JSON.stringify(simulator.kubeconfig()))
    const kubectl = new Kubectl(path, kubeconfig, join(dir, 'cache'))
    return {
      kubectl,
      minor: 34,
      nodeNames,
      async close() {
        await kubectl.close()
        await cluster.close()
        await rm(dir, { recursive: true, force: true })
      },
    }
  })
}
