/**
 * What the contract suite of the Kubernetes REST API asks of whoever wants to be judged by it, and the
 * small vocabulary that its chapters share. The truth is a real API server; nothing here knows `src/`.
 */
import { expect, type TestContext } from 'vitest'
import { eventually } from '../../support/eventually.ts'
import { at, type Answer, type KubeJson, type KubernetesHttp } from '../../support/kubernetes-http.ts'

export interface ServerUnderTest {
  /** A client with a bearer token that may do anything. */
  readonly http: KubernetesHttp
  /** The 36 of v1.36.3: decides what the server is too old for. */
  readonly minor: number
  /** At least two nodes, Ready and schedulable. */
  readonly nodeNames: readonly string[]
  /** A bearer token of a user with these groups, and no rights but those of every user. */
  token(user: string, groups?: readonly string[]): string | Promise<string>
  /** From then on every resourceVersion of before is too old: 410. */
  expireHistory(): Promise<void>
  close(): Promise<void>
}

export type StartServer = () => Promise<ServerUnderTest>

/** What a chapter is given: the server (only inside tests and hooks), and namespaces of its own. */
export interface Suite {
  readonly server: ServerUnderTest
  readonly http: KubernetesHttp
  /** Creates one with a unique name, and waits until pods can be created in it. */
  namespace(): Promise<string>
  /** A name that no other test uses: for objects without a namespace, users and groups. */
  unique(prefix: string): string
}

/** Leaves a test out where the server is older than what it is about; the reason is shown in the report. */
export function needs(context: TestContext, suite: Suite, minor: number, reason: string): void {
  if (suite.server.minor < minor) context.skip(`Kubernetes 1.${minor} or later: ${reason}`)
}

/** A failure as the API conventions have it: https://github.com/kubernetes/community/blob/main/contributors/devel/sig-architecture/api-conventions.md#response-status-kind */
export function expectFailure(answer: Answer, code: number, reason: string, message?: string | RegExp): void {
  expect({ code: answer.status, body: answer.body }).toMatchObject({
    code,
    body: {
      kind: 'Status',
      apiVersion: 'v1',
      status: 'Failure',
      code,
      reason,
      ...(typeof message === 'string' && { message }),
    },
  })
  if (message instanceof RegExp) expect(answer.body.message).toMatch(message)
}

export function names(list: KubeJson): string[] {
  return list.items.map(({ metadata }) => metadata.name)
}

/** Polls an object until it looks like `shape`; fails with the difference. */
export async function untilObject(
  suite: Suite,
  path: string,
  shape: Readonly<Record<string, unknown>>,
  timeoutMs = 30_000,
): Promise<KubeJson> {
  return eventually(
    async () => {
      const { status, body } = await suite.http.get(path)
      expect(status, body.message).toBe(200)
      expect(body).toMatchObject(shape)
      return body
    },
    { timeoutMs, everyMs: 50 },
  )
}

/** Polls until the server answers 404. */
export async function untilGone(suite: Suite, path: string, timeoutMs = 30_000): Promise<void> {
  await eventually(
    async () => {
      expect((await suite.http.get(path)).status, `${path} is still there`).toBe(404)
    },
    { timeoutMs, everyMs: 50 },
  )
}

/** Polls a list until `check` passes. */
export async function untilList(
  suite: Suite,
  path: string,
  check: (items: readonly KubeJson[]) => void,
  timeoutMs = 30_000,
): Promise<readonly KubeJson[]> {
  return eventually(
    async () => {
      const { items } = await suite.http.must(suite.http.get(path))
      check(items)
      return items
    },
    { timeoutMs, everyMs: 50 },
  )
}

export function configMap(name: string, data: Record<string, string> = {}, metadata: object = {}): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...metadata }, data }
}

/** The condition of that type in an object's status. */
export const condition = (object: unknown, type: string): unknown =>
  (at(object, 'status.conditions') as readonly { readonly type: string }[] | undefined)?.find(
    (entry) => entry.type === type,
  )

const PAUSE_IMAGE = 'registry.k8s.io/pause:3.10'

export function podSpec(more: object = {}): object {
  return { containers: [{ name: 'main', image: PAUSE_IMAGE }], ...more }
}

export function pod(name: string, metadata: object = {}, spec: object = {}): object {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, ...metadata }, spec: podSpec(spec) }
}

export function podTemplate(app: string, spec: object = {}): object {
  return { metadata: { labels: { app } }, spec: podSpec(spec) }
}

export function deployment(name: string, spec: object = {}): object {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: { replicas: 2, selector: { matchLabels: { app: name } }, template: podTemplate(name), ...spec },
  }
}
