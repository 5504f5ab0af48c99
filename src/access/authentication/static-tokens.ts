/**
 * Tokens of programs, kept as hashes in a file that is watched: `authentication.tokensFile`.
 *
 * A token is `fg_<id>_<secret><checksum>` in lower-case hex: the id finds its entry, the secret has 256 bits
 * from the system's random source, the checksum tells a token that was cut off or mistyped from one that was
 * revoked. The file holds its SHA-256. No slow hash: those make guessing of what people think up expensive; 256
 * random bits are not guessed, and each bad token would cost us what it was to cost an attacker.
 *
 * Invariants: a broken file changes nothing – the last good one counts, and it is told what is wrong; an entry
 * that is gone or has changed ends its sign-ins; hashes are compared in constant time.
 */
import { hash, randomBytes, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readFile, realpath } from 'node:fs/promises'
import { dirname } from 'node:path'
import { crc32 } from 'node:zlib'
import { type Document, isCollection, isScalar, LineCounter, parseDocument, stringify } from 'yaml'
import * as z from 'zod'
import type { Clock } from '../../fleet/clock.ts'
import { WatchedFolders, type WatchedFoldersOptions } from '../../fleet/sources/watched-folders.ts'
import type { User } from '../viewer.ts'
import { AuthenticationError } from './authenticator.ts'
import { ownUser } from './identity.ts'
import { AuthenticationSetupError, type SignIn, type TokenAuthenticator } from './sign-in.ts'

/** Whether it looks like one of ours, good or not: such a token is shown to nobody else. */
export function isStaticToken(token: string): boolean {
  return /^fg_[0-9a-f]{12}_/i.test(token)
}

const TOKEN = /^fg_([0-9a-f]{12})_([0-9a-f]{64})([0-9a-f]{8})$/
/** Of entries. */
const MAX_NAME = 200
const HASH = /^([0-9a-f]{12}):([0-9a-f]{64})$/

export interface StaticTokenEntry {
  /** For people: who uses it. Stands in audit records. */
  readonly name: string
  /** As `createToken` returns it. */
  readonly hash: string
  readonly user: string
  readonly groups: readonly string[]
  readonly uid?: string | undefined
  readonly expiresAt?: string | undefined
  /** SHA-256, in hex, of the documents that it may send; default: any. */
  readonly operations?: readonly string[] | undefined
}

/**
 * A new token, to be shown once, and what the file keeps of it. `name`: of its entry; throws a `TypeError` for one
 * that the file would not take.
 */
export function createToken({ name }: { readonly name: string }): {
  readonly token: string
  readonly hash: string
} {
  if (name === '' || name.length > MAX_NAME) throw new TypeError(`A name has 1 to ${MAX_NAME} characters.`)
  const id = randomBytes(6).toString('hex')
  const secret = randomBytes(32).toString('hex')
  const token = `fg_${id}_${secret}${checksum(id, secret)}`
  return { token, hash: `${id}:${hash('sha256', token)}` }
}

/** The entry as it is written below `tokens:` of the file. */
export function printTokenEntry(entry: StaticTokenEntry): string {
  const { name, user, groups, uid, expiresAt, operations } = entry
  const fields = { name, hash: entry.hash, user, groups, uid, expiresAt, operations }
  return stringify([fields], { indent: 2, lineWidth: 0 }).replace(/^(?=.)/gm, '  ')
}

function checksum(id: string, secret: string): string {
  return crc32(`${id}_${secret}`).toString(16).padStart(8, '0')
}

const schema = z.strictObject({
  tokens: z
    .array(
      z.strictObject({
        name: z.string().min(1).max(MAX_NAME),
        hash: z.string().regex(HASH, 'expected a hash as fleetgraph token create prints it'),
        user: z.string().min(1).max(1_024),
        groups: z.array(z.string().min(1).max(1_024)).max(1_000).default([]),
        uid: z.string().min(1).optional(),
        expiresAt: z.iso
          .datetime({ offset: true, error: 'expected a time as 2027-01-31T00:00:00Z' })
          .optional(),
        operations: z
          .array(z.string().regex(/^[0-9a-f]{64}$/, 'expected the SHA-256 of a document in lower-case hex'))
          .optional(),
      }),
    )
    .nullable()
    .default([]),
})

