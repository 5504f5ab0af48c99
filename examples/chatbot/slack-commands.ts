/** What stands behind `/fleet`: from a line of text to a few lines of text, and maybe a button. */
import * as documents from '../operations.ts'
import { confirm, followRollout, plan, type Change, type Payload, type WorkloadName } from './fleet.ts'
import { GatewayError, type GatewayClient } from './gateway-client.ts'
import * as words from './words.ts'

export const HELP = `\`/fleet status\` – every cluster
\`/fleet status web\` – where web runs, and how
\`/fleet explain [NAMESPACE/]web in CLUSTER\` – why it is as it is
\`/fleet scale [NAMESPACE/]web to 3 in CLUSTER[,CLUSTER…]\`
\`/fleet image [NAMESPACE/]web registry/web:2 in CLUSTER[,CLUSTER…]\`
\`/fleet restart [NAMESPACE/]web in CLUSTER[,CLUSTER…]\`
\`/fleet rollback [NAMESPACE/]web [to REVISION] in CLUSTER[,CLUSTER…]\`
\`/fleet confirm\` – do what was planned last`

interface Target {
  readonly namespace: string | undefined
  readonly name: string
  readonly clusters: readonly string[]
}

export type Command =
  | { readonly type: 'help' | 'health' | 'confirm' }
  | { readonly type: 'find'; readonly name: string }
  | { readonly type: 'explain'; readonly target: Target }
  | { readonly type: 'change'; readonly target: Target; readonly change: Change }

const LINE =
  /^(?<verb>explain|scale|image|restart|rollback)\s+(?:(?<namespace>[\w-]+)\/)?(?<name>[\w.-]+)(?:\s+(?<image>(?!in\s|to\s)\S+))?(?:\s+to\s+(?<to>\d{1,9}))?\s+in\s+(?<clusters>\S+(?:\s*,\s*\S+)*)$/i

/** `undefined`: nobody can tell what is meant. */
export function parseCommand(text: string): Command | undefined {
  const line = text.trim().replaceAll(/\s+/g, ' ')
  if (line === '' || line === 'help') return { type: 'help' }
  if (line === 'status') return { type: 'health' }
  if (line === 'confirm') return { type: 'confirm' }
  const [, found] = /^status ([\w.-]+)$/.exec(line) ?? []
  if (found) return { type: 'find', name: found }
  const { verb, namespace, name, image, to, clusters } = LINE.exec(line)?.groups ?? {}
  if (!verb || !name || !clusters) return undefined
  const target = { namespace, name, clusters: clusters.split(/\s*,\s*/) }
  const change = changeOf(verb.toLowerCase(), image, to === undefined ? undefined : Number(to))
  if (change) return { type: 'change', target, change }
  return verb.toLowerCase() === 'explain' && !image && !to ? { type: 'explain', target } : undefined
}

function changeOf(verb: string, image: string | undefined, to: number | undefined): Change | undefined {
  if (verb === 'image') return image && to === undefined ? { action: 'set_image', image } : undefined
  if (image) return undefined
  if (verb === 'scale') return to === undefined ? undefined : { action: 'scale', to }
  if (verb === 'restart') return to === undefined ? { action: 'restart' } : undefined
  return verb === 'rollback' ? { action: 'roll_back', toRevision: to } : undefined
}

export interface Reply {
  readonly text: string
  /** Of a plan that waits for its confirmation. */
  readonly token?: string
  /** What was changed, and is not rolled out yet. */
  readonly payload?: Payload
}

/** Throws `GatewayError`. */
export async function runCommand(client: GatewayClient, command: Command): Promise<Reply> {
  switch (command.type) {
    case 'help':
    case 'confirm':
      return { text: HELP }
    case 'health':
      return { text: words.healthText(await client.ask(documents.FleetOverview, {})) }
    case 'find': {
      const name = { contains: command.name }
      return { text: words.foundText((await client.ask(documents.FindWorkloads, { name })).workloads) }
    }
    case 'explain': {
      const texts = (await resolve(client, command.target)).map(async (workload) => {
        const { workloads } = await client.ask(documents.ExplainWorkload, workload)
        return workloads.nodes.map(words.explainedText).join('\n')
      })
      return { text: (await Promise.all(texts)).join('\n') }
    }
    case 'change': {
      const workloads = await resolve(client, command.target)
      const planned = await plan(client, workloads, command.change)
      const text = words.planText(planned)
      return planned.token === null ? { text } : { text, token: planned.token }
    }
  }
}

/** Carries out a plan. Throws `GatewayError`. */
export async function runConfirm(client: GatewayClient, token: string): Promise<Reply> {
  const payload = await confirm(client, token)
  return { text: words.payloadText(payload), payload }
}

const ROLLED_OUT = new Set(['Deployment', 'StatefulSet', 'DaemonSet'])

/** How the workloads that were changed came out, one line each; empty where there is nothing to wait for. */
export async function outcomeOf(
  client: GatewayClient,
  { results }: Payload,
  timeoutSeconds: number,
): Promise<string> {
  const changed = results.filter(({ outcome, kind }) => outcome === 'UPDATED' && ROLLED_OUT.has(kind))
  const texts = changed.map(async ({ clusterName: cluster, namespace, kind, name, object }) => {
    const workload = { cluster, namespace, kind, name } as WorkloadName
    const options = { timeoutSeconds, ...(object && { generation: object.generation }) }
    let text = 'not known'
    for await (const progress of followRollout(client, workload, options)) text = words.progressText(progress)
    return `${words.nameOf(workload)} is ${text}`
  })
  return (await Promise.all(texts)).join('\n')
}

/** Just one workload in each cluster: what is meant, and nothing more. */
async function resolve(
  client: GatewayClient,
  { namespace, name, clusters }: Target,
): Promise<WorkloadName[]> {
  const { workloads } = await client.ask(documents.FindWorkloads, {
    name: { equals: name },
    namespaces: namespace === undefined ? null : [namespace],
    clusters,
    kinds: ['Deployment', 'StatefulSet', 'DaemonSet'],
  })
  const found = workloads.nodes.map(({ cluster, ...rest }) => ({
    cluster: cluster.name,
    namespace: rest.namespace,
    kind: rest.kind as WorkloadName['kind'],
    name: rest.name,
  }))
  return clusters.map((cluster) => {
    const [workload, ...others] = found.filter((each) => each.cluster === cluster)
    if (others.length > 0) {
      const which = found.map(({ kind, namespace }) => `${kind} ${namespace}/${name}`)
      throw new GatewayError('AMBIGUOUS', `Which one in ${cluster}? Say its namespace: ${which.join(', ')}`)
    }
    if (!workload) {
      const state = workloads.coverage.find((each) => each.cluster === cluster)
      const why = state && state.state !== 'CURRENT' ? ` (${state.state}: ${state.reason ?? ''})` : ''
      throw new GatewayError('NOT_FOUND', `There is no ${name} in ${cluster} that you may see${why}.`)
    }
    return workload
  })
}
