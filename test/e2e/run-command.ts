/** Commands of the builds: their output goes to standard error, for standard output is for results. */
import { spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { join } from 'node:path'

export function run(
  command: string,
  args: readonly string[],
  { cwd, env }: { readonly cwd: string; readonly env?: Readonly<Record<string, string>> },
): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', process.stderr, process.stderr],
    })
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve()
      else reject(new Error(`\`${command} ${args.slice(0, 2).join(' ')}\` in ${cwd} ended with ${code}`))
    })
  })
}

/** Its standard output, trimmed; fails where it ends with anything but 0. */
export function output(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    let text = ''
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve(text.trim())
      else reject(new Error(`${command} ended with ${code}`))
    })
  })
}

/** Fails, with the package that has it, where one of the programs is not on the PATH. */
export async function requireTools(names: readonly string[], advice: string): Promise<void> {
  for (const name of names) {
    const found = await Promise.all(
      (process.env['PATH'] ?? '').split(':').map((dir) =>
        access(join(dir, name), constants.X_OK).then(
          () => true,
          () => false,
        ),
      ),
    )
    if (!found.includes(true)) throw new Error(`${name} is needed here: ${advice}`)
  }
}
