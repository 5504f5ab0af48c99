/**
 * Plans that wait for their confirmation: what is to be done is kept here, and the user gets a token for it.
 *
 * The token is a JWS (RFC 7515) with HMAC-SHA-256 over who asked, the digest of what is kept, an id and an end; it holds
 * nothing of the change. Replicas that share a Redis share the key and what is kept; without one both are of this
 * process. A plan with a Secret's values is kept in the memory of the replica that made it, whether there is Redis or not.
 *
 * Whether a plan was carried out is not known here: it has one id, and so has its operation. A token can be opened as
 * often as wanted, also when it has expired or what was kept is gone: whoever opens it looks for the operation first.
 */
import { hash, randomBytes, randomUUID } from 'node:crypto'
import { compactVerify, CompactSign } from 'jose'
import { identityOf, type Viewer } from '../access/viewer.ts'
import type { RedisConnection } from '../events/redis/connection.ts'
import type { Clock } from '../fleet/clock.ts'
import { isObject } from '../kubernetes/json.ts'
import type { Change } from './change.ts'
import { holdsSecret, pack, unpack } from './kept.ts'
import type { Strategy } from './operation.ts'
import { ChangeRefused } from './writes.ts'

/** What is confirmed. */
export interface PlanBody {
  /** With the fingerprints that the plan has seen as preconditions. */
  readonly change: Change
  readonly strategy: Strategy | null
}

export interface PlanToken {
  readonly token: string
  /** Epoch milliseconds; whole seconds. */
  readonly expiresAt: number
}

/**
 * `jti` names the plan. Without a body it cannot be carried out any more: unless there is an operation of this plan,
 * `refusal` is the answer.
 */
export type OpenedPlan =
  | { readonly jti: string; readonly body: PlanBody }
  | { readonly jti: string; readonly body: null; readonly refusal: ChangeRefused }

export interface Plans {
  /** Throws `ChangeRefused`: TOO_LARGE, UNAVAILABLE where Redis does not answer. */
  keep(viewer: Viewer, body: PlanBody): Promise<PlanToken>
  /**
   * Throws `ChangeRefused`: PLAN_INVALID where the token is none of this viewer's – forged, altered, of another user:
   * it is not told which –, UNAVAILABLE.
   */
  open(viewer: Viewer, token: string): Promise<OpenedPlan>
}

export interface PlansOptions {
  readonly clock: Clock
  /** Not closed here. Absent: plans are known to this process only. */
  readonly redis?: RedisConnection
  /** Default 10 minutes. */
  readonly ttlMs?: number
}

export function createPlans(options: PlansOptions): Plans {
  return new KeptPlans(options)
}

const TTL_MS = 10 * 60_000
const TYPE = 'fleetgraph-plan+jwt'
const FORMAT = 1
const KEY_BYTES = 32
/** Plans of one user that are kept; of more, those that were asked for last. */
const MAX_OF_USER = 50
/** Plans, and characters of them, that are kept in the memory of one process. */
const MAX_IN_MEMORY = 1_000
const MAX_MEMORY = 64 * 1_048_576
/** Ours have some 400 characters. */
const MAX_TOKEN = 2_048

interface Claims {
  /** SHA-256 of who asked. */
  readonly sub: string
  readonly jti: string
  /** SHA-256 of the body, as JSON. */
  readonly digest: string
  /** `replica`: in the memory of the one that made it, since it holds a Secret. */
  readonly kept: 'shared' | 'replica'
  /** Seconds of epoch. */
  readonly iat: number
  readonly exp: number
}

interface KeptPlan {
  readonly owner: string
  /** Of the body. */
  readonly json: string
  readonly expiresAt: number
}

class KeptPlans implements Plans {
  readonly #clock: Clock
  readonly #redis: RedisConnection | undefined
  readonly #ttlMs: number
  /** By their ids, oldest first. */
  readonly #memory = new Map<string, KeptPlan>()
  #memorySize = 0
  /** Made here, or read from Redis: put into it again where it has lost it. */
  #key: Buffer = randomBytes(KEY_BYTES)

