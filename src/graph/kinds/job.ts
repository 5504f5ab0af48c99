/** Job: pods that run to completion. */
import { placeList } from '../place.ts'
import { KIND_REFS, KubernetesObject, Node, Workload } from '../refs.ts'
import { workloadList } from './workload.ts'

placeList('jobs', workloadList('Job', 'Jobs', KIND_REFS.Job))

KIND_REFS.Job.implement({
  description: 'A Job: pods that run to completion.',
  interfaces: [Node, KubernetesObject, Workload],
  fields: (t) => ({
    parallelism: t.exposeInt('parallelism', { description: 'How many pods may run at once.' }),
    completions: t.exposeInt('completions', {
      nullable: true,
      description: 'How many pods have to succeed; null: any one of them.',
    }),
    backoffLimit: t.exposeInt('backoffLimit', { description: 'After how many failed pods it gives up.' }),
    active: t.exposeInt('active', { description: 'Pods that run or wait to run.' }),
    succeeded: t.exposeInt('succeeded', { description: 'Pods that ended with success.' }),
    failed: t.exposeInt('failed', { description: 'Pods that ended with failure.' }),
    suspend: t.exposeBoolean('suspend', { description: 'Whether it is held.' }),
    startTime: t.expose('startTime', {
      type: 'DateTime',
      nullable: true,
      description: 'When its controller took it on; null until then.',
    }),
    completionTime: t.expose('completionTime', {
      type: 'DateTime',
      nullable: true,
      description: 'When it completed with success; null if it has not.',
    }),
  }),
})
