/** ReplicaSet: the replicas of one revision of a Deployment. */
import { placeList } from '../place.ts'
import { KIND_REFS, KubernetesObject, Node, Workload } from '../refs.ts'
import { workloadList } from './workload.ts'

placeList('replicaSets', workloadList('ReplicaSet', 'ReplicaSets', KIND_REFS.ReplicaSet))

KIND_REFS.ReplicaSet.implement({
  description: 'A ReplicaSet: the replicas of one revision of a Deployment.',
  interfaces: [Node, KubernetesObject, Workload],
  fields: (t) => ({
    revision: t.exposeInt('revision', {
      nullable: true,
      description: 'Number of the revision of its Deployment; null where no Deployment owns it.',
    }),
    deployment: t.field({
      type: KIND_REFS.Deployment,
      nullable: true,
      description: 'The Deployment that it is a revision of; null where none owns it.',
      resolve: ({ owner, cluster }, _arguments, { fleet }) =>
        owner?.kind === 'Deployment' ? (fleet.getByUid('Deployment', cluster, owner.uid) ?? null) : null,
    }),
  }),
})
