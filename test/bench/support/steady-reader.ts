/** Somebody who reads at a steady pace, whatever the answers take: how long each takes. */
import { Agent, request } from 'node:http'
import { answer } from './remote.ts'

/** Each with another selector: so that none is answered with what was kept of another. */
const QUERY = `query ($labels: String!) {
  deployments(first: 20, filter: { labelSelector: $labels }) {
    nodes { cluster { name } namespace name desired ready resourceVersion }
    coverage { cluster state }
  }
}`

let serial = 0

const agent = new Agent({ keepAlive: true, maxSockets: 16 })

function ask(url: string, token: string): Promise<void> {
  const body = JSON.stringify({ query: QUERY, variables: { labels: `app!=x${++serial}` } })
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      {
        method: 'POST',
        agent,
        headers: {
          authorization: `Bearer ${token}`,
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
        },
      },
      (response) => {
        response.resume().once('end', () => {
          if (response.statusCode === 200) resolve()
          else reject(new Error(`HTTP ${response.statusCode}`))
        })
      },
    )
    sent.once('error', reject).end(body)
  })
}

const handlers = {
  /** Milliseconds of each answer. */
  async read({
    url,
    token,
    ms,
    perSecond,
  }: {
    readonly url: string
    readonly token: string
    readonly ms: number
    readonly perSecond: number
  }): Promise<readonly number[]> {
    const start = performance.now()
    const taken: number[] = []
    const open: Promise<void>[] = []
    while (performance.now() - start < ms) {
      const due = Math.floor(((performance.now() - start) * perSecond) / 1_000)
      while (open.length < due) {
        const before = performance.now()
        open.push(ask(url, token).then(() => void taken.push(performance.now() - before)))
      }
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    await Promise.all(open)
    return taken
  },
}
export type ReaderHandlers = typeof handlers

answer(handlers)
