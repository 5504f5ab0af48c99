/**
 * Seals: with which rights a table was seen, in six bytes that are the same on every replica and after a restart.
 * They tell a cursor's owner apart from one whose rights are others by now; they are no proof of anything: what a
 * follower is sent is decided by the rights it has, whatever its cursor says.
 *
 * Knows nothing of whose rights they are: the same scope of the same table has the same seal.
 */
import { hash } from 'node:crypto'
import type { Scope } from '../fleet/selection.ts'
import type { Kind } from '../kubernetes/rows.ts'

/** 32 bits, as a signed number, and 16 bits. */
export type Seal = readonly [number, number]

/** Of nothing. */
export const NO_SEAL: Seal = [0, 0]

/** In any order the same. */
export function together([a, b]: Seal, [c, d]: Seal): Seal {
  return [a ^ c, b ^ d]
}

export function sealOf(cluster: string, kind: Kind, scope: Scope): Seal {
  const bytes = hash('sha256', JSON.stringify([cluster, kind, contentOf(scope)]), 'buffer')
  return [bytes.readInt32BE(0), bytes.readUInt16BE(4)]
}

/** A scope is one object for as long as it says the same, and may hold thousands of names. */
const contents = new WeakMap<object, string>()

function contentOf(scope: Scope): string {
  if (scope === 'all') return scope
  let content = contents.get(scope)
  if (content === undefined) {
    const { namespaces, objects, names } = scope
    const sets = [namespaces, objects, names].map((set) => Array.from(set ?? []).sort())
    contents.set(scope, (content = hash('sha256', JSON.stringify(sets))))
  }
  return content
}
