/**
 * Everything that is written to Redis of a cluster, as Lua scripts: each checks that the lease is still the
 * owner's, that the table is where the owner left it, writes the rows and the table's position, and
 * publishes the same, in one step that nobody sees half of. Whoever has lost the lease writes nothing any
 * more, however late its commands arrive.
 *
 * A script whose answer got lost can be sent again: each names the position that it goes on from, and is
 * refused where that is not the present one. `ELSEWHERE` then tells where the table is, by which the sender
 * knows whether the first one was executed. That holds too for a command that a frozen Redis executes long
 * after its sender has given it up.
 *
 * All keys of a cluster share a hash tag, so that a Redis Cluster lets one script touch them.
 */
import type { Cluster, Redis, Result } from 'ioredis'
import { ALL_KINDS } from '../../kubernetes/kinds.ts'
import type { Kind } from '../../kubernetes/rows.ts'
import type { ClusterKeys, RedisLink } from './keys.ts'
import { type About, type Delta, deltaTexts, type Relist, rowKey, writeAbout } from './wire.ts'

declare module 'ioredis' {
  interface RedisCommander<Context> {
    fleetgraphBegin(keys: number, ...args: readonly string[]): Result<string[], Context>
    fleetgraphFill(keys: number, ...args: readonly string[]): Result<string[], Context>
    fleetgraphCommit(keys: number, ...args: readonly string[]): Result<string[], Context>
    fleetgraphChange(keys: number, ...args: readonly string[]): Result<string[], Context>
    fleetgraphBeat(keys: number, ...args: readonly string[]): Result<string[], Context>
    fleetgraphState(keys: number, ...args: readonly string[]): Result<string[], Context>
  }
}

/** Everything of a cluster that nobody renews is gone after this long. */
const EXPIRY_MS = 3_600_000

/**
 * `at`: where the table is now. `ELSEWHERE`: it is not where the caller thought, and nothing was written.
 * `FENCED`: the lease is not the caller's, and nothing was written.
 */
export type Reply =
  | { readonly type: 'OK' | 'ELSEWHERE'; readonly at: string }
  | { readonly type: 'FENCED'; readonly at: '' }

