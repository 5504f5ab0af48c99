/**
 * The trusted documents of `schema/operations/`: each fits the schema and the default limits, and is served by its
 * hash where nothing else is; and the types that are generated from them are those of today.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createRequest, type GraphQLRequest } from '@urql/core'
import { getOperationAST, parse } from 'graphql'
import { createClient } from 'graphql-ws'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { generateOperations, OUTPUT } from '../../examples/codegen.ts'
import * as documents from '../../examples/operations.ts'
import type { TrustedDocument } from '../../examples/trusted-document.ts'
import { AuthorizedFleet } from '../../src/access/authorized-fleet.ts'
import { everything } from '../../src/access/policy.ts'
import { viewerOf } from '../../src/access/viewer.ts'
import { Hub } from '../../src/events/hub.ts'
import { systemClock } from '../../src/fleet/clock.ts'
import { createContext } from '../../src/graph/context.ts'
import { createSchema } from '../../src/graph/schema.ts'
import { ChangeRefused, type Writes } from '../../src/writes/writes.ts'
import { silent } from '../../src/server/logger.ts'
import { startServer, type RunningServer } from '../../src/server/server.ts'
import { hashOf } from '../../src/server/trusted-documents.ts'
import { shopFleet } from '../support/shop.ts'

const FOLDER = fileURLToPath(new URL('../../schema/operations', import.meta.url))
const files = readdirSync(FOLDER).toSorted()
const textOf = (file: string) => readFileSync(join(FOLDER, file), 'utf8')
const typeOf = (file: string) => getOperationAST(parse(textOf(file)))!.operation
const web = { cluster: 'prod-eu', namespace: 'shop', kind: 'Deployment', name: 'web' } as const
const workloads = [web]

/** What each is asked with; absent: nothing. */
const VARIABLES: Readonly<Record<string, object>> = {
  CancelOperation: { id: 'none' },
  Confirm: { token: 'none' },
  Deploy: {
    input: {
      targets: { clusters: ['prod-eu'] },
      namespace: 'shop',
      name: 'web',
      containers: [{ image: 'nginx:1' }],
    },
  },
  ExplainWorkload: web,
  Expose: { input: { targets: { object: web }, ports: [{ port: 80 }] } },
  FollowOperation: { id: 'none' },
  FollowRollout: web,
  NamespaceWorkloads: { namespace: 'shop' },
  OperationStatus: { id: 'none' },
  PlanRestart: { workloads },
  PlanRollback: { workloads },
  PlanScale: { workloads, to: 3 },
  PlanSetImage: { workloads, images: [{ image: 'nginx:1' }] },
  Rollback: { workloads, idempotencyKey: 'a' },
  Scale: { workloads, to: 3, idempotencyKey: 'a' },
  SetImage: { workloads, images: [{ image: 'nginx:1' }], idempotencyKey: 'a' },
}

type ResultOf<D> = D extends TrustedDocument<infer R, never> ? R : never
type VariablesOf<D> = D extends TrustedDocument<unknown, infer V> ? V : never

interface Answer {
  readonly data?: unknown
  readonly errors?: readonly { readonly message: string; readonly extensions: { readonly code: string } }[]
  readonly extensions?: { readonly cost: { readonly requested: number; readonly limit: number } }
}

/** Refuses every change: what asks for one was admitted, has its targets, and was refused here. */
const refusing: Writes = {
  shared: false,
  claim: async () => () => {},
  run: refuse,
  plan: refuse,
  confirm: refuse,
  cancel: refuse,
  operation: () => Promise.resolve(undefined),
  operations: () => Promise.resolve([]),
  // eslint-disable-next-line require-yield
  follow: async function* () {
    await refuse()
  },
}

function refuse(): Promise<never> {
  return Promise.reject(new ChangeRefused('UNAVAILABLE', 'Nothing is changed here.'))
}

/** Of mutations, and of the subscription to an operation. */
const REFUSED = ['UNAVAILABLE']

let hub: Hub
let server: RunningServer
let workload: string

