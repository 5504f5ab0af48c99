/**
 * What may be changed through the gateway, beyond what the clusters allow: policies of the configuration, judged for
 * each object before anything is sent. Plain keys for the everyday cases, and expressions for all others, with the
 * semantics of Kubernetes' ValidatingAdmissionPolicy (KEP-3488): an expression that is true lets a change pass.
 *
 * Invariants: in doubt nothing – an expression that cannot be decided is not true –; no value of a Secret reaches an
 * expression, and so no message; the bounds are on what a change brings, so that what is there already can be
 * changed for the better.
 */
import type { LabelSelector } from '../kubernetes/rows.ts'
import { presentable, type KubernetesJson } from '../kubernetes/json.ts'
import { matchesLabels, parseLabelSelector } from '../kubernetes/label-selector.ts'
import { EVALUATION_MS, Expression, viewOf, type Scene, type View } from './cel.ts'
import type { ChangeError, Verb } from './change.ts'
import { isFrom } from './images.ts'
import { hostPathsOf, imagesOf, replicasOf } from './pod-template.ts'
import type { Judge, Proposal } from './stepping.ts'

/** One of `changes.policies`; its expressions are known to be valid (`expressionProblem`). */
export interface PolicyDefinition {
  readonly name: string
  readonly description?: string | undefined
  /** It is about changes that fit all of these; absent: all. */
  readonly verbs?: readonly Verb[] | undefined
  readonly kinds?: readonly string[] | undefined
  readonly clusters?: readonly string[] | undefined
  readonly clusterSelector?: string | undefined
  /** What becomes of a change for which the expression is not true. */
  readonly action: 'deny' | 'confirm'
  readonly expression: string
  readonly message?: string | undefined
  /** Makes the message; where it cannot, `message` stands. */
  readonly messageExpression?: string | undefined
}

/** The configuration's `changes`, as far as it is about what may be changed. */
export interface PolicyOptions {
  readonly policies: readonly PolicyDefinition[]
  /** A `*` at the end of a name stands for any rest. */
  readonly protectedNamespaces: readonly string[]
  readonly protectedClusters: readonly string[]
  /** 0: none. */
  readonly maxReplicas: number
  /** Empty: all. */
  readonly allowedRegistries: readonly string[]
  readonly allowHostPath: boolean
  /** 0: never. */
  readonly confirmAbove: number
}

export interface Policies {
  /**
   * Judges the objects of one request. `objects`: how many of them it is about. `confirmed`: whoever asks has seen
   * what it does, or nothing is done – a dry run –, so that nobody has to be asked.
   */
  judgeFor(request: { readonly confirmed: boolean; readonly objects: number }): Judge
}

/** What a policy has against a change. */
interface Objection {
  readonly policy: string
  readonly action: 'deny' | 'confirm'
  /** Why, as a sentence without its full stop. */
  readonly reason: string
  /** Nobody can tell whether it would be allowed. */
  readonly undecided?: boolean
}

type Rule = (proposal: Proposal, view: () => View) => Objection | null

/** Objects of one request over which expressions run out of time: all others wait meanwhile. */
const MOST_SLOW = 10

export function createPolicies(options: PolicyOptions): Policies {
  const { confirmAbove } = options
  const written = options.policies.map((definition) => new WrittenPolicy(definition))
  // What is refused is not worth a confirmation.
  const rules = (action: PolicyDefinition['action']) =>
    written.filter((policy) => policy.action === action).map((policy) => policy.rule)
  const denying = [...bounds(options), ...rules('deny')]
  const confirming = rules('confirm')
  const readsObjects = (policies: readonly WrittenPolicy[]) => policies.some((policy) => policy.readsObjects)

  return {
    judgeFor({ confirmed, objects }) {
      const crowd: Rule = () =>
        confirmAbove > 0 && objects > confirmAbove
          ? {
              policy: 'confirmAbove',
              action: 'confirm',
              reason: `the request is about ${objects} objects, and more than ${confirmAbove} ask for it`,
            }
          : null
      const all = confirmed ? denying : [...denying, crowd, ...confirming]
      let slow = 0
      return {
        needsObjects: readsObjects(confirmed ? written.filter(({ action }) => action === 'deny') : written),
        judge(proposal) {
          // What is put back was there: a rollback that is held up leaves more behind than it prevents.
          if (proposal.step.action.type === 'RESTORE') return null
          let view: View | undefined
          const look = () => {
            if (slow < MOST_SLOW) return (view ??= viewOf(sceneOf(proposal)))
            throw new Error('too many objects of this request took too long to look at')
          }
          for (const rule of all) {
            const began = performance.now()
            const objection = rule(proposal, look)
            if (performance.now() - began >= EVALUATION_MS) slow++
            if (objection) return changeError(objection, proposal)
          }
          return null
        },
      }
    },
  }
}

