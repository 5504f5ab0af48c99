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

/** Members of one sort: names of another sort are other members. */
export class Fingerprints {
  readonly #sort: string
  /** Hashing costs ten times what looking it up does. */
  readonly #known = new Interner<bigint>(1 << 14)

  constructor(sort: string) {
    this.#sort = sort
  }

  /** What a member adds to the fingerprint of its set, and takes away again. */
  of(member: string): bigint {
    return (
      this.#known.find(member) ??
      this.#known.add(member, BigInt(`0x${hash('sha256', `${secret} ${this.#sort} ${member}`).slice(0, 32)}`))
    ).value
  }
}

/** Of a member that is no other, whatever it says. */
export function uniqueFingerprint(): bigint {
  return BigInt(`0x${randomBytes(16).toString('hex')}`)
}
