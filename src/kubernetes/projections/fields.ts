/**
 * Total reading of raw JSON: whatever an object has or lacks, each of these answers. A projection is
 * made of nothing else, so it cannot throw on an odd but legal object. Knows no kind.
 */
import type { Seconds } from '../rows.ts'

export type Json = Readonly<Record<string, unknown>>

const NO_FIELDS: Json = Object.freeze({})
const NO_ITEMS: readonly unknown[] = Object.freeze([])

/** An object's fields; none for anything else (`null`, a list, a missing field). */
export function record(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : NO_FIELDS
}

/** Whether there is an object at all: to tell `{}` from a missing field. */
export function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A list's items; none for `null` and anything else. */
export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : NO_ITEMS
}

export function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** `null` for the empty string too: Go's serializers leave it out or write it, and mean the same. */
export function textOrNull(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}

export function integer(value: unknown, fallback = 0): number {
  return typeof value === 'number' && Number.isFinite(value) ? Math.trunc(value) : fallback
}

export function integerOrNull(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? Math.trunc(value) : null
}

/** `intstr.IntOrString`, as written. */
export function intOrText(value: unknown): string | null {
  return typeof value === 'number' ? String(value) : textOrNull(value)
}

/** One of the known values, else the fallback. */
export function oneOf<T extends string>(value: unknown, known: ReadonlySet<T>, fallback: T): T {
  return known.has(value as T) ? (value as T) : fallback
}

const ZERO = 48

function digits(value: string, at: number, count: number): number {
  let number = 0
  for (let i = at; i < at + count; i++) {
    const digit = value.charCodeAt(i) - ZERO
    if (!(digit >= 0 && digit <= 9)) return Number.NaN
    number = number * 10 + digit
  }
  return number
}

/**
 * RFC 3339 to Unix seconds, fractions cut; `null` for anything else. The form that Kubernetes writes
 * (`2026-11-23T04:31:00Z`, or `.000000Z`) is computed, since a pod has a dozen of them.
 */
export function seconds(value: unknown): Seconds | null {
  if (typeof value !== 'string' || value === '') return null
  if (value.charCodeAt(value.length - 1) === 90 && value.length >= 20) {
    const year = digits(value, 0, 4)
    const month = digits(value, 5, 2)
    const time = digits(value, 11, 2) * 3600 + digits(value, 14, 2) * 60 + digits(value, 17, 2)
    const days = daysFromCivil(year, month, digits(value, 8, 2)) * 86_400 + time
    if (!Number.isNaN(days)) return days
  }
  const parsed = Date.parse(value)
  return Number.isNaN(parsed) ? null : Math.floor(parsed / 1000)
}

/** Days since 1970-01-01 in the proleptic Gregorian calendar (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms"). */
function daysFromCivil(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year
  const era = Math.floor(y / 400)
  const yearOfEra = y - era * 400
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  return era * 146_097 + dayOfEra - 719_468
}

/** The later of two times, either of which may be missing. */
export function later(a: Seconds | null, b: Seconds | null): Seconds | null {
  if (a === null) return b
  return b === null || a >= b ? a : b
}
