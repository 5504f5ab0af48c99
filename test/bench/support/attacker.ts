/**
 * One user who attacks from a process of its own, so that what it costs to make the requests holds up nobody who is
 * measured. Run by `startAttacker`.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { Agent } from 'node:http'
import { fileURLToPath } from 'node:url'
import { ATTACKS, type Attack } from '../../support/attacks.ts'
import { sendAttack } from '../../support/send-attack.ts'

export interface AttackerOptions {
  readonly port: number
  readonly user: string
  /** Names of attacks, sent in turn. */
  readonly attacks: readonly string[]
  /** Whether those before are answered or not. */
  readonly perSecond: number
  /** Each request is on a connection of its own while it is not answered: beyond so many none is sent. */
  readonly connections: number
  readonly ms: number
}

export interface AttackerCounts {
  /** Answers that say what is wrong with the request. */
  readonly refused: number
  /** Answers that say to come again later, and requests that were cut off with them. */
  readonly told: number
  /** Not sent, since no connection was free. */
  readonly unsent: number
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
  const { port, user, perSecond, connections, ms } = options
  const attacks = options.attacks.map((name) => ATTACKS.find((attack) => attack.name === name)!)
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const open = new Set<Promise<void>>()
  let [refused, told, unsent] = [0, 0, 0]
  const send = async (attack: Attack): Promise<void> => {
    // Whoever has to wait may be cut off while they send.
    const status = await sendAttack({ port }, attack, user, agent).then(
      ({ status }) => status,
      () => WAIT,
    )
    if (status === WAIT) told++
    else refused++
  }
  const began = performance.now()
  for (let i = 0; performance.now() < began + ms; i++) {
    if (open.size >= connections) unsent++
    else {
      const sent: Promise<void> = send(attacks[i % attacks.length]!).finally(() => open.delete(sent))
      open.add(sent)
    }
    const next = began + ((i + 1) * 1_000) / perSecond
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, next - performance.now())))
  }
  await Promise.all(open)
  agent.destroy()
  return { refused, told, unsent }
}

if (process.env['ATTACKER'] && process.argv[2] !== undefined) {
  process.send!('ready')
  const counts = await attack(JSON.parse(process.argv[2]) as AttackerOptions)
  process.send!(counts, () => process.disconnect?.())
}