// ── The plain keys ──────────────────────────────────────────────────────────────────────────────

function bounds(options: PolicyOptions): readonly Rule[] {
  const { protectedClusters, protectedNamespaces, maxReplicas, allowedRegistries, allowHostPath } = options
  const deny = (policy: string, reason: string): Objection => ({ policy, action: 'deny', reason })
  const rules: Rule[] = []

  if (protectedClusters.length > 0) {
    const names = new Set(protectedClusters)
    rules.push(({ cluster }) =>
      names.has(cluster.name) ? deny('protectedClusters', `the cluster ${cluster.name} is protected`) : null,
    )
  }
  if (protectedNamespaces.length > 0) {
    rules.push((proposal) => {
      // Who drains a node changes the node: its pods come again elsewhere.
      if (proposal.verb === 'drain') return null
      const namespace = namespaceOf(proposal)
      const protects = (pattern: string) =>
        pattern.endsWith('*') ? namespace.startsWith(pattern.slice(0, -1)) : namespace === pattern
      return namespace !== '' && protectedNamespaces.some(protects)
        ? deny('protectedNamespaces', `the namespace ${namespace} is protected`)
        : null
    })
  }
  if (maxReplicas > 0) {
    rules.push((proposal) => {
      const wanted = replicasAfter(proposal)
      if (wanted === null || wanted <= maxReplicas || wanted <= (replicasOf(proposal.before) ?? 0))
        return null
      return deny('maxReplicas', `${wanted} replicas are more than the ${maxReplicas} that are allowed`)
    })
  }
  if (allowedRegistries.length > 0) {
    rules.push((proposal) => {
      const foreign = brought(proposal, imagesOf).find((image) => !isFrom(image, allowedRegistries))
      return foreign === undefined
        ? null
        : deny(
            'allowedRegistries',
            `the image ${quoted(foreign)} is not from one of ${allowedRegistries.join(', ')}`,
          )
    })
  }
  if (!allowHostPath) {
    rules.push((proposal) => {
      const [path] = brought(proposal, hostPathsOf)
      return path === undefined
        ? null
        : deny('allowHostPath', `it mounts ${quoted(path)} of the node's own files (hostPath)`)
    })
  }
  return rules
}

/** What a change adds to what is there. Of a manifest also what the API server would drop. */
function brought(
  { before, after, step }: Proposal,
  partsOf: (object: KubernetesJson | null) => readonly string[],
): readonly string[] {
  const { action } = step
  const manifest = action.type === 'APPLY' || action.type === 'CREATE' ? action.manifest : null
  const known = new Set(partsOf(before))
  return [...partsOf(after), ...partsOf(manifest)].filter((part) => !known.has(part))
}

/** `null`: it is not about replicas, or they would be gone. */
function replicasAfter({ after, before, step }: Proposal): number | null {
  const { action } = step
  switch (action.type) {
    case 'SCALE': {
      if (action.to !== undefined) return action.to
      // Without what is there nobody knows what it adds to.
      return replicasOf(after) ?? (replicasOf(before) ?? 0) + (action.by ?? 0)
    }
    case 'APPLY':
    case 'CREATE':
      return replicasOf(after ?? action.manifest)
    case 'DELETE':
    case 'EVICT':
      return null
    default:
      return replicasOf(after)
  }
}

// ── Expressions ─────────────────────────────────────────────────────────────────────────────────

class WrittenPolicy {
  readonly action: PolicyDefinition['action']
  readonly readsObjects: boolean
  readonly #definition: PolicyDefinition
  readonly #expression: Expression
  readonly #message: Expression | undefined
  readonly #selector: LabelSelector | undefined

  constructor(definition: PolicyDefinition) {
    const { messageExpression, clusterSelector } = definition
    this.action = definition.action
    this.#definition = definition
    this.#expression = new Expression(definition.expression)
    this.#message = messageExpression === undefined ? undefined : new Expression(messageExpression)
    this.#selector = clusterSelector === undefined ? undefined : parseLabelSelector(clusterSelector)
    this.readsObjects = this.#expression.readsObjects || this.#message?.readsObjects === true
  }

