/**
 * What requests cost that are refused: CPU of the gateway for each, by kind, and what they do to somebody honest who
 * asks meanwhile: the 99th percentile of their answers while one user sends the dearest of them. The limits are those
 * that come with the gateway, and the attacker sends as often as they let one user ask for what is answered, also when
 * told to wait: so all is used that they leave, the burst at the beginning included.
 *
 * It is held against the same without an attack. Next to it, for the record, against the same while a bare server has
 * the attack: then what it takes from the machine to make the requests, and to read them, is in both.
 */
import { Agent } from 'node:http'
import type { Limits } from '../../src/server/limits.ts'
import { startAttackedServer, type AttackedServer } from '../support/attacked-server.ts'
import { ATTACKS, type Attack } from '../support/attacks.ts'
import { HonestClient, sendAttack } from '../support/send-attack.ts'
import { median, type Bench, type Figure } from './figure.ts'
import { startAttacker } from './support/attacker.ts'
import type { BareRefuser } from './support/bare-refuser.ts'
import { Remote } from './support/remote.ts'

const MOST_CPU_MS = 5
const ROUNDS = 5
const REQUESTS = 20
const DEAREST = 5
const ROUND_MS = 10_000
/** All that one user may ask in a minute, all the time, whether they are told to wait or not. */
const PER_SECOND = 100
/** Of the attacker: more than are open while each answer takes a second. */
const CONNECTIONS = 128
/** Together they ask more often than one of them may. */
const HONEST = Array.from({ length: 8 }, (_, index) => `honest${index}`)

const slug = (name: string) => name.toLowerCase().replace(/\W+/g, '-')

export const bench: Bench = async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  try {
    const figures = await withServer({ requestsPerMinute: 10_000_000 }, async (server) => {
      const figures: Figure[] = []
      for (const attack of ATTACKS) figures.push(await cpuOf(server, attack, agent))
      return figures
    })
    const dearest = ATTACKS.map((attack, index) => ({ attack, ms: figures[index]!.value }))
      .toSorted((a, b) => b.ms - a.ms)
      .slice(0, DEAREST)
      .map(({ attack }) => attack)
    figures.push(...(await withServer({}, (server) => honestP99(server, dearest))))
    return figures
  } finally {
    agent.destroy()
  }
}

async function withServer<T>(
  limits: Partial<Limits>,
  measure: (server: AttackedServer) => Promise<T>,
): Promise<T> {
  const server = await startAttackedServer({
    pods: 2_000,
    options: { introspection: false, graphiql: false, limits },
  })
  try {
    return await measure(server)
  } finally {
    await server.close()
  }
}

async function honestP99(server: AttackedServer, attacks: readonly Attack[]): Promise<readonly Figure[]> {
  const bare = new Remote<BareRefuser>('./bare-refuser.ts')
  try {
    const bareServer = { port: await bare.call('listen') }
    await honestQuantile(server)
    const [alone, elsewhere, attacked]: [number[], number[], number[]] = [[], [], []]
    for (let round = 0; round < ROUNDS; round++) {
      // Of whom nothing is counted yet.
      const user = `mallory${round}`
      alone.push(await honestQuantile(server))
      elsewhere.push(await honestQuantile(server, { on: bareServer, attacks, user }))
      attacked.push(await honestQuantile(server, { on: server, attacks, user }))
    }
    const figure = { value: median(attacked), unit: 'ms' }
    return [
      {
        name: 'refused-honest-p99',
        ...figure,
        limit: median(alone),
        target: { of: 'ratio', atMost: 2 },
      },
      { name: 'refused-honest-p99-elsewhere', ...figure, limit: median(elsewhere) },
    ]
  } finally {
    await bare.stop()
  }
}

async function cpuOf(server: AttackedServer, attack: Attack, agent: Agent): Promise<Figure> {
  const rounds: number[] = []
  await sendAttack(server, attack, 'mallory', agent)
  for (let round = 0; round < ROUNDS; round++) {
    const before = await server.cpuMicros()
    for (let i = 0; i < REQUESTS; i++) await sendAttack(server, attack, 'mallory', agent)
    rounds.push(((await server.cpuMicros()) - before) / REQUESTS / 1_000)
  }
  const target = { of: 'value', atMost: MOST_CPU_MS } as const
  return {
    name: `refused-${slug(attack.name)}`,
    value: median(rounds),
    unit: 'ms of CPU',
    limit: MOST_CPU_MS,
    target,
  }
}

interface Attacked {
  readonly on: Pick<AttackedServer, 'port'>
  readonly attacks: readonly Attack[]
  readonly user: string
}

/** Milliseconds of the 99th percentile of honest clients, while somebody attacks. */
async function honestQuantile(server: AttackedServer, attack?: Attacked): Promise<number> {
  const attacker =
    attack &&
    (await startAttacker({
      port: attack.on.port,
      user: attack.user,
      attacks: attack.attacks.map(({ name }) => name),
      perSecond: PER_SECOND,
      connections: CONNECTIONS,
      ms: ROUND_MS,
    }))
  const honest = new HonestClient(server, 2, HONEST)
  const until = performance.now() + ROUND_MS
  while (performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 10))
  await honest.stop()
  if (honest.failures.length > 0) throw new Error(`The honest client was not answered: ${honest.failures[0]}`)
  const counts = await attacker?.()
  if (counts && (counts.told === 0 || (counts.refused === 0 && attack?.on === server))) {
    throw new Error(`The attacker did not use up what one user has: ${JSON.stringify(counts)}`)
  }
  const sorted = honest.latencies.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN
}
