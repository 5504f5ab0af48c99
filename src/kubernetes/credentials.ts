/**
 * Who we are to one API server: picks the kind of credentials that a user entry asks for, and keeps
 * what is read from files fresh. Kinds that need more than a file live in `exec-plugin.ts` and
 * `oidc-refresh.ts`. Knows no HTTP.
 *
 * Invariant: secrets leave here only as headers and TLS material; no message ever holds one.
 */
import { readFile } from 'node:fs/promises'
import { TransportError } from './client.ts'
import type { Connection, Pem } from './connection.ts'
import { execPlugin } from './exec-plugin.ts'
import { legacyProvider } from './legacy-provider.ts'
import { oidcRefresh } from './oidc-refresh.ts'

/** What one request is sent with. The same object comes back as long as nothing changed. */
export interface Credential {
  /** The whole value of `Authorization`. */
  readonly authorization?: string
  /** PEM, from a plugin; wins over the files of the kubeconfig. */
  readonly clientCertificate?: string
  readonly clientKey?: string
}

export interface Credentials {
  /**
   * Rejects with a `TransportError` `CREDENTIALS`. Concurrent callers share the work; a caller's signal
   * ends its own wait, and the work when nobody waits any more.
   */
  get(signal?: AbortSignal): Credential | Promise<Credential>
  /** The server answered 401 to this one. True if `get()` may come up with another now. */
  reject(credential: Credential): boolean
  close(): void
}

/** Environment of everything in this folder that waits or expires. Times are epoch milliseconds. */
export interface CredentialOptions {
  readonly now?: () => number
  /** How old a file's content may get, in milliseconds. Default 10,000, as client-go. */
  readonly rereadMs?: number
}

/** Nothing at all: client certificates, or an open server. */
const NONE: Credential = Object.freeze({})

export function credentialsFor(connection: Connection, options: CredentialOptions = {}): Credentials {
  const { user } = connection
  if (user.tokenFile !== undefined) return tokenFileCredentials(connection, user.tokenFile, options)
  if (user.token !== undefined) return fixed({ authorization: `Bearer ${user.token.trim()}` })
  if (user.username !== undefined)
    return fixed({
      authorization: `Basic ${Buffer.from(`${user.username}:${user.password ?? ''}`).toString('base64')}`,
    })
  if (user.exec) return execPlugin(connection, user.exec, options)
  if (user.authProvider?.name === 'oidc') return oidcRefresh(connection, user.authProvider.config, options)
  if (user.authProvider) return legacyProvider(connection, user.authProvider)
  return fixed(NONE)
}

function fixed(credential: Credential): Credentials {
  return { get: () => credential, reject: () => false, close: () => {} }
}

function tokenFileCredentials(connection: Connection, path: string, options: CredentialOptions): Credentials {
  const file = new RereadFile(path, options)
  let token: string | undefined
  let credential = NONE
  const wrap = (content: Buffer): Credential => {
    const next = content.toString().trim()
    // Emptied to be written anew: what it held is good until then, and it is not empty for long.
    if (next === '') file.expire()
    if (next === '' && token !== undefined) return credential
    if (next === '')
      throw new TransportError(
        'CREDENTIALS',
        `Cluster ${connection.cluster}: the token file ${path} is empty. Write a bearer token into it.`,
      )
    if (next !== token) {
      token = next
      credential = { authorization: `Bearer ${next}` }
    }
    return credential
  }
  return {
    get() {
      const content = file.get()
      if (Buffer.isBuffer(content)) return wrap(content)
      return content.then(wrap, (error: unknown) => {
        throw unreadable(connection, 'token file', path, error)
      })
    },
    reject() {
      // The file may have been rotated since it was last read: the next get() looks.
      file.expire()
      return true
    },
    close() {},
  }
}

