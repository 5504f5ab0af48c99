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
  readonly key: string
  /** What it adds to the fingerprint of a set of grants. */
  readonly fingerprint: bigint
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
  /** With `watch`: what may be both listed and watched. */
  read(kind: Kind, verb: 'list' | 'watch'): ReadRight
  can(action: Action): Verdict
}

let lastId = 0

/** For `Decision.id`. */
export function nextId(): number {
  return ++lastId
}

/** What everyone comes to who has just these grants. */
export interface Rights {
  readonly id: number
  readonly grants: Iterable<Grant>
  /** The same one until the rules of one of the roles change. */
  readonly decision: CompiledDecision
}

/** The rights of a user or a group, by the bindings that name it. */
export class GranteeRights implements Rights {
  readonly id = nextId()
  readonly grants: ReadonlySet<Grant>
  readonly fingerprint: bigint
  readonly #roles: ReadonlySet<Role>
  readonly #changes: RoleChanges
  readonly #readRights: ReadRights
  #decision: CompiledDecision | undefined
  #checkedAt = 0

  constructor(grants: ReadonlySet<Grant>, fingerprint: bigint, changes: RoleChanges, readRights: ReadRights) {
    this.grants = grants
    this.fingerprint = fingerprint
    this.#roles = new Set(Array.from(grants, ({ role }) => role))
    this.#changes = changes
    this.#readRights = readRights
  }

  get decision(): CompiledDecision {
    const { last } = this.#changes
    const known = this.#decision
    const isOld = known === undefined || (this.#checkedAt !== last && this.#changedSince(this.#checkedAt))
    this.#checkedAt = last
    if (isOld) return (this.#decision = new GrantsDecision(this, this.#roles, this.#readRights))
    return known
  }

  #changedSince(then: number): boolean {
    for (const { changedAt } of this.#roles) if (changedAt > then) return true
    return false
  }
}

/** The rights of somebody who is granted something as several: as a user, and as a member of groups. */
export class UnitedRights implements Rights {
  readonly id = nextId()
  readonly #parts: readonly Rights[]
  readonly #readRights: ReadRights
  #decision: UnitedDecision | undefined

  constructor(parts: readonly Rights[], readRights: ReadRights) {
    this.#parts = parts
    this.#readRights = readRights
  }

  get grants(): Iterable<Grant> {
    return new Set(this.#parts.flatMap(({ grants }) => Array.from(grants)))
  }

  get decision(): CompiledDecision {
    const parts = this.#parts.map(({ decision }) => decision)
    const known = this.#decision
    if (known && parts.every((part, i) => part === known.parts[i])) return known
    return (this.#decision = new UnitedDecision(this, parts, this.#readRights))
  }
}

const PLACES: ReadonlyMap<Kind, number> = new Map(ALL_KINDS.map((kind, i) => [kind, 2 * i]))
const ALLOWED: Verdict = { allowed: true, reason: null }
const DENIED: Verdict = { allowed: false, reason: null }

type ReadVerb = 'list' | 'watch'

/** Compiled for a kind when somebody asks for it first. */
export abstract class CompiledDecision implements Decision {
  readonly id = nextId()
  /** Held, so that they are found again for as long as their decision is. */
  protected readonly rights: Rights
  protected readonly readRights: ReadRights
  /** By kind; then what is listed, and what is listed and watched. */
  readonly #compiled: ReadRight[] = []

  constructor(rights: Rights, readRights: ReadRights) {
    this.rights = rights
    this.readRights = readRights
  }

  read(kind: Kind, verb: ReadVerb): ReadRight {
    const place = PLACES.get(kind)! + (verb === 'watch' ? 1 : 0)
    return (this.#compiled[place] ??= verb === 'list' ? this.allowed(kind, 'list') : this.#followed(kind))
  }

  can(action: Action): Verdict {
    return this.allows(action) ? ALLOWED : DENIED
  }

  /** What this verb alone is allowed of. */
  abstract allowed(kind: Kind, verb: ReadVerb): ReadRight

  abstract allows(action: Action): boolean

  #followed(kind: Kind): ReadRight {
    const listed = this.read(kind, 'list')
    const watched = this.allowed(kind, 'watch')
    if (listed === watched || listed.scope === undefined) return listed
    if (watched.scope === undefined) return watched
    return this.readRights.of(intersection(listed.scope, watched.scope))
  }
}

/** Grants past which those of one namespace are looked up. */
const MANY = 32

class GrantsDecision extends CompiledDecision {
  readonly #grants: ReadonlySet<Grant>
  readonly #roles: ReadonlySet<Role>
  /** By what each role allows: most kinds that a role names, it names together. */
  readonly #alike = new Map<string, ReadRight>()
  #byNamespace: Map<string, Grant[]> | undefined

  constructor(rights: GranteeRights, roles: ReadonlySet<Role>, readRights: ReadRights) {
    super(rights, readRights)
    this.#grants = rights.grants
    this.#roles = roles
  }

  override allowed(kind: Kind, verb: ReadVerb): ReadRight {
    const { group, resource, namespaced } = KINDS[kind]
    const names = new Map<Role, Names>()
    let alike = namespaced ? 'n' : 'c'
    for (const role of this.#roles) {
      const some = role.rules && namesAllowed(role.rules, verb, group, resource)
      if (some) names.set(role, some)
      alike += some === undefined ? '-' : some === 'all' ? '+' : JSON.stringify([...some])
    }
    const known = this.#alike.get(alike)
    if (known) return known
    const right = this.readRights.of(scopeOf(allowances(this.#grants, names), namespaced))
    this.#alike.set(alike, right)
    return right
  }

  override allows(action: Action): boolean {
    const { namespace = '' } = action
    return this.#allowsIn('', action) || (namespace !== '' && this.#allowsIn(namespace, action))
  }

  #allowsIn(namespace: string, action: Action): boolean {
    for (const { namespace: home, role } of this.#grantsIn(namespace)) {
      if (home === namespace && role.rules && allows(role.rules, action)) return true
    }
    return false
  }

  #grantsIn(namespace: string): Iterable<Grant> {
    if (this.#grants.size <= MANY) return this.#grants
    this.#byNamespace ??= Map.groupBy(this.#grants, (grant) => grant.namespace)
    return this.#byNamespace.get(namespace) ?? []
  }
}

class UnitedDecision extends CompiledDecision {
  readonly parts: readonly CompiledDecision[]
  /** Of kinds whose parts are the same. */
  readonly #alike: { readonly parts: readonly ReadRight[]; readonly right: ReadRight }[] = []

  constructor(rights: Rights, parts: readonly CompiledDecision[], readRights: ReadRights) {
    super(rights, readRights)
    this.parts = parts
  }

  override allowed(kind: Kind, verb: ReadVerb): ReadRight {
    const parts = this.parts.map((part) => part.allowed(kind, verb))
    const known = this.#alike.find((alike) => alike.parts.every((right, i) => right === parts[i]))
    if (known) return known.right
    const right = this.readRights.union(parts)
    this.#alike.push({ parts, right })
    return right
  }

  override allows(action: Action): boolean {
    return this.parts.some((part) => part.allows(action))
  }
}

function* allowances(grants: Iterable<Grant>, names: ReadonlyMap<Role, Names>): Iterable<Allowance> {
  for (const { namespace, role } of grants) {
    const some = names.get(role)
    if (some !== undefined) yield { namespace, names: some }
  }
}
