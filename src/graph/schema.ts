/**
 * The schema: this file imports every part of it, and builds and prints it. The printed form, sorted, is
 * the public contract in `schema/schema.graphql`.
 */
// oxlint-disable import/no-unassigned-import -- a part of the schema registers itself with the builder.
import { lexicographicSortSchema, printSchema, type GraphQLSchema } from 'graphql'
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

builder.queryType({
  description:
    'Everything that can be read. Lists are answered from memory, kept fresh by watches; what a list could not cover is said in its `coverage`.',
})

builder.subscriptionType({
  description:
    'Everything that can be followed, over WebSocket (graphql-ws) or Server-Sent Events. The same filters as the lists, the same rights, checked with every event.',
})

let schema: GraphQLSchema | undefined

/** The executable schema; the same on each call. It holds no state of a request or of a fleet. */
export function createSchema(): GraphQLSchema {
  return (schema ??= builder.toSchema({ sortSchema: false }))
}

/** The schema as text, sorted, with a newline at the end. */
export function printFleetSchema(): string {
  return `${printSchema(lexicographicSortSchema(createSchema()))}\n`
}