  readonly rule: Rule = (proposal, view) => {
    if (!this.#isAbout(proposal)) return null
    const { name, action, expression, message } = this.#definition
    const objection = { policy: name, action }
    try {
      const value = this.#expression.evaluate(view())
      if (value === true) return null
      if (value !== false) throw new Error('it is neither true nor false')
    } catch (error) {
      return { ...objection, reason: line(problemOf(error), MOST_REASON), undecided: true }
    }
    return { ...objection, reason: this.#said(view()) ?? message ?? `${line(expression, 200)} is not true` }
  }

  #isAbout({ verb, cluster, step }: Proposal): boolean {
    const { verbs, kinds, clusters } = this.#definition
    return (
      (verbs === undefined || verbs.includes(verb)) &&
      (kinds === undefined || kinds.includes(step.object.kind)) &&
      (clusters === undefined || clusters.includes(cluster.name)) &&
      (this.#selector === undefined || matchesLabels(this.#selector, cluster.labels))
    )
  }

  #said(view: View): string | undefined {
    if (!this.#message) return undefined
    try {
      const text = this.#message.evaluate(view)
      return typeof text === 'string' && text.trim() !== '' ? line(text, MOST_REASON) : undefined
    } catch {
      return undefined
    }
  }
}

function sceneOf(proposal: Proposal): Scene {
  const { before, after, viewer, cluster, verb, step } = proposal
  const { apiVersion, kind, name } = step.object
  const secret = kind === 'Secret'
  const shown = (object: KubernetesJson | null) => object && presentable(object, secret)
  return {
    object: shown(after),
    oldObject: shown(before),
    user: {
      name: viewer.user.name,
      groups: viewer.user.groups,
      issuer: viewer.issuer ?? '',
      method: viewer.method,
    },
    cluster,
    request: {
      verb,
      operation: operationOf(proposal),
      apiVersion,
      kind,
      namespace: namespaceOf(proposal),
      name,
    },
    replicas: replicasAfter(proposal),
  }
}

function operationOf({ before, step: { action } }: Proposal): Scene['request']['operation'] {
  switch (action.type) {
    case 'DELETE':
    case 'EVICT':
      return 'DELETE'
    case 'APPLY':
    case 'CREATE':
      return before ? 'UPDATE' : 'CREATE'
    default:
      return 'UPDATE'
  }
}

/** A Namespace is in itself. */
function namespaceOf({ step: { object } }: Proposal): string {
  return object.namespace ?? (object.kind === 'Namespace' && object.apiVersion === 'v1' ? object.name : '')
}

// ── What is said ────────────────────────────────────────────────────────────────────────────────

const MOST_REASON = 500

function changeError({ policy, action, reason, undecided }: Objection, proposal: Proposal): ChangeError {
  const { kind, namespace, name, cluster } = proposal.step.object
  const what = `${proposal.verb} ${kind} ${namespace === null ? '' : `${namespace}/`}${name} in ${cluster}`
  const why = reason.replace(/[.\s]+$/, '')
  const confirm = action === 'confirm'
  const message = undecided
    ? `Whether the policy "${policy}" allows ${what} cannot be told: ${why}. `
    : confirm
      ? `The policy "${policy}" asks for a confirmation of ${what}: ${why}. `
      : `The policy "${policy}" does not allow ${what}: ${why}. `
  const next = confirm
    ? 'Make a plan of the same change, look at what it would do, and confirm it.'
    : undecided
      ? 'Nothing was changed. Whoever runs this gateway can make the policy say what it means for such an object.'
      : 'Nothing was changed. Ask for what the policy allows, or whoever runs this gateway for another policy.'
  return {
    code: confirm ? 'CONFIRMATION_REQUIRED' : 'POLICY_VIOLATION',
    message: message + next,
    causes: [],
    policy,
    mayHaveBeenApplied: false,
    retryAfterSeconds: null,
  }
}

/** Without the picture of the place that the library draws. */
function problemOf(error: unknown): string {
  const { summary, message } = error as { summary?: unknown; message?: unknown }
  return String(typeof summary === 'string' ? summary : (message ?? error))
}

function quoted(text: string): string {
  return JSON.stringify(line(text, 200))
}

/** In one line, and no longer than that. */
function line(text: string, most: number): string {
  // oxlint-disable-next-line no-control-regex
  const flat = text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ').trim()
  return flat.length > most ? `${flat.slice(0, most - 1)}…` : flat
}