function unreadable(connection: Connection, what: string, path: string, cause: unknown): TransportError {
  if (cause instanceof TransportError) return cause
  const { code } = cause as NodeJS.ErrnoException
  return new TransportError(
    'CREDENTIALS',
    `Cluster ${connection.cluster}: cannot read the ${what} ${path} (${code ?? String(cause)}). Check that it exists and that the gateway may read it.`,
    cause,
  )
}

/**
 * A small file whose content is wanted often: read at most once per `rereadMs`. Comparing contents, not
 * times, sees symlink swaps and coarse clocks alike. A file that vanishes for a moment – rotation – keeps
 * its last content.
 */
export class RereadFile {
  readonly path: string
  readonly #now: () => number
  readonly #rereadMs: number
  #content: Buffer | undefined
  #freshUntil = 0
  #reading: Promise<Buffer> | undefined

  constructor(path: string, { now = Date.now, rereadMs = 10_000 }: CredentialOptions = {}) {
    this.path = path
    this.#now = now
    this.#rereadMs = rereadMs
  }

  /** The same Buffer as long as the bytes are the same. */
  get(): Buffer | Promise<Buffer> {
    const left = this.#freshUntil - this.#now()
    // More than it was ever given: the clock was set back.
    if (this.#content && left > 0 && left <= this.#rereadMs) return this.#content
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  /** The next `get()` reads. */
  expire(): void {
    this.#freshUntil = 0
  }

  async #read(): Promise<Buffer> {
    try {
      const bytes = await readFile(this.path)
      if (!this.#content?.equals(bytes)) this.#content = bytes
    } catch (error) {
      if (!this.#content) throw error
    }
    this.#freshUntil = this.#now() + this.#rereadMs
    return this.#content
  }
}

/** PEM texts of a connection. The same object comes back as long as none of them changed. */
export interface TlsMaterial {
  readonly ca?: Buffer
  readonly cert?: Buffer
  readonly key?: Buffer
}

/** Reads a connection's certificates, and re-reads those that are files. */
export class TlsFiles {
  readonly #connection: Connection
  readonly #parts: readonly { name: keyof TlsMaterial; source: RereadFile | Buffer }[]
  #material: TlsMaterial | undefined

  constructor(connection: Connection, options: CredentialOptions = {}) {
    this.#connection = connection
    const { certificateAuthority, user } = connection
    const part = (name: keyof TlsMaterial, pem: Pem | undefined) =>
      pem ? [{ name, source: 'file' in pem ? new RereadFile(pem.file, options) : Buffer.from(pem.data) }] : []
    this.#parts = [
      ...part('ca', connection.insecureSkipTlsVerify ? undefined : certificateAuthority),
      ...part('cert', user.clientCertificate),
      ...part('key', user.clientKey),
    ]
  }

  get(): TlsMaterial | Promise<TlsMaterial> {
    const now: Partial<Record<keyof TlsMaterial, Buffer>> = {}
    for (const { name, source } of this.#parts) {
      const bytes = Buffer.isBuffer(source) ? source : source.get()
      if (!Buffer.isBuffer(bytes)) return this.#read()
      now[name] = bytes
    }
    return this.#keep(now)
  }

  /** After a failed handshake or a 401: the next `get()` reads the files again. */
  expire(): void {
    for (const { source } of this.#parts) if (!Buffer.isBuffer(source)) source.expire()
  }

  async #read(): Promise<TlsMaterial> {
    const read = await Promise.all(
      this.#parts.map(async ({ name, source }) => {
        try {
          return [name, Buffer.isBuffer(source) ? source : await source.get()] as const
        } catch (error) {
          const what = { ca: 'certificate authority', cert: 'client certificate', key: 'client key' }[name]
          throw unreadable(this.#connection, what, (source as RereadFile).path, error)
        }
      }),
    )
    return this.#keep(Object.fromEntries(read))
  }

  #keep(now: TlsMaterial): TlsMaterial {
    const old = this.#material
    if (old && old.ca === now.ca && old.cert === now.cert && old.key === now.key) return old
    this.#material = now
    return now
  }
}
