import { mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { AuditFile } from '../../../src/access/audit/audit-file.ts'
import type { AuditEntry } from '../../../src/access/audit/audit.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { eventually } from '../../support/eventually.ts'
import { note } from './notes.ts'

let folder: string
let path: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetgraph-audit-'))
  path = join(folder, 'audit.jsonl')
  return () => rm(folder, { recursive: true })
})

const entry = (correlationId: string): AuditEntry => ({
  key: 'secret',
  at: 1_800_000_000_000,
  ...note({ correlationId }),
  count: 1,
})

async function idsIn(file: string): Promise<string[]> {
  const lines = (await readFile(file, 'utf8')).split('\n').filter((line) => line !== '')
  return lines.map((line) => (JSON.parse(line) as AuditEntry).correlationId)
}

function fixture(most?: number) {
  const clock = new FakeClock()
  const problems: string[] = []
  const onProblem = (message: string) => problems.push(message)
  const file = new AuditFile({ path, clock, onProblem, ...(most !== undefined && { most }) })
  onTestFinished(() => file.close())
  return { clock, problems, file }
}

describe('the audit file', () => {
  it('holds a line of JSON for each record, in order, for nobody else to read', async () => {
    const { file, problems } = fixture()
    for (let i = 0; i < 2_500; i++) file.write(entry(`r-${i}`))
    await file.close()
    expect(await idsIn(path)).toEqual(Array.from({ length: 2_500 }, (_, i) => `r-${i}`))
    const [first = ''] = (await readFile(path, 'utf8')).split('\n')
    expect(JSON.parse(first)).toEqual({
      ...note({ correlationId: 'r-0' }),
      at: '2027-01-15T08:00:00.000Z',
      count: 1,
    })
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(problems).toEqual([])
  })

  it('is appended to', async () => {
    await writeFile(path, '{"correlationId":"old"}\n')
    const { file } = fixture()
    file.write(entry('new'))
    await file.close()
    expect(await idsIn(path)).toEqual(['old', 'new'])
  })

  it('is opened anew when it was moved away, or deleted', async () => {
    const { file } = fixture()
    file.write(entry('a'))
    await eventually(async () => expect(await idsIn(path)).toEqual(['a']))
    await rename(path, `${path}.1`)
    file.write(entry('b'))
    await eventually(async () => expect(await idsIn(path)).toEqual(['b']))
    await rm(path)
    file.write(entry('c'))
    await file.close()
    expect(await idsIn(`${path}.1`)).toEqual(['a'])
    expect(await idsIn(path)).toEqual(['c'])
  })

  it('that cannot be written is said once, tried again, and has what waited then', async () => {
    await mkdir(path)
    const { file, problems, clock } = fixture()
    file.write(entry('a'))
    await eventually(() => expect(problems).toHaveLength(1))
    expect(problems[0]).toContain('EISDIR')
    file.write(entry('b'))
    await clock.advance(5_000)
    await eventually(() => expect(clock.pending).toBe(1))
    expect(problems).toHaveLength(1)
    await rm(path, { recursive: true })
    await clock.advance(5_000)
    await eventually(async () => expect(await idsIn(path)).toEqual(['a', 'b']))
    expect(problems).toHaveLength(1)
  })

  it('keeps a bounded number waiting, and says how many it lost', async () => {
    await mkdir(path)
    const { file, problems, clock } = fixture(3)
    for (let i = 0; i < 5; i++) file.write(entry(`r-${i}`))
    await eventually(() => expect(problems).toHaveLength(1))
    await rm(path, { recursive: true })
    await clock.advance(5_000)
    await eventually(() => expect(problems).toHaveLength(2))
    expect(problems[1]).toBe(`2 audit records were not written to ${path}`)
    expect(await idsIn(path)).toEqual(['r-0', 'r-1', 'r-2'])
  })

  it('says at its end what it could not write', async () => {
    await mkdir(path)
    const { file, problems, clock } = fixture()
    file.write(entry('a'))
    await file.close()
    expect(problems.at(-1)).toBe(`1 audit records were not written to ${path}`)
    expect(clock.pending).toBe(0)
  })
})
