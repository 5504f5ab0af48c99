import { describe, expect, it } from 'vitest'
import {
  FIRST_STEP,
  type Role,
  type RoleAction,
  type RoleInput,
  stepRole,
} from '../../../src/events/redis/cluster-role.ts'

const LEASE = { token: 'a/1', epoch: 1 }
const LATER = { token: 'a/2', epoch: 2 }

const INPUTS: readonly RoleInput[] = [
  { type: 'GRANTED', lease: LEASE },
  { type: 'GRANTED', lease: LATER },
  { type: 'CAUGHT_UP', lease: LEASE },
  { type: 'CAUGHT_UP', lease: LATER },
  { type: 'HELD_BY_OTHER' },
  { type: 'HAND_OVER' },
  { type: 'FLUSHED' },
  { type: 'REDIS_GONE' },
]

/** What exists after the actions so far. */
interface Parts {
  readonly follower: boolean
  readonly session: boolean
  /** The token that it writes with. */
  readonly publisher: string | undefined
}

/** Throws where something is made that exists, or ended that does not. */
function perform(parts: Parts, action: RoleAction): Parts {
  const must = (condition: boolean) => {
    if (!condition) throw new Error(`${action.type} with ${JSON.stringify(parts)}`)
  }
  switch (action.type) {
    case 'FOLLOW':
      must(!parts.follower && !parts.session)
      return { ...parts, follower: true }
    case 'UNFOLLOW':
      must(parts.follower)
      return { ...parts, follower: false }
    case 'CATCH_UP':
      must(parts.follower && !parts.session)
      return parts
    case 'WATCH':
      must(!parts.session && !parts.follower)
      return { ...parts, session: true }
    case 'UNWATCH':
      must(parts.session)
      return { ...parts, session: false }
    case 'PUBLISH':
      must(parts.publisher === undefined && !parts.follower)
      return { ...parts, publisher: action.lease.token }
    case 'RESUME':
      must(parts.publisher !== undefined)
      return { ...parts, publisher: action.lease.token }
    case 'UNPUBLISH':
      must(parts.publisher !== undefined)
      return { ...parts, publisher: undefined }
  }
}

/** Every role that any inputs lead to, with what exists then. */
function reachable(): { readonly role: Role; readonly parts: Parts }[] {
  const first = FIRST_STEP.actions.reduce(perform, { follower: false, session: false, publisher: undefined })
  const found = new Map([[JSON.stringify(FIRST_STEP.role), { role: FIRST_STEP.role, parts: first }]])
  for (const { role, parts } of found.values()) {
    for (const input of INPUTS) {
      const step = stepRole(role, input)
      const next = { role: step.role, parts: step.actions.reduce(perform, parts) }
      const known = found.get(JSON.stringify(step.role))
      if (known) expect(next.parts, `${role.type} ${input.type}`).toEqual(known.parts)
      else found.set(JSON.stringify(step.role), next)
    }
  }
  return [...found.values()]
}

describe('the role of a replica for a cluster', () => {
  it('has exactly its parts, however it was come to', () => {
    const roles = reachable()
    expect(new Set(roles.map(({ role }) => role.type))).toEqual(
      new Set(['FOLLOWER', 'CATCHING_UP', 'OWNER', 'HANDING_OVER', 'DIRECT']),
    )
    for (const { role, parts } of roles) {
      expect(parts, role.type).toEqual({
        follower: role.type === 'FOLLOWER' || role.type === 'CATCHING_UP',
        session: role.type === 'OWNER' || role.type === 'DIRECT',
        publisher: role.type === 'OWNER' || role.type === 'HANDING_OVER' ? role.lease.token : undefined,
      })
    }
  })

  it('is not changed by being told the same again', () => {
    for (const { role } of reachable()) {
      for (const input of INPUTS) {
        if (input.type === 'HAND_OVER') continue
        const once = stepRole(role, input)
        expect(stepRole(once.role, input), `${role.type} ${input.type}`).toEqual({
          role: once.role,
          actions: [],
        })
      }
    }
  })

  it('is that of a follower whenever another holds the lease', () => {
    for (const { role } of reachable()) {
      expect(stepRole(role, { type: 'HELD_BY_OTHER' }).role).toEqual({ type: 'FOLLOWER' })
    }
  })

  it('includes a watch session whenever Redis is gone for long', () => {
    for (const { role, parts } of reachable()) {
      const { actions } = stepRole(role, { type: 'REDIS_GONE' })
      expect(actions.reduce(perform, parts).session, role.type).toBe(true)
    }
  })

  it('does not become an owner by what was caught up with for a lease that is gone', () => {
    const { role } = stepRole({ type: 'CATCHING_UP', lease: LATER }, { type: 'CAUGHT_UP', lease: LEASE })
    expect(role).toEqual({ type: 'CATCHING_UP', lease: LATER })
  })

  it('goes on watching, without a new session, when the lease was lost and won again', () => {
    expect(stepRole({ type: 'OWNER', lease: LEASE }, { type: 'GRANTED', lease: LATER }).actions).toEqual([
      { type: 'RESUME', lease: LATER },
    ])
  })

  it('notes every change from the first on: a publisher is there before the watch', () => {
    const { actions } = stepRole({ type: 'CATCHING_UP', lease: LEASE }, { type: 'CAUGHT_UP', lease: LEASE })
    expect(actions.map(({ type }) => type)).toEqual(['UNFOLLOW', 'PUBLISH', 'WATCH'])
  })
})
