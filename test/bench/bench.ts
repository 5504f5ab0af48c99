/**
 * The benchmark runner: `npm run bench [-- name …]`, without names all of them.
 *
 * Prints one JSON line per figure: `{"name","value","unit","limit","ratio"}`, where `ratio` is
 * value / limit and both were measured in the same run. A figure that misses its target is said on stderr,
 * and the run then ends with exit code 1.
 *
 * To add one: a module `test/bench/<name>.ts` that exports `bench: Bench` (see `figure.ts`), an async
 * function that returns its figures – medians of several rounds, warmed up, every socket and timer closed
 * when it returns. Each runs in a fresh process with `--expose-gc`, one after the other, so that none
 * inherits the heap of another. What several share is in `test/bench/support/`.
 */
import { spawn } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Bench, Figure } from './figure.ts'

const NOT_BENCHES = new Set(['bench', 'figure'])

function missed({ target, value, limit }: Figure): boolean {
  if (!target) return false
  const measured = target.of === 'value' ? value : value / limit
  return !(measured <= (target.atMost ?? Infinity) && measured >= (target.atLeast ?? -Infinity))
}

const round = (value: number) => Number(value.toPrecision(4))

/** Runs one benchmark in this process; false where a target was missed. */
async function run(name: string): Promise<boolean> {
  const { bench } = (await import(`./${name}.ts`)) as { bench: Bench }
  const figures = await bench()
  for (const { name, value, unit, limit } of figures) {
    const line = { name, value: round(value), unit, limit: round(limit), ratio: round(value / limit) }
    process.stdout.write(`${JSON.stringify(line)}\n`)
  }
  const misses = figures.filter(missed)
  for (const { name, value, unit, limit, target } of misses) {
    const bound = target?.atMost === undefined ? `at least ${target?.atLeast}` : `at most ${target.atMost}`
    process.stderr.write(
      `${name}: ${round(value)} ${unit} is ${round(value / limit)} of ${round(limit)}; its ${target?.of} has to be ${bound}\n`,
    )
  }
  return misses.length === 0
}

async function names(): Promise<string[]> {
  const files = await readdir(fileURLToPath(new URL('.', import.meta.url)))
  return files
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.slice(0, -3))
    .filter((name) => !NOT_BENCHES.has(name))
    .sort()
}

async function main(args: readonly string[]): Promise<boolean> {
  const [first, second] = args
  if (first === '--here' && second) return run(second)
  const known = await names()
  const unknown = args.filter((name) => !known.includes(name))
  if (unknown.length > 0) {
    process.stderr.write(`no benchmark ${unknown.join(', ')}; there are: ${known.join(', ')}\n`)
    return false
  }
  let good = true
  for (const name of args.length > 0 ? args : known) {
    const child = spawn(process.execPath, ['--expose-gc', fileURLToPath(import.meta.url), '--here', name], {
      stdio: 'inherit',
    })
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', resolve)
    })
    if (code !== 0) good = false
  }
  return good
}

process.exitCode = (await main(process.argv.slice(2))) ? 0 : 1
