/** DaemonSet: one pod on each node that fits. */
import { placeList } from '../place.ts'
import { KIND_REFS, KubernetesObject, Node, Workload } from '../refs.ts'
import { workloadList } from './workload.ts'

placeList('daemonSets', workloadList('DaemonSet', 'DaemonSets', KIND_REFS.DaemonSet))

KIND_REFS.DaemonSet.implement({
  description: 'A DaemonSet: one pod on each node that fits.',
  interfaces: [Node, KubernetesObject, Workload],
  fields: (t) => ({
    updateStrategy: t.exposeString('updateStrategy', { description: '`RollingUpdate` or `OnDelete`.' }),
    misscheduled: t.exposeInt('misscheduled', { description: 'Nodes that run its pod but should not.' }),
    unavailable: t.exposeInt('unavailable', {
      description: 'Nodes that should have an available pod of it and have none.',
    }),
  }),
})
