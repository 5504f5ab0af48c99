/**
 * Who is granted what in one cluster: an index of its bindings by subject, kept up to date binding by binding,
 * and of the roles that they refer to. Knows no tables: it is told.
 *
 * Invariants: it says what the bindings and roles say that it was told last, in whatever order they came; a
 * change costs by the subjects of its binding, and touches nobody else; what nothing refers to is dropped.
 *
 * Source: Kubernetes documentation, "Using RBAC Authorization"; `pkg/registry/rbac/validation/rule.go`.
 */
import type { PolicyRule, RoleReference, Subject } from '../../kubernetes/rows.ts'
import type { User } from '../viewer.ts'
import { NO_MEMBERS, uniqueFingerprint } from './fingerprint.ts'
import {
  type Grant,
  GranteeRights,
  type Rights,
  type Role,
  type RoleChanges,
  UnitedRights,
} from './rights.ts'
import type { ReadRights } from './scopes.ts'
import { WeakInterner } from './weak-interner.ts'

/** A RoleBinding, or with the namespace `''` a ClusterRoleBinding. */
export interface Binding {
  readonly roleRef: RoleReference
  readonly subjects: readonly Subject[]
}

/** The rules of a role; `undefined` where there is none. `namespace` is `''` for a ClusterRole. */
export type RulesOf = (namespace: string, name: string) => readonly PolicyRule[] | undefined

/** A user or a group that bindings name. */
interface Grantee {
  /** How many bindings, or entries of one, give each. */
  readonly grants: Map<Grant, number>
  /** Of the grants. */
  fingerprint: bigint
  /** What they come to, until they change. */
  rights: WeakRef<GranteeRights> | undefined
}

interface Known extends Binding {
  readonly grant: Grant | undefined
}

export class GrantIndex {
  readonly #rulesOf: RulesOf
  readonly #readRights: ReadRights
  readonly #bindings = new Map<string, Known>()
  readonly #grants = new Map<string, Grant>()
  readonly #roles = new Map<string, Role>()
  /** Service accounts are users. */
  readonly #users = new Map<string, Grantee>()
  readonly #groups = new Map<string, Grantee>()
  readonly #changes: RoleChanges = { last: 0 }
  /** By the fingerprint of their grants. */
  readonly #rights = new WeakInterner<GranteeRights>()
  /** By what they are put together from, and by the fingerprint of that. */
  readonly #unions = new WeakInterner<Rights>()
  readonly #united = new WeakInterner<Rights>()
  readonly #none: GranteeRights

  constructor(rulesOf: RulesOf, readRights: ReadRights) {
    this.#rulesOf = rulesOf
    this.#readRights = readRights
    this.#none = new GranteeRights(new Set(), NO_MEMBERS, this.#changes, readRights)
  }

  /** Says what a binding is now; `undefined`: gone. Returns whether that is anything else than before. */
  bind(namespace: string, name: string, binding: Binding | undefined): boolean {
    const key = `${namespace}/${name}`
    const before = this.#bindings.get(key)
    if (before === binding || (before && binding && isSame(before, binding))) return false
    // First the new, so that what both give is never gone.
    if (binding) {
      const { roleRef, subjects } = binding
      const grant = this.#grantOf(namespace, roleRef)
      this.#bindings.set(key, { roleRef, subjects, grant })
      if (grant) this.#give(grant, subjects)
    } else this.#bindings.delete(key)
    if (before?.grant) this.#take(before.grant, before.subjects)
    return true
  }

  /** Says that a role may be another now. Returns whether that matters to anybody. */
  reread(namespace: string, name: string): boolean {
    const role = this.#roles.get(roleKey(namespace, name))
    const rules = role && this.#rulesOf(namespace, name)
    if (!role || areSameRules(role.rules, rules)) return false
    role.rules = rules
    role.changedAt = ++this.#changes.last
    return true
  }

