/**
 * Static tokens for tests: who signs in with which, and the file that a gateway reads them from.
 */
import { writeFileSync } from 'node:fs'
import { stringify } from 'yaml'
import { createToken } from '../../src/access/authentication/static-tokens.ts'

export interface TestUser {
  readonly user: string
  readonly groups?: readonly string[]
  /** SHA-256, in hex, of the documents that may be sent. */
  readonly operations?: readonly string[]
}

export interface TestToken extends TestUser {
  readonly token: string
  readonly hash: string
}

export function tokenFor(user: TestUser): TestToken {
  return { ...user, ...createToken({ name: user.user }) }
}

/** May do everything in every cluster, as `system:masters`. One for the whole process. */
export const ADMIN: TestToken = tokenFor({ user: 'test-admin', groups: ['system:masters'] })

export function writeTokens(file: string, tokens: readonly TestToken[]): void {
  const entries = tokens.map(({ token: _token, user, groups = [], ...entry }) => ({
    name: user,
    user,
    groups,
    ...entry,
  }))
  writeFileSync(file, stringify({ tokens: entries }), { mode: 0o600 })
}