interface Known {
  readonly name: string
  readonly digest: Buffer
  readonly user: User
  readonly expiresAt: number | null
  readonly operations: ReadonlySet<string> | null
  /** Equal for entries that say the same. */
  readonly content: string
}

/** A file that has changed is read again after so long, until it stays the same; longer while it is empty. */
const UNSETTLED_MS = 50
const EMPTY_MS = 500

export interface StaticTokensOptions extends Omit<WatchedFoldersOptions, 'clock'> {
  /** Absolute. */
  readonly file: string
  readonly clock: Clock
  /** Tokens were added, changed or removed. */
  readonly onChange: () => void
  /** The file is broken, with a line for each problem, or good again (none). Each state once. */
  readonly onProblems: (problems: readonly string[]) => void
}

export class StaticTokens implements TokenAuthenticator {
  readonly #options: StaticTokensOptions
  readonly #folders: WatchedFolders
  #tokens: ReadonlyMap<string, Known>
  #text: string
  #said = ''
  #cancelWait = () => {}

  /** Throws `AuthenticationSetupError` where the file is missing or broken: at the start there is no last good one. */
  constructor(options: StaticTokensOptions) {
    const { file, clock } = options
    this.#options = options
    try {
      this.#text = readFileSync(file, 'utf8')
    } catch (error) {
      throw new AuthenticationSetupError([unreadable(file, error)], error)
    }
    this.#tokens = parseTokens(this.#text, file)
    this.#folders = new WatchedFolders(
      async () => [...new Set([dirname(file), dirname(await realpath(file).catch(() => file))])],
      () => this.#look(),
      // Sooner than the folders of kubeconfigs: a token that leaked has to end.
      { debounceMs: 50, pollMs: 1_000, ...options, clock },
    )
    this.#folders.start()
  }

  signIn(token: string): SignIn {
    const match = TOKEN.exec(token)
    if (!match || checksum(match[1]!, match[2]!) !== match[3]) {
      throw new AuthenticationError(
        'UNAUTHENTICATED',
        'The token is incomplete or was mistyped. Send it as it was printed.',
      )
    }
    const id = match[1]!
    const known = this.#tokens.get(id)
    const digest = hash('sha256', token, 'buffer')
    // Compared in any case: the time must not tell which ids there are.
    const equal = timingSafeEqual(digest, known?.digest ?? NOTHING)
    if (!known || !equal) {
      throw new AuthenticationError('UNAUTHENTICATED', 'The token is not known. It may have been revoked.')
    }
    const { name, user, expiresAt, operations } = known
    return {
      user,
      method: 'TOKEN',
      issuer: name,
      expiresAt,
      // Of no use to a cluster, and a secret of ours.
      token: null,
      clusters: null,
      operations,
      revoked: () => this.#tokens.get(id) !== known,
    }
  }

  close(): void {
    this.#folders.close()
    this.#cancelWait()
  }

  async #look(): Promise<void> {
    const { file, onChange } = this.#options
    let text: string
    try {
      text = await readFile(file, 'utf8')
    } catch (error) {
      // Files are replaced by removing them, too.
      this.#say([`${unreadable(file, error)} The tokens that were known go on counting.`])
      return
    }
    if (text !== this.#text) text = await this.#settled(text)
    if (text === this.#text) {
      this.#say([])
      return
    }
    let tokens: ReadonlyMap<string, Known>
    try {
      tokens = parseTokens(text, file, this.#tokens)
    } catch (error) {
      this.#say(error instanceof AuthenticationSetupError ? error.problems : [`${file}: ${String(error)}`])
      return
    }
    this.#text = text
    this.#tokens = tokens
    this.#say([])
    onChange()
  }

  /** Whoever writes a file in place empties it first: half of it would end the sign-ins of the other half. */
  async #settled(read: string): Promise<string> {
    const { file, clock } = this.#options
    let text = read
    for (;;) {
      await new Promise<void>((resolve) => {
        this.#cancelWait = clock.after(text.trim() === '' ? EMPTY_MS : UNSETTLED_MS, resolve)
      })
      const next = await readFile(file, 'utf8').catch(() => text)
      if (next === text) return text
      text = next
    }
  }

  #say(problems: readonly string[]): void {
    const said = problems.join('\n')
    if (said === this.#said) return
    this.#said = said
    this.#options.onProblems(problems)
  }
}

