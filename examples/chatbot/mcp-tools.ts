/**
 * The tools of the MCP server. Each is one trusted document, so a model can ask for nothing that the operator has not
 * put there; who may do what is decided by each cluster, for the user whose token it is.
 *
 * Whatever is written needs a plan and its confirmation, or an idempotency key: a call that arrives twice is done once.
 */
import { createHash, randomUUID } from 'node:crypto'
import { McpServer, type CallToolResult, type ServerContext } from '@modelcontextprotocol/server'
import { z } from 'zod'
import * as documents from '../operations.ts'
import { confirm, followRollout, missing, plan, type Payload, type Result } from './fleet.ts'
import { GatewayError, type GatewayClient } from './gateway-client.ts'
import * as words from './words.ts'

const Workload = z.object({
  cluster: z.string().describe('Name of the cluster, as list_workloads gives it.'),
  namespace: z.string(),
  kind: z.enum(['Deployment', 'StatefulSet', 'DaemonSet']).default('Deployment'),
  name: z.string(),
})
const Workloads = z.array(Workload).min(1).max(100)
const IdempotencyKey = z
  .string()
  .min(1)
  .max(255)
  .optional()
  .describe('Any text. Give the same one to try the same call again after an error: it is then done once.')

const Missing = z
  .array(z.object({ cluster: z.string(), state: z.string(), reason: z.string().nullable() }))
  .describe('Clusters of which something may be missing, and why.')
const FoundWorkload = z.object({
  cluster: z.string(),
  kind: z.string(),
  namespace: z.string(),
  name: z.string(),
  desired: z.number(),
  ready: z.number(),
  images: z.array(z.string()),
  rollout: z.string(),
})
const Outcome = z.object({
  cluster: z.string(),
  kind: z.string(),
  namespace: z.string().nullable(),
  name: z.string(),
  outcome: z.string(),
  message: z.string().nullable(),
  diff: z.string().nullable(),
  generation: z.number().nullable().describe('For follow_rollout.'),
  errorCode: z.string().nullable(),
})
const Changed = z.object({
  ok: z.boolean(),
  replayed: z.boolean().describe('True: it was done before, and nothing was done now.'),
  summary: z.string(),
  operationId: z.string().nullable(),
  results: z.array(Outcome),
})

const READ = { readOnlyHint: true, openWorldHint: false } as const
const WRITE = {
  readOnlyHint: false,
  destructiveHint: true,
  idempotentHint: true,
  openWorldHint: false,
} as const

