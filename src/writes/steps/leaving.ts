/** Waits until an object that is being deleted is gone: asked of the API server itself, and not of memory. */
import { isForbidden } from '../../access/live-errors.ts'
import { writeFailure } from '../write-errors.ts'
import { pause, read, StepFailure, type PlacedStep } from './action-step.ts'

/** Between two looks at it, first and at most. */
const FIRST_MS = 500
const MOST_MS = 5_000

/** Failures in a row that are put up with: about a quarter of a minute. */
const MOST_FAILURES = 5

/**
 * `uid`: of the object that is to go; another one of the same name does not count. `false`: it may not be looked at.
 * Rejects with the signal's reason when that comes first.
 */
export async function untilGone(placed: PlacedStep, uid: string | undefined): Promise<boolean> {
  const { clock, signal } = placed.context
  let failures = 0
  for (let wait = FIRST_MS; ; wait = Math.min(wait * 1.5, MOST_MS)) {
    try {
      const { live } = await read(placed, { unreadable: false })
      if (!live || (uid !== undefined && live.metadata?.uid !== uid)) return true
      failures = 0
    } catch (error) {
      if (isForbidden(error)) return false
      const failure = writeFailure(error, { wrote: false })
      if (!failure || ++failures > MOST_FAILURES) {
        if (!failure) throw error
        // Its deletion has begun, whatever is heard of it.
        throw new StepFailure(
          failure.outcome,
          { ...failure.error, mayHaveBeenApplied: true },
          { cause: error },
        )
      }
    }
    await pause(clock, wait, signal)
  }
}
