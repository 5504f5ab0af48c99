/**
 * The schema: this file imports every part of it, and builds and prints it. The printed form, sorted, is
 * the public contract in `schema/schema.graphql`.
 */
// oxlint-disable import/no-unassigned-import -- a part of the schema registers itself with the builder.
import { lexicographicSortSchema, printSchema, specifiedDirectives, type GraphQLSchema } from 'graphql'
import { AT_LEAST } from './at-least.ts'
import { builder } from './builder.ts'
import './scalars.ts'
import './interfaces.ts'
import './kinds/node.ts'
import './summary.ts'
import './search.ts'
import './resource.ts'
import './kinds/cluster.ts'
import './kinds/viewer.ts'
import './kinds/cluster-node.ts'
import './kinds/pod.ts'
import './kinds/workload.ts'
import './kinds/deployment.ts'
import './kinds/replica-set.ts'
import './kinds/stateful-set.ts'
import './kinds/daemon-set.ts'
import './kinds/job.ts'
import './kinds/cron-job.ts'
import './kinds/service.ts'
import './kinds/endpoint-slice.ts'
import './kinds/ingress.ts'
import './kinds/config-map.ts'
import './kinds/persistent-volume-claim.ts'
import './kinds/persistent-volume.ts'
import './kinds/storage-class.ts'
import './kinds/horizontal-pod-autoscaler.ts'
import './kinds/resource-quota.ts'
import './kinds/role.ts'
import './kinds/role-binding.ts'
import './kinds/namespace.ts'
import './kinds/event.ts'
import './object-changes.ts'
import './kinds/pod-log.ts'
import './kinds/rollout.ts'
import './kinds/audit-event.ts'
import './mutations/deploy.ts'
import './mutations/apply-manifest.ts'
import './mutations/delete-object.ts'
import './mutations/scale.ts'
import './mutations/autoscale.ts'
import './mutations/restart.ts'
import './mutations/pause.ts'
import './mutations/resume.ts'
import './mutations/suspend.ts'
import './mutations/set-image.ts'
import './mutations/rollback.ts'
import './mutations/trigger.ts'
import './mutations/expose.ts'
import './mutations/unexpose.ts'
import './mutations/delete-pod.ts'
import './mutations/evict-pod.ts'
import './mutations/cordon.ts'
import './mutations/drain.ts'
import './mutations/label.ts'
import './mutations/annotate.ts'
import './mutations/namespaces.ts'
import './mutations/operation.ts'
// After all verbs: what they registered can be planned.
import './mutations/plan.ts'

builder.queryType({
  description:
    'Everything that can be read. Lists are answered from memory, kept fresh by watches; what a list could not cover is said in its `coverage`.',
})

builder.mutationType({
  description:
    "Everything that can be changed, as you: each cluster decides by your rights. Answers have one result for each object of each cluster, and one cluster's failure never hides another's success. A mutation that is refused as a whole is null, with an error: those beside it in the same request are carried out all the same. Have it tried first by `dryRun`, or look at a `plan` and `confirm` it.",
})

builder.subscriptionType({
  description:
    'Everything that can be followed, over WebSocket (graphql-ws) or Server-Sent Events. The same filters as the lists, the same rights, checked with every event.',
})

let schema: GraphQLSchema | undefined

/** The executable schema; the same on each call. It holds no state of a request or of a fleet. */
export function createSchema(): GraphQLSchema {
  return (schema ??= builder.toSchema({
    sortSchema: false,
    directives: [...specifiedDirectives, AT_LEAST],
  }))
}

/** The schema as text, sorted, with a newline at the end. */
export function printFleetSchema(): string {
  return `${printSchema(lexicographicSortSchema(createSchema()))}\n`
}