  /** One object for everyone who is granted the same, while anybody holds it. */
  rightsOf({ name, groups }: Pick<User, 'name' | 'groups'>): Rights {
    const found = new Set<GranteeRights>()
    const add = (grantee: Grantee | undefined) => grantee && found.add(this.#rightsOf(grantee))
    add(this.#users.get(name))
    for (const group of groups) add(this.#groups.get(group))
    const [first = this.#none] = found
    if (found.size > 1) return this.#unite(found)
    return this.#united.find(first.fingerprint.toString(36)) ?? first
  }

  /** For tests: everything that is kept. */
  get sizes(): Readonly<Record<string, number>> {
    return {
      bindings: this.#bindings.size,
      grants: this.#grants.size,
      roles: this.#roles.size,
      users: this.#users.size,
      groups: this.#groups.size,
      rights: this.#rights.size,
      unions: this.#unions.size + this.#united.size,
    }
  }

  #rightsOf(grantee: Grantee): GranteeRights {
    const known = grantee.rights?.deref()
    if (known) return known
    const { grants, fingerprint } = grantee
    const rights = this.#rights.get(
      fingerprint.toString(36),
      () => new GranteeRights(new Set(grants.keys()), fingerprint, this.#changes, this.#readRights),
    )
    grantee.rights = new WeakRef(rights)
    return rights
  }

  #unite(some: ReadonlySet<GranteeRights>): Rights {
    const ids = Array.from(some, ({ id }) => id).sort((a, b) => a - b)
    return this.#unions.get(ids.join(), () => {
      const parts = [...some].sort((a, b) => b.grants.size - a.grants.size)
      const needed: GranteeRights[] = []
      let fingerprint = NO_MEMBERS
      for (const part of parts) {
        const isThere = (grant: Grant) => needed.some(({ grants }) => grants.has(grant))
        const before = fingerprint
        if (needed.length === 0) fingerprint = part.fingerprint
        else for (const grant of part.grants) if (!isThere(grant)) fingerprint ^= grant.fingerprint
        if (fingerprint !== before) needed.push(part)
      }
      // The same may have been granted at once to somebody else.
      const key = fingerprint.toString(36)
      const make = () => this.#rights.find(key) ?? new UnitedRights(needed, this.#readRights)
      return this.#united.get(key, make)
    })
  }

  /** `undefined`: it refers to nothing that could grant anything there. */
  #grantOf(namespace: string, { kind, name }: RoleReference): Grant | undefined {
    if (name === '' || (kind === 'Role' && namespace === '')) return undefined
    const home = kind === 'Role' ? namespace : ''
    const role = roleKey(home, name)
    const key = `${namespace}:${role}`
    let grant = this.#grants.get(key)
    if (!grant) {
      grant = {
        key,
        // Not by what it says: its role is followed only while it is bound.
        fingerprint: uniqueFingerprint(),
        namespace,
        role: this.#roleOf(role, home, name),
        bindings: 0,
      }
      grant.role.grants++
      this.#grants.set(key, grant)
    }
    grant.bindings++
    return grant
  }

  #roleOf(key: string, namespace: string, name: string): Role {
    let role = this.#roles.get(key)
    if (!role) {
      role = { key, rules: this.#rulesOf(namespace, name), changedAt: this.#changes.last, grants: 0 }
      this.#roles.set(key, role)
    }
    return role
  }

  #give(grant: Grant, subjects: readonly Subject[]): void {
    for (const subject of subjects) {
      const [grantees, name] = this.#placeOf(subject)
      let grantee = grantees.get(name)
      if (!grantee)
        grantees.set(name, (grantee = { grants: new Map(), fingerprint: NO_MEMBERS, rights: undefined }))
      const times = grantee.grants.get(grant) ?? 0
      grantee.grants.set(grant, times + 1)
      if (times === 0) becomeOther(grantee, grant)
    }
  }

  #take(grant: Grant, subjects: readonly Subject[]): void {
    for (const subject of subjects) {
      const [grantees, name] = this.#placeOf(subject)
      const grantee = grantees.get(name)!
      const times = grantee.grants.get(grant)!
      if (times > 1) {
        grantee.grants.set(grant, times - 1)
        continue
      }
      grantee.grants.delete(grant)
      becomeOther(grantee, grant)
      if (grantee.grants.size === 0) grantees.delete(name)
    }
    if (--grant.bindings > 0) return
    this.#grants.delete(grant.key)
    if (--grant.role.grants === 0) this.#roles.delete(grant.role.key)
  }

  #placeOf({ kind, name, namespace }: Subject): readonly [Map<string, Grantee>, string] {
    if (kind === 'Group') return [this.#groups, name]
    return [this.#users, kind === 'User' ? name : `system:serviceaccount:${namespace}:${name}`]
  }
}

/** One grant more, or one less. */
function becomeOther(grantee: Grantee, { fingerprint }: Grant): void {
  grantee.fingerprint ^= fingerprint
  grantee.rights = undefined
}

/** Names of namespaces hold no slash. */
function roleKey(namespace: string, name: string): string {
  return `${namespace}/${name}`
}

function isSame(a: Binding, b: Binding): boolean {
  return (
    a.roleRef.kind === b.roleRef.kind &&
    a.roleRef.name === b.roleRef.name &&
    (a.subjects === b.subjects ||
      (a.subjects.length === b.subjects.length &&
        a.subjects.every((subject, i) => {
          const other = b.subjects[i]!
          return (
            subject === other ||
            (subject.kind === other.kind &&
              subject.name === other.name &&
              subject.namespace === other.namespace)
          )
        })))
  )
}

function areSameRules(a: readonly PolicyRule[] | undefined, b: readonly PolicyRule[] | undefined): boolean {
  // Equal rules are mostly the same objects.
  return a === b || (a !== undefined && b !== undefined && JSON.stringify(a) === JSON.stringify(b))
}
