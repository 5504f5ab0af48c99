/** A fleet on scripted API servers, with a clock and a source by hand. */
import { afterEach } from 'vitest'
import type { Feeding } from '../../src/fleet/feeding.ts'
import { createFleet, type Fleet } from '../../src/fleet/fleet.ts'
import type { ClusterDefinition, ClusterSource, SourceListener } from '../../src/fleet/sources/source.ts'
import { TransportError } from '../../src/kubernetes/client.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { ScriptedClient } from './scripted-client.ts'

/** A source that says what the test tells it to. */
export class TestSource implements ClusterSource {
  readonly description = 'test'
  say: SourceListener = () => {}
  closed = false

  start(onChange: SourceListener): void {
    this.say = onChange
  }

  close(): void {
    this.closed = true
  }
}

export const bookmark = (resourceVersion: string) => ({
  type: 'BOOKMARK',
  object: { metadata: { resourceVersion, annotations: { 'k8s.io/initial-events-end': 'true' } } },
})
export const namespace = (name: string, resourceVersion: string) => ({
  type: 'ADDED',
  object: { metadata: { name, uid: name, resourceVersion }, status: { phase: 'Active' } },
})
export const never = () => new Promise<never>(() => {})
export const timeout = new TransportError('TIMEOUT', 'no answer within 5 s')
export const refused = new TransportError('UNREACHABLE', 'connect ECONNREFUSED 10.0.0.1:6443')

const fleets: Fleet[] = []
afterEach(() => Promise.all(fleets.splice(0).map((fleet) => fleet.close())))

/** Closed after the test. */
export function setUp(limits: { syncsPerCluster?: number; syncs?: number } = {}, feeding?: Feeding) {
  const clock = new FakeClock()
  const source = new TestSource()
  const clients = new Map<string, ScriptedClient>()
  const problems: string[] = []
  const logged: string[] = []
  const fleet = createFleet({
    sources: [source],
    clock,
    // Time enough for everything in one turn, however slow the machine.
    limits: { sliceMs: 1e9, ...limits },
    random: () => 0.5,
    ...(feeding && { feeding }),
    onClusterHealth: (name, { state }, error) =>
      logged.push(`${name} ${state} ${error instanceof Error ? String(error) : ''}`.trim()),
    onSourceProblems: (said) => problems.push(...said.map(({ message }) => message)),
  })
  fleets.push(fleet)
  const define = (
    name: string,
    more: Partial<ClusterDefinition> & { answer?: ScriptedClient['answer'] } = {},
  ): ClusterDefinition => ({
    name,
    labels: {},
    source: 'test',
    fingerprint: 'one',
    connect() {
      const client = new ScriptedClient()
      if (more.answer) client.answer = more.answer
      clients.set(name, client)
      return client
    },
    ...more,
  })
  const client = (name: string) => {
    const found = clients.get(name)
    if (!found) throw new Error(`${name} was not connected`)
    return found
  }
  const cluster = (name: string) => {
    const found = fleet.cluster(name)
    if (!found) throw new Error(`no cluster ${name}`)
    return found
  }
  return { clock, source, fleet, define, client, cluster, problems, logged }
}
