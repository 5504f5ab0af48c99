/**
 * `npm run test:chaos`: five minutes of everything that can go wrong, with three clusters, three replicas
 * and a Redis, judged by clients that know only what they were sent. Ends with 1 where one object, or one
 * DELETED, was missed.
 *
 *   node test/chaos/chaos.ts [--seconds 300] [--seed 1] [--rate 100] [--clients 3] [--real]
 *
 * `--real` takes real control planes, built by `npm run e2e:assets`.
 */
import { parseArgs } from 'node:util'
import { storm } from './storm.ts'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '300' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    rate: { type: 'string', default: '100' },
    clients: { type: 'string', default: '3' },
    freeze: { type: 'string', default: '30' },
    real: { type: 'boolean', default: false },
  },
})

const began = performance.now()
const log = (line: string): void =>
  console.log(`${((performance.now() - began) / 1000).toFixed(1).padStart(6)} s  ${line}`)

const interrupted = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupted.abort())

const { failures, figures } = await storm({
  seconds: number('seconds'),
  seed: number('seed'),
  real: values.real,
  ratePerSecond: number('rate'),
  clusters: 3,
  replicas: 3,
  clients: number('clients'),
  durations: { restMs: [2_000, 6_000], downMs: [2_000, 8_000], freezeMs: number('freeze') * 1000 },
  cutEveryMs: [1_000, 5_000],
  log,
  signal: interrupted.signal,
})
console.log(['', ...figures].join('\n'))
if (failures.length > 0) {
  console.log(['', `FAILED (repeat with --seed ${values.seed}):`, ...failures].join('\n'))
  process.exitCode = 1
} else console.log('\nno object missed, no phantom, every DELETED told')

function number(option: 'seconds' | 'seed' | 'rate' | 'clients' | 'freeze'): number {
  const value = Number(values[option])
  if (Number.isFinite(value) && value >= 0) return value
  console.error(`--${option} ${values[option]}: expected a number`)
  process.exit(2)
}
