/** `podLogs`: what the containers of a pod, or of a workload's pods, write. */
import type { WorkloadKind } from '../../kubernetes/rows.ts'
import { builder } from '../builder.ts'
import { within } from '../changes.ts'
import { WorkloadKindEnum } from '../enums.ts'
import { badUserInput } from '../errors.ts'
import { unknownCluster } from '../filters.ts'
import { LiveErrorRef } from '../live.ts'
import { MAX_LINE_BYTES } from '../log-lines.ts'
import { Outlet } from '../outlet.ts'
import { LOG_EVENT_TYPES, MAX_PODS, PodLogs, weightOf, type PodLogEvent } from '../pod-logs.ts'
import { ClusterRef } from '../refs.ts'

const PodLogEventType = builder.enumType('PodLogEventType', {
  description: 'What an event of a log tells.',
  values: Object.fromEntries(
    Object.entries(LOG_EVENT_TYPES).map(([type, description]) => [type, { description, value: type }]),
  ),
})

const PodLogEventRef = builder.objectRef<PodLogEvent>('PodLogEvent').implement({
  description:
    'A line of a log, or something about a log. The lines of one container come in their order; those of several as they arrive.',
  fields: (t) => ({
    type: t.field({
      type: PodLogEventType,
      description: 'What it tells. Which other fields are set depends on it.',
      resolve: ({ type }) => type as never,
    }),
    cluster: t.expose('cluster', { type: ClusterRef, description: 'The cluster.' }),
    namespace: t.exposeString('namespace', { description: 'Namespace of the pod.' }),
    pod: t.exposeString('pod', {
      nullable: true,
      description: 'Name of the pod; null where the event is about no single one.',
    }),
    container: t.exposeString('container', {
      nullable: true,
      description: 'Name of the container; null where the event is about no single one.',
    }),
    line: t.exposeString('line', {
      nullable: true,
      description: 'Of LINE: the text, without the line break and without the time.',
    }),
    truncated: t.exposeBoolean('truncated', {
      description: `Whether the line was cut: it has more than ${MAX_LINE_BYTES} bytes.`,
    }),
    timestamp: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'Of LINE, where `timestamps` asks for it: when the container wrote it.',
      resolve: ({ time }) => (time === null ? null : new Date(time)),
    }),
    message: t.exposeString('message', { nullable: true, description: 'A sentence for a person, or null.' }),
    error: t.expose('error', {
      type: LiveErrorRef,
      nullable: true,
      description: 'Of ERROR: why a log could not be read.',
    }),
  }),
})

interface WorkloadReferenceInput {
  readonly kind: WorkloadKind
  readonly name: string
}

const WorkloadReference = builder.inputRef<WorkloadReferenceInput>('WorkloadReference').implement({
  description: 'A workload of a namespace.',
  fields: (t) => ({
    kind: t.field({ type: WorkloadKindEnum, required: true, description: 'Its kind.' }),
    name: t.string({ required: true, description: 'Its name.' }),
  }),
})

interface LogSinceInput {
  readonly seconds?: number | null | undefined
  readonly time?: number | null | undefined
}

const LogSince = builder.inputRef<LogSinceInput>('LogSince').implement({
  description: 'From when on lines of a log are wanted: exactly one of the two.',
  isOneOf: true,
  fields: (t) => ({
    seconds: t.int({ description: 'From so many seconds ago: 1 or more.' }),
    time: t.field({ type: 'DateTime', description: 'From this moment.' }),
  }),
})

const DEFAULT_TAIL = 100
const MAX_TAIL = 100_000
const MAX_SINCE_SECONDS = 10 * 365 * 86_400

builder.subscriptionField('podLogs', (t) =>
  t.field({
    type: PodLogEventRef,
    description: `What containers write, line by line, read from the API server as you. Of a workload the logs of its pods merged, of at most ${MAX_PODS} of them at once: pods that join are read too, those that go end. A log that cannot be read is an event of type ERROR and leaves the others alone. It ends when all containers have ended and no workload is followed. A reader that is slow holds up the reading; nothing is left out.`,
    args: {
      cluster: t.arg.string({ required: true, description: 'Name of the cluster.' }),
      namespace: t.arg.string({ required: true, description: 'Namespace.' }),
      pod: t.arg.string({ description: 'Name of a pod. Either this or `workload`.' }),
      workload: t.arg({ type: WorkloadReference, description: 'All pods of this workload.' }),
      container: t.arg.string({
        description: 'Only the container of this name; absent: all, init containers included.',
      }),
      follow: t.arg.boolean({
        defaultValue: true,
        description:
          'Whether to go on with what is written from now on, through restarts of the containers. False: what there is, then the end.',
      }),
      tail: t.arg.int({
        description: `How many lines from the end of each container's log to begin with: 0 to ${MAX_TAIL}; absent: ${DEFAULT_TAIL}, with \`since\` all of them. Runs that start later are read whole.`,
      }),
      since: t.arg({ type: LogSince, description: 'Only lines from then on; absent: from any time.' }),
      timestamps: t.arg.boolean({
        defaultValue: false,
        description: 'Whether to tell when each line was written.',
      }),
      previous: t.arg.boolean({
        defaultValue: false,
        description: 'The run before the present one, as after a crash; it is never followed.',
      }),
    },
    subscribe: (_root, args, { fleet, clock, signal }) => {
      const { namespace, pod, workload, container, tail, since, previous } = args
      const cluster = fleet.cluster(args.cluster)
      if (!cluster) throw unknownCluster(args.cluster, fleet.clusters(), 'cluster')
      if ((pod == null) === (workload == null)) {
        throw badUserInput('Give either "pod" or "workload".', workload == null ? 'pod' : 'workload')
      }
      const from = sinceOf(since, clock.now())
      const lines =
        tail == null ? (from === undefined ? DEFAULT_TAIL : undefined) : within('tail', tail, 0, MAX_TAIL)
      const request = {
        cluster,
        namespace,
        target: workload ? { workload } : { pod: pod! },
        follow: args.follow !== false && !previous,
        previous: previous ?? false,
        ...(container != null && { container }),
        ...(lines !== undefined && { tail: lines }),
        ...(from !== undefined && { since: from }),
      }
      return new Outlet<PodLogEvent>({
        feed: (outlet, ended) => new PodLogs(request, fleet, clock, outlet).run(ended),
        signal,
        weigh: weightOf,
      })
    },
    resolve: (event, { timestamps }) => (timestamps ? event : { ...event, time: null }),
  }),
)

/** RFC 3339. Throws BAD_USER_INPUT. */
function sinceOf(since: LogSinceInput | null | undefined, now: number): string | undefined {
  if (since?.time != null) return new Date(since.time * 1000).toISOString()
  if (since?.seconds == null) return undefined
  return new Date(now - within('since.seconds', since.seconds, 1, MAX_SINCE_SECONDS) * 1000).toISOString()
}
