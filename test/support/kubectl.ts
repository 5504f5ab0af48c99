/**
 * Runs a kubectl: once (`run`), or as a process whose lines are read while it goes on (`follow`).
 * Each instance has a cache directory of its own, so that what one server said about itself is never
 * believed of another.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { locateAssets } from '../e2e/build-assets.ts'

const execute = promisify(execFile)

export interface CommandResult {
  readonly stdout: string
  readonly stderr: string
  readonly code: number
}

/** The one of the built control plane, else the one on the PATH; undefined where there is none. */
export async function findKubectl(): Promise<string | undefined> {
  const assets = await locateAssets()
  const candidates = [
    ...(assets ? [join(assets.dir, 'kubectl')] : []),
    ...(process.env['PATH'] ?? '').split(delimiter).map((dir) => join(dir, 'kubectl')),
  ]
  for (const path of candidates) {
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return path
  }
  return undefined
}

export class Kubectl {
  readonly path: string
  readonly #kubeconfig: string
  readonly #cacheDir: string
  readonly #following = new Set<Following>()

  constructor(path: string, kubeconfig: string, cacheDir: string) {
    this.path = path
    this.#kubeconfig = kubeconfig
    this.#cacheDir = cacheDir
  }

  /** A non-zero exit is a result, not an error. */
  async run(args: readonly string[], options: { readonly input?: string } = {}): Promise<CommandResult> {
    const running = execute(this.path, this.#args(args), {
      timeout: 120_000,
      maxBuffer: 64 << 20,
      env: this.#env(),
    })
    running.child.stdin?.end(options.input ?? '')
    try {
      return { ...(await running), code: 0 }
    } catch (error) {
      const { stdout = '', stderr = '', code } = error as { stdout?: string; stderr?: string; code?: unknown }
      if (typeof code !== 'number') throw error
      return { stdout, stderr, code }
    }
  }

  /** For `-w` and `-f`. */
  follow(args: readonly string[]): Following {
    const child = spawn(this.path, this.#args(args), { env: this.#env(), stdio: ['ignore', 'pipe', 'pipe'] })
    const following: Following = new Following(child, () => this.#following.delete(following))
    this.#following.add(following)
    return following
  }

  /** Ends what still follows. */
  async close(): Promise<void> {
    await Promise.all(Array.from(this.#following, (following) => following.stop()))
  }

  #args(args: readonly string[]): string[] {
    return [`--kubeconfig=${this.#kubeconfig}`, `--cache-dir=${this.#cacheDir}`, ...args]
  }

  #env(): Record<string, string | undefined> {
    return { PATH: process.env['PATH'], HOME: this.#cacheDir, TZ: 'UTC' }
  }
}

/** A kubectl that goes on: its lines so far, standard output and error together. */
export class Following {
  readonly lines: string[] = []
  readonly #child: ChildProcess
  readonly #ended: Promise<void>

  constructor(child: ChildProcess, onEnd: () => void) {
    this.#child = child
    for (const stream of [child.stdout, child.stderr]) {
      let rest = ''
      stream?.on('data', (chunk: Buffer) => {
        const lines = (rest + chunk.toString()).split('\n')
        rest = lines.pop() ?? ''
        this.lines.push(...lines)
      })
    }
    this.#ended = new Promise((resolve) => {
      child.once('close', () => {
        onEnd()
        resolve()
      })
      child.once('error', () => resolve())
    })
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM')
    await this.#ended
  }
}
