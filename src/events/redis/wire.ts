/**
 * What stands in Redis and what is sent through it, as text: positions, states of tables, messages. Pure.
 *
 * What is read may come from anybody who can write to that Redis, so all of it is checked: a text that is
 * not of the right form is a `WireError`, never a crash and never a row that is none.
 *
 * Messages, one line each but for the rows:
 *
 *     changes KIND FROM-TAG POSITION ABOUT ⏎ (OP VERSION ROW)…   the table went on by one sequence number
 *     whole KIND POSITION ABOUT                                   the table stands in Redis anew
 *     beat HEALTH ⏎ (KIND POSITION ABOUT)…                        the owner lives, and its tables stand there
 *
 * OP: `A` for a row that was added or changed, `D` for one that is gone, in lower case for partial changes
 * (`Progress` in fleet/feed.ts); `R` for a relist, with the version from which in the place of VERSION and the
 * one to which in the place of ROW.
 */
import type { ClusterHealth } from '../../fleet/cluster.ts'
import type { FeedProblem } from '../../fleet/feed.ts'
import type { TableReader, TableStatus } from '../../fleet/table.ts'
import { ALL_KINDS } from '../../kubernetes/kinds.ts'
import type { Kind, Row } from '../../kubernetes/rows.ts'
import { decodeRow, encodeRow } from '../../kubernetes/row-codec.ts'

/**
 * Where a table stands in Redis: the content after the batch `sequence` of this generation. The tag is the
 * batch's own, at random: two histories that a failover of Redis parted may reach the same sequence, but not
 * the same tag. Two texts of a position are equal exactly where the contents are.
 */
export interface Position {
  readonly generation: string
  readonly sequence: number
  readonly tag: string
  /** Rows of the content. */
  readonly size: number
}

/** What the owner knows of its table beside the rows. */
export interface About {
  readonly state: TableStatus['state']
  readonly problem: FeedProblem | null
  /** Of a table that is STALE; epoch milliseconds of the owner's clock. */
  readonly asOf: number | null
  /** Every change up to this one is in the content; `null` where there is no content. */
  readonly resourceVersion: string | null
  /** Parts of a later version are in the content, too: `TableReader.whole` is false. */
  readonly partial: boolean
}

/** One change of a table. */
export interface Delta<R extends Row = Row> {
  readonly deleted: boolean
  readonly row: R
  readonly resourceVersion: string
  readonly partial: boolean
}

/** See the step of this name in fleet/feed.ts. */
export interface Relist {
  readonly from: string
  readonly to: string
}

export interface TableState {
  readonly kind: Kind
  /** As text, since it is compared more often than read. */
  readonly position: string
  /** As text, since it seldom changes. */
  readonly about: string
}

export interface ChangesMessage extends TableState {
  readonly type: 'changes'
  /** The tag of the position before. */
  readonly from: string
  /** The deltas: see `readDeltas`. */
  readonly body: string
}

export interface WholeMessage extends TableState {
  readonly type: 'whole'
}

export interface BeatMessage {
  readonly type: 'beat'
  readonly health: ClusterHealth
  /** Of the kinds that this gateway knows. */
  readonly tables: readonly TableState[]
}

export type Message = ChangesMessage | WholeMessage | BeatMessage

export class WireError extends Error {
  override readonly name = 'WireError'
  readonly code = 'WIRE'
}

/** The field of a row in the hash of its table. */
export function rowKey({ namespace, name }: Row): string {
  return `${namespace}/${name}`
}

export function readPosition(text: string): Position {
  const match = /^(\S+) (\d{1,15}) (\S+) (\d{1,15})$/.exec(text)
  if (!match) throw new WireError(`This is no position of a table: ${excerpt(text)}`)
  const [, generation, sequence, tag, size] = match
  return { generation: generation!, sequence: Number(sequence), tag: tag!, size: Number(size) }
}

export function aboutOf({ status, whole }: Pick<TableReader, 'status' | 'whole'>): About {
  const { state, problem, asOf, resourceVersion } = status
  return { state, problem, asOf: state === 'STALE' ? asOf : null, resourceVersion, partial: !whole }
}

export function writeAbout({ state, problem, asOf, resourceVersion, partial }: About): string {
  return JSON.stringify({ state, problem, asOf, resourceVersion, partial } satisfies About)
}

const STATES: ReadonlySet<unknown> = new Set<TableStatus['state']>(['SYNCING', 'CURRENT', 'STALE', 'FAILED'])
const CODES: ReadonlySet<unknown> = new Set<FeedProblem['code']>([
  'UNREACHABLE',
  'FORBIDDEN',
  'NOT_SERVED',
  'NOT_WATCHED',
  'UNAUTHORIZED',
  'ERROR',
])

export function readAbout(text: string): About {
  const about = readObject(text)
  const { state, problem, asOf, resourceVersion, partial } = about
  const good =
    STATES.has(state) &&
    (problem === null || isProblem(problem)) &&
    isNullOr(asOf, 'number') &&
    typeof partial === 'boolean' &&
    (typeof resourceVersion === 'string' || (resourceVersion === null && !hasContent(state)))
  if (!good) throw new WireError(`This is no state of a table: ${excerpt(text)}`)
  return about as unknown as About
}

/** Whether a table in this state has rows to show, if only none. */
export function hasContent(state: unknown): boolean {
  return state === 'CURRENT' || state === 'STALE'
}

