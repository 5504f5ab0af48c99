/**
 * What a set of grants comes to: the rights of everyone who has just these in a cluster. Grants are a role and
 * where it holds; the roles' rules are read when somebody asks, and compiled once for each kind.
 */
import { ALL_KINDS, KINDS } from '../../kubernetes/kinds.ts'
import type { Kind, PolicyRule } from '../../kubernetes/rows.ts'
import type { Action, ReadRight, Verdict } from '../policy.ts'
import { allows, type Names, namesAllowed } from './rules.ts'
import { type Allowance, intersection, type ReadRights, scopeOf } from './scopes.ts'

/** A role that somebody is bound to. */
export interface Role {
  readonly key: string
  /** `undefined`: there is no such role. It grants nothing then. */
  rules: readonly PolicyRule[] | undefined
  /** `RoleChanges.last` when its rules changed last. */
  changedAt: number
  /** How many grants it stands in. */
  grants: number
}

/** Of one cluster. */
export interface RoleChanges {
  last: number
}

/** A role, where it holds. */
export interface Grant {
  readonly id: number
  readonly key: string
  /** `''`: in the whole cluster. */
  readonly namespace: string
  readonly role: Role
  /** How many bindings give it. */
  bindings: number
}

/** What somebody may read and do in one cluster, as of now. */
export interface Decision {
  /** No other has it, nor ever had, in this process. */
  readonly id: number
  read(kind: Kind, verb: 'list' | 'watch'): ReadRight
  can(action: Action): Verdict
}

let lastId = 0

/** For `Decision.id`. */
export function nextId(): number {
  return ++lastId
}

export class Rights {
  readonly id = nextId()
  readonly grants: readonly Grant[]
  readonly roles: ReadonlySet<Role>
  readonly #changes: RoleChanges
  readonly #readRights: ReadRights
  #decision: CompiledDecision | undefined
  #checkedAt = 0

  /** No grant stands among them twice. */
  constructor(grants: readonly Grant[], changes: RoleChanges, readRights: ReadRights) {
    this.grants = grants
    this.roles = new Set(grants.map(({ role }) => role))
    this.#changes = changes
    this.#readRights = readRights
  }

  /** The same one until the rules of one of its roles change. */
  get decision(): Decision {
    const { last } = this.#changes
    const known = this.#decision
    if (known && (this.#checkedAt === last || !this.#changedSince(this.#checkedAt))) {
      this.#checkedAt = last
      return known
    }
    this.#checkedAt = last
    return (this.#decision = new CompiledDecision(this, this.#readRights))
  }

  #changedSince(then: number): boolean {
    for (const { changedAt } of this.roles) if (changedAt > then) return true
    return false
  }
}

const PLACES: ReadonlyMap<Kind, number> = new Map(ALL_KINDS.map((kind, i) => [kind, 2 * i]))
const ALLOWED: Verdict = { allowed: true, reason: null }
const DENIED: Verdict = { allowed: false, reason: null }

/** Grants past which those of one namespace are looked up. */
const MANY = 32

class CompiledDecision implements Decision {
  readonly id = nextId()
  /** Held, so that it is found again for as long as its decision is. */
  readonly #rights: Rights
  readonly #readRights: ReadRights
  /** By kind and verb. */
  readonly #compiled: ReadRight[] = []
  /** By what each role allows: most kinds that a role names, it names together. */
  readonly #alike = new Map<string, ReadRight>()
  #byNamespace: Map<string, Grant[]> | undefined

  constructor(rights: Rights, readRights: ReadRights) {
    this.#rights = rights
    this.#readRights = readRights
  }

  read(kind: Kind, verb: 'list' | 'watch'): ReadRight {
    const place = PLACES.get(kind)! + (verb === 'watch' ? 1 : 0)
    return (this.#compiled[place] ??= verb === 'list' ? this.#compile(kind, 'list') : this.#followed(kind))
  }

  can(action: Action): Verdict {
    const { namespace = '' } = action
    const may = this.#allowIn('', action) || (namespace !== '' && this.#allowIn(namespace, action))
    return may ? ALLOWED : DENIED
  }

  /** What may be both listed and watched. */
  #followed(kind: Kind): ReadRight {
    const listed = this.read(kind, 'list')
    const watched = this.#compile(kind, 'watch')
    if (listed === watched || listed.scope === undefined) return listed
    if (watched.scope === undefined) return watched
    return this.#readRights.of(intersection(listed.scope, watched.scope))
  }

  #compile(kind: Kind, verb: string): ReadRight {
    const { group, resource, namespaced } = KINDS[kind]
    const names = new Map<Role, Names>()
    let alike = namespaced ? 'n' : 'c'
    for (const role of this.#rights.roles) {
      const some = role.rules && namesAllowed(role.rules, verb, group, resource)
      if (some) names.set(role, some)
      alike += some === undefined ? '-' : some === 'all' ? '+' : JSON.stringify([...some])
    }
    const known = this.#alike.get(alike)
    if (known) return known
    const right = this.#readRights.of(scopeOf(allowances(this.#rights.grants, names), namespaced))
    this.#alike.set(alike, right)
    return right
  }

  #allowIn(namespace: string, action: Action): boolean {
    const all = this.#rights.grants
    const grants = all.length > MANY ? this.#grantsIn(namespace) : all
    return grants.some(
      (grant) => grant.namespace === namespace && grant.role.rules && allows(grant.role.rules, action),
    )
  }

  #grantsIn(namespace: string): readonly Grant[] {
    this.#byNamespace ??= Map.groupBy(this.#rights.grants, (grant) => grant.namespace)
    return this.#byNamespace.get(namespace) ?? []
  }
}

function* allowances(grants: readonly Grant[], names: ReadonlyMap<Role, Names>): Iterable<Allowance> {
  for (const { namespace, role } of grants) {
    const some = names.get(role)
    if (some !== undefined) yield { namespace, names: some }
  }
}