/** The keys of the lease and the state are KEYS 1 and 2 of all scripts; the token and the expiry ARGV 1 and 2. */
const OWNED = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {'FENCED', ''} end
`

/** Writes the deltas from ARGV[i] on (operation and version, field, row); returns what they add to the size. */
const ROWS = `
local function rows(i, lines)
  local added = 0
  while i <= #ARGV do
    local head, field, text = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    local op = string.sub(head, 1, 1)
    if op == 'A' or op == 'a' then
      added = added + redis.call('HSET', KEYS[3], field, text)
    elseif op ~= 'R' then
      added = added - redis.call('HDEL', KEYS[3], field)
    end
    if lines then lines[#lines + 1] = head .. ' ' .. text end
    i = i + 3
  end
  redis.call('PEXPIRE', KEYS[3], ARGV[2])
  return added
end
`

/**
 * A new generation begins, beside the present one: KEYS 3 are the rows of one that was begun and not ended.
 * ARGV: kind, generation. What is being made is noted as `GENERATION CHUNKS` in the field `KIND:next`.
 */
const BEGIN = `${OWNED}
local at = redis.call('HGET', KEYS[2], ARGV[3]) or ''
if string.sub(at, 1, #ARGV[4] + 1) == ARGV[4] .. ' ' then return {'ELSEWHERE', at} end
redis.call('HSET', KEYS[2], ARGV[3] .. ':next', ARGV[4] .. ' 0')
redis.call('PEXPIRE', KEYS[2], ARGV[2])
redis.call('UNLINK', KEYS[3])
return {'OK', ARGV[4] .. ' 0'}
`

/** ARGV: kind, generation, chunks before, deltas. */
const FILL = `${OWNED}${ROWS}
local next = redis.call('HGET', KEYS[2], ARGV[3] .. ':next') or ''
if next ~= ARGV[4] .. ' ' .. ARGV[5] then return {'ELSEWHERE', next} end
local chunks = ARGV[4] .. ' ' .. (ARGV[5] + 1)
redis.call('HSET', KEYS[2], ARGV[3] .. ':next', chunks)
rows(6)
return {'OK', chunks}
`

/**
 * What was made, with these last changes, is what the table is from now on; KEYS 4 are the rows of before.
 * ARGV: kind, generation, chunks, PUBLISH, channel, tag, size, about, deltas.
 */
const COMMIT = `${OWNED}${ROWS}
local at = redis.call('HGET', KEYS[2], ARGV[3]) or ''
if string.sub(at, 1, #ARGV[4] + 1) == ARGV[4] .. ' ' then return {'OK', at} end
local next = redis.call('HGET', KEYS[2], ARGV[3] .. ':next') or ''
if next ~= ARGV[4] .. ' ' .. ARGV[5] then return {'ELSEWHERE', next} end
redis.call('HSET', KEYS[2], ARGV[3] .. ':next', ARGV[4] .. ' ' .. (ARGV[5] + 1))
rows(11)
if redis.call('HLEN', KEYS[3]) ~= tonumber(ARGV[9]) then return {'ELSEWHERE', ''} end
at = ARGV[4] .. ' 0 ' .. ARGV[8] .. ' ' .. ARGV[9]
redis.call('HSET', KEYS[2], ARGV[3], at, ARGV[3] .. ':about', ARGV[10])
redis.call('HDEL', KEYS[2], ARGV[3] .. ':next')
redis.call('PEXPIRE', KEYS[2], ARGV[2])
redis.call('UNLINK', KEYS[4])
redis.call(ARGV[6], ARGV[7], 'whole ' .. ARGV[3] .. ' ' .. at .. ' ' .. ARGV[10])
return {'OK', at}
`

/**
 * ARGV: kind, position before, PUBLISH, channel, tag before, generation, sequence, tag, about, deltas. The size
 * is counted, so that a hash which Redis has evicted does not go on as an almost empty table.
 */
const CHANGE = `${OWNED}${ROWS}
local at = redis.call('HGET', KEYS[2], ARGV[3]) or ''
if at ~= ARGV[4] then return {'ELSEWHERE', at} end
redis.call('HSET', KEYS[2], ARGV[3] .. ':about', ARGV[11])
local lines = {''}
local size = tonumber(string.match(at, '%d+$')) + rows(12, lines)
if redis.call('HLEN', KEYS[3]) ~= size then
  redis.call('HDEL', KEYS[2], ARGV[3])
  redis.call('UNLINK', KEYS[3])
  return {'ELSEWHERE', ''}
end
at = ARGV[8] .. ' ' .. ARGV[9] .. ' ' .. ARGV[10] .. ' ' .. size
redis.call('HSET', KEYS[2], ARGV[3], at)
redis.call('PEXPIRE', KEYS[2], ARGV[2])
lines[1] = 'changes ' .. ARGV[3] .. ' ' .. ARGV[7] .. ' ' .. at .. ' ' .. ARGV[11]
redis.call(ARGV[5], ARGV[6], table.concat(lines, '\\n'))
return {'OK', at}
`

/**
 * The owner lives. KEYS from 3: the rows of its tables, in the order of ARGV from 6: kind, position or '' for
 * a table that is being written, about or '' for one that has not changed. Returns the kinds that Redis has
 * lost, or has otherwise than the owner left them. An owner counts as heard only where it may both write and
 * publish: hence the order.
 */
const BEAT = `${OWNED}
local lost = {'OK'}
local lines = {'beat ' .. ARGV[5]}
for i = 3, #KEYS do
  local kind, expected, about = ARGV[i * 3 - 3], ARGV[i * 3 - 2], ARGV[i * 3 - 1]
  local at = redis.call('HGET', KEYS[2], kind)
  if expected ~= '' and (at ~= expected or redis.call('HLEN', KEYS[i]) ~= tonumber(string.match(at, '%d+$'))) then
    lost[#lost + 1] = kind
  elseif expected ~= '' and about ~= '' then
    redis.call('HSET', KEYS[2], kind .. ':about', about)
  end
  if at then
    lines[#lines + 1] = kind .. ' ' .. at .. ' ' .. (redis.call('HGET', KEYS[2], kind .. ':about') or '{}')
  end
  redis.call('PEXPIRE', KEYS[i], ARGV[2])
end
local time = redis.call('TIME')
redis.call('HSET', KEYS[2], ':health', ARGV[5])
redis.call(ARGV[3], ARGV[4], table.concat(lines, '\\n'))
redis.call('HSET', KEYS[2], ':beat', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return lost
`

/** KEYS 1: the state. Milliseconds since the last heartbeat, or -1; then the fields and values of the state. */
const STATE = `
local beat = redis.call('HGET', KEYS[1], ':beat')
local time = redis.call('TIME')
local age = beat and time[1] * 1000 + math.floor(time[2] / 1000) - beat or -1
return {tostring(age), unpack(redis.call('HGETALL', KEYS[1]))}
`

const SCRIPTS = {
  fleetgraphBegin: BEGIN,
  fleetgraphFill: FILL,
  fleetgraphCommit: COMMIT,
  fleetgraphChange: CHANGE,
  fleetgraphBeat: BEAT,
  fleetgraphState: STATE,
}

const defined = new WeakSet<Redis | Cluster>()

/** The commands of a link, with the scripts. */
function scripted({ commands }: RedisLink): Redis | Cluster {
  if (!defined.has(commands)) {
    defined.add(commands)
    for (const [name, lua] of Object.entries(SCRIPTS)) commands.defineCommand(name, { lua })
  }
  return commands
}

function replyOf([type, at]: readonly string[]): Reply {
  if (type === 'FENCED') return { type, at: '' }
  return { type: type === 'OK' ? 'OK' : 'ELSEWHERE', at: at ?? '' }
}

/** Who calls: the lease's token as it is at the moment. */
export interface Caller {
  readonly link: RedisLink
  readonly keys: ClusterKeys
  readonly token: string
}

const publishOf = ({ sharded }: RedisLink) => (sharded ? 'SPUBLISH' : 'PUBLISH')

/** Texts of deltas as the scripts take them. */
export type DeltaArguments = readonly string[]

export function deltaArguments(delta: Delta | Relist): DeltaArguments {
  const [head, text] = deltaTexts(delta)
  return [head, 'row' in delta ? rowKey(delta.row) : '', text]
}

/** `abandoned`: the generation that was begun last and not ended. Idempotent. */
export async function begin(
  { link, keys, token }: Caller,
  kind: Kind,
  generation: string,
  abandoned: string | undefined,
): Promise<Reply> {
  return replyOf(
    await scripted(link).fleetgraphBegin(
      3,
      keys.lease,
      keys.state,
      keys.rows(kind, abandoned ?? generation),
      token,
      String(EXPIRY_MS),
      kind,
      generation,
    ),
  )
}

/** `at` is `GENERATION CHUNKS`. */
export async function fill(
  { link, keys, token }: Caller,
  kind: Kind,
  generation: string,
  chunks: number,
  deltas: DeltaArguments,
): Promise<Reply> {
  return replyOf(
    await scripted(link).fleetgraphFill(
      3,
      keys.lease,
      keys.state,
      keys.rows(kind, generation),
      token,
      String(EXPIRY_MS),
      kind,
      generation,
      String(chunks),
      ...deltas,
    ),
  )
}

export interface Commit {
  readonly generation: string
  readonly chunks: number
  /** The generation that this one replaces; `''`: none. */
  readonly replaced: string
  readonly tag: string
  readonly size: number
  readonly about: About
  readonly deltas: DeltaArguments
}

/** Idempotent. `at` is a position. */
export async function commit(caller: Caller, kind: Kind, what: Commit): Promise<Reply> {
  const { link, keys, token } = caller
  return replyOf(
    await scripted(link).fleetgraphCommit(
      4,
      keys.lease,
      keys.state,
      keys.rows(kind, what.generation),
      keys.rows(kind, what.replaced),
      token,
      String(EXPIRY_MS),
      kind,
      what.generation,
      String(what.chunks),
      publishOf(link),
      keys.channel,
      what.tag,
      String(what.size),
      writeAbout(what.about),
      ...what.deltas,
    ),
  )
}

export interface Batch {
  /** The position before, as text, and its parts. */
  readonly from: string
  readonly fromTag: string
  readonly generation: string
  readonly sequence: number
  readonly tag: string
  readonly about: About
  readonly deltas: DeltaArguments
}

/** `at` is a position: the next one, or where the table is instead. */
export async function change({ link, keys, token }: Caller, kind: Kind, batch: Batch): Promise<Reply> {
  return replyOf(
    await scripted(link).fleetgraphChange(
      3,
      keys.lease,
      keys.state,
      keys.rows(kind, batch.generation),
      token,
      String(EXPIRY_MS),
      kind,
      batch.from,
      publishOf(link),
      keys.channel,
      batch.fromTag,
      batch.generation,
      String(batch.sequence),
      batch.tag,
      writeAbout(batch.about),
      ...batch.deltas,
    ),
  )
}

export interface BeatTable {
  readonly kind: Kind
  readonly generation: string
  /** `''`: it is being written, so that it may be elsewhere. */
  readonly position: string
  /** `''`: as before. */
  readonly about: string
}

/** The kinds that are not in Redis as they should be; `undefined`: fenced. */
export async function beat(
  { link, keys, token }: Caller,
  health: string,
  tables: readonly BeatTable[],
): Promise<readonly string[] | undefined> {
  const [type, ...lost] = await scripted(link).fleetgraphBeat(
    2 + tables.length,
    keys.lease,
    keys.state,
    ...tables.map(({ kind, generation }) => keys.rows(kind, generation)),
    token,
    String(EXPIRY_MS),
    publishOf(link),
    keys.channel,
    health,
    ...tables.flatMap(({ kind, position, about }) => [kind, position, about]),
  )
  return type === 'FENCED' ? undefined : lost
}

/** A table as its state stands in Redis. */
export interface TableText {
  readonly position: string
  readonly about: string
}

/** What Redis holds of a cluster, all of one moment. */
export interface ClusterState {
  /** Milliseconds since the owner's last heartbeat, by the clock of Redis; `undefined`: never any. */
  readonly silentMs: number | undefined
  /** As the owner wrote it. */
  readonly health: string | undefined
  readonly tables: ReadonlyMap<Kind, TableText>
  /** Generations that were begun and not ended. */
  readonly abandoned: ReadonlyMap<Kind, string>
}

export async function readState(link: RedisLink, keys: ClusterKeys): Promise<ClusterState> {
  const [age, ...pairs] = await scripted(link).fleetgraphState(1, keys.state)
  const fields = new Map<string, string>()
  for (let i = 0; i + 1 < pairs.length; i += 2) fields.set(pairs[i]!, pairs[i + 1]!)
  const tables = new Map<Kind, TableText>()
  const abandoned = new Map<Kind, string>()
  for (const kind of ALL_KINDS) {
    const position = fields.get(kind)
    const about = fields.get(`${kind}:about`)
    if (position !== undefined && about !== undefined) tables.set(kind, { position, about })
    const next = fields.get(`${kind}:next`)?.split(' ')[0]
    if (next !== undefined) abandoned.set(kind, next)
  }
  const silentMs = Number(age)
  return { silentMs: silentMs < 0 ? undefined : silentMs, health: fields.get(':health'), tables, abandoned }
}

/** `undefined`: Redis has nothing of it. */
export async function readTable(
  { commands }: RedisLink,
  { state }: ClusterKeys,
  kind: Kind,
): Promise<TableText | undefined> {
  const [position, about] = await commands.hmget(state, kind, `${kind}:about`)
  return position && about ? { position, about } : undefined
}
