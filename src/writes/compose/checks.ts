/** What composers check of values; each throws a `ComposeError` with the argument at fault. */
import { quantityValue } from '../../kubernetes/quantity.ts'
import { labelValue, qualifiedName, quoted, type NameRule } from '../names.ts'
import { ComposeError, type Maybe } from './compose-error.ts'

const INT32 = 2 ** 31 - 1

export function refuse(argument: string, sentence: string): never {
  throw new ComposeError(argument, sentence)
}

export function given<T>(value: Maybe<T>): value is T {
  return value !== undefined && value !== null
}

/** Without what is not given, so that nobody comes to own a field that was not asked for. */
export function fields(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => given(value)))
}

/** `undefined` for a list that is not given or empty. */
export function listOf<T, R>(
  values: Maybe<readonly T[]>,
  make: (value: T, index: number) => R,
): R[] | undefined {
  return values && values.length > 0 ? values.map(make) : undefined
}

export function named(argument: string, value: string, rule: NameRule): string {
  const wrong = rule(value)
  return wrong === null ? value : refuse(argument, `${quoted(value)} ${wrong}.`)
}

export function integer(argument: string, value: number, least: number, most = INT32): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value
  return refuse(argument, `${value} is no whole number from ${least} to ${most}.`)
}

export function optionalInteger(
  argument: string,
  value: Maybe<number>,
  least: number,
  most?: number,
): number | undefined {
  return given(value) ? integer(argument, value, least, most) : undefined
}

export function portNumber(argument: string, value: number): number {
  return integer(argument, value, 1, 65_535)
}

/** IANA_SVC_NAME: what ports of containers are called. */
export function portName(name: string): string | null {
  const isOne =
    name.length <= 15 &&
    /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/.test(name) &&
    /[a-z]/.test(name) &&
    !/--/.test(name)
  return isOne
    ? null
    : 'is no name of a port: use at most 15 lower case letters, digits and single `-`, with at least one letter'
}

/** Of a ConfigMap or Secret. */
export function dataKey(key: string): string | null {
  const isOne = /^[-._a-zA-Z0-9]{1,253}$/.test(key) && key !== '.' && !key.startsWith('..')
  return isOne ? null : 'is no key: use at most 253 letters, digits, `-`, `_` and `.`'
}

export function environmentName(name: string): string | null {
  const isOne = /^[-._a-zA-Z][-._a-zA-Z0-9]*$/.test(name) && name !== '.' && !name.startsWith('..')
  return isOne
    ? null
    : 'is no name of an environment variable: use letters, digits, `_`, `-` and `.`, and no digit first'
}

/** The text as it was given. */
export function amount(argument: string, text: string, least = 0): string {
  const value = quantityValue(text)
  if (value === undefined || value > 2 ** 63) {
    refuse(argument, `${quoted(text)} is no quantity: write a number with a unit, as \`250m\` or \`1.5Gi\`.`)
  }
  if (value < 0 || (least > 0 && value < least)) {
    refuse(
      argument,
      `${quoted(text)} is too little: it has to be ${least > 0 ? 'more than 0' : 'at least 0'}.`,
    )
  }
  return text
}

/** A number, or a percentage. Digits in a text are a number, too. */
export function countOrPercent(
  argument: string,
  value: number | string,
  mostPercent: number,
): number | string {
  if (typeof value === 'number') return integer(argument, value, 0)
  if (/^\d{1,9}$/.test(value)) return Number(value)
  const percent = /^(\d{1,4})%$/.exec(value)
  if (!percent) return refuse(argument, `${quoted(value)} is neither a number nor a percentage as \`25%\`.`)
  if (Number(percent[1]) > mostPercent) refuse(argument, `${value} is more than ${mostPercent}%.`)
  return `${Number(percent[1])}%`
}

/** The one that is given of several. */
export function onlyOne<K extends string>(
  argument: string,
  values: { readonly [key in K]?: unknown },
  keys: readonly K[],
): K {
  const present = keys.filter((key) => given(values[key]))
  if (present.length === 1) return present[0]!
  const list = keys.map((key) => `\`${key}\``).join(', ')
  return refuse(
    argument,
    present.length === 0
      ? `it needs one of ${list}.`
      : `it has ${present.map((key) => `\`${key}\``).join(' and ')}: keep one of them.`,
  )
}

/** Says which of them stands there already. */
export function distinct(argument: (index: number) => string, values: readonly string[], what: string): void {
  const first = new Map<string, number>()
  for (const [index, value] of values.entries()) {
    const before = first.get(value)
    if (before !== undefined) {
      refuse(
        argument(index),
        `${what} ${quoted(value)} is that of ${argument(before)}, too: give it another.`,
      )
    }
    first.set(value, index)
  }
}

/** On all that is composed. https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/ */
export const MANAGED_BY = { 'app.kubernetes.io/managed-by': 'fleetgraph' } as const

/** What controllers set on pods and workloads, and select by. */
const CONTROLLERS_LABELS: ReadonlySet<string> = new Set([
  'pod-template-hash',
  'pod-template-generation',
  'controller-revision-hash',
  'controller-uid',
  'job-name',
  'batch.kubernetes.io/controller-uid',
  'batch.kubernetes.io/job-name',
  'batch.kubernetes.io/job-completion-index',
  'statefulset.kubernetes.io/pod-name',
  'apps.kubernetes.io/pod-index',
])

export function labels(
  argument: string,
  values: Maybe<Readonly<Record<string, string>>>,
  ...reserved: readonly string[]
): Record<string, string> | undefined {
  const entries = Object.entries(values ?? {})
  for (const [key, value] of entries) {
    const place = `${argument}[${JSON.stringify(key)}]`
    named(place, key, qualifiedName)
    named(place, value, labelValue)
    if (reserved.includes(key) || key in MANAGED_BY || CONTROLLERS_LABELS.has(key)) {
      refuse(place, 'this label is set for you, and pods are found by it: leave it out.')
    }
  }
  return entries.length > 0 ? Object.fromEntries(entries) : undefined
}

/** https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/ */
const ANNOTATIONS_BYTES = 256 * 1024

export function annotations(
  argument: string,
  values: Maybe<Readonly<Record<string, string>>>,
): Record<string, string> | undefined {
  const entries = Object.entries(values ?? {})
  let size = 0
  for (const [key, value] of entries) {
    named(`${argument}[${JSON.stringify(key)}]`, key, (one) => qualifiedName(one.toLowerCase()))
    size += Buffer.byteLength(key) + Buffer.byteLength(value)
  }
  if (size > ANNOTATIONS_BYTES) {
    refuse(argument, `they have ${size} bytes together, and at most ${ANNOTATIONS_BYTES} are kept.`)
  }
  return entries.length > 0 ? Object.fromEntries(entries) : undefined
}