/** `session`: tells the calls of this connection from those of all others. */
export function createFleetServer(client: GatewayClient, session: string = randomUUID()): McpServer {
  const server = new McpServer(
    { name: 'fleetgraph', version: '0.1.0' },
    {
      instructions:
        'Kubernetes clusters as one fleet. Look with list_workloads and explain_workload. Change with plan_change, show the plan to the user, and confirm_plan when they agree. Then follow_rollout.',
    },
  )
  const keyOf = (given: string | undefined, { mcpReq }: ServerContext) =>
    given ?? createHash('sha256').update(`${session} ${mcpReq.id}`).digest('hex')

  server.registerTool(
    'list_workloads',
    {
      description: 'Workloads by name, in all clusters or some. Tells which clusters could not be asked.',
      inputSchema: z.object({
        name: z.string().optional().describe('Part of the name; absent: all.'),
        namespace: z.string().optional(),
        cluster: z.string().optional(),
      }),
      outputSchema: z.object({ total: z.number(), workloads: z.array(FoundWorkload), missing: Missing }),
      annotations: { title: 'List workloads', ...READ },
    },
    ({ name, namespace, cluster }) =>
      answer(async () => {
        const { workloads } = await client.ask(documents.FindWorkloads, {
          name: name ? { contains: name } : null,
          namespaces: namespace ? [namespace] : null,
          clusters: cluster ? [cluster] : null,
        })
        return {
          text: words.foundText(workloads),
          data: {
            total: workloads.totalCount,
            workloads: workloads.nodes.map(({ cluster, containers, rollout, ...node }) => ({
              ...node,
              cluster: cluster.name,
              images: containers.map(({ image }) => image),
              rollout: rollout.status,
            })),
            missing: missing(workloads.coverage),
          },
        }
      }),
  )

  server.registerTool(
    'explain_workload',
    {
      description: 'Why a workload is as it is: rollout, revisions, pods that are not ready and why, events.',
      inputSchema: Workload,
      outputSchema: z.object({ workload: z.looseObject({}) }),
      annotations: { title: 'Explain a workload', ...READ },
    },
    (workload) =>
      answer(async () => {
        const { workloads } = await client.ask(documents.ExplainWorkload, workload)
        const found = workloads.nodes[0]
        if (!found) {
          const gaps = missing(workloads.coverage).map(({ state, reason }) => `${state} ${reason ?? ''}`)
          throw new GatewayError(
            'NOT_FOUND',
            `There is no ${words.nameOf(workload)} that you may see. ${gaps.join(' ')}`.trim(),
          )
        }
        return { text: words.explainedText(found), data: { workload: found } }
      }),
  )

  server.registerTool(
    'plan_change',
    {
      description:
        'What a change would do, object by object, and what it would touch. Changes nothing. Show it to the user; its token goes to confirm_plan.',
      inputSchema: z.object({
        workloads: Workloads,
        change: z.discriminatedUnion('action', [
          z.object({ action: z.literal('scale'), to: z.int().min(0) }),
          z.object({
            action: z.literal('set_image'),
            image: z.string(),
            container: z.string().optional().describe('Needed where the workload has several.'),
          }),
          z.object({ action: z.literal('restart') }),
          z.object({
            action: z.literal('roll_back'),
            toRevision: z.int().optional().describe('Absent: the one before the present.'),
          }),
        ]),
      }),
      outputSchema: z.object({
        token: z.string().nullable().describe('Null where it cannot be done: results say why.'),
        expiresAt: z.string(),
        clusters: z.array(z.string()),
        podsAdded: z.number(),
        podsRemoved: z.number(),
        podsReplaced: z.number(),
        results: z.array(Outcome),
      }),
      annotations: { title: 'Plan a change', ...READ },
    },
    ({ workloads, change }) =>
      answer(async () => {
        const planned = await plan(client, workloads, change)
        const { clusters, podsAdded, podsRemoved, podsReplaced } = planned.blastRadius
        return {
          text: words.planText(planned),
          isError: planned.token === null,
          data: {
            token: planned.token,
            expiresAt: planned.expiresAt,
            clusters,
            podsAdded,
            podsRemoved,
            podsReplaced,
            results: planned.results.map(outcomeOf),
          },
        }
      }),
  )

  server.registerTool(
    'confirm_plan',
    {
      description:
        'Carries out a plan that the user has agreed to, once: again it only answers with what came of it. Refused where anything changed since the plan.',
      inputSchema: z.object({ token: z.string().describe('Of plan_change.') }),
      outputSchema: Changed,
      annotations: { title: 'Carry out a plan', ...WRITE },
    },
    ({ token }) => answer(async () => changed(await confirm(client, token)), 'with the same token'),
  )

  server.registerTool(
    'scale',
    {
      description:
        'Sets the replicas of workloads at once, without a plan. Prefer plan_change in production.',
      inputSchema: z.object({
        workloads: Workloads,
        to: z.int().min(0),
        expectedReplicas: z.int().optional().describe('Only where just so many are asked for now.'),
        idempotencyKey: IdempotencyKey,
      }),
      outputSchema: Changed,
      annotations: { title: 'Scale', ...WRITE },
    },
    ({ idempotencyKey, ...input }, context) =>
      answerOnce(keyOf(idempotencyKey, context), async (key) =>
        changed((await client.ask(documents.Scale, { ...input, idempotencyKey: key })).scale!),
      ),
  )

  server.registerTool(
    'roll_back',
    {
      description: 'Takes workloads back to an earlier revision at once, without a plan.',
      inputSchema: z.object({
        workloads: Workloads,
        toRevision: z.int().optional().describe('Absent: the one before the present.'),
        idempotencyKey: IdempotencyKey,
      }),
      outputSchema: Changed,
      annotations: { title: 'Roll back', ...WRITE },
    },
    ({ idempotencyKey, ...input }, context) =>
      answerOnce(keyOf(idempotencyKey, context), async (key) =>
        changed((await client.ask(documents.Rollback, { ...input, idempotencyKey: key })).rollback!),
      ),
  )

  server.registerTool(
    'follow_rollout',
    {
      description: 'Waits until a workload is rolled out, or fails; reports progress meanwhile.',
      inputSchema: Workload.extend({
        generation: z
          .number()
          .optional()
          .describe('Of the result of the change: states before it do not count.'),
        timeoutSeconds: z.int().min(1).max(3_600).default(300),
      }),
      outputSchema: z.object({
        status: z.string(),
        desired: z.number(),
        updated: z.number(),
        ready: z.number(),
        available: z.number(),
        reason: z.string().nullable(),
        message: z.string().nullable(),
      }),
      annotations: { title: 'Follow a rollout', ...READ },
    },
    ({ generation, timeoutSeconds, ...workload }, { mcpReq }) =>
      answer(async () => {
        const options = { timeoutSeconds, ...(generation !== undefined && { generation }) }
        const progressToken = mcpReq['_meta']?.progressToken
        let steps = 0
        let last
        for await (const progress of followRollout(client, workload, options, mcpReq.signal)) {
          last = progress
          // How it came out is the result: a client may take no progress any more when that is on its way.
          if (progressToken === undefined || progress.status !== 'PROGRESSING') continue
          await mcpReq.notify({
            method: 'notifications/progress',
            params: { progressToken, progress: ++steps, message: words.progressText(progress) },
          })
        }
        if (!last) throw new GatewayError('UNREACHABLE', 'The rollout could not be followed to its end.')
        return { text: words.progressText(last), isError: last.status !== 'COMPLETE', data: last }
      }),
  )

  server.registerTool(
    'fleet_health',
    {
      description:
        'Every cluster, whether it answers, how its pods are, and the workloads that miss most pods.',
      inputSchema: z.object({
        clusterSelector: z.string().optional().describe('By labels of clusters: env=prod,region in (eu,us)'),
      }),
      outputSchema: z.object({
        clusters: z.array(z.looseObject({ name: z.string(), state: z.string() })),
        pods: z.number(),
        unreadyWorkloads: z.number(),
        missing: Missing,
      }),
      annotations: { title: 'Health of the fleet', ...READ },
    },
    ({ clusterSelector }) =>
      answer(async () => {
        const health = await client.ask(documents.FleetOverview, { clusterSelector })
        return {
          text: words.healthText(health),
          data: {
            clusters: health.clusters.nodes,
            pods: health.summary.pods.count,
            unreadyWorkloads: health.unready.totalCount,
            missing: missing(health.summary.coverage),
          },
        }
      }),
  )

  server.registerTool(
    'operation_status',
    {
      description: 'How far an operation is, and what came of its steps.',
      inputSchema: z.object({ id: z.string().describe('The operationId of a change.') }),
      outputSchema: z.object({ state: z.string(), summary: z.string(), results: z.array(Outcome) }),
      annotations: { title: 'Status of an operation', ...READ },
    },
    ({ id }) =>
      answer(async () => {
        const { operation } = await client.ask(documents.OperationStatus, { id })
        if (!operation) throw new GatewayError('NOT_FOUND', 'There is no such operation of yours.')
        const { state, summary, results } = operation
        return {
          text: words.operationText(operation),
          data: { state, summary: summary.message, results: results.map(outcomeOf) },
        }
      }),
  )

  return server
}