/** Whether a gateway would take this text for a file of tokens: throws `AuthenticationSetupError` where not. */
export function requireTokensFile(text: string, file: string): void {
  parseTokens(text, file)
}

/** The hash of no token. */
const NOTHING = Buffer.alloc(32)

/** By id. Entries that say the same as before are the same objects. Throws `AuthenticationSetupError`. */
function parseTokens(
  text: string,
  file: string,
  before: ReadonlyMap<string, Known> = new Map(),
): ReadonlyMap<string, Known> {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true })
  const at = (offset: number | undefined) => {
    if (offset === undefined) return file
    const { line, col } = lines.linePos(offset)
    return `${file}:${line}:${col}`
  }
  if (document.errors.length > 0) {
    throw new AuthenticationSetupError(
      // Not its message: it may quote a token.
      document.errors.map(({ pos, code }) => `${at(pos[0])}: not valid YAML (${code}).`),
    )
  }
  /** Of the node at the path, or of the nearest one above it. */
  const place = (path: readonly PropertyKey[]): string => {
    for (let length = path.length; length > 0; length--) {
      const node = document.getIn(path.slice(0, length), true)
      if (isScalar(node) || isCollection(node)) return at(node.range?.[0])
    }
    return at(0)
  }
  const problems: string[] = []
  const result = schema.safeParse(valueOf(document, file) ?? {})
  for (const { path, message } of result.error?.issues ?? []) {
    const key = path
      .map(String)
      .join('.')
      .replace(/\.(\d+)(?=\.|$)/g, '[$1]')
    // Never the value: it may be a token where its hash should stand.
    problems.push(`${place(path)}: ${key || '(the whole file)'}: ${message.replace(/^Invalid input: /, '')}.`)
  }
  const tokens = new Map<string, Known>()
  const names = new Set<string>()
  for (const [index, entry] of (result.data?.tokens ?? []).entries()) {
    const { name, expiresAt, operations } = entry
    const [, id = '', digest = ''] = HASH.exec(entry.hash) ?? []
    if (tokens.has(id))
      problems.push(`${place(['tokens', index, 'hash'])}: tokens[${index}].hash: stands there twice.`)
    if (names.has(name))
      problems.push(`${place(['tokens', index, 'name'])}: tokens[${index}].name: stands there twice.`)
    names.add(name)
    const content = JSON.stringify(entry)
    const known = before.get(id)
    try {
      tokens.set(
        id,
        known?.content === content
          ? known
          : {
              name,
              digest: Buffer.from(digest, 'hex'),
              user: ownUser({ name: entry.user, groups: entry.groups, uid: entry.uid }),
              expiresAt: expiresAt === undefined ? null : Date.parse(expiresAt),
              operations: operations ? new Set(operations) : null,
              content,
            },
      )
    } catch (error) {
      problems.push(`${place(['tokens', index, 'user'])}: tokens[${index}]: ${(error as Error).message}`)
    }
  }
  if (problems.length > 0) throw new AuthenticationSetupError(problems)
  return tokens
}

function valueOf(document: Document, file: string): unknown {
  try {
    return document.toJS()
  } catch (error) {
    // Aliases to nothing, or too many of them.
    throw new AuthenticationSetupError([`${file}: not valid YAML.`], error)
  }
}

function unreadable(file: string, error: unknown): string {
  const why = (error as NodeJS.ErrnoException).code ?? String(error)
  return `${file}: the file of tokens cannot be read (${why}). Create it, or correct authentication.tokensFile.`
}
