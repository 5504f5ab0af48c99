/**
 * What a benchmark measures with: figures, medians, CPU time and the longest block of the event loop.
 * Knows nothing of what is measured.
 */
/** One measured number, and the limit that the same run measured for it. */
export interface Figure {
  readonly name: string
  readonly value: number
  readonly unit: string
  /** What the value is held against, in the same unit, measured in the same run wherever it can be. */
  readonly limit: number
  /** What the figure has to be; a miss is said on stderr and fails the run. Not part of the printed line. */
  readonly target?: { readonly of: 'value' | 'ratio'; readonly atMost?: number; readonly atLeast?: number }
}

/** A benchmark: a module `test/bench/<name>.ts` exports one as `bench`. */
export type Bench = () => Promise<readonly Figure[]>

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

/** CPU milliseconds (user and system, of all threads of this process) that `work` takes. */
export async function cpuMs(work: () => void | Promise<void>): Promise<number> {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

/**
 * Milliseconds of the longest stretch in which the event loop did not turn while `work` ran: of the CPU
 * time of its thread, garbage collection included, so that what other programs of the machine take does
 * not count. A chain of `setImmediate` notes every turn; the measure itself keeps the loop from sleeping,
 * so take CPU time in another run.
 */
export async function longestBlockMs(work: () => Promise<void>): Promise<number> {
  const spent = () => {
    const { user, system } = process.threadCpuUsage()
    return (user + system) / 1000
  }
  let longest = 0
  let last = spent()
  let running = true
  const turn = () => {
    const now = spent()
    longest = Math.max(longest, now - last)
    last = now
    if (running) setImmediate(turn)
  }
  setImmediate(turn)
  await work()
  running = false
  return longest
}

/** Collects garbage, where node runs with `--expose-gc` (the runner sees to it). */
export function collectGarbage(): void {
  globalThis.gc?.()
}
