/**
 * Reads what a client sends, up to a limit that holds for bodies without a Content-Length as well.
 * Knows nothing of what is in them.
 */
import type { IncomingMessage } from 'node:http'

/** The body is over the limit; what is left of it is dropped as it comes. */
export class BodyTooLarge extends Error {
  override readonly name = 'BodyTooLarge'
  readonly code = 'BODY_TOO_LARGE'

  constructor(limit: number) {
    super(`The body of the request is larger than ${limit} bytes. Ask for less, or in several requests.`)
  }
}

/**
 * Calls back once with the body as text, or with what kept it from coming. Never, where the client has
 * gone before the end. With a callback, since it is on the path of every request.
 */
export function readBody(
  request: IncomingMessage,
  limit: number,
  done: (error: BodyTooLarge | undefined, text: string) => void,
): void {
  if (Number(request.headers['content-length'] ?? 0) > limit) {
    request.resume()
    done(new BodyTooLarge(limit), '')
    return
  }
  let chunks: Buffer[] | undefined
  let first: Buffer | undefined
  let size = 0
  let over = false
  request.on('data', (chunk: Buffer) => {
    if (over) return
    size += chunk.length
    if (size > limit) {
      over = true
      chunks = first = undefined
      done(new BodyTooLarge(limit), '')
    } else if (first) (chunks ??= [first]).push(chunk)
    else first = chunk
  })
  request.on('end', () => {
    if (!over) done(undefined, chunks ? Buffer.concat(chunks).toString() : (first?.toString() ?? ''))
  })
  request.on('error', () => {
    over = true
  })
}
