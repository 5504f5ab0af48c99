/** How far an answer can be trusted, per cluster. */
import { COVERAGE_STATES, type Coverage, type CoverageState } from '../access/coverage.ts'
import { builder } from './builder.ts'

const CoverageStateRef = builder.enumType('CoverageState', {
  description: 'How complete and fresh what was read from a cluster is.',
  values: {
    CURRENT: { description: 'Complete, and followed as it changes.' },
    NOT_SERVED: { description: 'The cluster does not serve this kind: there is nothing to miss.' },
    STALE: { description: 'Complete as of `asOf`, but not followed at the moment.' },
    SYNCING: { description: 'Still being read for the first time: objects may be missing.' },
    FORBIDDEN: { description: 'You, or the gateway, may not list this kind in the cluster.' },
    UNREACHABLE: { description: 'The cluster does not answer; what is shown was true as of `asOf`.' },
  } satisfies Record<CoverageState, { description: string }>,
})

export const CoverageRef = builder.objectRef<Coverage>('Coverage').implement({
  description: 'How complete and how fresh an answer is for one cluster.',
  fields: (t) => ({
    cluster: t.exposeString('cluster', { description: 'Name of the cluster.' }),
    state: t.expose('state', {
      type: CoverageStateRef,
      description: `The worst state of the kinds asked for, in the order ${COVERAGE_STATES.join(', ')}.`,
    }),
    since: t.field({
      type: 'DateTime',
      description: 'Since when it has been in this state.',
      resolve: (coverage) => new Date(coverage.since),
    }),
    asOf: t.field({
      type: 'DateTime',
      nullable: true,
      description:
        'When the content was last known to be complete; null if it never was. It moves on all the time: an answer that holds it is never served from the cache.',
      resolve: (coverage, _arguments, { fleet }) => {
        fleet.reads.noteVolatile()
        return coverage.asOf === null ? null : new Date(coverage.asOf)
      },
    }),
    reason: t.exposeString('reason', {
      nullable: true,
      description: 'A sentence for a person: what is wrong and what to do. Null when CURRENT.',
    }),
  }),
})
