/**
 * What requests to one server that are made by the same user share: the credentials, the certificates, and one
 * kept transport, replaced when certificates change or a connection has gone silent. Nothing is connected or
 * read before the first request.
 *
 * Invariant: a client certificate, and a TLS session that was begun with one, never leave their lane.
 */
import type { Connection } from './connection.ts'
import {
  credentialsFor,
  TlsFiles,
  type Credential,
  type CredentialOptions,
  type Credentials,
  type TlsMaterial,
} from './credentials.ts'
import { Transport, type TransportOptions } from './transport.ts'

export interface LaneOptions extends CredentialOptions, TransportOptions {}

export class Lane {
  readonly connection: Connection
  readonly credentials: Credentials
  readonly tls: TlsFiles
  readonly #options: LaneOptions
  #transport: Transport | undefined
  #clientCertificate: string | undefined
  #files: TlsMaterial | undefined
  readonly #retired = new Set<Transport>()

  constructor(connection: Connection, options: LaneOptions) {
    this.connection = connection
    this.#options = options
    this.credentials = credentialsFor(connection, options)
    this.tls = new TlsFiles(connection, options)
  }

  /** The kept transport, or a new one where certificates changed. */
  transport(files: TlsMaterial, credential: Credential): Transport {
    const { clientCertificate, clientKey } = credential
    const kept = this.#transport
    if (kept && this.#files === files && this.#clientCertificate === clientCertificate) return kept
    if (kept) this.drop(kept)
    this.#files = files
    this.#clientCertificate = clientCertificate
    const material =
      clientCertificate !== undefined && clientKey !== undefined
        ? { ...files, cert: Buffer.from(clientCertificate), key: Buffer.from(clientKey) }
        : files
    return (this.#transport = new Transport(this.connection, material, this.#options))
  }

  /** New requests get new connections; what runs on the old ones may finish. */
  drop(transport: Transport): void {
    if (this.#transport !== transport) return
    this.#transport = undefined
    this.#retired.add(transport)
    transport.retire(() => this.#retired.delete(transport))
  }

  async close(): Promise<void> {
    this.credentials.close()
    const transports = [...this.#retired, ...(this.#transport ? [this.#transport] : [])]
    this.#retired.clear()
    this.#transport = undefined
    await Promise.all(transports.map((transport) => transport.destroy()))
  }
}
