/** A simulated cluster as the feed's suite wants it, with every fault that it can be asked for. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KubernetesHttp } from '../../support/kubernetes-http.ts'
import { startSimulatedCluster } from '../../support/simulated-cluster.ts'
import type { FeedServer } from './feed.ts'

export async function startSimulatedServer(): Promise<FeedServer> {
  const cluster = await startSimulatedCluster({ name: 'feed' })
  const { simulator } = cluster
  const folder = await mkdtemp(join(tmpdir(), 'fleetgraph-feed-'))
  const tokenFile = join(folder, 'token')
  await writeFile(tokenFile, simulator.token)
  simulator.addUser('test-token', {
    username: 'test',
    uid: 'test',
    groups: ['system:masters', 'system:authenticated'],
  })
  const http = new KubernetesHttp({ url: simulator.url, token: 'test-token' })
  const { faults } = simulator
  return {
    http,
    connection: { cluster: 'feed', server: simulator.url, user: { tokenFile } },
    kill: () => faults.kill(),
    revive: () => faults.revive(),
    freeze: () => faults.freeze(),
    thaw: () => faults.thaw(),
    async expireHistory() {
      faults.compact()
      faults.dropWatches()
    },
    async rotateToken() {
      await writeFile(tokenFile, faults.rotateToken())
    },
    faults,
    async close() {
      await http.close()
      await cluster.close()
      await rm(folder, { recursive: true })
    },
  }
}
