/**
 * The rights in one cluster, from its own RBAC objects: follows the four tables, and decides for everyone.
 *
 * Invariants: nothing is granted before all four have been read; while the cluster does not answer, what was
 * known last holds, as its rows do; where the gateway may not read or watch them, or cannot for `UNFOLLOWED_MS` in
 * which the cluster answers, they decide nothing (`UNREADABLE`). Decisions change together, soon after a change
 * that comes alone, and at most once in `HOLD_MS` in a storm.
 */
import type { Clock } from '../../fleet/clock.ts'
import type { Cluster } from '../../fleet/fleet.ts'
import type { TableReader } from '../../fleet/table.ts'
import type { Kind, Rows } from '../../kubernetes/rows.ts'
import type { Action, ReadRight, Verdict } from '../policy.ts'
import type { User } from '../viewer.ts'
import { GrantIndex } from './grants.ts'
import { type Decision, nextId } from './rights.ts'
import { ALL, type ReadRights } from './scopes.ts'

const RBAC_KINDS = [
  'Role',
  'ClusterRole',
  'RoleBinding',
  'ClusterRoleBinding',
] as const satisfies readonly Kind[]
type RbacKind = (typeof RBAC_KINDS)[number]

/** How long decisions stay, once they have changed. With what a policy adds it is at most 100 ms. */
export const HOLD_MS = 75

/** How long a change waits for those that came with it: a relist is told row by row. */
export const GATHER_MS = 10

/**
 * How long the rights of before hold where one of the tables is not followed in a cluster that answers: one that
 * was taken since would never be missed. Time in which the cluster does not answer is not counted.
 */
export const UNFOLLOWED_MS = 60_000

/** How often it is looked meanwhile whether the cluster answers. */
const LOOK_MS = 5_000

/** Rows that are taken in within one turn of the event loop: about 4 ms. */
const ROWS_AT_A_TIME = 2_000

/**
 * `PENDING`: not all has been read. `READY`. `UNKNOWN`: it could not be read, and never was. `UNREADABLE`: the
 * gateway may not read it, the cluster does not have it, or it is not followed though the cluster answers: somebody
 * else has to decide.
 */
export type Standing = 'PENDING' | 'READY' | 'UNKNOWN' | 'UNREADABLE'

/** Whoever is in it may do everything, before any role is read (`apiserver`'s privileged group). */
const PRIVILEGED_GROUP = 'system:masters'

/** The same for everything. */
export class FixedDecision implements Decision {
  readonly id = nextId()
  readonly #right: ReadRight
  readonly #verdict: Verdict

  constructor(right: ReadRight) {
    this.#right = right
    const allowed = right.state === 'DECIDED' ? right.scope !== undefined : null
    this.#verdict = { allowed, reason: right.reason }
  }

  read(): ReadRight {
    return this.#right
  }

  can(_action: Action): Verdict {
    return this.#verdict
  }
}

const PRIVILEGED = new FixedDecision(ALL)

export interface ClusterRightsOptions {
  readonly clock: Clock
  readonly readRights: ReadRights
  /** After `revision` has increased. */
  readonly onChange: () => void
}

export class ClusterRights {
  readonly #cluster: Cluster
  readonly #options: ClusterRightsOptions
  readonly #index: GrantIndex
  readonly #unlisten: (() => void)[] = []
  /** Tables with content. */
  readonly #begun = new Set<RbacKind>()
  /** Tables that might not be followed, and have not been since: what is in them is of before, whatever fails now. */
  readonly #unreadable = new Set<RbacKind>()
  /** Since all of them were followed last: how long the cluster has answered. */
  #unfollowedMs = 0
  #cancelLook: (() => void) | undefined
  /** Told, and not taken in yet, from `#next` on: a relist tells thousands in one turn of the event loop. */
  #waiting: Rows[RbacKind][] = []
  #next = 0
  /** How far of these the first contents go. */
  #firstContents = 0
  #immediate: NodeJS.Immediate | undefined
  #standing: Standing = 'PENDING'
  /** Why nothing is decided. */
  #problem: string | null = null
  /** Of everyone, while it is not READY. */
  #undecided: FixedDecision
  #settled = Promise.withResolvers<void>()
  #revision = 0
  #publishedAt = -Infinity
  #cancelPublishing: (() => void) | undefined

