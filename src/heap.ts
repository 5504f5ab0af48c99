/**
 * How much room V8 gives the heap of a process that serves.
 *
 * V8 collects the whole heap once that has grown by some part of what was left of it the last time: by as little as a
 * third while the program seems to have time. Most of a gateway's heap is the fleet, and stays; what grows is garbage,
 * much of it outside the heap: the bodies of requests and the answers of API servers come in buffers that V8 counts,
 * and frees by the way when it collects what is young. In a small heap some megabytes of those were enough to have
 * all of it marked, up to once a second, and whoever asked meanwhile waited 5 to 20 ms.
 *
 * V8 still bounds the heap by the memory that there is: near that it gives less room, whatever is said here.
 */
import { setFlagsFromString } from 'node:v8'

/** Of what is left by a collection of all: the memory that garbage may take until the next. */
const GROWTH_PERCENT = 100

/** From the next collection on, for the rest of the process. */
export function giveHeapRoom(): void {
  // Read anew at each collection, unlike the sizes of spaces, which only the command line sets.
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`)
}
