/**
 * When a CronJob is due: five fields, the `@` words and `@every`, in the CronJob's time zone, with the
 * semantics of kube-controller-manager's parser (robfig/cron v3) on top of croner.
 *
 * Differences that are evened out here: a time that the clocks skip in spring does not happen (croner moves
 * it), and `@every` counts from the last run.
 */
import { Cron } from 'croner'

export interface CronSchedule {
  /** The first time strictly after `epochMs`, or undefined if there is none. */
  next(epochMs: number): number | undefined
  /**
   * The latest time in (`afterMs`, `untilMs`], with the number of times in between (at most 101 are
   * counted).
   */
  latest(afterMs: number, untilMs: number): { readonly at: number; readonly missed: number } | undefined
}

const countedAtMost = 101

const schedules = new Map<string, CronSchedule>()

/** Throws where the schedule or the zone cannot be read; the message says which. Kept per text and zone. */
export function cronSchedule(text: string, timeZone = 'Etc/UTC'): CronSchedule {
  const id = `${timeZone} ${text}`
  let schedule = schedules.get(id)
  if (schedule === undefined) {
    if (schedules.size > 1_000) schedules.clear()
    schedule = parse(text, timeZone)
    schedules.set(id, schedule)
  }
  return schedule
}

function parse(text: string, timeZone: string): CronSchedule {
  const every = /^@every\s+(.+)$/.exec(text)
  const next = every?.[1] === undefined ? remembering(fields(text, timeZone)) : interval(every[1])
  return {
    next,
    latest(afterMs, untilMs) {
      let at: number | undefined
      let missed = 0
      for (let time = next(afterMs); time !== undefined && time <= untilMs; time = next(time)) {
        at = time
        if (++missed >= countedAtMost) {
          // Enough to know that too many were missed; the latest is found from the other end.
          at = latestBefore(next, time, untilMs)
          break
        }
      }
      return at === undefined ? undefined : { at, missed }
    },
  }
}

/** Between two times of a schedule the answer is the same: most questions come from there. */
function remembering(next: (epochMs: number) => number | undefined): (epochMs: number) => number | undefined {
  let [from, until] = [Infinity, -Infinity]
  return (epochMs) => {
    if (epochMs >= from && epochMs < until) return until
    const found = next(epochMs)
    if (found !== undefined) [from, until] = [epochMs, found]
    return found
  }
}

function fields(text: string, timeZone: string): (epochMs: number) => number | undefined {
  const cron = new Cron(text, { timezone: timeZone, paused: true, mode: '5-part' })
  return (epochMs) => {
    let from = new Date(epochMs)
    for (;;) {
      const next = cron.nextRun(from)
      if (next === null) return undefined
      if (cron.match(next)) return next.getTime()
      from = next
    }
  }
}

function interval(text: string): (epochMs: number) => number | undefined {
  let seconds = 0
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(h|m|s)/g)) {
    seconds += Number(amount) * (unit === 'h' ? 3600 : unit === 'm' ? 60 : 1)
  }
  if (seconds < 1) throw new Error(`schedule "@every ${text}": expected a duration such as 1h30m`)
  return (epochMs) => Math.floor(epochMs / 1000) * 1000 + seconds * 1000
}

/** Halves the span from the end until a window is small enough to walk through. */
function latestBefore(next: (ms: number) => number | undefined, knownMs: number, untilMs: number): number {
  let low = knownMs
  let high = untilMs
  for (let i = 0; i < 48 && high - low > 1000; i++) {
    const middle = low + (high - low) / 2
    const found = next(middle)
    if (found !== undefined && found <= untilMs) low = found
    else high = middle
  }
  return low
}
