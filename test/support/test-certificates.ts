/**
 * Certificates for servers and clients of tests, made by the openssl command: Node signs no X.509.
 * Elliptic-curve keys, valid for a week; one directory per authority.
 */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const execute = promisify(execFile)

export interface Certificate {
  /** PEM. */
  readonly cert: string
  readonly key: string
}

export interface CertificateAuthority {
  readonly pem: string
  /** Writes `<file>.crt` and `<file>.key` beside the authority's own `ca.crt` and `ca.key`. */
  issue(
    file: string,
    subject: {
      readonly commonName: string
      readonly organization?: string
      /** As openssl writes them: `IP:127.0.0.1`, `DNS:localhost`. */
      readonly alternativeNames?: readonly string[]
    },
  ): Promise<Certificate>
}

/** A new authority in `dir`, or the one that is there. */
export async function createCertificateAuthority(dir: string): Promise<CertificateAuthority> {
  const caCert = join(dir, 'ca.crt')
  const caKey = join(dir, 'ca.key')
  const existing = await readFile(caCert, 'utf8').catch(() => undefined)
  if (existing === undefined) {
    await openssl(caCert, caKey, '/CN=fleetgraph test authority', [
      '-addext',
      'keyUsage=critical,keyCertSign,cRLSign,digitalSignature',
    ])
  }
  return {
    pem: existing ?? (await readFile(caCert, 'utf8')),
    async issue(file, { commonName, organization, alternativeNames = [] }) {
      const cert = join(dir, `${file}.crt`)
      const key = join(dir, `${file}.key`)
      await openssl(cert, key, `${organization === undefined ? '' : `/O=${organization}`}/CN=${commonName}`, [
        '-CA',
        caCert,
        '-CAkey',
        caKey,
        '-addext',
        'basicConstraints=critical,CA:FALSE',
        '-addext',
        'extendedKeyUsage=clientAuth,serverAuth',
        ...(alternativeNames.length > 0 ? ['-addext', `subjectAltName=${alternativeNames.join(',')}`] : []),
      ])
      return { cert: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') }
    },
  }
}

async function openssl(cert: string, key: string, subject: string, more: readonly string[]): Promise<void> {
  const request = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -sha256 -days 7'
  const where = ['-subj', subject, '-out', cert, '-keyout', key]
  await execute('openssl', [...request.split(' '), ...where, ...more]).catch((error: unknown) => {
    throw new Error('the openssl command (3.0 or later) is needed to make test certificates', {
      cause: error,
    })
  })
}
