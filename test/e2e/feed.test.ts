/**
 * The truth: the feed over a real control plane that is killed, frozen, made to forget and given new
 * credentials. `FLEETGRAPH_E2E_LONG=1` freezes it for two minutes and changes objects for one.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeFeed } from '../contract/feed/feed.ts'
import { startRealCluster } from '../support/real-cluster.ts'

const long = process.env['FLEETGRAPH_E2E_LONG'] === '1'

describeFeed(
  'a real control plane',
  async () => {
    const cluster = await startRealCluster({ name: 'feed' })
    const { plane } = cluster
    const folder = await mkdtemp(join(tmpdir(), 'fleetgraph-feed-'))
    const tokenFile = join(folder, 'token')
    await plane.rotateToken(tokenFile)
    return {
      http: plane.http,
      connection: {
        cluster: 'feed',
        server: plane.url,
        certificateAuthority: { data: plane.ca },
        user: { tokenFile },
      },
      kill: () => plane.killApiServer(),
      revive: () => plane.startApiServer(),
      freeze: () => plane.stopApiServer(),
      thaw: () => plane.continueApiServer(),
      expireHistory: () => plane.expireHistory(),
      async rotateToken() {
        await plane.rotateToken(tokenFile)
      },
      // The gate of streaming lists: on in 1.32, off in 1.33, on from 1.34.
      ...(plane.minor >= 34 && {
        async lists() {
          const log = await plane.auditLog()
          return log.filter(({ verb, userAgent }) => verb === 'list' && userAgent === 'fleetgraph').length
        },
      }),
      async close() {
        await cluster.close()
        await rm(folder, { recursive: true })
      },
    }
  },
  long
    ? { frozenMs: 120_000, churnMs: 60_000, churnRate: 50, timeoutMs: 600_000 }
    : { frozenMs: 20_000, churnMs: 5_000, churnRate: 25, timeoutMs: 240_000 },
)
