/**
 * Looks again whenever something in a set of folders may have changed. Knows nothing of what is in them.
 *
 * Watches folders, never files: editors and Kubernetes' `..data` replace files by renaming, which ends a
 * watch on the file and shows in its folder. What the kernel does not report – network file systems,
 * links into other folders, a folder that was not there, no watches left – a slow poll finds.
 */
import { watch, type FSWatcher } from 'node:fs'
import { stat } from 'node:fs/promises'
import { systemClock, type Clock } from '../clock.ts'

export interface WatchedFoldersOptions {
  readonly clock?: Clock
  /** Events this close to each other count as one; a file being written is left alone so long. Default 100. */
  readonly debounceMs?: number
  /** Default 10,000. */
  readonly pollMs?: number
}

export class WatchedFolders {
  readonly #folders: () => Promise<readonly string[]>
  readonly #look: () => Promise<void>
  readonly #clock: Clock
  readonly #debounceMs: number
  readonly #pollMs: number
  readonly #watchers = new Map<string, { readonly watcher: FSWatcher; readonly identity: string }>()
  #cancelTimer: () => void = () => {}
  #looking = false
  #again = false
  #closed = false
  /** When the next look is due at the latest, events or not. */
  #latest = 0
  #hinted = false

  /** `look` runs once at `start`, and never twice at a time; it must not reject. */
  constructor(
    folders: () => Promise<readonly string[]>,
    look: () => Promise<void>,
    { clock = systemClock, debounceMs = 100, pollMs = 10_000 }: WatchedFoldersOptions,
  ) {
    this.#folders = folders
    this.#look = look
    this.#clock = clock
    this.#debounceMs = debounceMs
    this.#pollMs = pollMs
  }

  start(): void {
    void this.#turn()
  }

  close(): void {
    this.#closed = true
    this.#cancelTimer()
    for (const { watcher } of this.#watchers.values()) watcher.close()
    this.#watchers.clear()
  }

  readonly #hint = (): void => {
    if (this.#closed) return
    if (this.#looking) this.#again = true
    else this.#settle()
  }

  /** Waits until it is quiet, but not for ever: something may always be writing in the folder. */
  #settle(): void {
    const now = this.#clock.now()
    if (!this.#hinted) this.#latest = Math.min(this.#latest, now + 10 * this.#debounceMs)
    this.#hinted = true
    this.#schedule(Math.min(this.#debounceMs, this.#latest - now))
  }

  #schedule(ms: number): void {
    this.#cancelTimer()
    if (!this.#closed) this.#cancelTimer = this.#clock.after(Math.max(0, ms), () => void this.#turn())
  }

  async #turn(): Promise<void> {
    if (this.#closed || this.#looking) return
    this.#looking = true
    this.#again = false
    this.#hinted = false
    // First watch, then look: what changes in between is seen by one of the two.
    await this.#watch()
    if (!this.#closed) await this.#look()
    this.#looking = false
    this.#latest = this.#clock.now() + this.#pollMs
    if (this.#again) this.#settle()
    else this.#schedule(this.#pollMs)
  }

  async #watch(): Promise<void> {
    const wanted = new Map<string, string>()
    for (const folder of await this.#folders()) {
      const identity = await stat(folder).then(
        // An inode's number is given again at once; with the time of its birth it is one folder's alone.
        ({ ino, birthtimeMs }) => `${ino} ${birthtimeMs}`,
        () => undefined,
      )
      if (identity !== undefined) wanted.set(folder, identity)
    }
    if (this.#closed) return
    for (const [folder, { watcher, identity }] of this.#watchers) {
      // Another one: the folder was replaced, and the old watch is of something else now.
      if (wanted.get(folder) === identity) wanted.delete(folder)
      else {
        watcher.close()
        this.#watchers.delete(folder)
      }
    }
    for (const [folder, identity] of wanted) {
      try {
        const watcher = watch(folder, { persistent: false }, this.#hint)
        watcher.on('error', () => {
          watcher.close()
          this.#watchers.delete(folder)
        })
        this.#watchers.set(folder, { watcher, identity })
      } catch {
        // Out of watches (ENOSPC, EMFILE), or gone again: the poll goes on.
      }
    }
  }
}
