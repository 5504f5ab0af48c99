/**
 * TLS of the server's own, from files that are read again when they change: certificates are renewed by
 * programs that replace files and tell nobody. What cannot be used is said, and the old ones stay.
 *
 * Files are looked at by their content: a Secret that Kubernetes mounts changes by a link two levels up, which
 * watching a file does not see.
 */
import { readFileSync } from 'node:fs'
import type { Server } from 'node:https'
import type { Socket } from 'node:net'
import { createSecureContext, TLSSocket, type SecureContextOptions } from 'node:tls'
import type { Clock } from '../fleet/clock.ts'
import type { Logger } from './logger.ts'

export interface TlsFiles {
  readonly certificateFile: string
  readonly keyFile: string
  /** Certificates of clients are asked for, and verified against these; who shows none is served as well. */
  readonly clientCaFile?: string
}

/** A file cannot be read or used. The message names the file, and nothing that is in it. */
export class TlsError extends Error {
  override readonly name = 'TlsError'
  readonly code = 'TLS'
}

const LOOK_MS = 10_000

/** What `https.createServer` takes. Throws `TlsError`. */
export function readTls({ certificateFile, keyFile, clientCaFile }: TlsFiles): SecureContextOptions {
  const options: SecureContextOptions = {
    cert: read(certificateFile),
    key: read(keyFile),
    ...(clientCaFile !== undefined && { ca: read(clientCaFile) }),
    minVersion: 'TLSv1.2',
  }
  try {
    createSecureContext(options)
  } catch (error) {
    const files = [certificateFile, keyFile, clientCaFile].filter((file) => file !== undefined).join(', ')
    throw new TlsError(
      `The TLS files cannot be used together (${(error as NodeJS.ErrnoException).code ?? 'not PEM'}): ${files}. Expected PEM: the certificate with its chain, and its key without a password.`,
      { cause: error },
    )
  }
  return options
}

/** Looks at the files every 10 s. Returns the end of it. */
export function reloadTls(server: Server, files: TlsFiles, clock: Clock, logger: Logger): () => void {
  let known = contentOf(files)
  let cancel = () => {}
  const look = () => {
    const content = contentOf(files)
    if (content !== known) {
      known = content
      try {
        server.setSecureContext(readTls(files))
        logger.info({}, 'the TLS files have changed: new connections use them')
      } catch (error) {
        logger.error(
          { error: (error as Error).message },
          'the TLS files have changed and cannot be used: the old ones stay',
        )
      }
    }
    cancel = clock.after(LOOK_MS, look)
  }
  cancel = clock.after(LOOK_MS, look)
  return () => cancel()
}

/** Asking takes the certificate apart; it is the same for as long as the connection. */
const names = new WeakMap<Socket, string | undefined>()

/** The common name in the certificate of a client, where it is one that our CA vouches for. */
export function certificateNameOf(socket: Socket): string | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined
  if (!names.has(socket)) {
    const name: unknown = socket.getPeerCertificate().subject?.CN
    names.set(socket, typeof name === 'string' ? name : undefined)
  }
  return names.get(socket)
}

function contentOf({ certificateFile, keyFile, clientCaFile }: TlsFiles): string {
  const files = [certificateFile, keyFile, ...(clientCaFile === undefined ? [] : [clientCaFile])]
  return files
    .map((file) => {
      try {
        return readFileSync(file, 'utf8')
      } catch {
        return ''
      }
    })
    .join('\0')
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new TlsError(`The TLS file ${file} cannot be read (${(error as NodeJS.ErrnoException).code}).`, {
      cause: error,
    })
  }
}
