/** Operations: changes that are written down while they are carried out. */
import {
  ENDED,
  type OperationEvent,
  type OperationRecord,
  type OperationState,
  type WaveState,
} from '../../writes/operation.ts'
import { VERBS } from '../../writes/change.ts'
import { resultsOfOperation, undosOfOperation } from '../../writes/results.ts'
import { builder } from '../builder.ts'
import { DEFAULT_PAGE, MAX_PAGE } from '../connection.ts'
import { within } from '../changes.ts'
import { Outlet } from '../outlet.ts'
import { refusable, writesOf } from './change-field.ts'
import { ChangePayloadRef, ChangeResultRef, ChangeSummaryRef, summaryOf } from './payload.ts'

const StateEnum = builder.enumType('OperationState', {
  description: 'How far an operation is.',
  values: {
    PENDING: { description: 'Not begun yet.' },
    RUNNING: { description: 'On its way.' },
    ROLLING_BACK: { description: 'Something failed, and what was done is being put back.' },
    SUCCEEDED: {
      description: 'The end: everything was done as asked, but for as many failures as `maxFailures` allows.',
    },
    FAILED: { description: 'The end: something was not done as asked. The results say what.' },
    CANCELLED: { description: 'The end: somebody stopped it. What was done stays.' },
    ROLLED_BACK: { description: 'The end: something failed, and what was done was put back.' },
  } satisfies Record<OperationState, { description: string }>,
})

const WaveStateEnum = builder.enumType('WaveState', {
  description: 'How far a wave of an operation is.',
  values: {
    PENDING: { description: 'Not begun yet.' },
    RUNNING: { description: 'On its way.' },
    SUCCEEDED: { description: 'All its clusters, or enough of them, are done.' },
    FAILED: { description: 'More clusters failed than may.' },
    SKIPPED: { description: 'It was not begun, since the operation ended before.' },
  } satisfies Record<WaveState['state'], { description: string }>,
})

const WaveRef = builder.objectRef<WaveState>('OperationWave').implement({
  description: 'Clusters that an operation changes at the same time.',
  fields: (t) => ({
    clusters: t.exposeStringList('clusters', { description: 'Names of its clusters, in order.' }),
    state: t.expose('state', { type: WaveStateEnum, description: 'How far it is.' }),
    startedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it was begun.',
      resolve: ({ startedAt }) => dateOf(startedAt),
    }),
    finishedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it was done.',
      resolve: ({ finishedAt }) => dateOf(finishedAt),
    }),
  }),
})

const EventTypeEnum = builder.enumType('OperationEventType', {
  description: 'What happened to an operation.',
  values: {
    STARTED: { description: 'It was begun.' },
    WAVE_STARTED: { description: 'A wave was begun.' },
    WAVE_FINISHED: { description: 'A wave is done, or has failed.' },
    PAUSED: { description: 'It waits until the next wave begins.' },
    TAKEN_OVER: {
      description: 'The replica of the gateway that carried it out has gone; another one goes on.',
    },
    CANCEL_REQUESTED: { description: 'Somebody asked to stop it.' },
    ROLLING_BACK: { description: 'What was done is being put back.' },
    FINISHED: { description: 'It has ended.' },
  } satisfies Record<OperationEvent['type'], { description: string }>,
})

const EventRef = builder.objectRef<OperationEvent>('OperationEvent').implement({
  description: 'One line of the story of an operation.',
  fields: (t) => ({
    at: t.field({ type: 'DateTime', description: 'When.', resolve: ({ at }) => new Date(at) }),
    type: t.expose('type', { type: EventTypeEnum, description: 'What happened, for a program.' }),
    message: t.exposeString('message', { description: 'What happened, for a person.' }),
  }),
})

const StorageEnum = builder.enumType('OperationStorage', {
  description: 'Where an operation is kept.',
  values: {
    REDIS: { description: 'In Redis: all replicas know it, and it survives any of them.' },
    MEMORY: {
      description:
        'In the memory of the one process that carries it out: the gateway has no Redis. It ends with that process.',
    },
  },
})

