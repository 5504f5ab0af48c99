/**
 * What a change did, in the words of its audit records: `scale Deployment shop/web to 3: prod-eu UPDATED, prod-us
 * FORBIDDEN`. Names of objects, and nothing of what is in them.
 */
import type { AuditRecord } from './audit.ts'

/** One object that was to be changed, and what came of it. */
export interface Written {
  readonly cluster: string
  /** What was to be done with which object: `scale Deployment shop/web to 3`. */
  readonly what: string
  /** As it was told: `UPDATED`, `FORBIDDEN`. */
  readonly outcome: string
  readonly verdict: AuditRecord['outcome']
  readonly dryRun: boolean
}

/** The part of a record that tells of it. */
export type WrittenNote = Pick<AuditRecord, 'outcome' | 'clusters'> & { readonly message: string }

/** A record has room for some lines. */
const MAX_MESSAGE = 2_000
/** Names of objects have up to 253 characters; kinds and what is done with them are short. */
const MAX_WHAT = 700
const MAX_CLUSTER = 253

/** As many notes as it takes to name all of it: none where nothing was written. */
export function writtenNotes(written: readonly Written[]): readonly WrittenNote[] {
  const notes: Note[] = []
  for (const [what, results] of byWhat(written)) {
    let note = notes.at(-1)
    let told = false
    for (const { cluster, outcome, verdict } of results) {
      const result = `${clipped(cluster, MAX_CLUSTER)} ${outcome}`
      let text = told ? `, ${result}` : `${note ? '; ' : ''}${what}: ${result}`
      if (!note || note.message.length + text.length > MAX_MESSAGE) {
        notes.push((note = { outcome: 'ALLOWED', clusters: new Set(), message: '' }))
        text = `${what}: ${result}`
      }
      told = true
      note.message += text
      note.clusters.add(cluster)
      note.outcome = worse(note.outcome, verdict)
    }
  }
  return notes.map(({ outcome, clusters, message }) => ({
    outcome,
    clusters: Array.from(clusters).sort(),
    message,
  }))
}

interface Note {
  outcome: AuditRecord['outcome']
  readonly clusters: Set<string>
  message: string
}

/** In the order in which each was told of first. */
function byWhat(written: readonly Written[]): ReadonlyMap<string, readonly Written[]> {
  const groups = new Map<string, Written[]>()
  for (const one of written) {
    const what = `${one.dryRun ? 'dry run: ' : ''}${clipped(one.what, MAX_WHAT)}`
    const group = groups.get(what)
    if (group) group.push(one)
    else groups.set(what, [one])
  }
  return groups
}

const SEVERITY = { ALLOWED: 0, FAILED: 1, DENIED: 2 } as const satisfies Record<
  AuditRecord['outcome'],
  number
>

function worse(a: AuditRecord['outcome'], b: AuditRecord['outcome']): AuditRecord['outcome'] {
  return SEVERITY[b] > SEVERITY[a] ? b : a
}

function clipped(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text
}
