/** Trusted documents, named or sent, over every transport; and what a viewer may send. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { viewerOf } from '../../src/access/viewer.ts'
import { readTrustedDocuments, TrustedDocumentsError } from '../../src/server/trusted-documents.ts'
import { zooServer, type ZooServer } from './support.ts'
import { zooAccess } from './zoo.ts'
import { Executor } from '../../src/server/execution.ts'
import { silent } from '../../src/server/logger.ts'
import { zoo, zooContext } from './zoo.ts'

const ECHO = 'query Echo { echo }\n'
const ANIMAL = '{ animals(first: 1) { id } }'
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

let folder: string
let server: ZooServer | undefined
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'fleetgraph-documents-'))
  writeFileSync(join(folder, 'echo.graphql'), ECHO)
})
afterEach(async () => {
  await server?.close({ graceMs: 0 })
  server = undefined
  rmSync(folder, { recursive: true })
})

const manifest = (content: unknown) =>
  writeFileSync(
    join(folder, 'manifest.json'),
    typeof content === 'string' ? content : JSON.stringify(content),
  )

describe('a folder of trusted documents', () => {
  it('holds each file under the hash of its text, with the prefix of the specification or without', () => {
    const documents = readTrustedDocuments(folder, true)
    expect(documents.find(`sha256:${sha256(ECHO)}`)).toBe(ECHO)
    expect(documents.find(sha256(ECHO))).toBe(ECHO)
    expect(documents.find(`sha256:${sha256('{ echo }')}`)).toBeUndefined()
    expect(documents.find('__proto__')).toBeUndefined()
  })

  it('holds the documents of a manifest, as Relay and the code generator or Apollo write it', () => {
    manifest({ '0cc175b9c0f1b6a831c399e269772661': ANIMAL, [`sha256:${sha256(ANIMAL)}`]: ANIMAL })
    expect(readTrustedDocuments(folder, true).find('0cc175b9c0f1b6a831c399e269772661')).toBe(ANIMAL)
    manifest({
      format: 'apollo-persisted-query-manifest',
      version: 1,
      operations: [{ id: sha256(ANIMAL), name: 'A', type: 'query', body: ANIMAL }],
    })
    expect(readTrustedDocuments(folder, true).find(sha256(ANIMAL))).toBe(ANIMAL)
  })

  it('that cannot be used is refused with its name', () => {
    for (const bad of [
      '{',
      '[]',
      '{"a": 1}',
      '{"format": "apollo-persisted-query-manifest", "version": 2}',
    ]) {
      manifest(bad)
      expect(() => readTrustedDocuments(folder, true)).toThrow(/manifest\.json/)
    }
    manifest({ [`sha256:${sha256(ECHO)}`]: ANIMAL })
    expect(() => readTrustedDocuments(folder, true)).toThrow(/not the hash/)
    expect(() => readTrustedDocuments(join(folder, 'none'), true)).toThrow(TrustedDocumentsError)
    // Nothing to trust is not everything to trust.
    expect(() => readTrustedDocuments('', true)).toThrow(/documentsDirectory/)
  })
})

describe('a server of trusted documents only', () => {
  const code = async (response: Promise<Response>) => {
    const { errors } = (await (await response).json()) as { errors?: { extensions: { code: string } }[] }
    return errors?.[0]?.extensions.code
  }
  const post = (body: object, accept = 'application/json') =>
    fetch(`${server!.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept },
      body: JSON.stringify(body),
    })
  const get = (query: string) =>
    fetch(`${server!.url}/graphql?${query}`, {
      headers: { 'x-fleetgraph-csrf': '1', accept: 'application/json' },
    })
  const persisted = (hash: string) => ({ persistedQuery: { version: 1, sha256Hash: hash } })

  beforeEach(async () => {
    server = await zooServer({ options: { documents: { folder, only: true } } })
  })

  it('answers what is trusted, sent or named', async () => {
    expect(await code(post({ query: ECHO }))).toBeUndefined()
    expect(await code(post({ documentId: `sha256:${sha256(ECHO)}` }))).toBeUndefined()
    expect(await code(post({ extensions: persisted(sha256(ECHO)) }))).toBeUndefined()
    const extensions = encodeURIComponent(JSON.stringify(persisted(sha256(ECHO))))
    expect(await code(get(`extensions=${extensions}`))).toBeUndefined()
    expect(await code(get(`documentId=sha256:${sha256(ECHO)}`))).toBeUndefined()
  })

  it('refuses everything else, also what differs by a space', async () => {
    expect(await code(post({ query: `${ECHO} ` }))).toBe('DOCUMENT_NOT_TRUSTED')
    expect(await code(post({ query: ANIMAL, documentId: `sha256:${sha256(ECHO)}` }))).toBe(
      'DOCUMENT_NOT_TRUSTED',
    )
    expect(await code(post({ documentId: `sha256:${sha256(ANIMAL)}` }))).toBe('PERSISTED_QUERY_NOT_FOUND')
    expect(await code(get(`query=${encodeURIComponent(ANIMAL)}`))).toBe('DOCUMENT_NOT_TRUSTED')
    expect(await (await post({ query: ANIMAL }, 'text/event-stream')).text()).toContain(
      'DOCUMENT_NOT_TRUSTED',
    )
  })
})

describe('a viewer with certain documents', () => {
  it('may send those and no others, whoever may send what', async () => {
    const bot = viewerOf({ name: 'bot', groups: [] }, { operations: new Set([sha256(ANIMAL)]) })
    const executor = new Executor({ schema: zoo, logger: silent, rightsKey: () => '' })
    const asker = (viewer: typeof bot) => ({
      viewer,
      context: () => zooContext(),
      sharedContext: () => zooContext(),
    })
    const code = async (query: string, viewer = bot) => {
      const result = await executor.execute({ query }, asker(viewer))
      return 'errors' in result ? result.errors?.[0]?.extensions['code'] : undefined
    }
    expect(await code(ANIMAL)).toBeUndefined()
    expect(await code(ECHO)).toBe('DOCUMENT_NOT_TRUSTED')
    expect(await code(`${ANIMAL}{ echo }`)).toBe('DOCUMENT_NOT_TRUSTED')
    expect(await code(ECHO, viewerOf({ name: 'alice', groups: [] }))).toBeUndefined()
    const subscription = await executor.subscribe(
      { query: 'subscription { countdown(from: 1) }' },
      asker(bot),
    )
    expect(subscription).toMatchObject({
      type: 'refused',
      errors: [{ extensions: { code: 'DOCUMENT_NOT_TRUSTED' } }],
    })
    expect(zooAccess().contexts).toEqual([])
  })
})
