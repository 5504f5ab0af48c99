/** The operations that GraphiQL opens with, over the real schema and within the default limits. */
import { describe, expect, test } from 'vitest'
import { AuthorizedFleet } from '../../src/access/authorized-fleet.ts'
import { everything } from '../../src/access/policy.ts'
import { viewerOf } from '../../src/access/viewer.ts'
import { createContext } from '../../src/graph/context.ts'
import { createSchema } from '../../src/graph/schema.ts'
import { Executor } from '../../src/server/execution.ts'
import { exampleOperations } from '../../src/server/graphiql.ts'
import { silent } from '../../src/server/logger.ts'
import { shopFleet } from '../support/shop.ts'

describe('the tour', () => {
  const { fleet } = shopFleet()
  const executor = new Executor({ schema: createSchema(), logger: silent, rightsKey: () => '' })
  const viewer = viewerOf({ name: 'visitor', groups: [] })
  const context = () => createContext(new AuthorizedFleet(fleet, viewer, everything))
  const asker = { viewer, context, sharedContext: context }

  test('has operations, and a folder without any has none', () => {
    expect(exampleOperations().length).toBeGreaterThan(2)
    expect(exampleOperations('/nowhere')).toEqual([])
  })

  const queries = exampleOperations().flatMap((query) => {
    const name = /^query (\w+)/m.exec(query)?.[1]
    return name ? [[name, query] as const] : []
  })

  test.each(queries)(
    '%s is answered without errors, at first and from compiled code',
    async (_name, query) => {
      const first = await executor.execute({ query }, asker)
      expect(first.errors).toBeUndefined()
      expect(await executor.execute({ query }, asker)).toEqual(first)
    },
  )
})

describe('the large pages of a portal', () => {
  const { fleet } = shopFleet()
  const executor = new Executor({ schema: createSchema(), logger: silent, rightsKey: () => '' })
  const viewer = viewerOf({ name: 'visitor', groups: [] })
  const context = () => createContext(new AuthorizedFleet(fleet, viewer, everything))
  const asker = { viewer, context, sharedContext: context }
  const POD = 'id name namespace cluster { name } phase containers { name image ready restarts }'

  test.each([
    `{ pods(first: 500, filter: { namespaces: ["shop"] }) { totalCount coverage { state reason } nodes {
       ${POD} uid creationTimestamp generation hostIP cpuLimit cpuRequest deletionTimestamp
       labels { key value } conditions { type status reason } } } }`,
    `{ deployments { totalCount nodes { id name namespace cluster { name } pods { nodes { ${POD} } } } } }`,
  ])('are within the default limits: %#', async (query) => {
    expect((await executor.execute({ query }, asker)).errors).toBeUndefined()
  })
})
