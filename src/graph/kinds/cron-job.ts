/** CronJob: Jobs by a schedule. */
import { placeList } from '../place.ts'
import { KIND_REFS, KubernetesObject, Node, Workload } from '../refs.ts'
import { jobsOf } from '../relations.ts'
import { workloadList } from './workload.ts'

placeList('cronJobs', workloadList('CronJob', 'CronJobs', KIND_REFS.CronJob))

KIND_REFS.CronJob.implement({
  description: 'A CronJob: Jobs by a schedule.',
  interfaces: [Node, KubernetesObject, Workload],
  fields: (t) => ({
    schedule: t.exposeString('schedule', { description: 'In the format of cron, such as `*/5 * * * *`.' }),
    timeZone: t.exposeString('timeZone', {
      nullable: true,
      description: 'Time zone of the schedule, such as `Europe/Berlin`; null: that of the control plane.',
    }),
    suspend: t.exposeBoolean('suspend', { description: 'Whether it is held.' }),
    concurrencyPolicy: t.exposeString('concurrencyPolicy', {
      description: 'What happens when the last Job still runs: `Allow`, `Forbid` or `Replace`.',
    }),
    active: t.exposeInt('active', { description: 'Jobs of it that run now.' }),
    lastScheduleTime: t.expose('lastScheduleTime', {
      type: 'DateTime',
      nullable: true,
      description: 'When it last made a Job; null if it never did.',
    }),
    lastSuccessfulTime: t.expose('lastSuccessfulTime', {
      type: 'DateTime',
      nullable: true,
      description: 'When a Job of it last succeeded; null if none ever did.',
    }),
    jobs: t.field({
      type: [KIND_REFS.Job],
      description: 'Its Jobs, newest first: as many as its history limits keep, and those that run.',
      resolve: (row, _arguments, { fleet }) => jobsOf(row, fleet),
    }),
  }),
})
