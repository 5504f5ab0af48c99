/**
 * The members of several sets, without copying the large ones: what thousands of users have in common lies in
 * memory once, whatever each of them has besides.
 */

/** Smaller sets are copied. */
const LARGE = 64

/** Sets that a look-up may have to ask; of more, the smaller ones are copied. */
const AT_MOST = 8

/** All of their members. The sets must not change any more. */
export function unionOf(sets: readonly ReadonlySet<string>[]): ReadonlySet<string> {
  const bySize = sets.flatMap(partsOf).sort((a, b) => b.size - a.size)
  const shared: ReadonlySet<string>[] = []
  const own = new Set<string>()
  for (const set of new Set(bySize)) {
    if (set.size >= LARGE && shared.length < AT_MOST) {
      if (!shared.some((other) => set.isSubsetOf(other))) shared.push(set)
    } else for (const member of set) if (!shared.some((other) => other.has(member))) own.add(member)
  }
  if (own.size > 0) shared.push(own)
  return shared.length > 1 ? new UnionSet(shared) : (shared[0] ?? own)
}

/** The sets that one was made of, the first the largest; of any other set, itself. */
export function partsOf(set: ReadonlySet<string>): readonly ReadonlySet<string>[] {
  return set instanceof UnionSet ? set.parts : [set]
}

class UnionSet implements ReadonlySet<string> {
  readonly parts: readonly ReadonlySet<string>[]
  readonly size: number

  constructor(parts: readonly ReadonlySet<string>[]) {
    this.parts = parts
    const [largest, ...others] = parts
    let size = largest!.size
    others.forEach((part, i) => {
      for (const member of part) if (!parts.slice(0, i + 1).some((other) => other.has(member))) size++
    })
    this.size = size
  }

  has(member: string): boolean {
    return this.parts.some((part) => part.has(member))
  }

  *values(): SetIterator<string> {
    const before: ReadonlySet<string>[] = []
    for (const part of this.parts) {
      for (const member of part) if (!before.some((other) => other.has(member))) yield member
      before.push(part)
    }
  }

  keys(): SetIterator<string> {
    return this.values()
  }

  *entries(): SetIterator<[string, string]> {
    for (const member of this) yield [member, member]
  }

  [Symbol.iterator](): SetIterator<string> {
    return this.values()
  }

  forEach(visit: (value: string, key: string, set: ReadonlySet<string>) => void, self?: unknown): void {
    for (const member of this) visit.call(self, member, member, this)
  }

  union<U>(other: ReadonlySetLike<U>): Set<string | U> {
    return new Set(this).union(other)
  }

  intersection<U>(other: ReadonlySetLike<U>): Set<string & U> {
    return new Set(this).intersection(other)
  }

  difference<U>(other: ReadonlySetLike<U>): Set<string> {
    return new Set(this).difference(other)
  }

  symmetricDifference<U>(other: ReadonlySetLike<U>): Set<string | U> {
    return new Set(this).symmetricDifference(other)
  }

  isSubsetOf(other: ReadonlySetLike<unknown>): boolean {
    if (this.size > other.size) return false
    for (const member of this) if (!other.has(member)) return false
    return true
  }

  isSupersetOf(other: ReadonlySetLike<unknown>): boolean {
    return new Set(this).isSupersetOf(other)
  }

  isDisjointFrom(other: ReadonlySetLike<unknown>): boolean {
    return new Set(this).isDisjointFrom(other)
  }
}
