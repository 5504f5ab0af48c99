/** StatefulSet: replicas with a stable name and storage. */
import { placeList } from '../place.ts'
import { KIND_REFS, KubernetesObject, Node, Workload } from '../refs.ts'
import { claimsOfStatefulSet } from '../relations.ts'
import { workloadList } from './workload.ts'

placeList('statefulSets', workloadList('StatefulSet', 'StatefulSets', KIND_REFS.StatefulSet))

KIND_REFS.StatefulSet.implement({
  description: 'A StatefulSet: replicas with a stable name and storage.',
  interfaces: [Node, KubernetesObject, Workload],
  fields: (t) => ({
    serviceName: t.exposeString('serviceName', {
      description: 'Name of the headless Service that gives its pods their names; may be empty.',
    }),
    service: t.field({
      type: KIND_REFS.Service,
      nullable: true,
      description:
        'The Service that gives its pods their names; null where it is missing or not visible to you.',
      resolve: ({ serviceName, cluster, namespace }, _arguments, { fleet }) =>
        fleet.get('Service', cluster, namespace, serviceName) ?? null,
    }),
    podManagementPolicy: t.exposeString('podManagementPolicy', {
      description: '`OrderedReady` (one after the other) or `Parallel`.',
    }),
    updateStrategy: t.exposeString('updateStrategy', { description: '`RollingUpdate` or `OnDelete`.' }),
    currentRevision: t.exposeString('currentRevision', {
      nullable: true,
      description: 'Name of the revision that replicas had before the rollout; null until there is one.',
    }),
    updateRevision: t.exposeString('updateRevision', {
      nullable: true,
      description: 'Name of the revision that replicas get; null until there is one.',
    }),
    volumeClaimTemplates: t.exposeStringList('volumeClaimTemplates', {
      description: 'Names of the claims that each replica gets.',
    }),
    persistentVolumeClaims: t.field({
      type: [KIND_REFS.PersistentVolumeClaim],
      description:
        'The claims of its replicas, by template and number, from 0 to the larger of `desired` and `current`.',
      resolve: (row, _arguments, { fleet }) => claimsOfStatefulSet(row, fleet),
    }),
  }),
})
