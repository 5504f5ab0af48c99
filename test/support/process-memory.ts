/**
 * What a Node process holds in memory once garbage is collected, asked through its inspector: resident memory
 * says more of when the collector ran than of what is kept. The process has to be started with
 * `NODE_OPTIONS=--inspect-port=PORT`; it listens there, on loopback, from the first question on.
 */
import { once } from 'node:events'
import { WebSocket } from 'ws'
import { eventually } from './eventually.ts'

/** Bytes on the heap and beside it, after a full collection. */
export async function heldBytes(pid: number, inspectPort: number): Promise<number> {
  process.kill(pid, 'SIGUSR1')
  const url = await eventually(async () => {
    const answer = await fetch(`http://127.0.0.1:${inspectPort}/json/list`)
    const [target] = (await answer.json()) as { webSocketDebuggerUrl: string }[]
    return target!.webSocketDebuggerUrl
  })
  const socket = new WebSocket(url)
  await once(socket, 'open')
  try {
    let id = 0
    const call = async (method: string, params = {}): Promise<unknown> => {
      socket.send(JSON.stringify({ id: (id += 1), method, params }))
      for (;;) {
        const [text] = (await once(socket, 'message')) as [Buffer]
        const message = JSON.parse(text.toString()) as { id?: number; result?: unknown }
        if (message.id === id) return message.result
      }
    }
    await call('HeapProfiler.enable')
    await call('HeapProfiler.collectGarbage')
    const { result } = (await call('Runtime.evaluate', {
      expression: '(({ heapUsed, external }) => heapUsed + external)(process.memoryUsage())',
    })) as { readonly result: { readonly value: number } }
    return result.value
  } finally {
    const closed = once(socket, 'close')
    socket.close()
    await closed
  }
}
