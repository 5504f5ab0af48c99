/** `plan` and `confirm`: what would change, for somebody to look at, and then just that, once. */
import type { BlastRadius, BudgetRisk, ClusterCapacity } from '../../writes/blast-radius.ts'
import type { Verb } from '../../writes/change.ts'
import type { Plan } from '../../writes/writes.ts'
import { builder } from '../builder.ts'
import { badUserInput } from '../errors.ts'
import { CHANGE_VERBS, changeOf, plannedStrategy, refusable, writesOf } from './change-field.ts'
import { ChangePayloadRef, ChangeResultRef, ChangeSummaryRef, summaryOf } from './payload.ts'

const ClusterCapacityRef = builder.objectRef<ClusterCapacity>('ClusterCapacity').implement({
  description: 'What a change asks of a cluster beyond what is asked of it now, against what is free.',
  fields: (t) => ({
    clusterName: t.exposeString('cluster', { description: 'Name of the cluster.' }),
    cpuRequested: t.exposeFloat('cpuRequested', {
      description: 'Cores that are asked for beyond; negative where less is.',
    }),
    cpuFree: t.exposeFloat('cpuFree', {
      description: 'Cores that the nodes which take pods have to give, less what their pods ask for.',
    }),
    memoryRequested: t.exposeFloat('memoryRequested', {
      description: 'Bytes that are asked for beyond; negative where less is.',
    }),
    memoryFree: t.exposeFloat('memoryFree', {
      description: 'Bytes that the nodes which take pods have to give, less what their pods ask for.',
    }),
    fits: t.exposeBoolean('fits', {
      description: 'Whether there is room, by the sums over all nodes: no promise that a pod fits on one.',
    }),
  }),
})

const BudgetRiskRef = builder.objectRef<BudgetRisk>('DisruptionBudgetRisk').implement({
  description: 'A PodDisruptionBudget that the change would go beyond, if all of it happened at once.',
  fields: (t) => ({
    clusterName: t.exposeString('cluster', { description: 'Name of its cluster.' }),
    namespace: t.exposeString('namespace', { description: 'Its namespace.' }),
    name: t.exposeString('name', { description: 'Its name.' }),
    disruptionsAllowed: t.exposeInt('disruptionsAllowed', {
      description: 'How many of its pods may go now.',
    }),
    podsAffected: t.exposeInt('podsAffected', { description: 'How many of its pods would go.' }),
  }),
})

const BlastRadiusRef = builder.objectRef<BlastRadius>('BlastRadius').implement({
  description: 'What a change would touch, as far as you may see it.',
  fields: (t) => ({
    clusters: t.exposeStringList('clusters', { description: 'Names of the clusters, in order.' }),
    namespaces: t.exposeStringList('namespaces', {
      description: 'Namespaces as `cluster/namespace`, in order.',
    }),
    created: t.exposeInt('created', { description: 'Objects that would be created.' }),
    updated: t.exposeInt('updated', { description: 'Objects that would be changed.' }),
    deleted: t.exposeInt('deleted', { description: 'Objects that would be deleted.' }),
    workloads: t.exposeInt('workloads', { description: 'Workloads among them.' }),
    podsAdded: t.exposeInt('podsAdded', { description: 'Pods that would come.' }),
    podsRemoved: t.exposeInt('podsRemoved', { description: 'Pods that would go.' }),
    podsReplaced: t.exposeInt('podsReplaced', {
      description: 'Pods that would be replaced by others: a rollout.',
    }),
    capacity: t.expose('capacity', {
      type: [ClusterCapacityRef],
      description: 'What it asks of each cluster, in order of their names.',
    }),
    budgets: t.expose('budgets', {
      type: [BudgetRiskRef],
      description: 'PodDisruptionBudgets that it would go beyond.',
    }),
    unknown: t.exposeStringList('unknown', {
      description:
        'What could not be found out, for a person: a cluster that does not answer, a missing right.',
    }),
  }),
})

const PlanRef = builder.objectRef<Plan>('Plan').implement({
  description:
    'What a change would do, and the token to have just that done. It was tried on the API servers as a dry run; nothing was changed.',
  fields: (t) => ({
    token: t.exposeString('token', {
      nullable: true,
      description:
        'For `confirm`: yours alone, for this change alone, for a short time. Null where something would fail: `results` say what.',
    }),
    expiresAt: t.field({
      type: 'DateTime',
      description: 'Until when it can be confirmed.',
      resolve: ({ expiresAt }) => new Date(expiresAt),
    }),
    results: t.expose('results', {
      type: [ChangeResultRef],
      description: 'What would come of each object, with the difference.',
    }),
    summary: t.field({
      type: ChangeSummaryRef,
      description: 'How they would come out together.',
      resolve: ({ results }) => summaryOf(results),
    }),
    blastRadius: t.expose('blastRadius', { type: BlastRadiusRef, description: 'What it would touch.' }),
  }),
})

type PlannedChangeInput = Partial<Record<Verb, object | null>>

const PlannedChange = builder.inputRef<PlannedChangeInput>('PlannedChange').implement({
  description: 'What to plan: exactly one of the mutations, with its input.',
  isOneOf: true,
  fields: (t) =>
    Object.fromEntries(
      [...CHANGE_VERBS].map(([verb, { input }]) => [
        verb,
        t.field({ type: input, description: `The mutation \`${verb}\`.` }),
      ]),
    ),
})

builder.mutationField('plan', (t) =>
  t.field({
    type: PlanRef,
    nullable: true,
    description:
      'What a mutation would do: the difference of each object, and what that would touch. Nothing is changed. Its token, given to `confirm`, has just that done – and nothing, where any of the objects was changed by then.',
    args: { change: t.arg({ type: PlannedChange, required: true, description: 'What to plan.' }) },
    resolve: async (_root, { change: planned }, context) => {
      const entry = Object.entries(planned).find(([, input]) => input != null)
      if (!entry) throw badUserInput('Say what to plan.', 'change')
      const [verb, input] = entry as [Verb, object]
      const path = `change.${verb}`
      const strategy = plannedStrategy(verb, input, context, path)
      const change = await changeOf(verb, input, context, path)
      return refusable(() =>
        writesOf(context).plan(context.fleet, change, strategy ? { strategy } : {}, context.signal),
      )
    },
  }),
)

builder.mutationField('confirm', (t) =>
  t.field({
    type: ChangePayloadRef,
    nullable: true,
    description:
      'Carries out a plan of yours, once: a token that was confirmed before is answered with what came of it. An object that somebody changed since the plan is a CONFLICT, and is left alone.',
    args: { token: t.arg.string({ required: true, description: 'The token of the plan.' }) },
    resolve: (_root, { token }, context) =>
      refusable(() => writesOf(context).confirm(context.fleet, token, context.signal)),
  }),
)
