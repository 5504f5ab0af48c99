/**
 * Holds what credentials may do in a cluster against what they need: what is missing, and what is too much.
 * What they may in the whole cluster is asked right by right; where there is too much is looked for in the rules
 * of two namespaces as well, since a binding there is easily overlooked.
 */
import type { ApiClient } from '../kubernetes/client.ts'
import { ApiError } from '../kubernetes/client.ts'
import {
  selfSubjectAccessReview,
  selfSubjectRulesReview,
  type NamespaceRule,
} from '../kubernetes/discovery.ts'
import {
  DANGEROUS,
  EVERYTHING,
  NEEDED_BESIDE_TABLES,
  type DangerousRight,
  type NeededRight,
  type Right,
} from './least-privilege.ts'

/** Of the needed verbs those that the credentials do not have in the whole cluster. */
export interface MissingRight extends NeededRight {
  /** They have some of it for single names: enough where nobody else is to be impersonated. */
  readonly forSomeNames: boolean
}

export interface ExcessRight extends DangerousRight {
  /** `null`: in the whole cluster. */
  readonly namespaces: readonly string[] | null
  /** For single names only. */
  readonly forSomeNames: boolean
}

export interface RightsReport {
  /** In the order of the kinds, then those beside them. */
  readonly missing: readonly MissingRight[]
  /** The worst first. Only `EVERYTHING` where they may do everything. */
  readonly excess: readonly ExcessRight[]
}

/** Where service accounts are given rights by mistake. */
const NAMESPACES = ['default', 'kube-system'] as const
/** Questions to one API server at a time. */
const AT_ONCE = 8

interface RulesOf {
  readonly namespace: string
  readonly rules: readonly NamespaceRule[]
}

/** Throws the client's errors, but for rules that the server will not tell. */
export async function checkRights(
  client: ApiClient,
  tables: readonly NeededRight[],
  signal: AbortSignal,
): Promise<RightsReport> {
  const turns = new Turns(AT_ONCE)
  const may = ({ group, resource, subresource }: Right, verb: string): Promise<boolean> =>
    turns.take(async () => {
      const address = { group, version: '', resource }
      const question = { verb, address, ...(subresource !== '' && { subresource }) }
      return (await selfSubjectAccessReview(client, question, { signal })).allowed
    })
  const verbsOf = async (right: Right, allowed: boolean): Promise<readonly string[]> => {
    const answers = await Promise.all(
      right.verbs.map(async (verb) => ((await may(right, verb)) === allowed ? [verb] : [])),
    )
    return answers.flat()
  }

  const told = await Promise.all(NAMESPACES.map((namespace) => rulesOf(client, namespace, signal)))
  const known = told.filter((each) => each !== undefined)
  const missing = await Promise.all(
    [...tables, ...NEEDED_BESIDE_TABLES].map(async (right) => {
      const verbs = await verbsOf(right, false)
      if (verbs.length === 0) return []
      const forSomeNames = known.some(({ rules }) => verbsBy(rules, { ...right, verbs }, true).length > 0)
      return [{ ...right, verbs, forSomeNames }]
    }),
  )
  const [everything] = EVERYTHING.verbs
  if (await may(EVERYTHING, everything!)) {
    return { missing: missing.flat(), excess: [{ ...EVERYTHING, namespaces: null, forSomeNames: false }] }
  }
  const excess = await Promise.all(
    DANGEROUS.map(async (right) => {
      // What no rule of either namespace allows, no rule of the whole cluster does.
      const asked = known.length < NAMESPACES.length ? right.verbs : verbsIn(known, right)
      const whole = await verbsOf({ ...right, verbs: asked }, true)
      const parts = partsOf(known, { ...right, verbs: right.verbs.filter((verb) => !whole.includes(verb)) })
      return [
        ...(whole.length > 0 ? [{ ...right, verbs: whole, namespaces: null, forSomeNames: false }] : []),
        ...parts,
      ]
    }),
  )
  return { missing: missing.flat(), excess: excess.flat() }
}

/** `undefined` where they are not told, or not all of them: other authorizers than RBAC cannot list what they allow. */
async function rulesOf(
  client: ApiClient,
  namespace: string,
  signal: AbortSignal,
): Promise<RulesOf | undefined> {
  try {
    const { incomplete, rules } = await selfSubjectRulesReview(client, namespace, { signal })
    return incomplete ? undefined : { namespace, rules }
  } catch (error) {
    if (error instanceof ApiError) return undefined
    throw error
  }
}

/** The verbs that rules allow, for all names or (`named`) for single ones. */
function verbsBy(
  rules: readonly NamespaceRule[],
  { verbs, group, resource, subresource }: Right,
  named: boolean,
): readonly string[] {
  const full = subresource === '' ? resource : `${resource}/${subresource}`
  const about = rules.filter(
    ({ apiGroups, resources, resourceNames }) =>
      resourceNames.length > 0 === named &&
      (apiGroups.includes('*') || apiGroups.includes(group)) &&
      (resources.includes('*') ||
        resources.includes(full) ||
        (subresource !== '' && resources.includes(`*/${subresource}`))),
  )
  return verbs.filter((verb) => about.some((rule) => rule.verbs.includes('*') || rule.verbs.includes(verb)))
}

function verbsIn(known: readonly RulesOf[], right: Right): readonly string[] {
  return right.verbs.filter((verb) =>
    known.some(({ rules }) => verbsBy(rules, { ...right, verbs: [verb] }, false).length > 0),
  )
}

/** What rules allow in namespaces, or for single names: one entry for those that allow the same. */
function partsOf(known: readonly RulesOf[], right: DangerousRight): readonly ExcessRight[] {
  const parts = new Map<string, ExcessRight>()
  for (const { namespace, rules } of known) {
    for (const forSomeNames of [false, true]) {
      const verbs = verbsBy(rules, right, forSomeNames)
      if (verbs.length === 0) continue
      const key = `${verbs.join()} ${forSomeNames}`
      const namespaces = [...(parts.get(key)?.namespaces ?? []), namespace]
      parts.set(key, { ...right, verbs, namespaces, forSomeNames })
    }
  }
  return Array.from(parts.values())
}

/** So many at a time, in the order in which they came. */
class Turns {
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(count: number) {
    this.#free = count
  }

  async take<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#free++
    }
  }
}
