/** The GraphQL over HTTP specification, by the audits that its working group wrote, over a real socket. */
import { auditServer } from 'graphql-http'
import { describe, expect, test } from 'vitest'
import { AuthorizedFleet } from '../../src/access/authorized-fleet.ts'
import { everything } from '../../src/access/policy.ts'
import { viewerOf } from '../../src/access/viewer.ts'
import { createContext } from '../../src/graph/context.ts'
import { createSchema } from '../../src/graph/schema.ts'
import { silent } from '../../src/server/logger.ts'
import { startServer } from '../../src/server/server.ts'
import { shopFleet } from '../support/shop.ts'
import { zoo, zooAccess } from './zoo.ts'

const user = viewerOf({ name: 'visitor', groups: [] })
const { fleet } = shopFleet()

const SCHEMAS = {
  'every feature': { schema: zoo, access: zooAccess() },
  'the fleet': {
    schema: createSchema(),
    access: {
      authenticate: () => user,
      onEnd: () => () => {},
      contextFor: () => createContext(new AuthorizedFleet(fleet, user, everything)),
    },
  },
}

describe('GraphQL over HTTP', () => {
  test.each(Object.entries(SCHEMAS))(
    'passes every MUST and SHOULD over a schema of %s',
    async (_name, setup) => {
      const server = await startServer({
        ...setup,
        policy: everything,
        fleet,
        options: { port: 0, introspection: true },
        logger: silent,
      })
      try {
        const results = await auditServer({ url: `${server.url}/graphql` })
        expect(results.length).toBe(61)
        const failures = results.filter(({ status, name }) => status !== 'ok' && !name.startsWith('MAY'))
        expect(
          failures.map((audit) => `${audit.id} ${audit.name}: ${'reason' in audit ? audit.reason : ''}`),
        ).toEqual([])
      } finally {
        await server.close({ graceMs: 0 })
      }
    },
  )
})
