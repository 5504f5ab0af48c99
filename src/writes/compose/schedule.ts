/**
 * Schedules of CronJobs as kube-controller-manager reads them: five fields, or a word such as `@daily`.
 * https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#schedule-syntax
 */

interface Field {
  readonly name: string
  readonly least: number
  readonly most: number
  /** From `least` on. */
  readonly words?: readonly string[]
}

const FIELDS: readonly Field[] = [
  { name: 'minute', least: 0, most: 59 },
  { name: 'hour', least: 0, most: 23 },
  { name: 'day of the month', least: 1, most: 31 },
  {
    name: 'month',
    least: 1,
    most: 12,
    words: ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'],
  },
  {
    name: 'day of the week',
    least: 0,
    most: 6,
    words: ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'],
  },
]

const WORD =
  /^@(?:yearly|annually|monthly|weekly|daily|midnight|hourly|every (?=[1-9])(?:\d{1,6}h)?(?:\d{1,6}m)?(?:\d{1,6}s)?)$/

/** What is wrong with it, as the end of a sentence that begins with the schedule; `null`: nothing. */
export function schedule(text: string): string | null {
  if (text.startsWith('@')) {
    return WORD.test(text) ? null : 'is none of `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`'
  }
  if (/TZ=/.test(text)) return 'names a time zone: use `timeZone`'
  const parts = text.trim().split(/[ \t]+/)
  if (parts.length !== FIELDS.length || parts[0] === '') {
    return 'does not have five fields: minute, hour, day of the month, month, day of the week'
  }
  for (const [index, field] of FIELDS.entries()) {
    if (!parts[index]!.split(',').every((part) => isRange(part, field))) {
      const sunday = field.least === 0 && field.most === 6 ? '; Sunday is 0' : ''
      return `has a ${field.name} that is none: they go from ${field.least} to ${field.most}${sunday}`
    }
  }
  return null
}

/** `*`, `5`, `1-5`, `mon-fri`, each with `/step`. */
function isRange(text: string, field: Field): boolean {
  const match = /^([*?]|\w{1,3})(?:-(\w{1,3}))?(?:\/(\d{1,3}))?$/.exec(text)
  if (!match) return false
  const [, from = '', to, step] = match
  if (step !== undefined && Number(step) === 0) return false
  if (from === '*' || from === '?') return to === undefined
  const first = numberOf(from, field)
  const last = to === undefined ? first : numberOf(to, field)
  return first !== undefined && last !== undefined && first <= last
}

function numberOf(text: string, { least, most, words }: Field): number | undefined {
  const word = words?.indexOf(text.toLowerCase()) ?? -1
  if (word >= 0) return least + word
  if (!/^\d+$/.test(text)) return undefined
  const number = Number(text)
  return number >= least && number <= most ? number : undefined
}

/** An IANA name as it is written in the database; `null`: nothing is wrong. */
export function timeZone(name: string): string | null {
  const wrong = 'is no time zone: use a name as `Europe/Berlin`, or `Etc/UTC`'
  if (!/^[A-Z][A-Za-z0-9_+-]*(?:\/[A-Za-z0-9_+-]+)*$/.test(name)) return wrong
  try {
    // It takes them in any case; Go, which has to find a file, does not.
    const { timeZone } = new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions()
    return timeZone.toLowerCase() === name.toLowerCase() && timeZone !== name ? wrong : null
  } catch {
    return wrong
  }
}