const OperationRef = builder.objectRef<OperationRecord>('Operation').implement({
  description:
    'A change that is written down while it is carried out: it can be looked at, followed, and stopped, and another replica goes on with it where the first one dies. Kept for a day after its end.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'Opaque; for `operation(id:)`.' }),
    verb: t.string({
      description: `The mutation that began it: ${VERBS.slice(0, 3).join(', ')}…`,
      resolve: ({ change }) => change.verb,
    }),
    title: t.string({ description: 'What it does, for a person.', resolve: ({ change }) => change.title }),
    user: t.string({
      description: 'Who began it, and as whom it acts.',
      resolve: ({ owner }) => owner.user.name,
    }),
    state: t.expose('state', { type: StateEnum, description: 'How far it is.' }),
    storage: t.field({
      type: StorageEnum,
      description: 'Where it is kept, and so what it survives.',
      resolve: (_operation, _arguments, context) => (writesOf(context).shared ? 'REDIS' : 'MEMORY'),
    }),
    createdAt: t.field({
      type: 'DateTime',
      description: 'When it was asked for.',
      resolve: ({ createdAt }) => new Date(createdAt),
    }),
    finishedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it ended; null while it goes on.',
      resolve: ({ finishedAt }) => dateOf(finishedAt),
    }),
    cancelRequested: t.exposeBoolean('cancelRequested', {
      description: 'Whether somebody asked to stop it.',
    }),
    waves: t.expose('waves', { type: [WaveRef], description: 'Its waves, in order.' }),
    events: t.expose('events', { type: [EventRef], description: 'Its story, oldest first.' }),
    results: t.field({
      type: [ChangeResultRef],
      description:
        'What came of its steps so far, in their order. Of an operation of somebody else, or that you began with groups which you no longer have, without the objects: no `changes`, `diff` and `manifest`.',
      resolve: resultsOfOperation,
    }),
    rollback: t.field({
      type: [ChangeResultRef],
      description: 'What came of putting them back, newest step first; empty where nothing was.',
      resolve: undosOfOperation,
    }),
    summary: t.field({
      type: ChangeSummaryRef,
      description: 'How its results came out together, so far.',
      resolve: (operation) => summaryOf(resultsOfOperation(operation), operation),
    }),
    stepsTotal: t.int({ description: 'All its steps.', resolve: ({ change }) => change.steps.length }),
  }),
})

function dateOf(time: number | null): Date | null {
  return time === null ? null : new Date(time)
}

builder.objectField(ChangePayloadRef, 'operation', (t) =>
  t.field({
    type: OperationRef,
    nullable: true,
    description:
      'The operation that carries it out, or did; null for a change without idempotency key, strategy or plan: nothing is kept of that.',
    resolve: ({ operation }) => operation,
  }),
)

builder.queryField('operation', (t) =>
  t.field({
    type: OperationRef,
    nullable: true,
    description:
      'An operation of yours; of anybody for those who may read audit records. Null where there is none, or no longer.',
    args: { id: t.arg.id({ required: true, description: 'Its ID.' }) },
    resolve: (_root, { id }, context) => {
      context.fleet.reads.noteVolatile()
      return refusable(async () => (await writesOf(context).operation(context.fleet, id)) ?? null)
    },
  }),
)

builder.queryField('operations', (t) =>
  t.field({
    type: [OperationRef],
    description:
      'Your operations, newest first; those of everybody for those who may read audit records. They are kept for a day after their end.',
    args: {
      first: t.arg.int({ defaultValue: DEFAULT_PAGE, description: `How many: 0 to ${MAX_PAGE}.` }),
      after: t.arg.id({ description: 'Only those that are older than the operation of this ID.' }),
    },
    resolve: (_root, { first, after }, context) => {
      context.fleet.reads.noteVolatile()
      const count = within('first', first ?? DEFAULT_PAGE, 0, MAX_PAGE)
      return refusable(() => writesOf(context).operations(context.fleet, count, after ?? undefined))
    },
  }),
)

builder.mutationField('cancelOperation', (t) =>
  t.field({
    type: OperationRef,
    nullable: true,
    description:
      'Stops an operation of yours: steps that were begun are carried to their end, and no further ones are begun. What was done stays.',
    args: { id: t.arg.id({ required: true, description: 'Its ID.' }) },
    resolve: (_root, { id }, context) => refusable(() => writesOf(context).cancel(context.fleet, id)),
  }),
)

builder.subscriptionField('operationChanges', (t) =>
  t.field({
    type: OperationRef,
    description:
      'An operation as it is now and after each step, until it has ended. Whoever reads slowly is told of the newest state only.',
    args: { id: t.arg.id({ required: true, description: 'Its ID.' }) },
    subscribe: (_root, { id }, context) =>
      new Outlet<OperationRecord>({
        feed: (outlet, ended) =>
          refusable(async () => {
            for await (const operation of writesOf(context).follow(context.fleet, id, ended)) {
              outlet.push(operation)
              await outlet.taken()
              if (ENDED.has(operation.state)) return
            }
          }),
        signal: context.signal,
      }),
    resolve: (operation) => operation,
  }),
)