  constructor({ clock, redis, ttlMs = TTL_MS }: PlansOptions) {
    this.#clock = clock
    this.#redis = redis
    this.#ttlMs = ttlMs
  }

  async keep(viewer: Viewer, body: PlanBody): Promise<PlanToken> {
    const now = this.#clock.now()
    const kept: PlanBody = { change: body.change, strategy: body.strategy }
    const json = JSON.stringify(kept)
    const claims: Claims = {
      sub: ownerOf(viewer),
      jti: randomUUID(),
      digest: digestOf(json),
      kept: holdsSecret(body) ? 'replica' : 'shared',
      iat: Math.floor(now / 1_000),
      exp: Math.floor((now + this.#ttlMs) / 1_000),
    }
    const text = await pack(kept, 'The plan')
    const key = await this.#sharedKey()
    if (this.#redis && claims.kept === 'shared') await this.#keepInRedis(this.#redis, claims, text)
    else this.#keepInMemory(claims, json)
    const token = await new CompactSign(Buffer.from(JSON.stringify(claims)))
      .setProtectedHeader({ alg: 'HS256', typ: TYPE })
      .sign(key)
    return { token, expiresAt: claims.exp * 1_000 }
  }

  async open(viewer: Viewer, token: string): Promise<OpenedPlan> {
    const claims = await this.#verified(token)
    if (claims?.sub !== ownerOf(viewer)) throw invalid()
    const { jti } = claims
    if (claims.exp * 1_000 <= this.#clock.now()) return { jti, body: null, refusal: this.#expired() }
    const shared = this.#redis && claims.kept === 'shared'
    const json = shared ? await this.#readFromRedis(this.#redis, jti) : this.#memory.get(jti)?.json
    if (json === undefined)
      return { jti, body: null, refusal: claims.kept === 'replica' ? elsewhere() : gone() }
    if (digestOf(json) !== claims.digest) throw invalid()
    return { jti, body: JSON.parse(json) as PlanBody }
  }

  /** `undefined`: it was not signed with our key, or it is none of a plan. */
  async #verified(token: string): Promise<Claims | undefined> {
    if (token.length > MAX_TOKEN) return undefined
    const key = await this.#sharedKey()
    try {
      const { payload, protectedHeader } = await compactVerify(token, key, { algorithms: ['HS256'] })
      const claims: unknown = JSON.parse(Buffer.from(payload).toString('utf8'))
      return protectedHeader.typ === TYPE && isObject(claims) ? (claims as unknown as Claims) : undefined
    } catch {
      return undefined
    }
  }

  /** Of all replicas. The first one makes it; one that Redis has lost is what a replica still knows of it. */
  async #sharedKey(): Promise<Uint8Array> {
    const redis = this.#redis
    if (!redis) return this.#key
    const name = `${redis.prefix}:plans.${FORMAT}:{key}`
    const text = await asked(async () => {
      await redis.commands.set(name, this.#key.toString('base64url'), 'NX')
      return redis.commands.get(name)
    })
    const key = Buffer.from(text ?? '', 'base64url')
    if (key.length !== KEY_BYTES) {
      throw new ChangeRefused(
        'UNAVAILABLE',
        `The key of plans in Redis is none: remove ${name} from it, and another one is made.`,
      )
    }
    this.#key = key
    return key
  }

  async #keepInRedis(
    { commands, prefix }: RedisConnection,
    { jti, sub }: Claims,
    text: string,
  ): Promise<void> {
    const own = `${prefix}:plans.${FORMAT}:{by:${sub}}`
    await asked(async () => {
      await commands.set(this.#bodyKey(prefix, jti), text, 'PX', this.#ttlMs)
      await commands.zadd(own, this.#clock.now(), jti)
      await commands.pexpire(own, this.#ttlMs)
      const over = await commands.zrange(own, 0, -MAX_OF_USER - 1)
      if (over.length === 0) return
      // One by one: in a Redis Cluster each has a slot of its own.
      await Promise.all(over.map((old) => commands.del(this.#bodyKey(prefix, old))))
      await commands.zrem(own, ...over)
    })
  }

  /** As JSON. `undefined`: it is not there. */
  async #readFromRedis({ commands, prefix }: RedisConnection, jti: string): Promise<string | undefined> {
    const text = await asked(() => commands.get(this.#bodyKey(prefix, jti)))
    if (text === null) return undefined
    try {
      return JSON.stringify(await unpack(text))
    } catch {
      throw invalid()
    }
  }

  #bodyKey(prefix: string, jti: string): string {
    return `${prefix}:plans.${FORMAT}:{${jti}}:body`
  }

  #keepInMemory({ jti, sub, exp }: Claims, json: string): void {
    const now = this.#clock.now()
    for (const [id, { expiresAt }] of this.#memory) if (expiresAt <= now) this.#forget(id)
    const own = [...this.#memory].filter(([, { owner }]) => owner === sub)
    if (own.length >= MAX_OF_USER) this.#forget(own[0]![0])
    this.#memory.set(jti, { owner: sub, json, expiresAt: exp * 1_000 })
    this.#memorySize += json.length
    while (this.#memory.size > MAX_IN_MEMORY || this.#memorySize > MAX_MEMORY) {
      const id = this.#oldestOfLargest(jti)
      if (id === undefined) break
      this.#forget(id)
    }
  }

  /** Of whoever takes most of the memory, the plan to go next; never the one that is being kept. */
  #oldestOfLargest(kept: string): string | undefined {
    const sizes = new Map<string, number>()
    for (const { owner, json } of this.#memory.values()) {
      // A plan takes some room, however short it is.
      sizes.set(owner, (sizes.get(owner) ?? 0) + json.length + MAX_MEMORY / MAX_IN_MEMORY)
    }
    const others = [...this.#memory].filter(([id]) => id !== kept)
    const most = Math.max(...others.map(([, { owner }]) => sizes.get(owner)!))
    return others.find(([, { owner }]) => sizes.get(owner) === most)?.[0]
  }

  #forget(id: string): void {
    this.#memorySize -= this.#memory.get(id)?.json.length ?? 0
    this.#memory.delete(id)
  }

  #expired(): ChangeRefused {
    const minutes = Math.max(1, Math.round(this.#ttlMs / 60_000))
    return new ChangeRefused(
      'PLAN_EXPIRED',
      `The plan has expired: it could be confirmed for ${minutes} min. Ask for a new plan, and look at it before you confirm.`,
    )
  }
}

function ownerOf(viewer: Viewer): string {
  return hash('sha256', identityOf(viewer), 'base64url')
}

function digestOf(json: string): string {
  return hash('sha256', json, 'base64url')
}

/** The same for each token that is none of this viewer's. */
function invalid(): ChangeRefused {
  return new ChangeRefused(
    'PLAN_INVALID',
    'This is no plan of yours: the token was altered, was given to somebody else, or is from before the gateway, or its Redis, was started anew. Ask for a new plan.',
  )
}

function gone(): ChangeRefused {
  return new ChangeRefused(
    'PLAN_EXPIRED',
    `The plan is no longer kept: Redis or the gateway was started anew, or more than ${MAX_OF_USER} plans were asked for since. Ask for a new plan.`,
  )
}

function elsewhere(): ChangeRefused {
  return new ChangeRefused(
    'PLAN_INVALID',
    'The plan holds the values of a Secret, which are kept only by the replica of the gateway that made it, and this is another, or it was started anew. Ask for a new plan and confirm it over the same connection, or change the Secret without a plan.',
  )
}

async function asked<T>(commands: () => Promise<T>): Promise<T> {
  try {
    return await commands()
  } catch (error) {
    // Without what ioredis attaches: the arguments.
    const cause = new Error(error instanceof Error ? error.message : String(error))
    throw new ChangeRefused(
      'UNAVAILABLE',
      'Redis does not answer, and plans are kept there. Try again.',
      cause,
    )
  }
}