beforeAll(async () => {
  const { fleet, eu } = shopFleet()
  // What is exposed is read as it is now.
  eu.answer = () => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace: 'shop', uid: 'web-uid', resourceVersion: '1' },
    spec: {
      selector: { matchLabels: { app: 'web' } },
      template: {
        metadata: { labels: { app: 'web' } },
        spec: { containers: [{ name: 'main', image: 'web:2' }] },
      },
    },
  })
  hub = new Hub({ fleet, clock: systemClock, limits: { queue: 64 } })
  server = await startServer({
    schema: createSchema(),
    policy: everything,
    fleet,
    access: {
      authenticate: () => viewerOf({ name: 'visitor', groups: [] }),
      onEnd: () => () => {},
      contextFor: (user, signal) =>
        createContext(new AuthorizedFleet(fleet, user, everything, hub), signal, systemClock, {
          writes: refusing,
        }),
    },
    options: { port: 0, documents: { folder: FOLDER, only: true } },
    logger: silent,
  })
  const { data } = await ask('NamespaceWorkloads.graphql')
  workload = (data as { workloads: { nodes: { id: string }[] } }).workloads.nodes[0]!.id
})

afterAll(async () => {
  await server.close({ graceMs: 0 })
  hub.close()
})

function variablesOf(file: string): Record<string, unknown> {
  const name = file.replace('.graphql', '')
  return name === 'WorkloadPage' ? { id: workload } : { ...VARIABLES[name] }
}

async function ask(file: string): Promise<Answer> {
  const response = await fetch(`${server.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ documentId: `sha256:${hashOf(textOf(file))}`, variables: variablesOf(file) }),
  })
  return (await response.json()) as Answer
}

describe('the trusted documents', () => {
  it('are as many as there are types for', () => {
    const hashes = Object.values(documents).map(({ hash }) => hash)
    expect(hashes.toSorted()).toEqual(files.map((file) => hashOf(textOf(file))).toSorted())
    expect(files.length).toBeGreaterThan(20)
  })

  it('are those that the types were generated from: else run `npm run codegen`', async () => {
    expect(readFileSync(OUTPUT, 'utf8')).toBe(await generateOperations())
  })

  it.each(files.filter((file) => typeOf(file) === 'query'))('%s is answered by its hash', async (file) => {
    const { errors, data, extensions } = await ask(file)
    expect(errors).toBeUndefined()
    expect(data).toBeDefined()
    expect(extensions!.cost.requested).toBeLessThanOrEqual(extensions!.cost.limit / 3)
  })

  it.each(files.filter((file) => typeOf(file) === 'mutation'))(
    '%s comes by its hash to where changes are made',
    async (file) => {
      const { errors, extensions } = await ask(file)
      expect(errors?.map(({ extensions }) => extensions.code)).toEqual(REFUSED)
      expect(extensions!.cost.requested).toBeLessThanOrEqual(extensions!.cost.limit)
    },
  )

  it.each(files)('%s is answered in the same way over a WebSocket', async (file) => {
    const client = createClient({
      url: `${server.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
    })
    const variables = { snapshot: true, ...variablesOf(file) }
    const results = client.iterate({
      query: '',
      variables,
      extensions: { persistedQuery: { version: 1, sha256Hash: hashOf(textOf(file)) } },
    })
    const codes: unknown[] = []
    try {
      const { value } = (await results.next()) as { value: Answer }
      codes.push(...(value.errors ?? []).map(({ extensions }) => extensions.code))
    } catch (errors) {
      codes.push(...(errors as NonNullable<Answer['errors']>).map(({ extensions }) => extensions.code))
    }
    const refused = typeOf(file) === 'mutation' || file === 'FollowOperation.graphql'
    expect(codes).toEqual(refused ? REFUSED : [])
    await client.dispose()
  })

  it('have types that know what is selected, and what has to be given', () => {
    type Found = ResultOf<typeof documents.FindWorkloads>['workloads']['nodes'][number]
    const name: keyof Found = 'name'
    // @ts-expect-error: the document does not select it.
    const missing: keyof Found = 'uid'
    // @ts-expect-error: a key has to be given.
    const given: VariablesOf<typeof documents.Scale> = { workloads, to: 3 }
    expect([name, missing, given.to]).toEqual(['name', 'uid', 3])
    // urql takes the types from the document.
    const request: GraphQLRequest<documents.FindWorkloadsQuery, documents.FindWorkloadsQueryVariables> =
      createRequest(documents.FindWorkloads, { clusters: ['prod-eu'] })
    expect(request.variables.clusters).toEqual(['prod-eu'])
  })

  it('are all that there is: another one is refused', async () => {
    const response = await fetch(`${server.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query: `${textOf('Clusters.graphql')} ` }),
    })
    const { errors } = (await response.json()) as Answer
    expect(errors?.[0]?.extensions.code).toBe('DOCUMENT_NOT_TRUSTED')
  })
})
