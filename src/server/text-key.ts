/**
 * Keys of what is kept by texts that clients send. V8 hashes a text of 16,384 characters or more by its length alone
 * (`String::kMaxHashCalcLength`): in a `Map` all that are equally long are compared one by one, from their beginning,
 * and whoever sends many that differ at their end makes each look-up take milliseconds.
 */
import { hash } from 'node:crypto'

const LONG = 4_096

/** The text itself, or its SHA-256 where it is long. No two texts have one key. */
export function textKey(text: string): string {
  // No other key begins with a NUL: nobody sends the key of what somebody else has sent.
  return text.length < LONG && text.charCodeAt(0) !== 0 ? text : `\0${hash('sha256', text, 'base64url')}`
}
