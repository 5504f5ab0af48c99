/**
 * Records as JSON lines in a file, appended in the background. A file that was moved away, as logrotate does, is
 * opened anew. What cannot be written waits, bounded, and is tried again; it is said once until it works again.
 */
import { constants } from 'node:fs'
import { open, stat, type FileHandle } from 'node:fs/promises'
import type { Clock } from '../../fleet/clock.ts'
import type { AuditEntry, AuditSink } from './audit.ts'

export interface AuditFileOptions {
  readonly path: string
  readonly clock: Clock
  /** For the log. */
  readonly onProblem: (message: string) => void
  /** That wait to be written. Default 10,000. */
  readonly most?: number
}

const RETRY_MS = 5_000
/** Of one write. */
const LINES = 1_000

export class AuditFile implements AuditSink {
  readonly #options: AuditFileOptions
  readonly #lines: string[] = []
  #handle: FileHandle | undefined
  #writing: Promise<void> | undefined
  #cancelRetry: (() => void) | undefined
  #failed = false
  /** Records that found no room since it failed. */
  #lost = 0
  #closed = false

  constructor(options: AuditFileOptions) {
    this.#options = options
  }

  write({ key: _key, ...record }: AuditEntry): void {
    if (this.#closed) return
    const { most = 10_000 } = this.#options
    if (this.#lines.length >= most) {
      this.#lost++
      return
    }
    this.#lines.push(`${JSON.stringify({ ...record, at: new Date(record.at).toISOString() })}\n`)
    if (!this.#cancelRetry) this.#begin()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#cancelRetry?.()
    this.#cancelRetry = undefined
    await this.#writing
    if (this.#lines.length > 0) await this.#drain()
    await closeQuietly(this.#handle)
    this.#handle = undefined
    const left = this.#lines.length + this.#lost
    if (left > 0) this.#options.onProblem(`${left} audit records were not written to ${this.#options.path}`)
  }

  #begin(): void {
    this.#writing ??= this.#drain().finally(() => {
      this.#writing = undefined
    })
  }

  /** Never rejects. */
  async #drain(): Promise<void> {
    try {
      while (this.#lines.length > 0) {
        const handle = await this.#open()
        const lines = this.#lines.slice(0, LINES)
        // Half a line may stand at the end: it must not spoil the next one.
        await handle.appendFile(this.#failed ? `\n${lines.join('')}` : lines.join(''))
        this.#lines.splice(0, lines.length)
        this.#onWritten()
      }
    } catch (error) {
      this.#onFailure(error)
    }
  }

  /** The file at the path, whichever that is by now. */
  async #open(): Promise<FileHandle> {
    const { path } = this.#options
    if (this.#handle) {
      const [own, there] = await Promise.all([this.#handle.stat(), stat(path).catch(() => undefined)])
      if (there?.ino === own.ino && there.dev === own.dev) return this.#handle
      const moved = this.#handle
      this.#handle = undefined
      await moved.close()
    }
    // Records name people: for nobody but us, where the file is made here.
    this.#handle = await open(path, constants.O_APPEND | constants.O_CREAT | constants.O_WRONLY, 0o600)
    return this.#handle
  }

  #onWritten(): void {
    if (this.#lost > 0) {
      this.#options.onProblem(`${this.#lost} audit records were not written to ${this.#options.path}`)
      this.#lost = 0
    }
    this.#failed = false
  }

  #onFailure(error: unknown): void {
    const { path, clock, onProblem } = this.#options
    if (!this.#failed) {
      const why = error instanceof Error ? error.message : String(error)
      onProblem(`audit records cannot be written to ${path}, and wait (${why})`)
    }
    this.#failed = true
    const handle = this.#handle
    this.#handle = undefined
    void closeQuietly(handle)
    if (this.#closed) return
    this.#cancelRetry ??= clock.after(RETRY_MS, () => {
      this.#cancelRetry = undefined
      this.#begin()
    })
  }
}

async function closeQuietly(handle: FileHandle | undefined): Promise<void> {
  try {
    await handle?.close()
  } catch {
    // What was written is written, and what was not is said elsewhere.
  }
}
