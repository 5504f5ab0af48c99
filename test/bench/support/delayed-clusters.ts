/**
 * The API servers of the fan-out benchmark, all in a process of its own: each is as far away as its place says –
 * every request but a watch waits for so many milliseconds –, and has one Deployment. In life they are on other machines:
 * here they get what processors the gateway and its readers leave them.
 */
import { constants, setPriority } from 'node:os'
import { startSimulator, type Simulator } from '../../../src/simulator/simulator.ts'
import { answer } from './remote.ts'

const NEAREST_MS = 5
const FARTHEST_MS = 150

let simulators: readonly Simulator[] = []

const DEPLOYMENT = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web', namespace: 'default' },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: 'web' } },
    template: {
      metadata: { labels: { app: 'web' } },
      spec: { containers: [{ name: 'web', image: 'nginx:1.29' }] },
    },
  },
}

const handlers = {
  async start(count: number) {
    setPriority(constants.priority.PRIORITY_LOW)
    simulators = await Promise.all(
      Array.from({ length: count }, (_, i) =>
        startSimulator({ name: `c${String(i).padStart(2, '0')}`, seed: i }),
      ),
    )
    for (const { url, token } of simulators) {
      await fetch(`${url}/apis/apps/v1/namespaces/default/deployments`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify(DEPLOYMENT),
      })
    }
    return simulators.map((simulator) => simulator.kubeconfig())
  },
  /** From now on. Those that are between the nearest and the farthest are spread evenly. */
  delay() {
    simulators.forEach(({ faults }, i) => {
      const place = i / Math.max(1, simulators.length - 1)
      faults.delay(NEAREST_MS + place * (FARTHEST_MS - NEAREST_MS), {
        path: '/apis/apps/v1/namespaces/default/deployments/web',
      })
    })
  },
  /** Scales all Deployments with the requests that the gateway sends for it, from here: the same without it. */
  async scale(to: number) {
    await Promise.all(
      simulators.map(async ({ url, token }) => {
        const object = `${url}/apis/apps/v1/namespaces/default/deployments/web`
        const authorization = `Bearer ${token}`
        const read = async () => (await fetch(object, { headers: { authorization } })).json()
        await read()
        const answer = await fetch(`${object}/scale`, {
          method: 'PATCH',
          headers: { authorization, 'content-type': 'application/merge-patch+json' },
          body: JSON.stringify({ spec: { replicas: to } }),
        })
        if (!answer.ok) throw new Error(`HTTP ${answer.status}`)
        await answer.json()
        await read()
      }),
    )
  },
  /** Of all Deployments, how many replicas they ask for now. */
  replicas: () =>
    simulators.map(({ registry }) => {
      const key = { group: 'apps', resource: 'deployments' }
      const spec = registry.get(key, 'default', 'web')?.['spec'] as { readonly replicas: number } | undefined
      return spec?.replicas
    }),
}
export type DelayedHandlers = typeof handlers

answer(handlers)
