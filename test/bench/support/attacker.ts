/**
 * One user who attacks from a process of its own, so that what it costs to make the requests holds up nobody who is
 * measured. Run by `startAttacker`.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { Agent } from 'node:http'
import { fileURLToPath } from 'node:url'
import { ATTACKS } from '../../support/attacks.ts'
import { sendAttack } from '../../support/send-attack.ts'

export interface AttackerOptions {
  readonly port: number
  readonly user: string
  /** Names of attacks, sent in turn. */
  readonly attacks: readonly string[]
  /** At a time, each on a connection of its own. */
  readonly connections: number
  /** Of one connection: between the beginnings of two requests, if the first is answered by then. */
  readonly pauseMs: number
  readonly ms: number
}

export interface AttackerCounts {
  /** Answers that say what is wrong with the request. */
  readonly refused: number
  /** Answers that say to come again later, and requests that were cut off with them. */
  readonly told: number
}

/** Attacks at once; what comes back resolves with the counts at the end. */
export async function startAttacker(options: AttackerOptions): Promise<() => Promise<AttackerCounts>> {
  const child = fork(fileURLToPath(import.meta.url), [JSON.stringify(options)], {
    env: { ...process.env, ATTACKER: '1' },
  })
  // Once it has loaded what it needs.
  await once(child, 'message')
  const counts = once(child, 'message') as Promise<[AttackerCounts]>
  return async () => (await counts)[0]
}

const WAIT = 429

async function attack(options: AttackerOptions): Promise<AttackerCounts> {
  const { port, user, connections, pauseMs, ms } = options
  const attacks = options.attacks.map((name) => ATTACKS.find((attack) => attack.name === name)!)
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const until = performance.now() + ms
  let [refused, told] = [0, 0]
  const connection = async (index: number): Promise<void> => {
    for (let i = index; performance.now() < until; i++) {
      const next = performance.now() + pauseMs
      // Whoever has to wait may be cut off while they send.
      const status = await sendAttack({ port }, attacks[i % attacks.length]!, user, agent).then(
        ({ status }) => status,
        () => WAIT,
      )
      if (status === WAIT) told++
      else refused++
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, next - performance.now())))
    }
  }
  await Promise.all(Array.from({ length: connections }, (_, index) => connection(index)))
  agent.destroy()
  return { refused, told }
}

if (process.env['ATTACKER'] && process.argv[2] !== undefined) {
  process.send!('ready')
  const counts = await attack(JSON.parse(process.argv[2]) as AttackerOptions)
  process.send!(counts, () => process.disconnect?.())
}
