/** The truth: every mutation over real control planes, whose audit logs tell who has written. */
import { startRealCluster } from '../support/real-cluster.ts'
import { describeMutations } from '../contract/mutations/mutations.ts'
import { GATEWAY_USER } from '../contract/mutations/world.ts'

const WRITES = new Set(['create', 'update', 'patch', 'delete', 'deletecollection'])

describeMutations('real control planes', async (name) => {
  const cluster = await startRealCluster({ name, nodes: 2 })
  const { plane } = cluster
  return {
    name,
    http: plane.http,
    url: plane.url,
    ca: plane.ca,
    token: plane.token(GATEWAY_USER),
    kill: () => plane.killApiServer(),
    revive: () => plane.startApiServer(),
    freeze: async () => plane.stopApiServer(),
    thaw: async () => plane.continueApiServer(),
    async audit() {
      return (await plane.auditLog())
        .filter(
          ({ verb, user, stage, objectRef }) =>
            WRITES.has(verb) &&
            stage === 'ResponseComplete' &&
            user.username === GATEWAY_USER &&
            !objectRef?.resource?.endsWith('reviews'),
        )
        .map(({ verb, user, impersonatedUser, requestURI }) => ({
          by: user.username ?? '',
          as: impersonatedUser?.username,
          what: `${verb} ${requestURI}`,
        }))
    },
    close: () => cluster.close(),
  }
})
