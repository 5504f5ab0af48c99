/**
 * The documents that the operator trusts: those that the portals and bots of an organisation were built
 * with. A request may name one instead of sending it, and where nothing else is allowed a stolen token
 * cannot ask for what no client of ours asks for.
 *
 * A folder holds them: each `*.graphql` file is one, named by the SHA-256 of its exact text, and
 * `manifest.json` holds those that build tools have extracted, under the names that these gave them: a map of
 * name → text (Relay's `persistConfig.file`, GraphQL Code Generator's `persistedDocuments`), or Apollo's
 * `{"format": "apollo-persisted-query-manifest", "version": 1, "operations": [{"id", "body"}]}`.
 *
 * Invariant: what is trusted is a text, byte for byte; a name only finds it. No name that looks like a
 * SHA-256 with its prefix stands for another text.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isRecord } from './request.ts'

/** The folder cannot be used. The message names the file, and what is wrong with it. */
export class TrustedDocumentsError extends Error {
  override readonly name = 'TrustedDocumentsError'
  readonly code = 'TRUSTED_DOCUMENTS'
}

const MANIFEST = 'manifest.json'
const APOLLO = 'apollo-persisted-query-manifest'
const PREFIX = 'sha256:'

export class TrustedDocuments {
  /** By SHA-256 and by names of the manifest. */
  readonly #byName: ReadonlyMap<string, string>
  readonly #texts: ReadonlySet<string>
  /** Whether anything else is refused. */
  readonly only: boolean

  /** `named`: names beside the hashes. */
  constructor(texts: Iterable<string>, only: boolean, named: Iterable<readonly [string, string]> = []) {
    const byName = new Map(named)
    for (const text of [...texts, ...byName.values()]) byName.set(hashOf(text), text)
    this.#byName = byName
    this.#texts = new Set(byName.values())
    this.only = only
  }

  get size(): number {
    return this.#texts.size
  }

  has(text: string): boolean {
    return this.#texts.has(text)
  }

  /** `sha256:` and a hash (GraphQL over HTTP, appendix on persisted documents), a bare hash, or a name. */
  find(name: string): string | undefined {
    const known = this.#byName.get(name)
    if (known !== undefined || !name.startsWith(PREFIX)) return known
    const hash = name.slice(PREFIX.length).toLowerCase()
    const text = this.#byName.get(hash)
    return text !== undefined && hashOf(text) === hash ? text : undefined
  }
}

/** Reads the folder. Throws `TrustedDocumentsError`. */
export function readTrustedDocuments(folder: string, only: boolean): TrustedDocuments {
  const read = (name: string): string => {
    try {
      return readFileSync(join(folder, name), 'utf8')
    } catch (error) {
      throw unusable(join(folder, name), `it cannot be read (${(error as NodeJS.ErrnoException).code})`)
    }
  }
  if (folder === '') throw unusable('(no folder)', 'say where they are (server.documentsDirectory)')
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch (error) {
    throw unusable(folder, `it cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
  const texts = names.filter((name) => name.endsWith('.graphql')).map(read)
  const named = names.includes(MANIFEST) ? manifestOf(read(MANIFEST), join(folder, MANIFEST)) : []
  return new TrustedDocuments(texts, only, named)
}

function manifestOf(text: string, file: string): readonly (readonly [string, string])[] {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw unusable(file, 'it is not JSON')
  }
  const wrong = () =>
    unusable(file, `expected a map of names to documents, or {"format": "${APOLLO}", "version": 1, …}`)
  if (!isRecord(json)) throw wrong()
  const isApollo = json['format'] === APOLLO
  if (isApollo && json['version'] !== 1) throw wrong()
  const entries: readonly (readonly [unknown, unknown])[] = isApollo
    ? asArray(json['operations']).map((entry) => (isRecord(entry) ? [entry['id'], entry['body']] : [0, 0]))
    : Object.entries(json)
  return entries.map(([name, body]) => {
    if (typeof name !== 'string' || typeof body !== 'string') throw wrong()
    if (name.startsWith(PREFIX) && name !== PREFIX + hashOf(body)) {
      throw unusable(file, `${name.slice(0, 80)} is not the hash of its document`)
    }
    return [name, body]
  })
}

function asArray(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function unusable(where: string, what: string): TrustedDocumentsError {
  return new TrustedDocumentsError(`The trusted documents cannot be used: ${where}: ${what}.`)
}

/** SHA-256 in hex, of UTF-8. */
export function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
