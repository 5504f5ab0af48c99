/**
 * The feed through Redis: another replica watches the simulated cluster, and what it publishes is what the
 * tables under test follow. Whatever befalls the API server, they are as those of the one that watches.
 */
import { Replication } from '../../../src/events/redis/replication.ts'
import { createFleet } from '../../../src/fleet/fleet.ts'
import { eventually } from '../../support/eventually.ts'
import { startRedisServer } from '../../support/redis-server.ts'
import { describeFeed, type FedFleet } from './feed.ts'
import { startSimulatedServer } from './simulated-server.ts'

describeFeed('a replica that follows another through Redis', startSimulatedServer, {
  frozenMs: 0,
  churnMs: 1_000,
  churnRate: 50,
  timeoutMs: 90_000,
  async start(source): Promise<FedFleet> {
    const redis = await startRedisServer()
    const [owner, follower] = [1, 2].map(
      (number) => new Replication({ url: redis.url, prefix: 'test', replica: `replica-${number}` }),
    ) as [Replication, Replication]
    const watching = createFleet({ sources: [source()], feeding: owner.feeding })
    await eventually(() => {
      if (owner.state.owned.length === 0) throw new Error('nobody has got the lease yet')
    })
    const fleet = createFleet({ sources: [source()], feeding: follower.feeding })
    return {
      fleet,
      async close() {
        // Where it had watched itself, this suite would have said nothing of Redis.
        const followed = follower.state.followed.length
        await Promise.all([fleet.close(), watching.close()])
        await Promise.all([follower.close(), owner.close()])
        await redis.close()
        if (followed !== 1) throw new Error('the fleet under test has watched the cluster by itself')
      },
    }
  },
})
