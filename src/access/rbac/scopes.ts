/**
 * Scopes: made from what is granted where, put together, and one object for all that say the same – of every
 * user, kind and cluster –, so that a scope of thousands of namespaces lies in memory once.
 */
import type { Scope } from '../../fleet/selection.ts'
import type { ReadRight } from '../policy.ts'
import { Fingerprints, NO_MEMBERS } from './fingerprint.ts'
import type { Names } from './rules.ts'
import { partsOf, unionOf } from './union-set.ts'
import { WeakInterner } from './weak-interner.ts'

type Part = Exclude<Scope, 'all'>

/** What a verb is allowed of; `namespace` is `''` for the whole cluster. */
export interface Allowance {
  readonly namespace: string
  readonly names: Names
}

/**
 * Pairs of a namespace of one verb and a name of another that are spelled out. Past them the names are left out:
 * whoever writes the roles of one cluster must not fill the memory of all.
 */
const PAIRS = 100_000

const NOTHING: ReadRight = { scope: undefined, state: 'DECIDED', reason: null, settled: null }
export const ALL: ReadRight = { scope: 'all', state: 'DECIDED', reason: null, settled: null }

/** Of these; a kind without namespaces is only reached by what holds in the whole cluster. */
export function scopeOf(allowances: Iterable<Allowance>, namespaced: boolean): Scope {
  const namespaces = new Set<string>()
  const objects = new Set<string>()
  const everywhere = new Set<string>()
  for (const { namespace, names } of allowances) {
    if (namespace === '') {
      if (names === 'all') return 'all'
      for (const name of names) {
        if (namespaced) everywhere.add(name)
        else objects.add(`/${name}`)
      }
    } else if (namespaced) {
      if (names === 'all') namespaces.add(namespace)
      else for (const name of names) objects.add(`${namespace}/${name}`)
    }
  }
  return { namespaces, objects, names: everywhere }
}

/** What both show. */
export function intersection(a: Scope, b: Scope): Scope {
  if (a === 'all' || a === b) return b
  if (b === 'all') return a
  const objects = new Set<string>()
  for (const object of a.objects ?? []) if (shows(b, object)) objects.add(object)
  for (const object of b.objects ?? []) if (shows(a, object)) objects.add(object)
  addPairs(objects, a, b)
  addPairs(objects, b, a)
  return {
    namespaces: a.namespaces.intersection(b.namespaces),
    objects,
    names: namesOf(a).intersection(namesOf(b)),
  }
}

/** What one shows for its namespace, the other for its name. */
function addPairs(objects: Set<string>, a: Part, b: Part): void {
  const names = namesOf(b).difference(namesOf(a))
  if (names.size === 0) return
  const namespaces = a.namespaces.difference(b.namespaces)
  if (namespaces.size * names.size > PAIRS) return
  for (const namespace of namespaces) for (const name of names) objects.add(`${namespace}/${name}`)
}

/** `object` as in `Scope.objects`. */
function shows(scope: Part, object: string): boolean {
  const slash = object.indexOf('/')
  return (
    scope.namespaces.has(object.slice(0, slash)) ||
    namesOf(scope).has(object.slice(slash + 1)) ||
    (scope.objects?.has(object) ?? false)
  )
}

const NO_NAMES: ReadonlySet<string> = new Set()

function namesOf(scope: Part): ReadonlySet<string> {
  return scope.names ?? NO_NAMES
}

const NAMESPACES = new Fingerprints('namespace')
const OBJECTS = new Fingerprints('object')
const NAMES = new Fingerprints('name')

/** Rights to read that say the same are the same object, with the same scope, while anybody holds it. */
export class ReadRights {
  readonly #rights = new WeakInterner<ReadRight>()
  /** Of the namespaces of scopes made here. */
  readonly #fingerprints = new WeakMap<ReadonlySet<string>, bigint>()

  of(scope: Scope): ReadRight {
    if (scope === 'all') return ALL
    const { namespaces } = scope
    const names = namesOf(scope)
    const objects = new Set<string>()
    for (const object of scope.objects ?? []) {
      const slash = object.indexOf('/')
      if (!namespaces.has(object.slice(0, slash)) && !names.has(object.slice(slash + 1))) objects.add(object)
    }
    if (namespaces.size + objects.size + names.size === 0) return NOTHING
    const key = [
      this.#fingerprintOf(namespaces).toString(36),
      sum(OBJECTS, objects, NO_MEMBERS).toString(36),
      sum(NAMES, names, NO_MEMBERS).toString(36),
    ]
    return this.#rights.get(key.join(), () => ({
      scope: { namespaces, ...(objects.size > 0 && { objects }), ...(names.size > 0 && { names }) },
      state: 'DECIDED',
      reason: null,
      settled: null,
    }))
  }

  /** What any of them shows. Costs by what the smaller ones hold. */
  union(rights: readonly ReadRight[]): ReadRight {
    const parts: Part[] = []
    for (const { scope } of new Set(rights)) {
      if (scope === 'all') return ALL
      if (scope) parts.push(scope)
    }
    if (parts.length < 2) return rights.find(({ scope }) => scope) ?? NOTHING
    const namespaces = unionOf(parts.map(({ namespaces }) => namespaces))
    const objects = new Set<string>()
    const names = new Set<string>()
    for (const part of parts) {
      for (const object of part.objects ?? []) objects.add(object)
      for (const name of namesOf(part)) names.add(name)
    }
    return this.of({ namespaces, objects, names })
  }

  /** Distinct ones, besides all and nothing. */
  get size(): number {
    return this.#rights.size
  }

  #fingerprintOf(namespaces: ReadonlySet<string>): bigint {
    let fingerprint = this.#fingerprints.get(namespaces)
    if (fingerprint === undefined) {
      const [largest, ...others] = partsOf(namespaces)
      // One that is shared was reckoned before.
      fingerprint =
        others.length > 0 ? this.#fingerprintOf(largest!) : sum(NAMESPACES, namespaces, NO_MEMBERS)
      others.forEach((part, i) => {
        const before = [largest!, ...others.slice(0, i)]
        fingerprint = sum(NAMESPACES, part, fingerprint!, (member) =>
          before.some((other) => other.has(member)),
        )
      })
      this.#fingerprints.set(namespaces, fingerprint)
    }
    return fingerprint
  }
}

function sum(
  fingerprints: Fingerprints,
  members: Iterable<string>,
  start: bigint,
  isCounted: (member: string) => boolean = () => false,
): bigint {
  let fingerprint = start
  for (const member of members) if (!isCounted(member)) fingerprint ^= fingerprints.of(member)
  return fingerprint
}
