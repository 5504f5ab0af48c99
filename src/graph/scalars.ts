/**
 * Scalars. Byte counts and other numbers past 2^31 are `Float` on purpose, not a scalar of our own:
 * every GraphQL client has a type for it, and JSON numbers are exact up to 2^53.
 */
import { GraphQLError } from 'graphql'
import type { Seconds } from '../kubernetes/rows.ts'
import { builder } from './builder.ts'

builder.scalarType('DateTime', {
  description:
    'A moment in ISO 8601 with UTC, such as `2026-11-23T04:31:00.000Z`. As an input any ISO 8601 date and time with a zone, or a date alone (midnight, UTC).',
  specifiedByURL: 'https://scalars.graphql.org/andimarek/date-time.html',
  serialize: (value) => (value instanceof Date ? value.toISOString() : timeOf(value)),
  parseValue: (value) => {
    const time = typeof value === 'string' && ISO_8601.test(value) ? Date.parse(value) : NaN
    if (Number.isNaN(time) || !isDay(String(value).slice(0, 10))) {
      throw new GraphQLError(
        'A DateTime is written in ISO 8601 with a zone, such as "2026-11-23T04:31:00Z" or "2026-11-23".',
        { extensions: { code: 'BAD_USER_INPUT' } },
      )
    }
    return time / 1000
  },
})

/** `Date.parse` takes the 30th of February for a day in March. */
function isDay(date: string): boolean {
  const midnight = new Date(`${date}T00:00:00Z`)
  return !Number.isNaN(midnight.getTime()) && midnight.toISOString().startsWith(date)
}

/** Times as they were written before: writing one costs as much as ten other fields, and pages come again. */
const TIMES = new Map<Seconds, string>()

function timeOf(seconds: Seconds): string {
  let text = TIMES.get(seconds)
  if (text === undefined) {
    text = new Date(seconds * 1000).toISOString()
    if (TIMES.size >= 20_000) TIMES.clear()
    TIMES.set(seconds, text)
  }
  return text
}

const ISO_8601 = /^\d{4}-\d{2}-\d{2}([Tt]\d{2}:\d{2}(:\d{2}(\.\d+)?)?([Zz]|[+-]\d{2}:?\d{2}))?$/

builder.scalarType('IntOrString', {
  description:
    'A whole number or a text, as Kubernetes has it for ports and percentages: `8080`, `"http"`, `"25%"`.',
  serialize: (value) => value,
  parseValue: (value) => {
    if (typeof value === 'string' || (typeof value === 'number' && Number.isSafeInteger(value))) return value
    throw new GraphQLError('Expected a whole number or a text, such as 8080 or "http".', {
      extensions: { code: 'BAD_USER_INPUT' },
    })
  },
})

builder.scalarType('JSON', {
  description: 'Any JSON value: the shape is that of the object in the Kubernetes API.',
  serialize: (value) => value,
  parseValue: (value) => value,
})
