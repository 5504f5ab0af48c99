/**
 * Ends processes and removes a directory when the process that owns them is gone, however it ended:
 * a shell that reads process ids from a pipe and acts when the pipe closes, which the kernel does for
 * a process that was killed too.
 */
import { spawn } from 'node:child_process'

export interface Reaper {
  /** To be killed when this process ends. */
  add(pid: number): void
  /** Ended by itself: its number may belong to somebody else soon. */
  drop(pid: number): void
  /** Kills what is left, removes the directory, and ends. */
  close(): void
}

const SCRIPT = `
pids=" "
while read -r verb pid; do
  case "$verb" in
    add) pids="$pids$pid " ;;
    drop) pids=$(printf '%s' "$pids" | sed "s/ $pid / /") ;;
  esac
done
for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
sleep 0.2
rm -rf -- "$1"
`

export function startReaper(directory: string): Reaper {
  // A session of its own: Ctrl-C in the terminal must reach the test, not its reaper.
  const shell = spawn('/bin/sh', ['-c', SCRIPT, 'reaper', directory], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  shell.stdin.on('error', () => undefined)
  shell.unref()
  return {
    add: (pid) => void shell.stdin.write(`add ${pid}\n`),
    drop: (pid) => void shell.stdin.write(`drop ${pid}\n`),
    close: () => void shell.stdin.end(),
  }
}
