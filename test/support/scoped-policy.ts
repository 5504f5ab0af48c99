/**
 * A policy that a test holds in its hands: what may be listed of each kind of each cluster, what may be done,
 * and changes of both. Requests go as the viewer.
 */
import type { Action, Policy, ReadRight, Verdict } from '../../src/access/policy.ts'
import type { Cluster } from '../../src/fleet/fleet.ts'
import type { Scope } from '../../src/fleet/selection.ts'
import type { Kind } from '../../src/kubernetes/rows.ts'

type Scopes = (cluster: string, kind: Kind) => Scope | undefined

/** A right that is known. */
export function decided(scope: Scope | undefined): ReadRight {
  return { scope, state: 'DECIDED', reason: null, settled: null }
}

export class ScopedPolicy implements Policy {
  /** Set by the test; `changed` tells of it. */
  scopes: Scopes
  /** Set by the test; everything that is not one of `scopes`. */
  rights: ((cluster: string, kind: Kind) => ReadRight) | undefined
  allows: (action: Action, cluster: string) => Verdict | Promise<Verdict> = () => ({
    allowed: true,
    reason: null,
  })
  /** What `can` was asked, in order. */
  readonly asked: Action[] = []
  readonly #revised = { revision: 0 }
  readonly #listeners = new Set<() => void>()
  readonly #known = new Map<string, ReadRight>()

  constructor(scopes: Scopes | Readonly<Record<string, Scope>>) {
    this.scopes = typeof scopes === 'function' ? scopes : (cluster) => scopes[cluster]
  }

  get listeners(): number {
    return this.#listeners.size
  }

  read(_viewer: unknown, cluster: Cluster, kind: Kind): ReadRight {
    if (this.rights) return this.rights(cluster.name, kind)
    const key = `${cluster.name}/${kind}`
    let right = this.#known.get(key)
    if (!right) this.#known.set(key, (right = decided(this.scopes(cluster.name, kind))))
    return right
  }

  can(_viewer: unknown, cluster: Cluster, action: Action): Verdict | Promise<Verdict> {
    this.asked.push(action)
    return this.allows(action, cluster.name)
  }

  credential: Policy['credential'] = ({ user }) => ({
    type: 'IMPERSONATION',
    as: { user: user.name, groups: user.groups },
  })

  rightsKey(): string {
    return `${this.#revised.revision}`
  }

  revised() {
    return this.#revised
  }

  onChange(listener: () => void): () => void {
    const own = () => listener()
    this.#listeners.add(own)
    return () => this.#listeners.delete(own)
  }

  /** What was set has changed, and nobody is told yet. */
  forget(): void {
    this.#known.clear()
    this.#revised.revision++
  }

  /** What was set has changed. */
  changed(): void {
    this.forget()
    for (const listener of this.#listeners) listener()
  }
}