interface Said {
  readonly text: string
  readonly data: Readonly<Record<string, unknown>>
  readonly isError?: boolean
}

function changed(payload: Payload): Said {
  const { summary, replayed, operation, results } = payload
  return {
    text: words.payloadText(payload),
    isError: !summary.ok,
    data: {
      ok: summary.ok,
      replayed,
      summary: summary.message,
      operationId: operation?.id ?? null,
      results: results.map(outcomeOf),
    },
  }
}

function outcomeOf({ clusterName, kind, namespace, name, outcome, diff, ...rest }: Result) {
  return {
    cluster: clusterName,
    kind,
    namespace,
    name,
    outcome,
    diff,
    message: rest.error?.message ?? rest.message,
    generation: rest.object?.generation ?? null,
    errorCode: rest.error?.code ?? null,
  }
}

/**
 * What the gateway refuses is an error of the tool, which a model reads; anything else is a bug, and is thrown.
 * `again`: of a call that writes, how to send it once more without doing it twice.
 */
async function answer(say: () => Promise<Said>, again?: string): Promise<CallToolResult> {
  try {
    const { text, data, isError = false } = await say()
    return { content: [{ type: 'text', text }], structuredContent: data, ...(isError && { isError }) }
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error
    const unsure = again !== undefined && error.code === 'UNREACHABLE'
    const text = `${error.code}: ${error.message}${unsure ? ` It may have been done: call again ${again} to be told.` : ''}`
    return { content: [{ type: 'text', text }], isError: true }
  }
}

function answerOnce(key: string, say: (key: string) => Promise<Said>): Promise<CallToolResult> {
  return answer(() => say(key), `with the idempotencyKey "${key}"`)
}
