/** Deployment: replicas that are rolled out revision by revision. */
import { placeList } from '../place.ts'
import { KIND_REFS, KubernetesObject, Node, Workload } from '../refs.ts'
import { workloadList } from './workload.ts'

placeList('deployments', workloadList('Deployment', 'deployments', KIND_REFS.Deployment))

KIND_REFS.Deployment.implement({
  description: 'A Deployment: replicas that are rolled out revision by revision.',
  interfaces: [Node, KubernetesObject, Workload],
  fields: (t) => ({
    strategy: t.exposeString('strategy', { description: '`RollingUpdate` or `Recreate`.' }),
    maxSurge: t.exposeString('maxSurge', {
      nullable: true,
      description:
        'How many replicas there may be beyond the desired ones during a rollout: a number or a percentage, as written; null for `Recreate`.',
    }),
    maxUnavailable: t.exposeString('maxUnavailable', {
      nullable: true,
      description:
        'How many replicas may be missing during a rollout: a number or a percentage, as written; null for `Recreate`.',
    }),
    paused: t.exposeBoolean('paused', { description: 'Whether its rollout is held.' }),
    revision: t.exposeInt('revision', {
      nullable: true,
      description: 'Number of the newest revision; null until its controller has given one.',
    }),
    progressDeadlineSeconds: t.exposeInt('progressDeadlineSeconds', {
      nullable: true,
      description: 'Seconds without progress after which a rollout counts as failed; null where none is set.',
    }),
    revisionHistoryLimit: t.exposeInt('revisionHistoryLimit', {
      nullable: true,
      description: 'How many old ReplicaSets are kept; null where none is set.',
    }),
  }),
})
