/**
 * Fingerprints of sets: 128 bits that are the same for the same members, in whatever order they came, and follow a
 * change of one member at the cost of that member. Exclusive or of what each member hashes to with a secret of
 * this process, so that nobody can choose names for which two sets would be taken for one.
 */
import { hash, randomBytes } from 'node:crypto'
import { Interner } from '../../kubernetes/interner.ts'

/** Of the empty set. */
export const NO_MEMBERS = 0n

const secret = randomBytes(16).toString('hex')

/** Hashing costs ten times what looking it up does. */
const known = new Interner<bigint>(1 << 14)

/** What a member adds to the fingerprint of its set, and takes away again. */
export function fingerprintOf(member: string): bigint {
  return known.get(member, () => BigInt(`0x${hash('sha256', secret + member).slice(0, 32)}`))
}

/** Of a member that is no other, whatever it says. */
export function uniqueFingerprint(): bigint {
  return BigInt(`0x${randomBytes(16).toString('hex')}`)
}
