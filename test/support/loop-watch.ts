/**
 * Asks a server for its health every few milliseconds from a thread of its own, whatever the test's own thread is busy
 * with: how long its event loop is held, as everybody else would feel it.
 */
import { get } from 'node:http'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

/** Milliseconds between an answer and the next question. */
const EVERY_MS = 10

export interface LoopWatch {
  /** Milliseconds of the slowest answer since the last call, and how many there were. */
  longest(): Promise<{ readonly ms: number; readonly answers: number; readonly failures: number }>
  close(): Promise<void>
}

export function watchLoop(url: string): LoopWatch {
  const worker = new Worker(new URL(import.meta.url), { workerData: { url } })
  return {
    longest: () =>
      new Promise((resolve) => {
        worker.once('message', resolve)
        // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has none
        worker.postMessage('longest')
      }),
    close: async () => void (await worker.terminate()),
  }
}

if (!isMainThread && (workerData as { url?: string } | null)?.url) {
  const { url } = workerData as { readonly url: string }
  let [ms, answers, failures] = [0, 0, 0]
  const ask = (): void => {
    const began = performance.now()
    const done = (isGood: boolean): void => {
      ms = Math.max(ms, performance.now() - began)
      if (isGood) answers++
      else failures++
      setTimeout(ask, EVERY_MS)
    }
    get(url, (response) => {
      response.resume()
      response.on('end', () => done(response.statusCode === 200))
    }).on('error', () => done(false))
  }
  parentPort!.on('message', () => {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has none
    parentPort!.postMessage({ ms: Math.round(ms), answers, failures })
    ;[ms, answers, failures] = [0, 0, 0]
  })
  ask()
}
