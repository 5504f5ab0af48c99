/**
 * Everything that is written to Redis of an operation, as Lua scripts: each checks whether it still may, writes, and
 * publishes the same, in one step. Which commands may come late, and why that is harmless: `redis-operation-store.ts`.
 *
 * Answers: `OK`, or `CANCEL` where it is to be cancelled. `GONE`: there is no operation that counts. `TAKEN`, `EXPIRED`:
 * the lease is another's, or nobody's. `LATE`: a later write of the same lease was before this one.
 */
import type { Cluster, Redis, Result } from 'ioredis'

declare module 'ioredis' {
  interface RedisCommander<Context> {
    fleetgraphOperationCreate(keys: 2, ...args: readonly string[]): Result<string, Context>
    fleetgraphOperationConfirm(keys: 2, ...args: readonly string[]): Result<string, Context>
    fleetgraphOperationTake(keys: 2, ...args: readonly string[]): Result<string[], Context>
    fleetgraphOperationWrite(keys: 2, ...args: readonly string[]): Result<string, Context>
    fleetgraphOperationRenew(keys: 2, ...args: readonly string[]): Result<string, Context>
    fleetgraphOperationRelease(keys: 2, ...args: readonly string[]): Result<string, Context>
    fleetgraphOperationCancel(keys: 2, ...args: readonly string[]): Result<string, Context>
    fleetgraphOperationLook(keys: 2, ...args: readonly string[]): Result<string, Context>
    fleetgraphOperationPage(keys: 1, ...args: readonly string[]): Result<string[], Context>
  }
}

/**
 * KEYS of all scripts but PAGE: the record, the lease. ARGV 1 to 5, where they are needed: the token, how long the
 * lease lasts, how long the record is kept, PUBLISH, the channel.
 */
const OWNED = `
if redis.call('HEXISTS', KEYS[1], 'confirmed') == 0 then return 'GONE' end
local holder = redis.call('GET', KEYS[2])
if holder ~= ARGV[1] then return holder and 'TAKEN' or 'EXPIRED' end
`
const TOLD = `
local function told()
  local cancel = redis.call('HEXISTS', KEYS[1], 'cancel') == 1 and 'CANCEL' or 'OK'
  redis.call(ARGV[4], ARGV[5], redis.call('HINCRBY', KEYS[1], 'revision', 1) .. ' ' .. cancel)
  return cancel
end
`

/** ARGV from 6: head, owner, time of creation. */
const CREATE = `
if redis.call('HEXISTS', KEYS[1], 'confirmed') == 1 then return 'EXISTS' end
if not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return 'BUSY' end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'creator', ARGV[1], 'head', ARGV[6], 'owner', ARGV[7], 'at', ARGV[8])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 'OK'`

/** Once: another with the same token is late, and the lease may have been given back since. */
const CONFIRM = `${TOLD}
if redis.call('HGET', KEYS[1], 'creator') ~= ARGV[1] then return 'LOST' end
if redis.call('HEXISTS', KEYS[1], 'confirmed') == 1 then return 'LOST' end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
redis.call('HSET', KEYS[1], 'confirmed', 1, 'written', 0)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return told()`

const TAKE = `
if redis.call('HEXISTS', KEYS[1], 'confirmed') == 0 then return {'GONE'} end
if redis.call('HEXISTS', KEYS[1], 'ended') == 1 then return {'ENDED'} end
if not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return {'HELD'} end
redis.call('HSET', KEYS[1], 'written', 0)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
local cancel = redis.call('HEXISTS', KEYS[1], 'cancel') == 1 and 'CANCEL' or 'OK'
return {cancel, redis.call('HGET', KEYS[1], 'owner'), redis.call('HGET', KEYS[1], 'at')}`

/** ARGV from 6: the number of this write, field, value, `ended` or ''. */
const WRITE = `${OWNED}${TOLD}
if tonumber(ARGV[6]) <= tonumber(redis.call('HGET', KEYS[1], 'written')) then return 'LATE' end
redis.call('HSET', KEYS[1], ARGV[7], ARGV[8], 'written', ARGV[6])
if ARGV[9] == 'ended' then redis.call('HSET', KEYS[1], 'ended', 1) end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return told()`

/** The token is written anew, where PEXPIRE would do: a Redis that is full refuses it, as it refuses the steps. */
const RENEW = `${OWNED}
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
if redis.call('HEXISTS', KEYS[1], 'ended') == 0 then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return redis.call('HEXISTS', KEYS[1], 'cancel') == 1 and 'CANCEL' or 'OK'`

const RELEASE = `
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
return 'OK'`

const CANCEL = `${TOLD}
if redis.call('HEXISTS', KEYS[1], 'confirmed') == 0 then return 'GONE' end
if redis.call('HEXISTS', KEYS[1], 'ended') == 1 then return 'ENDED' end
if redis.call('HSETNX', KEYS[1], 'cancel', 1) == 1 then told() end
return 'OK'`

const LOOK = `
if redis.call('HEXISTS', KEYS[1], 'confirmed') == 0 then return 'GONE' end
if redis.call('HEXISTS', KEYS[1], 'ended') == 1 then return 'ENDED' end
return redis.call('EXISTS', KEYS[2]) == 1 and 'HELD' or 'FREE'`

/** KEYS 1: a set of ids by time. ARGV: after this id or '', so many. Ids and times, newest first. */
const PAGE = `
local start = 0
if ARGV[1] ~= '' then
  local rank = redis.call('ZREVRANK', KEYS[1], ARGV[1])
  if not rank then return {} end
  start = rank + 1
end
return redis.call('ZREVRANGE', KEYS[1], start, start + ARGV[2] - 1, 'WITHSCORES')`

const SCRIPTS = {
  fleetgraphOperationCreate: CREATE,
  fleetgraphOperationConfirm: CONFIRM,
  fleetgraphOperationTake: TAKE,
  fleetgraphOperationWrite: WRITE,
  fleetgraphOperationRenew: RENEW,
  fleetgraphOperationRelease: RELEASE,
  fleetgraphOperationCancel: CANCEL,
  fleetgraphOperationLook: LOOK,
  fleetgraphOperationPage: PAGE,
}

/** Idempotent. */
export function defineOperationScripts(commands: Redis | Cluster): void {
  for (const [name, lua] of Object.entries(SCRIPTS)) commands.defineCommand(name, { lua })
}
