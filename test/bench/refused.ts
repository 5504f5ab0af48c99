/**
 * What requests cost that are refused: CPU of the gateway for each, by kind, and what they do to somebody honest who
 * asks meanwhile: the 99th percentile of their answers while one user attacks as often as the limit of a minute
 * lets one user ask, against the same without.
 */
import { Agent } from 'node:http'
import { startAttackedServer, type AttackedServer } from '../support/attacked-server.ts'
import { ATTACKS, type Attack } from '../support/attacks.ts'
import { HonestClient, sendAttack } from '../support/send-attack.ts'
import { median, type Bench, type Figure } from './figure.ts'

const MOST_CPU_MS = 5
const ROUNDS = 3
const REQUESTS = 20
const ATTACKERS = 8
const ROUND_MS = 5_000
/** Together they send a hundred a second. */
const PAUSE_MS = 80

const slug = (name: string) => name.toLowerCase().replace(/\W+/g, '-')

export const bench: Bench = async () => {
  const server = await startAttackedServer({
    pods: 2_000,
    options: { introspection: false, graphiql: false, limits: { requestsPerMinute: 10_000_000 } },
  })
  const agent = new Agent({ keepAlive: true, maxSockets: ATTACKERS })
  try {
    const figures: Figure[] = []
    for (const attack of ATTACKS) figures.push(await cpuOf(server, attack, agent))
    await quantile(server, [], agent)
    const [without, during]: [number[], number[]] = [[], []]
    for (let round = 0; round < ROUNDS; round++) {
      without.push(await quantile(server, [], agent))
      during.push(await quantile(server, ATTACKS, agent))
    }
    figures.push({
      name: 'refused-honest-p99',
      value: median(during),
      unit: 'ms',
      limit: median(without),
      target: { of: 'ratio', atMost: 2 },
    })
    return figures
  } finally {
    agent.destroy()
    await server.close()
  }
}

async function cpuOf(server: AttackedServer, attack: Attack, agent: Agent): Promise<Figure> {
  const rounds: number[] = []
  await sendAttack(server, attack, 'mallory', agent)
  for (let round = 0; round < ROUNDS; round++) {
    const before = (await server.tell()).cpuMicros
    for (let i = 0; i < REQUESTS; i++) await sendAttack(server, attack, 'mallory', agent)
    rounds.push(((await server.tell()).cpuMicros - before) / REQUESTS / 1_000)
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

/** Milliseconds of the 99th percentile of an honest client, while these are sent over and over. */
async function quantile(server: AttackedServer, attacks: readonly Attack[], agent: Agent): Promise<number> {
  const honest = new HonestClient(server, 2)
  const until = performance.now() + ROUND_MS
  const attacker = async (offset: number): Promise<void> => {
    for (let i = offset; attacks.length > 0 && performance.now() < until; i++) {
      const next = performance.now() + PAUSE_MS
      await sendAttack(server, attacks[i % attacks.length]!, 'mallory', agent)
      await new Promise((resolve) => setTimeout(resolve, next - performance.now()))
    }
  }
  await Promise.all(Array.from({ length: ATTACKERS }, (_, index) => attacker(index * 5)))
  while (performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 10))
  await honest.stop()
  if (honest.failures.length > 0) throw new Error(`The honest client was not answered: ${honest.failures[0]}`)
  const sorted = honest.latencies.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN
}
