/**
 * What requests cost that are refused: CPU of the gateway for each, by kind, and what they do to somebody honest who
 * asks meanwhile: the 99th percentile of their answers while one user sends the dearest of them, against the same
 * without. The limits are those that come with the gateway, and the attacker sends as often as they let one user ask
 * for what is answered, also when told to wait: so all is used that they leave, the burst at the beginning included.
 */
import { Agent } from 'node:http'
import type { Limits } from '../../src/server/limits.ts'
import { startAttackedServer, type AttackedServer } from '../support/attacked-server.ts'
import { ATTACKS, type Attack } from '../support/attacks.ts'
import { HonestClient, sendAttack } from '../support/send-attack.ts'
import { median, type Bench, type Figure } from './figure.ts'
import { startAttacker } from './support/attacker.ts'

const MOST_CPU_MS = 5
const ROUNDS = 3
const REQUESTS = 20
const DEAREST = 5
const ATTACKERS = 8
const ROUND_MS = 10_000
/** Together they send a hundred a second. */
const PAUSE_MS = 80
/** Together they ask more often than one of them may. */
const HONEST = Array.from({ length: 8 }, (_, index) => `honest${index}`)

const slug = (name: string) => name.toLowerCase().replace(/\W+/g, '-')

export const bench: Bench = async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: ATTACKERS })
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
    figures.push(await withServer({}, (server) => honestP99(server, dearest)))
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

async function honestP99(server: AttackedServer, attacks: readonly Attack[]): Promise<Figure> {
  await quantile(server, [], '')
  const [without, during]: [number[], number[]] = [[], []]
  for (let round = 0; round < ROUNDS; round++) {
    without.push(await quantile(server, [], ''))
    // Of whom nothing is counted yet.
    during.push(await quantile(server, attacks, `mallory${round}`))
  }
  return {
    name: 'refused-honest-p99',
    value: median(during),
    unit: 'ms',
    limit: median(without),
    target: { of: 'ratio', atMost: 2 },
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

/** Milliseconds of the 99th percentile of honest clients, while `user` sends these over and over. */
async function quantile(server: AttackedServer, attacks: readonly Attack[], user: string): Promise<number> {
  const attacked =
    attacks.length > 0 &&
    (await startAttacker({
      port: server.port,
      user,
      attacks: attacks.map(({ name }) => name),
      connections: ATTACKERS,
      pauseMs: PAUSE_MS,
      ms: ROUND_MS,
    }))
  const honest = new HonestClient(server, 2, HONEST)
  const until = performance.now() + ROUND_MS
  while (performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 10))
  await honest.stop()
  if (honest.failures.length > 0) throw new Error(`The honest client was not answered: ${honest.failures[0]}`)
  const counts = attacked && (await attacked())
  if (counts && (counts.refused === 0 || counts.told === 0)) {
    throw new Error(`The attacker did not use up what one user has: ${JSON.stringify(counts)}`)
  }
  const sorted = honest.latencies.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN
}
