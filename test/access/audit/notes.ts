import type { AuditEntry, AuditNote, AuditSink } from '../../../src/access/audit/audit.ts'

export function note(about: Partial<AuditNote> = {}): AuditNote {
  return {
    type: 'DENIED',
    user: { name: 'ada', groups: ['dev'], issuer: 'https://login.example' },
    remoteAddress: '192.0.2.7',
    operationName: 'Pods',
    operationHash: 'c0ffee',
    clusters: ['east'],
    outcome: 'DENIED',
    message: 'may list nothing',
    latencyMs: 3,
    correlationId: 'r-1',
    ...about,
  }
}

/** A sink that keeps what it is given. */
export class KeptSink implements AuditSink {
  readonly entries: AuditEntry[] = []
  closed = false

  write(entry: AuditEntry): void {
    this.entries.push(entry)
  }

  async close(): Promise<void> {
    this.closed = true
  }
}
