/** What a chatbot does with a fleet, for whoever asks it: model or person. Each is one trusted document, or two. */
import * as documents from '../operations.ts'
import type { GatewayClient } from './gateway-client.ts'

export interface WorkloadName {
  readonly cluster: string
  readonly namespace: string
  readonly kind: documents.WorkloadKind
  readonly name: string
}

export type Change =
  | { readonly action: 'scale'; readonly to: number }
  | { readonly action: 'set_image'; readonly image: string; readonly container?: string | undefined }
  | { readonly action: 'restart' }
  | { readonly action: 'roll_back'; readonly toRevision?: number | undefined }

// A field of a mutation is null only with an error, which `ask` throws.
export type Plan = NonNullable<documents.PlanScaleMutation['plan']>
export type Payload = NonNullable<documents.ConfirmMutation['confirm']>
export type Result = documents.ChangeFragment
export type FoundWorkloads = documents.FindWorkloadsQuery['workloads']
export type FoundWorkload = FoundWorkloads['nodes'][number]
export type ExplainedWorkload = documents.ExplainWorkloadQuery['workloads']['nodes'][number]
export type Health = documents.FleetOverviewQuery
export type OperationState = NonNullable<documents.OperationStatusQuery['operation']>
export type Progress = documents.FollowRolloutSubscription['rollout']

/** Lists where something may be missing: those clusters, and why. */
export function missing(coverage: FoundWorkloads['coverage']) {
  return coverage
    .filter(({ state }) => state !== 'CURRENT' && state !== 'NOT_SERVED')
    .map(({ cluster, state, reason }) => ({ cluster, state, reason }))
}

/** What would come of a change. Nothing is changed. */
export async function plan(
  client: GatewayClient,
  workloads: readonly WorkloadName[],
  change: Change,
): Promise<Plan> {
  switch (change.action) {
    case 'scale':
      return (await client.ask(documents.PlanScale, { workloads, to: change.to })).plan!
    case 'set_image': {
      const images = [{ image: change.image, container: change.container }]
      return (await client.ask(documents.PlanSetImage, { workloads, images })).plan!
    }
    case 'restart':
      return (await client.ask(documents.PlanRestart, { workloads })).plan!
    case 'roll_back':
      return (await client.ask(documents.PlanRollback, { workloads, toRevision: change.toRevision })).plan!
  }
}

/** Carries a plan out, once. */
export async function confirm(client: GatewayClient, token: string): Promise<Payload> {
  return (await client.ask(documents.Confirm, { token })).confirm!
}

/** How the workload comes on, until that has come out: an event with each step. */
export async function* followRollout(
  client: GatewayClient,
  workload: WorkloadName,
  { generation, timeoutSeconds }: { readonly generation?: number; readonly timeoutSeconds?: number },
  signal?: AbortSignal,
): AsyncGenerator<Progress> {
  const variables = { ...workload, generation, timeout: timeoutSeconds }
  for await (const { rollout } of client.follow(documents.FollowRollout, variables, signal)) yield rollout
}
