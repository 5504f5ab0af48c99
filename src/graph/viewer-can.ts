/**
 * `viewerCan`: what a portal needs to know to grey out its buttons, object by object, in words of what is done
 * and not of RBAC. The answers are about who asks: no answer with them is kept, and no event with them is shared.
 */
import type { Action, Verdict } from '../access/policy.ts'
import { KINDS } from '../kubernetes/kinds.ts'
import type { Kind, Row } from '../kubernetes/rows.ts'
import { builder } from './builder.ts'
import type { GraphContext } from './context.ts'

type Allowed = boolean | null

/** An action on the object itself. To an API server a namespace is in itself: roles that hold there hold for it. */
function onObject(row: Row, verb: string, subresource?: string): Action {
  const { group, resource } = KINDS[row.kind]
  const namespace = row.kind === 'Namespace' ? row.name : row.namespace
  return {
    verb,
    group,
    resource,
    ...(subresource !== undefined && { subresource }),
    ...(namespace !== '' && { namespace }),
    name: row.name,
  }
}

/** An action on the pods of a workload, or on those of a node, which may be in any namespace. */
function onItsPods(row: Row, verb: string, subresource: string): Action {
  const namespace = row.namespace === '' ? {} : { namespace: row.namespace }
  return { verb, group: '', resource: 'pods', subresource, ...namespace }
}

function may(row: Row, { loaders }: GraphContext, ...actions: readonly Action[]): Allowed | Promise<Allowed> {
  const answers = actions.map((action) => loaders.permissions.may(row.cluster, action))
  if (!answers.some((answer) => answer instanceof Promise)) return all(answers as readonly Verdict[])
  return Promise.all(answers.map(async (answer) => answer)).then(all)
}

/** False where any is refused, whatever else is unknown. */
function all(verdicts: readonly Verdict[]): Allowed {
  if (verdicts.some(({ allowed }) => allowed === false)) return false
  return verdicts.some(({ allowed }) => allowed === null) ? null : true
}

const RUNS_PODS: ReadonlySet<Kind> = new Set([
  'Deployment',
  'StatefulSet',
  'DaemonSet',
  'ReplicaSet',
  'Job',
  'CronJob',
])
const SCALES: ReadonlySet<Kind> = new Set(['Deployment', 'StatefulSet', 'ReplicaSet'])
const RESTARTS: ReadonlySet<Kind> = new Set(['Deployment', 'StatefulSet', 'DaemonSet'])

/** Its value is the row. */
export const ViewerCanRef = builder.objectRef<Row>('ViewerCan').implement({
  description:
    'What you may do with an object: for buttons. True: the cluster allows it now. False: it does not, or objects of this kind have no such action. Null: it cannot be found out at the moment. Admission may still refuse what is allowed here. In clusters that have to be asked, a right to this very object (`resourceNames`) is found only where at most twenty objects of a kind and a namespace are asked about at once. No answer with it is served from the cache.',
  fields: (t) => ({
    get: t.boolean({
      nullable: true,
      description: 'Read it live: its `manifest`, its annotations. The verb `get` on it.',
      resolve: (row, _arguments, context) => may(row, context, onObject(row, 'get')),
    }),
    edit: t.boolean({
      nullable: true,
      description: 'Change it. The verb `patch` on it.',
      resolve: (row, _arguments, context) => may(row, context, onObject(row, 'patch')),
    }),
    delete: t.boolean({
      nullable: true,
      description: 'Delete it. The verb `delete` on it.',
      resolve: (row, _arguments, context) => may(row, context, onObject(row, 'delete')),
    }),
    scale: t.boolean({
      nullable: true,
      description:
        'Give it another number of replicas: a Deployment, a StatefulSet or a ReplicaSet. The verb `patch` on its subresource `scale`.',
      resolve: (row, _arguments, context) =>
        SCALES.has(row.kind) && may(row, context, onObject(row, 'patch', 'scale')),
    }),
    restart: t.boolean({
      nullable: true,
      description:
        'Replace its pods by new ones: a Deployment, a StatefulSet or a DaemonSet. The verb `patch` on it.',
      resolve: (row, _arguments, context) =>
        RESTARTS.has(row.kind) && may(row, context, onObject(row, 'patch')),
    }),
    logs: t.boolean({
      nullable: true,
      description:
        'Read the log of a pod, or of the pods of a workload. The verb `get` on `pods/log`, of this pod or in the namespace.',
      resolve: (row, _arguments, context) =>
        row.kind === 'Pod'
          ? may(row, context, onObject(row, 'get', 'log'))
          : RUNS_PODS.has(row.kind) && may(row, context, onItsPods(row, 'get', 'log')),
    }),
    exec: t.boolean({
      nullable: true,
      description: 'Run a command in a pod. The verb `create` on its subresource `exec`.',
      resolve: (row, _arguments, context) =>
        row.kind === 'Pod' && may(row, context, onObject(row, 'create', 'exec')),
    }),
    evict: t.boolean({
      nullable: true,
      description:
        'Have a pod go as its disruption budgets allow. The verb `create` on its subresource `eviction`.',
      resolve: (row, _arguments, context) =>
        row.kind === 'Pod' && may(row, context, onObject(row, 'create', 'eviction')),
    }),
    cordon: t.boolean({
      nullable: true,
      description: 'Keep new pods away from a node, or let them come again. The verb `patch` on it.',
      resolve: (row, _arguments, context) => row.kind === 'Node' && may(row, context, onObject(row, 'patch')),
    }),
    drain: t.boolean({
      nullable: true,
      description:
        'Cordon a node and evict its pods. The verbs `patch` on it, and `create` on `pods/eviction` in all namespaces.',
      resolve: (row, _arguments, context) =>
        row.kind === 'Node' &&
        may(row, context, onObject(row, 'patch'), onItsPods(row, 'create', 'eviction')),
    }),
  }),
})
