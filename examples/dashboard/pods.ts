/**
 * A dashboard in a terminal: every pod of the fleet by status, as it happens. It keeps a copy from one
 * subscription alone; when the connection is lost it goes on where it was, with `after`, at whichever
 * replica answers.
 *
 *     node examples/dashboard/pods.ts [http://127.0.0.1:4000/graphql]
 *
 * The token to sign in with stands in the variable TOKEN; the demo needs none.
 * On a terminal the picture is drawn anew with each change; else one JSON line is printed for each.
 */
import { createClient } from 'graphql-ws'
import { WebSocket } from 'ws'

interface PodChange {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'SYNCED' | 'RESYNC' | 'CLUSTER_UP' | 'CLUSTER_DOWN'
  readonly object: { readonly id: string; readonly status: string } | null
  readonly cluster: { readonly name: string } | null
  readonly message: string | null
  readonly cursor: string | null
}

const POD_CHANGES = /* GraphQL */ `
  subscription PodChanges($after: String) {
    podChanges(snapshot: true, after: $after) {
      type
      object {
        id
        status
      }
      cluster {
        name
      }
      message
      cursor
    }
  }
`

/** Pods by id: the copy. */
const pods = new Map<string, { readonly cluster: string; readonly status: string }>()
/** What a RESYNC has not brought again so far. */
let unconfirmed: Set<string> | undefined
const down = new Map<string, string>()
let after: string | undefined

function take({ type, object, cluster, message, cursor }: PodChange): void {
  if (cursor !== null) after = cursor
  const name = cluster?.name ?? ''
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
      pods.set(object!.id, { cluster: name, status: object!.status })
      unconfirmed?.delete(object!.id)
      break
    case 'DELETED':
      pods.delete(object!.id)
      unconfirmed?.delete(object!.id)
      break
    case 'RESYNC':
      unconfirmed = new Set(pods.keys())
      break
    case 'SYNCED':
      for (const id of unconfirmed ?? []) pods.delete(id)
      unconfirmed = undefined
      break
    case 'CLUSTER_DOWN':
      down.set(name, message ?? '')
      break
    case 'CLUSTER_UP':
      down.delete(name)
  }
  show(type)
}

function show(type: PodChange['type']): void {
  const counts: Record<string, Record<string, number>> = {}
  for (const { cluster, status } of pods.values()) {
    const row = (counts[cluster] ??= {})
    row[status] = (row[status] ?? 0) + 1
  }
  if (!process.stdout.isTTY) {
    console.log(JSON.stringify({ type, pods: pods.size, counts, down: [...down.keys()] }))
    return
  }
  console.clear()
  console.table(counts)
  for (const [cluster, reason] of down) console.log(`${cluster} is out of date: ${reason}`)
}

const url = (process.argv[2] ?? 'http://127.0.0.1:4000/graphql').replace(/^http/, 'ws')
const token = process.env['TOKEN']
const client = createClient({
  url,
  webSocketImpl: WebSocket,
  retryAttempts: 0,
  ...(token && { connectionParams: { authorization: `Bearer ${token}` } }),
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(0))

// The library would subscribe again with the same variables: going on needs the last cursor.
for (;;) {
  try {
    for await (const { data, errors } of client.iterate<{ podChanges: PodChange }>({
      query: POD_CHANGES,
      variables: { after },
    })) {
      if (errors) throw new Error(errors.map(({ message }) => message).join('; '))
      if (data) take(data.podChanges)
    }
  } catch (error) {
    const what = error instanceof Error ? error.message : (error as { reason?: string }).reason
    console.error(`The connection is lost (${what || 'no answer'}): going on in a second.`)
    await new Promise((resolve) => setTimeout(resolve, 1_000))
  }
}