function isProblem(value: unknown): boolean {
  return isObject(value) && CODES.has(value['code']) && typeof value['message'] === 'string'
}

const HEALTH_STATES: ReadonlySet<unknown> = new Set<ClusterHealth['state']>(['CONNECTING', 'UP', 'DOWN'])

export function writeHealth(health: ClusterHealth): string {
  return JSON.stringify(health)
}

export function readHealth(text: string): ClusterHealth {
  const health = readObject(text)
  const { state, since, version, latencyMs, lastContactAt, lastError } = health
  const good =
    HEALTH_STATES.has(state) &&
    typeof since === 'number' &&
    isNullOr(version, 'string') &&
    isNullOr(latencyMs, 'number') &&
    isNullOr(lastContactAt, 'number') &&
    (lastError === null || isFailure(lastError))
  if (!good) throw new WireError(`This is no health of a cluster: ${excerpt(text)}`)
  return health as unknown as ClusterHealth
}

function isFailure(value: unknown): boolean {
  if (!isObject(value)) return false
  const { code, message, at } = value
  return typeof code === 'string' && typeof message === 'string' && typeof at === 'number'
}

/** What stands before the space of a line, and what behind it. Throws where a row cannot be written. */
export function deltaTexts(delta: Delta | Relist): readonly [head: string, text: string] {
  if (!('row' in delta)) return [`R${encodeURIComponent(delta.from)}`, encodeURIComponent(delta.to)]
  const { deleted, partial, resourceVersion, row } = delta
  const op = deleted ? 'D' : 'A'
  // Versions are numbers where we know them, but opaque by contract: a space would end this one.
  return [`${partial ? op.toLowerCase() : op}${encodeURIComponent(resourceVersion)}`, encodeRow(row)]
}

/** In order. Throws `WireError`, also after some of them. */
export function* readDeltas(message: ChangesMessage, cluster: string): Generator<Delta | Relist> {
  const { kind, body } = message
  for (let start = 0; start < body.length;) {
    const end = lineEnd(body, start)
    const space = body.indexOf(' ', start)
    const op = body[start]
    if (space < 0 || space > end || !op || !'AaDdR'.includes(op)) {
      throw new WireError(`This is no change of a table: ${excerpt(body.slice(start, end))}`)
    }
    const version = decode(body.slice(start + 1, space))
    const text = body.slice(space + 1, end)
    if (op === 'R') yield { from: version, to: decode(text) }
    else {
      yield {
        deleted: op === 'D' || op === 'd',
        partial: op === 'a' || op === 'd',
        resourceVersion: version,
        row: readRow(kind, text, cluster),
      }
    }
    start = end + 1
  }
}

/** Throws `WireError` for a text that is no row of this kind. */
export function readRow(kind: Kind, text: string, cluster: string): Row {
  try {
    return decodeRow(kind, text, cluster)
  } catch (cause) {
    throw new WireError(`This is no row of kind ${kind}: ${excerpt(text)}`, { cause })
  }
}

const KNOWN: ReadonlySet<string> = new Set(ALL_KINDS)

/** `undefined`: of a kind that only other gateways know. Throws `WireError`. */
export function readMessage(text: string): Message | undefined {
  const end = lineEnd(text, 0)
  const space = text.indexOf(' ')
  const type = text.slice(0, space)
  const rest = text.slice(space + 1, end)
  if (type === 'beat') return { type, health: readHealth(rest), tables: [...readTables(text, end + 1)] }
  if (type === 'whole') {
    const state = readTableState(rest)
    return state && { type, ...state }
  }
  if (type === 'changes') {
    const [kind = '', from = ''] = rest.split(' ', 2)
    const state = readTableState(`${kind} ${rest.slice(kind.length + from.length + 2)}`)
    return state && { type, from, ...state, body: text.slice(end + 1) }
  }
  throw new WireError(`This is no message of an owner: ${excerpt(text)}`)
}

function* readTables(text: string, from: number): Generator<TableState> {
  for (let start = from; start < text.length;) {
    const end = lineEnd(text, start)
    const state = readTableState(text.slice(start, end))
    if (state) yield state
    start = end + 1
  }
}

/** `KIND GENERATION SEQUENCE TAG SIZE ABOUT`. */
function readTableState(text: string): TableState | undefined {
  // Any text may stand in a problem: with `s`, since some of what JSON writes as it is counts as an end of line.
  const match = /^(\S+) (\S+ \d{1,15} \S+ \d{1,15}) (\{.*\})$/s.exec(text)
  if (!match) throw new WireError(`This is no table of an owner: ${excerpt(text)}`)
  const [, kind, position, about] = match
  return KNOWN.has(kind!) ? { kind: kind as Kind, position: position!, about: about! } : undefined
}

function lineEnd(text: string, start: number): number {
  const end = text.indexOf('\n', start)
  return end < 0 ? text.length : end
}

function decode(version: string): string {
  if (!version.includes('%')) return version
  try {
    return decodeURIComponent(version)
  } catch (cause) {
    throw new WireError(`This is no version: ${excerpt(version)}`, { cause })
  }
}

function readObject(text: string): Readonly<Record<string, unknown>> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new WireError(`This is no JSON: ${excerpt(text)}`, { cause })
  }
  if (!isObject(value)) throw new WireError(`This is no JSON object: ${excerpt(text)}`)
  return value
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isNullOr(value: unknown, type: 'string' | 'number'): boolean {
  return value === null || typeof value === type
}

function excerpt(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)
}
