/**
 * Changes objects of a cluster all the time: makes, scales, labels and deletes them, so many times a
 * second. What fails because the server is away, or because of a conflict, is passed over.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../../support/eventually.ts'
import type { KubernetesHttp } from '../../support/kubernetes-http.ts'

export interface Churn {
  /** Changes that succeeded. */
  readonly done: number
  begin(): void
  /** Resolves when the change under way has ended. */
  pause(): Promise<void>
  /** Resolves after so many more changes that succeeded. */
  changes(count: number): Promise<void>
  /** Resolves after so many milliseconds of changes. */
  lasting(ms: number): Promise<void>
  close(): Promise<void>
}

const NAMESPACE = 'churn'
/** Few, so that each is made, changed and deleted several times in a short test. */
const OBJECTS = 4

export async function startChurn(http: KubernetesHttp, rate: number): Promise<Churn> {
  const root = `/api/v1/namespaces/${NAMESPACE}`
  await http.must(
    http.post('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } }),
  )
  let done = 0
  let running: { readonly abort: AbortController; readonly ended: Promise<void> } | undefined

  const change = async (turn: number): Promise<boolean> => {
    const name = `object-${turn % OBJECTS}`
    const path = `${root}/configmaps/${name}`
    const deployments = `/apis/apps/v1/namespaces/${NAMESPACE}/deployments`
    const step = Math.floor(turn / OBJECTS) % 6
    const metadata = { name, labels: { turn: String(turn) } }
    const answer = await (() => {
      switch (step) {
        case 0:
          return http.post(`${root}/configmaps`, {
            apiVersion: 'v1',
            kind: 'ConfigMap',
            metadata,
            data: { [`key-${turn}`]: 'value' },
          })
        case 1:
          return http.patch(path, 'merge', { metadata, data: { [`more-${turn}`]: 'ünïcode \\" [{' } })
        case 2:
          if (turn % OBJECTS > 1) return http.patch(path, 'merge', { metadata })
          return http.post(deployments, {
            apiVersion: 'apps/v1',
            kind: 'Deployment',
            metadata,
            spec: {
              replicas: 1,
              selector: { matchLabels: { app: name } },
              template: {
                metadata: { labels: { app: name } },
                spec: { containers: [{ name: 'main', image: `registry.example.com/app:${turn}` }] },
              },
            },
          })
        case 3:
          if (turn % OBJECTS > 1) return http.patch(path, 'merge', { metadata })
          return http.patch(`${deployments}/${name}`, 'merge', { spec: { replicas: 1 + (turn % 3) } })
        case 4:
          if (turn % OBJECTS > 1) return http.patch(path, 'merge', { metadata })
          return http.delete(`${deployments}/${name}?propagationPolicy=Background`)
        default:
          return http.delete(path)
      }
    })()
    return answer.status < 300
  }

  let turn = 0
  const run = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      // A frozen server leaves a change without an answer; the next begins when it thaws, or is killed.
      const changed = change(turn++).catch(() => false)
      const ended = await Promise.race([changed, aborted(signal)])
      if (ended) done++
      await sleep(1000 / rate)
    }
  }

  const churn: Churn = {
    get done() {
      return done
    },
    begin() {
      const abort = new AbortController()
      running ??= { abort, ended: run(abort.signal) }
    },
    async pause() {
      const ending = running
      running = undefined
      ending?.abort.abort()
      await ending?.ended
    },
    async changes(count) {
      const until = done + count
      await eventually(
        () => {
          if (done < until) throw new Error(`${until - done} of ${count} changes are still to come`)
        },
        { timeoutMs: 60_000 },
      )
    },
    lasting: (ms) => sleep(ms),
    close: () => churn.pause(),
  }
  return churn
}

function aborted(signal: AbortSignal): Promise<false> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(false)
    else signal.addEventListener('abort', () => resolve(false), { once: true })
  })
}
