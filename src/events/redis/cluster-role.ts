/**
 * What one replica does for one cluster, as a pure state machine: no timer, no socket, no Redis.
 *
 *                 granted             caught up
 *     FOLLOWER ────────────▶ CATCHING_UP ────────▶ OWNER ──▶ HANDING_OVER ──▶ FOLLOWER
 *        │  ▲                     │                 ▲ │
 *        │  └── held by another ──┼─────────────────┼─┘
 *        │ redis gone             │ redis gone      │ granted
 *        └────────────────▶ DIRECT ◀┘ ──────────────┘
 *
 * An owner that loses Redis remains OWNER: it goes on watching, and its lease is decided when Redis is back.
 * A follower that loses Redis for long watches by itself (DIRECT) until it gets the lease, or another has it.
 *
 * Invariant: after the actions of each step, in their order, at most one of {a watch session, a follower}
 * exists, and a publisher only beside a watch session, or for as long as one is handed over.
 */
import type { Lease } from './leases.ts'

export type Role =
  | { readonly type: 'FOLLOWER' }
  /** The lease is here; what Redis holds is read before the watch goes on from there. */
  | { readonly type: 'CATCHING_UP'; readonly lease: Lease }
  | { readonly type: 'OWNER'; readonly lease: Lease }
  /** Does not watch any more; what it saw is on its way to Redis. The lease is released afterwards. */
  | { readonly type: 'HANDING_OVER'; readonly lease: Lease }
  | { readonly type: 'DIRECT' }

export type RoleInput =
  /** The lease is ours: newly, or still. */
  | { readonly type: 'GRANTED'; readonly lease: Lease }
  | { readonly type: 'CAUGHT_UP'; readonly lease: Lease }
  | { readonly type: 'HELD_BY_OTHER' }
  /** We have to give the lease to another. */
  | { readonly type: 'HAND_OVER' }
  /** All that was seen is in Redis, or does not get there. */
  | { readonly type: 'FLUSHED' }
  /** Nothing could be decided by Redis for so long that this replica has to see for itself. */
  | { readonly type: 'REDIS_GONE' }

/** `RESUME`: the publisher goes on with another lease. */
export type RoleAction =
  | { readonly type: 'FOLLOW' | 'UNFOLLOW' | 'WATCH' | 'UNWATCH' | 'UNPUBLISH' }
  | { readonly type: 'CATCH_UP' | 'PUBLISH' | 'RESUME'; readonly lease: Lease }

export interface RoleStep {
  readonly role: Role
  readonly actions: readonly RoleAction[]
}

/** A follower is there from the beginning: whoever holds the lease, it shows what they publish. */
export const FIRST_STEP: RoleStep = { role: { type: 'FOLLOWER' }, actions: [{ type: 'FOLLOW' }] }

export function stepRole(role: Role, input: RoleInput): RoleStep {
  const stay: RoleStep = { role, actions: [] }
  switch (input.type) {
    case 'GRANTED':
      return granted(role, input.lease)
    case 'CAUGHT_UP': {
      const { lease } = input
      if (role.type !== 'CATCHING_UP' || role.lease.token !== lease.token) return stay
      // The publisher before the watch: it notes every change from its first on.
      const actions: RoleAction[] = [{ type: 'UNFOLLOW' }, { type: 'PUBLISH', lease }, { type: 'WATCH' }]
      return { role: { type: 'OWNER', lease }, actions }
    }
    case 'HELD_BY_OTHER':
      return follow(role)
    case 'HAND_OVER':
      if (role.type !== 'OWNER') return follow(role)
      return { role: { type: 'HANDING_OVER', lease: role.lease }, actions: [{ type: 'UNWATCH' }] }
    case 'FLUSHED':
      return role.type === 'HANDING_OVER' ? follow(role) : stay
    case 'REDIS_GONE':
      switch (role.type) {
        case 'FOLLOWER':
        case 'CATCHING_UP':
          return { role: { type: 'DIRECT' }, actions: [{ type: 'UNFOLLOW' }, { type: 'WATCH' }] }
        case 'HANDING_OVER':
          return { role: { type: 'DIRECT' }, actions: [{ type: 'UNPUBLISH' }, { type: 'WATCH' }] }
        case 'OWNER':
        case 'DIRECT':
          return stay
      }
  }
}

function granted(role: Role, lease: Lease): RoleStep {
  switch (role.type) {
    case 'FOLLOWER':
      return { role: { type: 'CATCHING_UP', lease }, actions: [{ type: 'CATCH_UP', lease }] }
    case 'CATCHING_UP':
      if (role.lease.token === lease.token) return { role, actions: [] }
      return { role: { type: 'CATCHING_UP', lease }, actions: [{ type: 'CATCH_UP', lease }] }
    case 'OWNER':
      if (role.lease.token === lease.token) return { role, actions: [] }
      // Lost and won again without anybody in between: nobody knows more than we do.
      return { role: { type: 'OWNER', lease }, actions: [{ type: 'RESUME', lease }] }
    case 'DIRECT':
      // Our tables are as the API server has them: nothing to catch up with.
      return { role: { type: 'OWNER', lease }, actions: [{ type: 'PUBLISH', lease }] }
    case 'HANDING_OVER':
      return { role, actions: [] }
  }
}

function follow(role: Role): RoleStep {
  const next: Role = { type: 'FOLLOWER' }
  switch (role.type) {
    case 'FOLLOWER':
      return { role, actions: [] }
    case 'CATCHING_UP':
      return { role: next, actions: [] }
    case 'OWNER':
      return { role: next, actions: [{ type: 'UNWATCH' }, { type: 'UNPUBLISH' }, { type: 'FOLLOW' }] }
    case 'HANDING_OVER':
      return { role: next, actions: [{ type: 'UNPUBLISH' }, { type: 'FOLLOW' }] }
    case 'DIRECT':
      return { role: next, actions: [{ type: 'UNWATCH' }, { type: 'FOLLOW' }] }
  }
}
