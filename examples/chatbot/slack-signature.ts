/** Whether a request is Slack's: https://docs.slack.dev/authentication/verifying-requests-from-slack */
import { createHmac, timingSafeEqual } from 'node:crypto'

const WINDOW_S = 5 * 60

export type SignatureCheck = (
  headers: Readonly<Record<string, string | string[] | undefined>>,
  /** As it came: a body that was parsed and written again has another signature. */
  body: Buffer,
) => string | undefined

/**
 * Answers what is wrong with a request; `undefined`: it is Slack's, of the last five minutes, and was not seen
 * before. `now`: epoch milliseconds.
 */
export function slackSignatureCheck(secret: string, now: () => number = Date.now): SignatureCheck {
  /** By signature: the second from which on its timestamp is too old anyway. */
  const seen = new Map<string, number>()
  return (headers, body) => {
    const timestamp = headers['x-slack-request-timestamp']
    const signature = headers['x-slack-signature']
    if (typeof timestamp !== 'string' || typeof signature !== 'string' || !/^\d{1,12}$/.test(timestamp)) {
      return 'It is not signed.'
    }
    const seconds = Math.floor(now() / 1_000)
    if (Math.abs(seconds - Number(timestamp)) > WINDOW_S) return 'Its timestamp is not of now.'
    const mac = createHmac('sha256', secret).update(`v0:${timestamp}:`).update(body).digest('hex')
    const expected = Buffer.from(`v0=${mac}`)
    const given = Buffer.from(signature)
    if (given.length !== expected.length || !timingSafeEqual(given, expected))
      return 'Its signature is wrong.'
    for (const [old, until] of seen) if (until < seconds) seen.delete(old)
    if (seen.has(signature)) return 'It was sent before.'
    seen.set(signature, Number(timestamp) + WINDOW_S)
    return undefined
  }
}
