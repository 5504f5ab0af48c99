import { defineConfig } from 'vitest/config'

/**
 * Packages resolve as Node resolves them. Vite's own conditions take `graphql`'s development build for our
 * imports while graphql-jit gets the other one, and types of one are none of the other.
 */
const ssr = { resolve: { conditions: ['module-sync', 'node', 'import'] } }

/**
 * Four projects, by what they need: nothing but Node (`unit`, `contract`), processes and sockets of
 * our own (`gateway`), and real Kubernetes control planes (`e2e`, built by `npm run e2e:assets`).
 */
export default defineConfig({
  test: {
    projects: [
      {
        ssr,
        test: {
          name: 'unit',
          include: [
            'test/{kubernetes,fleet,events,access,writes,graph,server,simulator,config}/**/*.test.ts',
          ],
          // On a machine that has much else to do.
          testTimeout: 20_000,
        },
      },
      { ssr, test: { name: 'contract', include: ['test/contract/**/*.test.ts'], testTimeout: 30_000 } },
      {
        ssr,
        test: {
          name: 'gateway',
          include: ['test/gateway/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        ssr,
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 180_000,
          fileParallelism: false,
        },
      },
    ],
  },
})
