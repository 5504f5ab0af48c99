/**
 * Turns what happened to a request into audit records: every mutation, every denied or privileged read, what
 * was refused, who could not sign in. An honest read of one's own lists leaves none, and costs two look-ups.
 *
 * Deliberately knows nothing of where records are kept. Of a document it tells the name and the hash, of
 * variables nothing.
 */
import { GraphQLError, OperationTypeNode } from 'graphql'
import type { AuditLog, AuditRecord } from '../access/audit/audit.ts'
import { writtenNotes } from '../access/audit/written.ts'
import type { Reads } from '../access/reads.ts'
import type { Viewer } from '../access/viewer.ts'
import { systemClock, type Clock } from '../fleet/clock.ts'
import type { Caller } from './request.ts'

/** What a record tells of a document; both `null` where there was none. */
export interface DocumentName {
  readonly operationName: string | null
  readonly operationHash: string | null
}

export const NO_DOCUMENT: DocumentName = { operationName: null, operationHash: null }

/** A request, as far as records are concerned. */
export interface Subject extends DocumentName {
  readonly viewer: Viewer | null
  readonly caller: Caller | undefined
  /** As the clock tells it; `null` where it did not get as far as that. */
  readonly startedAt: number | null
}

type Noted = Partial<Pick<Reads, 'denied' | 'privileged' | 'written'>>

/** Codes of errors that tell of too much, too often, or what is not allowed, and not of a mistake. */
const REFUSED = new Set([
  'LIMIT_EXCEEDED',
  'RATE_LIMITED',
  'DOCUMENT_NOT_TRUSTED',
  'PERSISTED_QUERY_NOT_FOUND',
  'INTROSPECTION_DISABLED',
])

const LOST = 'Less may be seen of it than when it was followed first: rights were taken.'

/** A record has room for some lines. */
const MAX_MESSAGE = 2_000

export class Records {
  readonly #log: AuditLog
  readonly #clock: Clock

  constructor(log: AuditLog, clock: Clock = systemClock) {
    this.#log = log
    this.#clock = clock
  }

  now(): number {
    return this.#clock.now()
  }

  /** An operation was executed. `subject` is asked only where there is something to tell. */
  executed(
    type: OperationTypeNode,
    { denied, privileged, written = [] }: Noted,
    errors: readonly GraphQLError[] | undefined,
    subject: () => Subject,
  ): void {
    const isDenied = denied !== undefined && denied.size > 0
    const isPrivileged = privileged !== undefined && privileged.length > 0
    if (type === OperationTypeNode.MUTATION) {
      const about = subject()
      const notes = writtenNotes(written)
      for (const { outcome, clusters, message } of notes) {
        this.#write('MUTATION', outcome, [...clusters], message, about)
      }
      // What it says beyond that.
      if (notes.length > 0 && !errors && !isPrivileged) return
      const outcome = isDenied ? 'DENIED' : errors ? 'FAILED' : 'ALLOWED'
      const message = [...(errors ?? []).map(wordsOf), ...(privileged ?? [])].join('; ')
      this.#write('MUTATION', outcome, [...(denied ?? [])], message || null, about)
      return
    }
    if (isDenied) this.#write('DENIED', 'DENIED', [...denied], null, subject())
    if (isPrivileged) {
      const outcome = errors ? (isForbidden(errors) ? 'DENIED' : 'FAILED') : 'ALLOWED'
      const about = subject()
      for (const some of inRecords(privileged)) {
        this.#write('PRIVILEGED_READ', outcome, clustersOf(some), some.join('; '), about)
      }
    }
  }

  /** A subscription reads as it goes: tells of what it has read now, and of what it reads later. */
  following(reads: Noted & Partial<Pick<Reads, 'onNoted'>>, subject: () => Subject): void {
    const told = new Set<string>()
    let lines = 0
    const tell = () => {
      const denied = new Set([...(reads.denied ?? [])].filter((name) => !told.has(name)))
      const privileged = (reads.privileged ?? []).slice(lines)
      for (const name of denied) told.add(name)
      lines += privileged.length
      this.executed(OperationTypeNode.SUBSCRIPTION, { denied, privileged }, undefined, subject)
    }
    reads.onNoted = tell
    tell()
  }

  /** A request was not executed. What was only mistaken leaves no record. */
  refused(errors: readonly GraphQLError[], subject: () => Subject): void {
    const error = errors.find(({ extensions }) => REFUSED.has(String(extensions['code'])))
    // For how long is no other refusal: they are put together.
    const message = error?.message.replace(/ Try again in \d+ s\.$/, '')
    if (message !== undefined) this.#write('REFUSED', 'DENIED', [], message, subject())
  }

  /** What somebody followed was ended by an error. Told where it is that they may not follow it any more. */
  ended(error: unknown, subject: () => Subject): void {
    if (error instanceof GraphQLError && isForbidden([error])) {
      this.#write('DENIED', 'DENIED', [], error.message, subject())
    }
  }

  /** Whoever follows something may see less of these clusters than before, or nothing; the stream goes on. */
  lost(clusters: readonly string[], subject: Subject): void {
    this.#write('DENIED', 'DENIED', [...clusters], LOST, subject)
  }

  /** Somebody was connected until their sign-in ended. */
  signInEnded(message: string, subject: Subject): void {
    this.#write('SIGN_IN_FAILED', 'DENIED', [], `A connection was ended: ${message}`, subject)
  }

  signInFailed(message: string, caller: Caller): void {
    const nobody = { viewer: null, operationName: null, operationHash: null, startedAt: null, caller }
    this.#write('SIGN_IN_FAILED', 'DENIED', [], message, nobody)
  }

  #write(
    type: AuditRecord['type'],
    outcome: AuditRecord['outcome'],
    clusters: string[],
    message: string | null,
    { viewer, caller, startedAt, operationName, operationHash }: Subject,
  ): void {
    this.#log.record({
      type,
      outcome,
      clusters: clusters.sort(),
      message: message === null ? null : message.slice(0, MAX_MESSAGE),
      user: viewer && { name: viewer.user.name, groups: viewer.user.groups, issuer: viewer.issuer },
      remoteAddress: caller?.remoteAddress ?? null,
      operationName,
      operationHash,
      latencyMs: startedAt === null ? null : this.#clock.now() - startedAt,
      correlationId: caller?.correlationId ?? '',
    })
  }
}

/** One request may read a hundred logs: as many records as it takes to name all of them. */
function inRecords(privileged: readonly string[]): readonly (readonly string[])[] {
  const records: string[][] = []
  let room = 0
  for (const text of privileged) {
    if (text.length > room) {
      records.push([])
      room = MAX_MESSAGE
    }
    records.at(-1)!.push(text)
    room -= text.length + 2
  }
  return records
}

/** What is wrong with an input is said in words that quote it, and it may be that of a Secret. */
function wordsOf({ message, extensions: { code, argument } }: GraphQLError): string {
  if (code !== 'BAD_USER_INPUT') return message
  return `The input is wrong${typeof argument === 'string' ? ` at ${argument}` : ''}.`
}

function isForbidden(errors: readonly GraphQLError[]): boolean {
  return errors.some(({ extensions }) => extensions['code'] === 'FORBIDDEN')
}

/** What was read is told as "log of pod shop/web in prod-eu": names of clusters have no spaces. */
function clustersOf(privileged: readonly string[]): string[] {
  return [...new Set(privileged.flatMap((text) => / in (\S+)$/.exec(text)?.[1] ?? []))]
}
