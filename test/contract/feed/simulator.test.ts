/** The feed over a simulated cluster, with every fault that it can be asked for. */
import { describeFeed } from './feed.ts'
import { startSimulatedServer } from './simulated-server.ts'

describeFeed('a simulated cluster', startSimulatedServer, {
  frozenMs: 0,
  churnMs: 1_000,
  churnRate: 50,
  timeoutMs: 90_000,
})