  constructor(cluster: Cluster, options: ClusterRightsOptions) {
    this.#cluster = cluster
    this.#options = options
    this.#index = new GrantIndex(
      (namespace, name) =>
        (namespace === ''
          ? cluster.table('ClusterRole').get('', name)
          : cluster.table('Role').get(namespace, name)
        )?.rules,
      options.readRights,
    )
    this.#undecided = this.#undecidedNow()
    for (const kind of RBAC_KINDS) this.#follow(kind)
    this.#work()
  }

  get standing(): Standing {
    return this.#standing
  }

  /** Increases when anybody's decision may have become another, or `standing` has. */
  get revision(): number {
    return this.#revision
  }

  /** Ask again after `revision` has increased. Decides nothing in a cluster that is UNREADABLE. */
  decisionOf(user: User): Decision {
    if (this.#standing !== 'UNREADABLE' && user.groups.includes(PRIVILEGED_GROUP)) return PRIVILEGED
    if (this.#standing !== 'READY') return this.#undecided
    if (this.#waiting.length > 0) this.#takeIn(Infinity)
    return this.#index.rightsOf(user).decision
  }

  /** For tests. */
  get sizes(): GrantIndex['sizes'] {
    this.#takeIn(Infinity)
    return this.#index.sizes
  }

  close(): void {
    for (const unlisten of this.#unlisten) unlisten()
    this.#unlisten.length = 0
    this.#waiting = []
    clearImmediate(this.#immediate)
    this.#cancelPublishing?.()
    this.#cancelLook?.()
    this.#settled.resolve()
  }

  // ── What the tables say ───────────────────────────────────────────────────────────────────────

  #follow(kind: RbacKind): void {
    const table: TableReader = this.#cluster.table(kind)
    this.#unlisten.push(
      table.onChange(({ row }) => {
        this.#waiting.push(row as Rows[RbacKind])
        this.#immediate ??= setImmediate(this.#work)
      }),
      table.onStatus(() => {
        this.#begin(kind)
        this.#work()
      }),
    )
    this.#begin(kind)
  }

  /** The first content of a table is told by its status alone. */
  #begin(kind: RbacKind): void {
    const table: TableReader<RbacKind> = this.#cluster.table(kind)
    if (this.#begun.has(kind) || !hasContent(table)) return
    this.#begun.add(kind)
    for (const row of table.rows().all()) this.#waiting.push(row)
    this.#firstContents = this.#waiting.length
  }

  readonly #work = (): void => {
    clearImmediate(this.#immediate)
    this.#immediate = undefined
    this.#takeIn(ROWS_AT_A_TIME)
    if (this.#waiting.length > 0) this.#immediate = setImmediate(this.#work)
    this.#stand()
  }

  #takeIn(most: number): void {
    const end = Math.min(this.#waiting.length, this.#next + most)
    let isOther = false
    while (this.#next < end) if (this.#take(this.#waiting[this.#next++]!)) isOther = true
    if (end === this.#waiting.length) {
      this.#waiting = []
      this.#next = this.#firstContents = 0
    }
    if (isOther) this.#changed()
  }

  /** As it is by now, however often it was told. Returns whether that matters to anybody. */
  #take({ kind, namespace, name }: Rows[RbacKind]): boolean {
    // A RoleBinding of no namespace would be taken for one of the whole cluster.
    if ((kind === 'Role' || kind === 'RoleBinding') !== (namespace !== '')) return false
    if (kind === 'Role' || kind === 'ClusterRole') return this.#index.reread(namespace, name)
    return this.#index.bind(namespace, name, this.#cluster.table(kind).get(namespace, name))
  }

  // ── Where that leaves us ──────────────────────────────────────────────────────────────────────

  #stand(): void {
    const tables = RBAC_KINDS.map((kind): TableReader => this.#cluster.table(kind))
    for (const { kind, status } of tables as readonly TableReader<RbacKind>[]) {
      const { problem } = status
      if (!problem) this.#unreadable.delete(kind)
      else if (UNREADABLE.has(problem.code)) this.#unreadable.add(kind)
    }
    this.#mind(tables.every(({ status }) => status.state !== 'STALE'))
    const failed = tables.find(({ status }) => status.state === 'FAILED')
    const isOld = this.#unfollowedMs >= UNFOLLOWED_MS
    if (this.#unreadable.size > 0 || isOld) this.#become('UNREADABLE', null)
    else if (failed) this.#become('UNKNOWN', failed.status.problem?.message ?? null)
    else if (this.#next < this.#firstContents || !tables.every(hasContent)) this.#become('PENDING', null)
    else this.#become('READY', null)
  }

  /** Counts how long the tables are not followed though the cluster answers. */
  #mind(areFollowed: boolean): void {
    if (areFollowed) {
      this.#unfollowedMs = 0
      this.#cancelLook?.()
      this.#cancelLook = undefined
    } else if (this.#unfollowedMs < UNFOLLOWED_MS) {
      this.#cancelLook ??= this.#options.clock.after(LOOK_MS, () => {
        this.#cancelLook = undefined
        if (this.#cluster.health.state === 'UP') this.#unfollowedMs += LOOK_MS
        this.#stand()
      })
    }
  }

  #become(standing: Standing, problem: string | null): void {
    if (this.#standing === standing && this.#problem === problem) return
    const wasPending = this.#standing === 'PENDING'
    const settled = this.#settled
    this.#standing = standing
    this.#problem = problem
    if (standing === 'PENDING') this.#settled = Promise.withResolvers()
    if (standing !== 'READY') this.#undecided = this.#undecidedNow()
    this.#publish()
    if (wasPending) settled.resolve()
  }

  #undecidedNow(): FixedDecision {
    if (this.#standing === 'PENDING') {
      const reason = 'The rights in this cluster are still being read.'
      return new FixedDecision({ scope: undefined, state: 'PENDING', reason, settled: this.#settled.promise })
    }
    const reason = `The rights in this cluster could not be read. ${this.#problem ?? ''}`.trim()
    return new FixedDecision({ scope: undefined, state: 'UNKNOWN', reason, settled: null })
  }

  #changed(): void {
    if (this.#standing !== 'READY' || this.#cancelPublishing) return
    const { clock } = this.#options
    const sincePublished = Math.max(0, clock.now() - this.#publishedAt)
    const wait = Math.max(GATHER_MS, HOLD_MS - sincePublished)
    this.#cancelPublishing = clock.after(wait, () => this.#publish())
  }

  #publish(): void {
    this.#cancelPublishing?.()
    this.#cancelPublishing = undefined
    this.#publishedAt = this.#options.clock.now()
    this.#revision++
    this.#options.onChange()
  }
}

/** What is only read from time to time would let a right hold that was taken long ago. */
const UNREADABLE: ReadonlySet<string> = new Set(['FORBIDDEN', 'NOT_SERVED', 'NOT_WATCHED'])

function hasContent({ status: { state } }: TableReader): boolean {
  return state === 'CURRENT' || state === 'STALE'
}
