/**
 * The naive server of `fanout-naive.ts` before a real API server, which it watches itself: a process of its
 * own.
 */
import { createFleet } from '../../../src/fleet/fleet.ts'
import { configuredSources } from '../../../src/fleet/sources/configured-sources.ts'
import { eventually } from '../../support/eventually.ts'
import { serveNaively } from './fanout-naive.ts'
import { answer } from './remote.ts'

const handlers = {
  /** Before the clusters of a directory of kubeconfigs. Gives its URL when all their pods are there. */
  async serve(directory: string): Promise<string> {
    const fleet = createFleet({
      sources: [configuredSources([{ type: 'directory', path: directory, labels: {} }])],
    })
    await eventually(() => {
      const states = fleet.clusters.map((cluster) => cluster.table('Pod').status.state)
      if (states.length === 0 || states.some((state) => state !== 'CURRENT')) throw new Error(states.join())
    })
    const port = await serveNaively(fleet)
    return `http://127.0.0.1:${port}/graphql`
  },
}
export type NaiveHandlers = typeof handlers

answer(handlers)
