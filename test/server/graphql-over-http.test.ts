/** The GraphQL over HTTP specification, by the audits that its working group wrote, over a real socket. */
import { auditServer } from 'graphql-http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { everything } from '../../src/access/authorized-fleet.ts'
import { silent } from '../../src/server/logger.ts'
import { startServer, type RunningServer } from '../../src/server/server.ts'
import { zoo, zooAccess } from './zoo.ts'

let server: RunningServer

beforeAll(async () => {
  server = await startServer({
    schema: zoo,
    access: zooAccess(),
    policy: everything,
    fleet: { clusters: [] },
    options: { port: 0, introspection: true },
    logger: silent,
  })
})

afterAll(() => server.close({ graceMs: 0 }))

describe('GraphQL over HTTP', () => {
  test('passes every MUST and SHOULD of the audits', async () => {
    const results = await auditServer({ url: `${server.url}/graphql` })
    expect(results.length).toBe(61)
    const failures = results.filter(({ status, name }) => status !== 'ok' && !name.startsWith('MAY'))
    expect(
      failures.map((audit) => `${audit.id} ${audit.name}: ${'reason' in audit ? audit.reason : ''}`),
    ).toEqual([])
  })
})
