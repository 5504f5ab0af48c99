/**
 * The contract between the steps of changes and an API server: what each action does, and what is said of it where it
 * is tried, refused, or too late – of a real control plane, and of the simulator.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { at } from '../../support/kubernetes-http.ts'
import { eventually } from '../../support/eventually.ts'
import { carryOut, contextFor, ReachedCluster, stepOf } from '../../support/steps.ts'
import type { KubernetesJson } from '../../../src/kubernetes/json.ts'
import type { Action, Preconditions } from '../../../src/writes/change.ts'
import { fingerprint } from '../../../src/writes/fingerprint.ts'
import { isDone, type Done, type Prepared, type StepContext } from '../../../src/writes/stepping.ts'
import { stepper } from '../../../src/writes/steps/stepper.ts'

export interface WritesSubject {
  /** Of a user who may do anything, of a cluster with controllers and nodes. */
  readonly kubeconfig: string
  close(): Promise<void>
}

const IMAGE = 'registry.k8s.io/pause:3.10'
const OTHER_IMAGE = 'registry.k8s.io/pause:3.9'

export function describeWrites(name: string, start: () => Promise<WritesSubject>): void {
  describe(`the steps of changes, with ${name}`, () => {
    let subject: WritesSubject
    let cluster: ReachedCluster
    let counter = 0
    const namespace = 'writes'

    const get = (path: string) => cluster.client.json<KubernetesJson>({ path })
    const post = (path: string, body: object) =>
      cluster.client.json<KubernetesJson>({ method: 'POST', path, body })
    const gone = async (path: string) => {
      await expect(get(path)).rejects.toMatchObject({ statusCode: 404 })
    }
    const unique = (prefix: string) => `${prefix}-${++counter}`
    const core = `/api/v1/namespaces/${namespace}`
    const apps = `/apis/apps/v1/namespaces/${namespace}`

    const key = (apiVersion: string, kind: string, name: string) => ({ apiVersion, kind, namespace, name })
    /** Ada may do everything in the namespace; Bob may read; Eve may do nothing. */
    const as = (user: 'ada' | 'bob' | 'eve', about: Partial<StepContext> = {}) =>
      contextFor(cluster, user, about)

    const configMap = (name: string, data: Record<string, string> = { a: '1' }, metadata: object = {}) => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, ...metadata },
      data,
    })
    const deployment = (name: string, spec: object = {}) => ({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name },
      spec: {
        replicas: 1,
        selector: { matchLabels: { app: name } },
        template: {
          metadata: { labels: { app: name } },
          spec: { containers: [{ name: 'main', image: IMAGE }] },
        },
        ...spec,
      },
    })
    const onConfigMap = (name: string, action: Action, context: StepContext, preconditions?: Preconditions) =>
      carryOut(stepOf(key('v1', 'ConfigMap', name), action, preconditions), context)
    const onDeployment = (
      name: string,
      action: Action,
      context: StepContext,
      preconditions?: Preconditions,
    ) => carryOut(stepOf(key('apps/v1', 'Deployment', name), action, preconditions), context)
    const applying = (manifest: object, force = false): Action => ({
      type: 'APPLY',
      manifest: manifest as KubernetesJson,
      force,
    })
    const deleting = (more: Partial<Extract<Action, { type: 'DELETE' }>> = {}): Action => ({
      type: 'DELETE',
      ifPresent: false,
      untilGone: false,
      ...more,
    })
    const images = (images: Record<string, string>): Action => ({
      type: 'EDIT',
      edit: { type: 'IMAGES', images },
    })
    const labels = (values: Record<string, string | null>, overwrite = true): Action => ({
      type: 'EDIT',
      edit: { type: 'LABELS', values, overwrite },
    })
    const versionOf = (object: KubernetesJson) => String(object.metadata?.['resourceVersion'])

    beforeAll(async () => {
      subject = await start()
      cluster = new ReachedCluster(subject.kubeconfig)
      await post('/api/v1/namespaces', {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: namespace },
      })
      const rbac = `/apis/rbac.authorization.k8s.io/v1`
      const api = { apiVersion: 'rbac.authorization.k8s.io/v1' }
      const bind = async (user: string, verbs: string[]) => {
        const name = `${user}-here`
        const rules = [{ apiGroups: ['*'], resources: ['*'], verbs }]
        await post(`${rbac}/namespaces/${namespace}/roles`, {
          ...api,
          kind: 'Role',
          metadata: { name },
          rules,
        })
        await post(`${rbac}/namespaces/${namespace}/rolebindings`, {
          ...api,
          kind: 'RoleBinding',
          metadata: { name },
          roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
          subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: user }],
        })
      }
      await bind('ada', ['*'])
      await bind('bob', ['get', 'list'])
      await bind('writer', ['create', 'patch', 'delete'])
      await eventually(() => get(`${core}/serviceaccounts/default`))
      await eventually(async () => {
        expect(await onConfigMap('none', labels({ a: 'b' }), as('ada'))).toMatchObject({
          error: { code: 'NOT_FOUND' },
        })
      })
    }, 180_000)

    afterAll(async () => {
      await cluster?.client.close()
      await subject?.close()
    }, 60_000)

    const failing = (outcome: string, code: string, message?: RegExp) => ({
      outcome,
      resourceVersion: null,
      error: expect.objectContaining({
        code,
        mayHaveBeenApplied: false,
        ...(message && { message: expect.stringMatching(message) }),
      }),
    })

    describe('APPLY', () => {
      test('creates, finds nothing to do, and updates', async () => {
        const name = unique('applied')
        const created = await onConfigMap(name, applying(configMap(name)), as('ada'))
        expect(created).toMatchObject({ outcome: 'CREATED', before: null, after: { data: { a: '1' } } })
        expect(created.resourceVersion).toBe(versionOf(await get(`${core}/configmaps/${name}`)))
        expect(created.after?.metadata).not.toHaveProperty('managedFields')
        const again = await onConfigMap(name, applying(configMap(name)), as('ada'))
        expect(again).toMatchObject({ outcome: 'UNCHANGED', resourceVersion: created.resourceVersion })
        const updated = await onConfigMap(name, applying(configMap(name, { b: '2' })), as('ada'))
        expect(updated).toMatchObject({
          outcome: 'UPDATED',
          before: { data: { a: '1' } },
          after: { data: { b: '2' } },
        })
        expect(updated.after?.['data']).toEqual({ b: '2' })
      })

      test('tries without a trace', async () => {
        const name = unique('applied')
        const created = await onConfigMap(name, applying(configMap(name)), as('ada', { dryRun: true }))
        expect(created).toMatchObject({
          outcome: 'CREATED',
          resourceVersion: null,
          after: { data: { a: '1' } },
        })
        await gone(`${core}/configmaps/${name}`)
        await onConfigMap(name, applying(configMap(name)), as('ada'))
        const same = await onConfigMap(name, applying(configMap(name)), as('ada', { dryRun: true }))
        expect(same).toMatchObject({ outcome: 'UNCHANGED', resourceVersion: null })
        const other = configMap(name, { a: '2' })
        const updated = await onConfigMap(name, applying(other), as('ada', { dryRun: true }))
        expect(updated).toMatchObject({
          outcome: 'UPDATED',
          resourceVersion: null,
          after: { data: { a: '2' } },
        })
        expect(await get(`${core}/configmaps/${name}`)).toMatchObject({ data: { a: '1' } })
      })

      test('says who else owns a field, and takes it over with force', async () => {
        const name = unique('applied')
        await post(`${core}/configmaps?fieldManager=gardener`, configMap(name))
        const apply = (force: boolean) =>
          onConfigMap(name, applying(configMap(name, { a: '2' }), force), as('ada'))
        expect(await apply(false)).toMatchObject({
          ...failing('CONFLICT', 'CONFLICT', /^\.data\.a: owned by gardener, .*`force`/),
          error: { causes: [{ field: '.data.a', reason: 'FieldManagerConflict', message: /gardener/ }] },
        })
        expect(await apply(true)).toMatchObject({ outcome: 'UPDATED', after: { data: { a: '2' } } })
      })

      test('applies over what was edited and scaled by the same hands', async () => {
        const name = unique('applied')
        const wanted = (replicas: number, image: string) => {
          const template = {
            metadata: { labels: { app: name } },
            spec: { containers: [{ name: 'main', image }] },
          }
          return applying(deployment(name, { replicas, template, paused: true }))
        }
        expect(await onDeployment(name, wanted(0, IMAGE), as('ada'))).toMatchObject({ outcome: 'CREATED' })
        await onDeployment(name, images({ main: OTHER_IMAGE }), as('ada'))
        await onDeployment(name, { type: 'SCALE', to: 2 }, as('ada'))
        const after = { spec: { replicas: 1, template: { spec: { containers: [{ image: IMAGE }] } } } }
        for (const dryRun of [true, false]) {
          expect(await onDeployment(name, wanted(1, IMAGE), as('ada', { dryRun }))).toMatchObject({
            outcome: 'UPDATED',
            after,
          })
        }
      })

      test('refuses fields that do not exist, and values that are not valid', async () => {
        const name = unique('applied')
        const misspelt = await onConfigMap(name, applying({ ...configMap(name), dta: {} }), as('ada'))
        expect(misspelt).toMatchObject(failing('FAILED', 'INVALID', /\.dta: field not declared/))
        expect(misspelt.error?.causes).toMatchObject([
          { field: 'dta', message: 'field not declared in schema' },
        ])
        const negative = await onDeployment(name, applying(deployment(name, { replicas: -1 })), as('ada'))
        expect(negative).toMatchObject(failing('FAILED', 'INVALID', /spec\.replicas/))
        expect(negative.error?.causes).toMatchObject([{ field: 'spec.replicas' }])
      })

      test('is refused to whoever may not, and done for who may write but not read', async () => {
        const name = unique('applied')
        const refused = await onConfigMap(name, applying(configMap(name)), as('bob'))
        expect(refused).toMatchObject(
          failing('FORBIDDEN', 'FORBIDDEN', /"bob" cannot patch resource "configmaps"/),
        )
        const writer = contextFor(cluster, 'writer')
        expect(await onConfigMap(name, applying(configMap(name)), writer)).toMatchObject({
          outcome: 'UPDATED',
          before: null,
          after: { data: { a: '1' } },
          note: /not known/,
        })
      })

      test('keeps to what was expected of the object', async () => {
        const name = unique('applied')
        const wanted = (data: string, preconditions: Preconditions) =>
          onConfigMap(name, applying(configMap(name, { a: data })), as('ada'), preconditions)
        expect(await wanted('1', { fingerprint: 'x' })).toMatchObject(
          failing('CONFLICT', 'CONFLICT', /is gone/),
        )
        const { after } = await wanted('1', { fingerprint: null })
        expect(await wanted('2', { fingerprint: null })).toMatchObject(
          failing('CONFLICT', 'CONFLICT', /expected not to be there/),
        )
        const seen = { fingerprint: fingerprint(after!), uid: after!.metadata!.uid! }
        expect(await wanted('2', { ...seen, resourceVersion: versionOf(after!) })).toMatchObject({
          outcome: 'UPDATED',
        })
        expect(await wanted('3', seen)).toMatchObject(failing('CONFLICT', 'CONFLICT', /has changed since/))
        expect(await wanted('3', { uid: 'another' })).toMatchObject(
          failing('CONFLICT', 'CONFLICT', /was replaced/),
        )
        expect(await wanted('3', { resourceVersion: '1' })).toMatchObject(
          failing('CONFLICT', 'CONFLICT', /resourceVersion/),
        )
        expect(await get(`${core}/configmaps/${name}`)).toMatchObject({ data: { a: '2' } })
      })

      test('makes no object anew that came between the look at it and the write', async () => {
        const name = unique('applied')
        const step = stepOf(key('v1', 'ConfigMap', name), applying(configMap(name, { b: '1' })), {
          fingerprint: null,
        })
        const prepared = await stepper.prepare(step, as('ada'))
        await post(`${core}/configmaps`, configMap(name))
        expect(await stepper.execute(step, prepared as Prepared, as('ada'))).toMatchObject(
          failing('CONFLICT', 'CONFLICT', /expected not to be there/),
        )
        expect((await get(`${core}/configmaps/${name}`))['data']).toEqual({ a: '1' })
      })

      test('says that a namespace is missing, unless the same dry run would create it', async () => {
        const manifest = { ...configMap('x'), metadata: { name: 'x', namespace: 'to-come' } }
        const step = stepOf({ ...key('v1', 'ConfigMap', 'x'), namespace: 'to-come' }, applying(manifest))
        // The administrator: a stranger to the namespace is refused before it is looked for.
        const context = (about: Partial<StepContext>) =>
          contextFor(cluster, 'root', about, ['system:masters', 'system:authenticated'])
        expect(await carryOut(step, context({}))).toMatchObject(
          failing('FAILED', 'NOT_FOUND', /no namespace to-come/),
        )
        expect(await carryOut(step, context({ dryRun: true }))).toMatchObject(failing('FAILED', 'NOT_FOUND'))
        const createdNamespaces = new Set(['to-come'])
        for (const needsObjects of [false, true]) {
          const judge = { needsObjects, judge: () => null }
          expect(await carryOut(step, context({ dryRun: true, createdNamespaces, judge }))).toMatchObject({
            outcome: 'CREATED',
            note: /could not check/,
          })
        }
      })
    })

    describe('CREATE', () => {
      const creating = (manifest: object, ifAbsent = false): Action => ({
        type: 'CREATE',
        manifest: manifest as KubernetesJson,
        ifAbsent,
      })

      test('creates once', async () => {
        const name = unique('created')
        const tried = await onConfigMap(name, creating(configMap(name)), as('ada', { dryRun: true }))
        expect(tried).toMatchObject({
          outcome: 'CREATED',
          resourceVersion: null,
          after: { metadata: { namespace } },
        })
        await gone(`${core}/configmaps/${name}`)
        const created = await onConfigMap(name, creating(configMap(name)), as('ada'))
        expect(created).toMatchObject({ outcome: 'CREATED', after: { data: { a: '1' } } })
        expect(created.resourceVersion).toBe(versionOf(await get(`${core}/configmaps/${name}`)))
        expect(await onConfigMap(name, creating(configMap(name)), as('ada'))).toMatchObject(
          failing('CONFLICT', 'ALREADY_EXISTS', /There is a ConfigMap writes\/created-\d+ already/),
        )
        expect(await onConfigMap(name, creating(configMap(name), true), as('ada'))).toMatchObject({
          outcome: 'UNCHANGED',
        })
      })

      test('meets somebody who is faster', async () => {
        const name = unique('created')
        for (const [ifAbsent, end] of [
          [false, failing('CONFLICT', 'ALREADY_EXISTS')],
          [true, { outcome: 'UNCHANGED', error: null }],
        ] as const) {
          const own = `${name}-${ifAbsent}`
          const step = stepOf(key('v1', 'ConfigMap', own), creating(configMap(own), ifAbsent))
          const prepared = await stepper.prepare(step, as('ada'))
          await post(`${core}/configmaps`, configMap(own))
          expect(await stepper.execute(step, prepared as Prepared, as('ada'))).toMatchObject(end)
        }
      })

      test('is refused to whoever may not', async () => {
        const name = unique('created')
        expect(await onConfigMap(name, creating(configMap(name)), as('bob'))).toMatchObject(
          failing('FORBIDDEN', 'FORBIDDEN', /cannot create/),
        )
      })
    })

    describe('EDIT', () => {
      test('sets an image by the name of its container, wherever that stands by then', async () => {
        const name = unique('edited')
        const containers = ['one', 'two'].map((name) => ({ name, image: IMAGE }))
        const template = { metadata: { labels: { app: name } }, spec: { containers } }
        await post(`${apps}/deployments`, deployment(name, { replicas: 0, template }))
        const step = stepOf(key('apps/v1', 'Deployment', name), images({ two: OTHER_IMAGE }))
        const prepared = (await stepper.prepare(step, as('ada'))) as Prepared
        const path = `${apps}/deployments/${name}`
        await cluster.client.json({
          method: 'PATCH',
          path,
          contentType: 'application/json-patch+json',
          body: [{ op: 'replace', path: '/spec/template/spec/containers', value: containers.toReversed() }],
        })
        expect(await stepper.execute(step, prepared, as('ada'))).toMatchObject({
          outcome: 'UPDATED',
          note: `container "two": ${IMAGE} → ${OTHER_IMAGE}`,
        })
        const live = await get(path)
        expect(at(live, 'spec.template.spec.containers.0')).toMatchObject({ name: 'two', image: OTHER_IMAGE })
        expect(at(live, 'spec.template.spec.containers.1')).toMatchObject({ name: 'one', image: IMAGE })
        expect(await onDeployment(name, images({ two: OTHER_IMAGE }), as('ada'))).toMatchObject({
          outcome: 'UNCHANGED',
          resourceVersion: expect.stringMatching(/^\d+$/),
        })
        expect(await onDeployment(name, images({ three: IMAGE }), as('ada'))).toMatchObject(
          failing('FAILED', 'INVALID', /no container "three"\. There are: two, one/),
        )
      })

      test('labels, and takes labels away, also those with slashes and tildes', async () => {
        const name = unique('edited')
        await post(`${core}/configmaps`, configMap(name))
        const set = { 'example.com/a': '1', b: '2' }
        const tried = await onConfigMap(name, labels(set), as('ada', { dryRun: true }))
        expect(tried).toMatchObject({
          outcome: 'UPDATED',
          resourceVersion: null,
          after: { metadata: { labels: set } },
        })
        expect((await get(`${core}/configmaps/${name}`)).metadata?.labels).toBeUndefined()
        const done = await onConfigMap(name, labels(set), as('ada'))
        expect(done).toMatchObject({ outcome: 'UPDATED', after: { metadata: { labels: set } } })
        const removed = await onConfigMap(name, labels({ 'example.com/a': null, gone: null }), as('ada'))
        expect(removed.after?.metadata?.labels).toEqual({ b: '2' })
        expect(await onConfigMap(name, labels({ b: '3' }, false), as('ada'))).toMatchObject(
          failing('CONFLICT', 'CONFLICT', /another value of "b"/),
        )
        const notes: Action = {
          type: 'EDIT',
          edit: { type: 'ANNOTATIONS', values: { 'example.com/x': 'y' }, overwrite: true },
        }
        expect(await onConfigMap(name, notes, as('ada'))).toMatchObject({
          outcome: 'UPDATED',
          after: { metadata: { annotations: { 'example.com/x': 'y' } } },
        })
        expect(await onConfigMap(name, labels({ 'not a key': '1' }), as('ada'))).toMatchObject(
          failing('FAILED', 'INVALID', /metadata\.labels/),
        )
      })

      test('reads again where somebody else was faster, and never past what the user expects', async () => {
        const name = unique('edited')
        const made = await post(`${core}/configmaps`, configMap(name))
        const relabelled = (preconditions?: Preconditions) =>
          stepOf(key('v1', 'ConfigMap', name), labels({ mine: '1' }), preconditions)
        const expecting = relabelled({ resourceVersion: versionOf(made) })
        const [free, bound] = await Promise.all(
          [relabelled(), expecting].map((step) => stepper.prepare(step, as('ada'))),
        )
        await cluster.client.json({
          method: 'PATCH',
          path: `${core}/configmaps/${name}`,
          contentType: 'application/merge-patch+json',
          body: { metadata: { labels: { theirs: '1' } } },
        })
        expect(await stepper.execute(expecting, bound as Prepared, as('ada'))).toMatchObject(
          failing('CONFLICT', 'CONFLICT', /has changed: its resourceVersion is \d+, and not \d+/),
        )
        expect(await stepper.execute(relabelled(), free as Prepared, as('ada'))).toMatchObject({
          outcome: 'UPDATED',
          after: { metadata: { labels: { theirs: '1', mine: '1' } } },
        })
      })

      test('restarts, pauses and resumes a Deployment', async () => {
        const name = unique('edited')
        await post(`${apps}/deployments`, deployment(name, { replicas: 0 }))
        const at = '2026-01-02T03:04:05Z'
        const restart: Action = { type: 'EDIT', edit: { type: 'RESTART', at } }
        expect(await onDeployment(name, restart, as('ada'))).toMatchObject({
          outcome: 'UPDATED',
          after: {
            spec: { template: { metadata: { annotations: { 'kubectl.kubernetes.io/restartedAt': at } } } },
          },
        })
        expect(await onDeployment(name, restart, as('ada'))).toMatchObject({ outcome: 'UNCHANGED' })
        const paused = (paused: boolean): Action => ({ type: 'EDIT', edit: { type: 'PAUSED', paused } })
        expect(await onDeployment(name, paused(false), as('ada'))).toMatchObject({ outcome: 'UNCHANGED' })
        expect(await onDeployment(name, paused(true), as('ada'))).toMatchObject({
          outcome: 'UPDATED',
          after: { spec: { paused: true } },
        })
        const later: Action = { type: 'EDIT', edit: { type: 'RESTART', at: '2027-01-02T03:04:05Z' } }
        expect(await onDeployment(name, later, as('ada'))).toMatchObject(
          failing('CONFLICT', 'CONFLICT', /paused/),
        )
        expect(await onDeployment(name, paused(false), as('ada'))).toMatchObject({ outcome: 'UPDATED' })
        expect(await onConfigMap(unique('none'), restart, as('ada'))).toMatchObject(
          failing('FAILED', 'NOT_FOUND'),
        )
        expect(await onDeployment(name, later, as('bob'))).toMatchObject(
          failing('FORBIDDEN', 'FORBIDDEN', /cannot patch/),
        )
        expect(await onDeployment(name, later, as('eve'))).toMatchObject(
          failing('FORBIDDEN', 'FORBIDDEN', /cannot get/),
        )
      })
    })

    describe('SCALE', () => {
      test('to and by, with what is expected, and in a dry run', async () => {
        const name = unique('scaled')
        await post(`${apps}/deployments`, deployment(name))
        const path = `${apps}/deployments/${name}`
        const tried = await onDeployment(name, { type: 'SCALE', to: 4 }, as('ada', { dryRun: true }))
        expect(tried).toMatchObject({
          outcome: 'UPDATED',
          resourceVersion: null,
          after: { spec: { replicas: 4 } },
        })
        expect(await get(path)).toMatchObject({ spec: { replicas: 1 } })
        const done = await onDeployment(name, { type: 'SCALE', to: 3 }, as('ada'))
        expect(done).toMatchObject({
          outcome: 'UPDATED',
          note: '1 → 3 replicas',
          before: { spec: { replicas: 1 } },
          after: { spec: { replicas: 3 } },
          resourceVersion: expect.stringMatching(/^\d+$/),
        })
        expect(await onDeployment(name, { type: 'SCALE', to: 3 }, as('ada'))).toMatchObject({
          outcome: 'UNCHANGED',
        })
        const more: Action = { type: 'SCALE', by: 2, expectedReplicas: 3 }
        expect(await onDeployment(name, more, as('ada'))).toMatchObject({
          outcome: 'UPDATED',
          note: '3 → 5 replicas',
        })
        expect(await onDeployment(name, more, as('ada'))).toMatchObject(
          failing('CONFLICT', 'CONFLICT', /has 5 replicas, and not 3/),
        )
        const none = await onDeployment(name, { type: 'SCALE', by: -9 }, as('ada'))
        expect(none).toMatchObject({ outcome: 'UPDATED', note: '5 → 0 replicas' })
        expect(await get(path)).toMatchObject({ spec: { replicas: 0 } })
      })

      test('by counts from what is there when it is done', async () => {
        const name = unique('scaled')
        await post(`${apps}/deployments`, deployment(name, { replicas: 0 }))
        const step = stepOf(key('apps/v1', 'Deployment', name), { type: 'SCALE', by: 1 })
        const prepared = (await stepper.prepare(step, as('ada'))) as Prepared
        expect(prepared.action).toEqual({ type: 'SCALE', to: 1 })
        await onDeployment(name, { type: 'SCALE', to: 2 }, as('ada'))
        expect(await stepper.execute(step, prepared, as('ada'))).toMatchObject({ note: '2 → 3 replicas' })
      })

      test('is refused for what has no replicas, is not there, or is not theirs', async () => {
        const name = unique('scaled')
        const scale: Action = { type: 'SCALE', to: 1 }
        await post(`${core}/configmaps`, configMap(name))
        expect(await onConfigMap(name, scale, as('ada'))).toMatchObject(failing('FAILED', 'NOT_SUPPORTED'))
        expect(await onDeployment(name, scale, as('ada'))).toMatchObject(failing('FAILED', 'NOT_FOUND'))
        await post(`${apps}/deployments`, deployment(name, { replicas: 0 }))
        expect(await onDeployment(name, scale, as('bob'))).toMatchObject(
          failing('FORBIDDEN', 'FORBIDDEN', /cannot patch resource "deployments\/scale"/),
        )
        expect(await onDeployment(name, scale, contextFor(cluster, 'writer'))).toMatchObject({
          outcome: 'UPDATED',
          before: null,
          after: { spec: { replicas: 1 } },
          resourceVersion: expect.any(String),
        })
      })
    })

    test('SCALE sets the replicas of a custom resource that has the subresource', async () => {
      const group = `${unique('scaling')}.example.com`
      await post('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
        apiVersion: 'apiextensions.k8s.io/v1',
        kind: 'CustomResourceDefinition',
        metadata: { name: `workers.${group}` },
        spec: {
          group,
          scope: 'Namespaced',
          names: { kind: 'Worker', plural: 'workers', singular: 'worker' },
          versions: [
            {
              name: 'v1',
              served: true,
              storage: true,
              schema: {
                openAPIV3Schema: {
                  type: 'object',
                  properties: {
                    spec: { type: 'object', properties: { replicas: { type: 'integer' } } },
                    status: { type: 'object', properties: { replicas: { type: 'integer' } } },
                  },
                },
              },
              subresources: {
                status: {},
                scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas' },
              },
            },
          ],
        },
      })
      const apiVersion = `${group}/v1`
      const workers = `/apis/${apiVersion}/namespaces/${namespace}/workers`
      const worker = { apiVersion, kind: 'Worker', metadata: { name: 'w' }, spec: { replicas: 1 } }
      await eventually(() => post(workers, worker))
      cluster.discovery.expire()
      const on = (action: Action) =>
        carryOut(stepOf(key(apiVersion, 'Worker', 'w'), action), contextFor(cluster, 'ada'))
      await eventually(async () => {
        cluster.discovery.expire()
        expect(await on({ type: 'SCALE', to: 1 })).toMatchObject({ outcome: 'UNCHANGED' })
      })
      expect(await on({ type: 'SCALE', by: 3 })).toMatchObject({ outcome: 'UPDATED', note: '1 → 4 replicas' })
      expect(await get(`${workers}/w`)).toMatchObject({ spec: { replicas: 4 } })
      expect(await on(labels({ a: 'b' }))).toMatchObject({ outcome: 'UPDATED' })
    })

    test('a quota is told from a right that is missing', async () => {
      const crowded = unique('crowded')
      await post('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: crowded } })
      await post(`/api/v1/namespaces/${crowded}/resourcequotas`, {
        apiVersion: 'v1',
        kind: 'ResourceQuota',
        metadata: { name: 'small' },
        spec: { hard: { secrets: '0' } },
      })
      await eventually(async () =>
        expect(await get(`/api/v1/namespaces/${crowded}/resourcequotas/small`)).toMatchObject({
          status: { hard: { secrets: '0' } },
        }),
      )
      const manifest = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'x' } }
      const step = stepOf(
        { apiVersion: 'v1', kind: 'Secret', namespace: crowded, name: 'x' },
        { type: 'CREATE', manifest, ifAbsent: false },
      )
      const root = contextFor(cluster, 'root', {}, ['system:masters', 'system:authenticated'])
      expect(await carryOut(step, root)).toMatchObject(failing('FAILED', 'INVALID', /exceeded quota: small/))
    })

    describe('ROLL_BACK', () => {
      const back = (toRevision: number | null): Action => ({ type: 'ROLL_BACK', toRevision })

      test('gives a Deployment the template of a revision', async () => {
        const name = unique('rolled')
        const path = `${apps}/deployments/${name}`
        await post(`${apps}/deployments`, deployment(name))
        const revision = (number: number) =>
          eventually(async () => {
            expect(await get(path)).toMatchObject({
              metadata: { annotations: { 'deployment.kubernetes.io/revision': `${number}` } },
            })
          })
        await revision(1)
        expect(await onDeployment(name, back(null), as('ada'))).toMatchObject(
          failing('FAILED', 'NOT_FOUND', /no revision before the present one\. There are: 1\./),
        )
        await onDeployment(name, images({ '': OTHER_IMAGE }), as('ada'))
        await revision(2)
        expect(await onDeployment(name, back(7), as('ada'))).toMatchObject(
          failing('FAILED', 'NOT_FOUND', /no revision 7\. There are: 2, 1\./),
        )
        expect(await onDeployment(name, back(2), as('ada'))).toMatchObject({ outcome: 'UNCHANGED' })
        expect(await onDeployment(name, back(1), as('bob'))).toMatchObject(failing('FORBIDDEN', 'FORBIDDEN'))
        expect(await onDeployment(name, back(null), as('ada', { dryRun: true }))).toMatchObject({
          outcome: 'UPDATED',
          after: { spec: { template: { spec: { containers: [{ image: IMAGE }] } } } },
        })
        const done = await onDeployment(name, back(null), as('ada'))
        expect(done).toMatchObject({
          outcome: 'UPDATED',
          note: `revision 2 → 1: main ${OTHER_IMAGE} → ${IMAGE}`,
          after: { spec: { template: { spec: { containers: [{ image: IMAGE }] } } } },
        })
        expect(at(done.after, 'spec.template.metadata.labels')).toEqual({ app: name })
        await revision(3)
        await onDeployment(name, { type: 'EDIT', edit: { type: 'PAUSED', paused: true } }, as('ada'))
        expect(await onDeployment(name, back(null), as('ada'))).toMatchObject(
          failing('CONFLICT', 'CONFLICT', /paused/),
        )
        expect(await onConfigMap(unique('none'), back(1), as('ada'))).toMatchObject(
          failing('FAILED', 'NOT_FOUND'),
        )
      })

      for (const kind of ['StatefulSet', 'DaemonSet'] as const) {
        test(`gives a ${kind} the template of a revision`, async () => {
          const name = unique('rolled')
          const plural = `${kind.toLowerCase()}s`
          const { spec } = deployment(name)
          const { replicas: _replicas, ...daemon } = spec
          await post(`${apps}/${plural}`, {
            apiVersion: 'apps/v1',
            kind,
            metadata: { name },
            spec: kind === 'DaemonSet' ? daemon : { ...spec, replicas: 0, serviceName: name },
          })
          const revisions = async (count: number) =>
            eventually(async () => {
              const path = `${apps}/controllerrevisions?labelSelector=app%3D${name}`
              const { items } = (await get(path)) as { items?: unknown[] }
              expect(items).toHaveLength(count)
            })
          await revisions(1)
          const on = (action: Action) => carryOut(stepOf(key('apps/v1', kind, name), action), as('ada'))
          expect(await on(images({ main: OTHER_IMAGE }))).toMatchObject({ outcome: 'UPDATED' })
          await revisions(2)
          expect(await on(back(null))).toMatchObject({
            outcome: 'UPDATED',
            note: `to revision 1: main ${OTHER_IMAGE} → ${IMAGE}`,
            after: { spec: { template: { spec: { containers: [{ image: IMAGE }] } } } },
          })
        })
      }
    })

    describe('DELETE', () => {
      test('deletes, tries to, and finds nothing to delete', async () => {
        const name = unique('deleted')
        const made = await post(`${core}/configmaps`, configMap(name))
        expect(await onConfigMap(name, deleting(), as('ada', { dryRun: true }))).toMatchObject({
          outcome: 'DELETED',
          before: { data: { a: '1' } },
          after: null,
          resourceVersion: null,
        })
        await get(`${core}/configmaps/${name}`)
        expect(await onConfigMap(name, deleting(), as('bob'))).toMatchObject(
          failing('FORBIDDEN', 'FORBIDDEN', /cannot delete/),
        )
        for (const wrong of [{ uid: 'another' }, { resourceVersion: '1' }, { fingerprint: 'x' }]) {
          expect(await onConfigMap(name, deleting(), as('ada'), wrong)).toMatchObject(
            failing('CONFLICT', 'CONFLICT'),
          )
        }
        const right = { fingerprint: fingerprint(made) }
        expect(await onConfigMap(name, deleting(), as('ada'), right)).toMatchObject({ outcome: 'DELETED' })
        expect(await onConfigMap(name, deleting(), as('ada'))).toMatchObject(failing('FAILED', 'NOT_FOUND'))
        expect(await onConfigMap(name, deleting({ ifPresent: true }), as('ada'))).toMatchObject({
          outcome: 'UNCHANGED',
        })
      })

      test('holds to what the user expects also where the object may not be read', async () => {
        const name = unique('deleted')
        const made = await post(`${core}/configmaps`, configMap(name))
        const writer = contextFor(cluster, 'writer')
        expect(await onConfigMap(name, deleting(), writer, { uid: 'another' })).toMatchObject(
          failing('CONFLICT', 'CONFLICT'),
        )
        expect(await onConfigMap(name, deleting(), writer, { uid: made.metadata!.uid! })).toMatchObject({
          outcome: 'DELETED',
          before: null,
        })
        await gone(`${core}/configmaps/${name}`)
        expect(await onConfigMap(name, deleting({ ifPresent: true }), writer)).toMatchObject({
          outcome: 'UNCHANGED',
        })
        expect(await onConfigMap(name, deleting(), writer)).toMatchObject(failing('FAILED', 'NOT_FOUND'))
      })

      test('does not say that it was done, or was not, where that cannot be told', async () => {
        const name = unique('deleted')
        const writer = contextFor(cluster, 'writer')
        const path = `${core}/configmaps/${name}`
        const unknown = { outcome: 'CONFLICT', error: { code: 'INTERRUPTED', mayHaveBeenApplied: true } }
        const manifest = configMap(name) as KubernetesJson
        const make = stepOf(key('v1', 'ConfigMap', name), { type: 'CREATE', manifest, ifAbsent: false })
        const made = (await stepper.prepare(make, writer)) as Prepared
        expect(await stepper.settle(make, made, writer)).toMatchObject({ outcome: 'CREATED' })
        expect(await stepper.settle(make, made, writer)).toMatchObject(unknown)
        const step = stepOf(key('v1', 'ConfigMap', name), deleting())
        const prepared = (await stepper.prepare(step, writer)) as Prepared
        expect(await stepper.settle(step, prepared, writer)).toMatchObject({ outcome: 'DELETED' })
        await gone(path)
        expect(await stepper.settle(step, prepared, writer)).toMatchObject(unknown)
        expect(await onConfigMap(name, deleting(), writer, { fingerprint: 'x' })).toMatchObject(
          failing('FORBIDDEN', 'FORBIDDEN', /cannot get/),
        )
      })

      test('says what a deletion waits for, and waits for it', async () => {
        const name = unique('deleted')
        await post(`${core}/configmaps`, configMap(name, {}, { finalizers: ['example.com/hold'] }))
        expect(await onConfigMap(name, deleting(), as('ada'))).toMatchObject({
          outcome: 'DELETED',
          note: 'Its deletion has begun. It waits for example.com/hold.',
          resourceVersion: expect.any(String),
        })
        const other = `${core}/configmaps/${name}-2`
        await post(`${core}/configmaps`, configMap(`${name}-2`, {}, { finalizers: ['example.com/hold'] }))
        let ended = false
        const waiting = onConfigMap(`${name}-2`, deleting({ untilGone: true }), as('ada')).then((done) => {
          ended = true
          return done
        })
        await eventually(async () => expect(await get(other)).toHaveProperty('metadata.deletionTimestamp'))
        expect(ended).toBe(false)
        await cluster.client.json({
          method: 'PATCH',
          path: other,
          contentType: 'application/merge-patch+json',
          body: { metadata: { finalizers: null } },
        })
        expect(await waiting).toMatchObject({ outcome: 'DELETED', resourceVersion: null, note: null })
        await gone(other)
      })

      test('takes along what a workload owns', async () => {
        const name = unique('deleted')
        await post(`${apps}/deployments`, deployment(name, { replicas: 0 }))
        const owned = `${apps}/replicasets?labelSelector=app%3D${name}`
        const sets = async () => ((await get(owned)) as { items?: unknown[] }).items
        await eventually(async () => expect(await sets()).toHaveLength(1))
        expect(
          await onDeployment(name, deleting({ propagationPolicy: 'Foreground', untilGone: true }), as('ada')),
        ).toMatchObject({ outcome: 'DELETED' })
        expect(await sets()).toHaveLength(0)
      })
    })

    describe('EVICT', () => {
      const evicting = (more: Partial<Extract<Action, { type: 'EVICT' }>> = {}): Action => ({
        type: 'EVICT',
        patienceMs: 0,
        untilGone: false,
        ...more,
      })
      const onPod = (name: string, action: Action, context: StepContext) =>
        carryOut(stepOf(key('v1', 'Pod', name), action), context)

      test('evicts, tries to, and finds nobody', async () => {
        const name = unique('evicted')
        await post(`${core}/pods`, {
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name },
          spec: { containers: [{ name: 'main', image: IMAGE }] },
        })
        const path = `${core}/pods/${name}`
        await eventually(async () => expect(await get(path)).toMatchObject({ status: { phase: 'Running' } }))
        expect(await onPod(name, evicting(), as('bob'))).toMatchObject(
          failing('FORBIDDEN', 'FORBIDDEN', /cannot create resource "pods\/eviction"/),
        )
        expect(await onPod(name, evicting(), as('ada', { dryRun: true }))).toMatchObject({
          outcome: 'DELETED',
          after: null,
          resourceVersion: null,
        })
        expect((await get(path)).metadata).not.toHaveProperty('deletionTimestamp')
        expect(
          await onPod(name, evicting({ gracePeriodSeconds: 1, untilGone: true }), as('ada')),
        ).toMatchObject({ outcome: 'DELETED', before: { metadata: { name } }, after: null })
        await gone(path)
        expect(await onPod(name, evicting(), as('ada'))).toMatchObject({ outcome: 'UNCHANGED' })
        expect(await onConfigMap('x', evicting(), as('ada'))).toMatchObject(
          failing('FAILED', 'NOT_SUPPORTED'),
        )
      })

      test('says which disruption budget does not allow it', async () => {
        const name = unique('guarded')
        await post(`${apps}/deployments`, deployment(name))
        const budgets = `/apis/policy/v1/namespaces/${namespace}/poddisruptionbudgets`
        await post(budgets, {
          apiVersion: 'policy/v1',
          kind: 'PodDisruptionBudget',
          metadata: { name },
          spec: { minAvailable: 1, selector: { matchLabels: { app: name } } },
        })
        const pod = await eventually(async () => {
          expect(await get(`${budgets}/${name}`)).toMatchObject({
            status: { currentHealthy: 1, desiredHealthy: 1, disruptionsAllowed: 0 },
          })
          const { items } = (await get(`${core}/pods?labelSelector=app%3D${name}`)) as {
            items?: readonly KubernetesJson[]
          }
          return items![0]!.metadata!.name!
        })
        expect(await onPod(pod, evicting(), as('ada'))).toMatchObject(
          failing(
            'FAILED',
            'DISRUPTION_BUDGET',
            new RegExp(`The PodDisruptionBudget ${name} does not allow`),
          ),
        )
        await onDeployment(name, { type: 'SCALE', to: 2 }, as('ada'))
        await eventually(async () =>
          expect(await get(`${budgets}/${name}`)).toMatchObject({ status: { disruptionsAllowed: 1 } }),
        )
        expect(await onPod(pod, evicting(), as('ada'))).toMatchObject({ outcome: 'DELETED' })
      })
    })

    describe('RESTORE', () => {
      const restoring = (to: KubernetesJson | null, from: KubernetesJson | null): Action => ({
        type: 'RESTORE',
        to,
        from: from && fingerprint(from),
      })
      const finished = (done: Done) => {
        expect(done.error).toBeNull()
        return done
      }

      test('takes back a creation, an update and a deletion', async () => {
        const name = unique('restored')
        const path = `${core}/configmaps/${name}`
        const first = finished(await onConfigMap(name, applying(configMap(name)), as('ada')))
        const second = finished(await onConfigMap(name, applying(configMap(name, { b: '2' })), as('ada')))
        const back = restoring(second.before, second.after)
        expect(await onConfigMap(name, back, as('ada', { dryRun: true }))).toMatchObject({
          outcome: 'UPDATED',
          after: { data: { a: '1' } },
        })
        const third = finished(await onConfigMap(name, back, as('ada')))
        expect(third).toMatchObject({ outcome: 'UPDATED' })
        expect((await get(path))['data']).toEqual({ a: '1' })
        expect(await onConfigMap(name, restoring(second.before, second.after), as('ada'))).toMatchObject({
          outcome: 'UNCHANGED',
        })
        const deleted = finished(await onConfigMap(name, deleting(), as('ada')))
        expect(await onConfigMap(name, restoring(deleted.before, null), as('ada'))).toMatchObject({
          outcome: 'CREATED',
          after: { data: { a: '1' } },
        })
        expect(await onConfigMap(name, restoring(null, first.after), as('ada'))).toMatchObject(
          failing('CONFLICT', 'CONFLICT', /was changed by somebody else/),
        )
        const now = await get(path)
        expect(await onConfigMap(name, restoring(null, now), as('ada'))).toMatchObject({ outcome: 'DELETED' })
        await gone(path)
      })

      test('restores a Deployment although its status has changed, and not what others have changed', async () => {
        const name = unique('restored')
        const path = `${apps}/deployments/${name}`
        await post(`${apps}/deployments`, deployment(name))
        const revision = (number: number) =>
          eventually(async () =>
            expect(await get(path)).toMatchObject({
              metadata: { annotations: { 'deployment.kubernetes.io/revision': `${number}` } },
              status: { updatedReplicas: 1, replicas: 1 },
            }),
          )
        await revision(1)
        const edited = finished(await onDeployment(name, images({ main: OTHER_IMAGE }), as('ada')))
        await revision(2)
        expect(
          finished(await onDeployment(name, restoring(edited.before, edited.after), as('ada'))),
        ).toMatchObject({
          outcome: 'UPDATED',
          after: { spec: { template: { spec: { containers: [{ image: IMAGE }] } } } },
        })
        const again = finished(await onDeployment(name, images({ main: OTHER_IMAGE }), as('ada')))
        await onDeployment(name, labels({ theirs: '1' }), as('ada'))
        expect(await onDeployment(name, restoring(again.before, again.after), as('ada'))).toMatchObject(
          failing('CONFLICT', 'CONFLICT', /was changed by somebody else/),
        )
      })
    })

    describe('a step that was begun and not ended', () => {
      const cases: readonly [string, (name: string) => Promise<Action>, (name: string) => object][] = [
        [
          'APPLY',
          async (name) => applying(deployment(name, { replicas: 2, paused: true })),
          () => ({ outcome: 'UPDATED' }),
        ],
        ['EDIT', async () => images({ main: OTHER_IMAGE }), () => ({ outcome: 'UPDATED' })],
        ['SCALE', async () => ({ type: 'SCALE', by: 2 }), () => ({ outcome: 'UPDATED' })],
        ['DELETE', async () => deleting(), () => ({ outcome: 'DELETED' })],
      ]
      for (const [type, actionOf, end] of cases) {
        test(`${type} is done once, whether or not it was`, async () => {
          const name = unique('settled')
          await post(`${apps}/deployments?fieldManager=fleetgraph`, deployment(name, { replicas: 0 }))
          const path = `${apps}/deployments/${name}`
          await eventually(async () =>
            expect(await get(path)).toMatchObject({ status: { observedGeneration: 1 } }),
          )
          const action = await actionOf(name)
          const forced = action.type === 'APPLY' ? { ...action, force: true } : action
          const step = stepOf(key('apps/v1', 'Deployment', name), forced)
          const prepared = await stepper.prepare(step, as('ada'))
          if (isDone(prepared)) throw new Error('there is something to do')
          // Not sent: it is done now.
          expect(await stepper.settle(step, prepared, as('ada'))).toMatchObject({ ...end(name), error: null })
          // Sent, and its answer not written down.
          expect(await stepper.settle(step, prepared, as('ada'))).toMatchObject({
            ...end(name),
            error: null,
            note: /found done/,
          })
          if (type === 'SCALE') expect(await get(path)).toMatchObject({ spec: { replicas: 2 } })
        })
      }

      test('is left alone where somebody else has changed the object', async () => {
        const name = unique('settled')
        await post(`${apps}/deployments`, deployment(name, { replicas: 0 }))
        const step = stepOf(key('apps/v1', 'Deployment', name), { type: 'SCALE', to: 2 })
        const prepared = (await stepper.prepare(step, as('ada'))) as Prepared
        await onDeployment(name, { type: 'SCALE', to: 5 }, as('ada'))
        expect(await stepper.settle(step, prepared, as('ada'))).toMatchObject({
          outcome: 'CONFLICT',
          error: { code: 'INTERRUPTED', mayHaveBeenApplied: true },
        })
        expect(await get(`${apps}/deployments/${name}`)).toMatchObject({ spec: { replicas: 5 } })
      })

      test('is told from what others did where it adds: by the history that the API server keeps', async () => {
        const name = unique('settled')
        const path = `${apps}/deployments/${name}`
        await post(`${apps}/deployments`, deployment(name, { replicas: 0 }))
        // Whoever goes on knows of the last attempt: the first may meet a controller that writes the status.
        let sent: Prepared | undefined
        const keeping = {
          ...as('ada'),
          keep: async (prepared: Prepared) => {
            sent = prepared
          },
        }
        const step = stepOf(key('apps/v1', 'Deployment', name), { type: 'SCALE', by: 2 })
        const [first, unsent] = (await Promise.all([
          stepper.prepare(step, keeping),
          stepper.prepare(step, keeping),
        ])) as [Prepared, Prepared]
        expect(await stepper.execute(step, first, keeping)).toMatchObject({ outcome: 'UPDATED' })
        sent ??= first
        for (const to of [5, 6]) await onDeployment(name, { type: 'SCALE', to }, as('ada'))
        expect(await stepper.settle(step, sent, keeping)).toMatchObject({
          outcome: 'UPDATED',
          note: expect.stringContaining('found done'),
        })
        expect(await get(path)).toMatchObject({ spec: { replicas: 6 } })
        expect(await stepper.settle(step, unsent, keeping)).toMatchObject({
          outcome: 'UPDATED',
          note: '6 → 8 replicas',
        })
        expect(await get(path)).toMatchObject({ spec: { replicas: 8 } })
        // Whoever applies the number next takes it over from all of these.
        expect(
          await onDeployment(name, applying(deployment(name, { replicas: 1 })), as('ada')),
        ).toMatchObject({
          outcome: 'UPDATED',
        })
      })
    })

    test('kinds that the cluster does not serve, and names that are none, are refused before anything is sent', async () => {
      const step = (object: object) =>
        stepOf({ ...key('v1', 'ConfigMap', 'x'), ...object }, deleting({ ifPresent: true }))
      expect(
        await carryOut(step({ apiVersion: 'example.com/v1', kind: 'Nothing' }), as('ada')),
      ).toMatchObject(failing('FAILED', 'NOT_SERVED', /does not serve Nothing of example.com\/v1/))
      for (const wrong of ['', '.', '..', 'a/b', '%2e']) {
        expect(await carryOut(step({ name: wrong }), as('ada'))).toMatchObject(failing('FAILED', 'INVALID'))
      }
      expect(await carryOut(step({ namespace: null }), as('ada'))).toMatchObject(
        failing('FAILED', 'INVALID', /in a namespace/),
      )
      expect(await carryOut(step({ namespace: '' }), as('ada'))).toMatchObject(failing('FAILED', 'INVALID'))
    })
  })
}
