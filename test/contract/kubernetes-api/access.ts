/** Chapter: who asks and what they may – tokens, RBAC, impersonation, reviews. */
import { beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../../support/eventually.ts'
import { at, type Answer, type RequestOptions } from '../../support/kubernetes-http.ts'
import { configMap, expectFailure, needs, untilObject, type Suite } from './server-under-test.ts'

interface Rule {
  readonly resources?: readonly string[]
  readonly verbs: readonly string[]
}

const RBAC = '/apis/rbac.authorization.k8s.io/v1'
const AUTHORIZATION = '/apis/authorization.k8s.io/v1'

export function describeAccess(suite: Suite): void {
  describe('access', () => {
    let namespace = ''
    let user = ''
    let group = ''
    let token = ''

    beforeAll(async () => {
      namespace = await suite.namespace()
      user = suite.unique('reader')
      group = suite.unique('writers')
      token = await suite.server.token(user, ['others'])
      const role = (name: string, rules: object[]): Promise<unknown> =>
        suite.http.must(
          suite.http.post(`${RBAC}/namespaces/${namespace}/roles`, {
            apiVersion: 'rbac.authorization.k8s.io/v1',
            kind: 'Role',
            metadata: { name },
            rules,
          }),
        )
      const bind = (name: string, subject: object): Promise<unknown> =>
        suite.http.must(
          suite.http.post(`${RBAC}/namespaces/${namespace}/rolebindings`, {
            apiVersion: 'rbac.authorization.k8s.io/v1',
            kind: 'RoleBinding',
            metadata: { name },
            roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
            subjects: [{ apiGroup: 'rbac.authorization.k8s.io', ...subject }],
          }),
        )
      await role('read', [
        { apiGroups: [''], resources: ['pods', 'pods/log'], verbs: ['get', 'list', 'watch'] },
        { apiGroups: [''], resources: ['configmaps'], resourceNames: ['mine'], verbs: ['get', 'update'] },
      ])
      await bind('read', { kind: 'User', name: user })
      await role('write', [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }])
      await bind('write', { kind: 'Group', name: group })
    })

    test('a token that nobody knows is 401', async () => {
      expectFailure(
        await suite.http.get('/api/v1/pods', { token: 'nobody' }),
        401,
        'Unauthorized',
        'Unauthorized',
      )
    })

    test('no token at all is the anonymous user, who may next to nothing', async () => {
      const answer = await suite.http.get('/api/v1/pods', { token: null })
      expectFailure(
        answer,
        403,
        'Forbidden',
        'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" at the cluster scope',
      )
      expect((await suite.http.get('/version', { token: null })).status).toBe(200)
    })

    test('what a role allows is allowed there and nowhere else', async () => {
      expect((await suite.http.get(`/api/v1/namespaces/${namespace}/pods`, { token })).status).toBe(200)
      const elsewhere = await suite.http.get('/api/v1/namespaces/default/pods', { token })
      expectFailure(
        elsewhere,
        403,
        'Forbidden',
        `pods is forbidden: User "${user}" cannot list resource "pods" in API group "" in the namespace "default"`,
      )
      expect(elsewhere.body.details).toEqual({ kind: 'pods' })
      expectFailure(
        await suite.http.get('/api/v1/pods', { token }),
        403,
        'Forbidden',
        /at the cluster scope$/,
      )
      const one = await suite.http.delete(`/api/v1/namespaces/${namespace}/pods/p`, undefined, { token })
      expectFailure(
        one,
        403,
        'Forbidden',
        `pods "p" is forbidden: User "${user}" cannot delete resource "pods" in API group "" in the namespace "${namespace}"`,
      )
    })

    test('a resource name narrows a rule: get yes, list no', async () => {
      const path = `/api/v1/namespaces/${namespace}/configmaps`
      await suite.http.must(suite.http.post(path, configMap('mine')))
      expect((await suite.http.get(`${path}/mine`, { token })).status).toBe(200)
      expectFailure(await suite.http.get(`${path}/kube-root-ca.crt`, { token }), 403, 'Forbidden')
      expectFailure(await suite.http.get(path, { token }), 403, 'Forbidden')
      const byField = await suite.http.get(`${path}?fieldSelector=metadata.name%3Dmine`, { token })
      expectFailure(byField, 403, 'Forbidden')
    })

    test('a subresource is a resource of its own', async () => {
      const scale = await suite.http.get(`/apis/apps/v1/namespaces/${namespace}/deployments/d/scale`, {
        token,
      })
      expectFailure(scale, 403, 'Forbidden', /cannot get resource "deployments\/scale" in API group "apps"/)
    })

    test('a group gives its rights to its members', async () => {
      const member = await suite.server.token(suite.unique('member'), [group])
      const { status } = await suite.http.post(
        `/api/v1/namespaces/${namespace}/configmaps`,
        configMap('by-group'),
        {
          token: member,
        },
      )
      expect(status).toBe(201)
    })

    test('a right that is taken away is gone with the next request', async () => {
      const other = suite.unique('short')
      const shortToken = await suite.server.token(other)
      const bindings = `${RBAC}/clusterrolebindings`
      await suite.http.must(
        suite.http.post(bindings, {
          apiVersion: 'rbac.authorization.k8s.io/v1',
          kind: 'ClusterRoleBinding',
          metadata: { name: other },
          roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' },
          subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: other }],
        }),
      )
      const status = async (): Promise<number> =>
        (await suite.http.get('/api/v1/pods', { token: shortToken })).status
      await expect.poll(status).toBe(200)
      expect((await suite.http.get('/api/v1/secrets', { token: shortToken })).status).toBe(403)
      await suite.http.must(suite.http.delete(`${bindings}/${other}`))
      await expect.poll(status).toBe(403)
    })

    test('rights in one namespace give none over the cluster', async () => {
      const editor = suite.unique('editor')
      const editorToken = await suite.server.token(editor, [group])
      const answer = await suite.http.post(
        `${RBAC}/clusterroles`,
        {
          apiVersion: 'rbac.authorization.k8s.io/v1',
          kind: 'ClusterRole',
          metadata: { name: editor },
          rules: [],
        },
        { token: editorToken },
      )
      expectFailure(answer, 403, 'Forbidden', /cannot create resource "clusterroles"/)
    })

    test('built-in roles aggregate: view reads no secrets, edit writes, admin writes roles', async () => {
      const { body } = await suite.http.get(`${RBAC}/clusterroles/admin`)
      expect(at(body, 'aggregationRule.clusterRoleSelectors')).toBeTruthy()
      const allowed = async (role: string, resource: string): Promise<Set<unknown>> => {
        const { rules } = await suite.http.must(suite.http.get(`${RBAC}/clusterroles/${role}`))
        const about = (rules as readonly Rule[]).filter(({ resources = [] }) => resources.includes(resource))
        return new Set(about.flatMap(({ verbs }) => verbs))
      }
      expect(await allowed('view', 'pods')).toEqual(new Set(['get', 'list', 'watch']))
      expect(await allowed('view', 'secrets')).toEqual(new Set())
      expect(await allowed('edit', 'pods')).toContain('delete')
      expect(await allowed('edit', 'pods/log')).toContain('get')
      expect(await allowed('edit', 'roles')).not.toContain('create')
      expect(await allowed('admin', 'roles')).toContain('create')
      expect(await allowed('admin', 'pods')).toEqual(await allowed('edit', 'pods'))
      const { body: all } = await suite.http.get(`${RBAC}/clusterroles/cluster-admin`)
      expect(at(all, 'rules')).toMatchObject([
        { apiGroups: ['*'], resources: ['*'], verbs: ['*'] },
        { nonResourceURLs: ['*'], verbs: ['*'] },
      ])
    })

    test('an aggregated role has the rules of those that it selects, and follows them', async () => {
      const label = `aggregates-to-${suite.unique('role')}.fleetgraph.test`
      const roles = `${RBAC}/clusterroles`
      const create = async (
        name: string,
        resources: readonly string[],
        more: object = {},
      ): Promise<string> => {
        const rules = resources.map((resource) => rule(resource))
        await suite.http.must(suite.http.post(roles, { ...clusterRole(name, rules), ...more }))
        return name
      }
      const rule = (resource: string): object => ({ apiGroups: [''], resources: [resource], verbs: ['get'] })
      const clusterRole = (name: string, rules: readonly object[]): object => ({
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRole',
        metadata: { name, labels: { [label]: 'part' } },
        rules,
      })
      const first = await create(suite.unique('part-a'), ['pods', 'services'])
      const second = await create(suite.unique('part-b'), ['services', 'nodes'])
      // Written by hand: it is replaced.
      const whole = await create(suite.unique('whole'), ['secrets'], {
        aggregationRule: {
          clusterRoleSelectors: [{ matchExpressions: [{ key: label, operator: 'Exists' }] }],
        },
      })
      const becomes = (...resources: readonly string[]): Promise<unknown> =>
        untilObject(suite, `${roles}/${whole}`, { rules: resources.map(rule) })
      await becomes('pods', 'services', 'nodes')

      await suite.http.must(suite.http.patch(`${roles}/${first}`, 'merge', { rules: [rule('events')] }))
      await becomes('events', 'services', 'nodes')
      await suite.http.must(
        suite.http.patch(`${roles}/${second}`, 'merge', { metadata: { labels: { [label]: null } } }),
      )
      await becomes('events')
      await suite.http.must(suite.http.patch(`${roles}/${whole}`, 'merge', { rules: [rule('secrets')] }))
      await becomes('events')

      // What a role is made of may be aggregated itself.
      const outer = suite.unique('outer')
      await create(outer, [], {
        metadata: { name: outer },
        aggregationRule: { clusterRoleSelectors: [{ matchLabels: { [label]: 'part' } }] },
      })
      await untilObject(suite, `${roles}/${outer}`, { rules: [rule('events')] })

      const judged = suite.unique('judged')
      await suite.http.must(
        suite.http.post(`${RBAC}/clusterrolebindings`, {
          apiVersion: 'rbac.authorization.k8s.io/v1',
          kind: 'ClusterRoleBinding',
          metadata: { name: judged },
          roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: whole },
          subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: judged }],
        }),
      )
      const judgedToken = await suite.server.token(judged)
      const status = async (resource: string): Promise<number> =>
        (await suite.http.get(`/api/v1/namespaces/${namespace}/${resource}/x`, { token: judgedToken })).status
      await expect.poll(() => status('events')).toBe(404)
      expect(await status('secrets')).toBe(403)
      await suite.http.must(suite.http.delete(`${roles}/${first}`))
      await expect.poll(() => status('events')).toBe(403)
    })

    test('a binding names its subjects as they are: no wildcards, no account without a namespace', async () => {
      const bindings = `${RBAC}/namespaces/${namespace}/rolebindings`
      const bind = (name: string, ...subjects: readonly object[]): Promise<Answer> =>
        suite.http.post(bindings, {
          apiVersion: 'rbac.authorization.k8s.io/v1',
          kind: 'RoleBinding',
          metadata: { name },
          roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'write' },
          subjects,
        })
      const rbac = { apiGroup: 'rbac.authorization.k8s.io' }
      await suite.http.must(bind('everybody', { ...rbac, kind: 'User', name: '*' }))
      await suite.http.must(bind('all-groups', { ...rbac, kind: 'Group', name: '*' }))
      await suite.http.must(bind('local', { kind: 'ServiceAccount', name: 'local-robot' }))
      const allowed = async (asked: string): Promise<unknown> => {
        const { body } = await suite.http.post(`${AUTHORIZATION}/subjectaccessreviews`, {
          apiVersion: 'authorization.k8s.io/v1',
          kind: 'SubjectAccessReview',
          spec: { user: asked, resourceAttributes: { namespace, verb: 'create', resource: 'secrets' } },
        })
        return at(body, 'status.allowed')
      }
      await expect.poll(() => allowed(`system:serviceaccount:${namespace}:local-robot`)).toBe(true)
      expect(await allowed('*')).toBe(true)
      expect(await allowed('anybody')).toBe(false)
      expect(await allowed('system:serviceaccount:default:local-robot')).toBe(false)
      expect(await allowed('system:serviceaccount::local-robot')).toBe(false)
    })

    test('a binding to a role that is not there allows nothing, and a denial says so', async () => {
      const lost = suite.unique('lost')
      await suite.http.must(
        suite.http.post(`${RBAC}/namespaces/${namespace}/rolebindings`, {
          apiVersion: 'rbac.authorization.k8s.io/v1',
          kind: 'RoleBinding',
          metadata: { name: lost },
          roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: lost },
          subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: lost }],
        }),
      )
      const lostToken = await suite.server.token(lost)
      await eventually(async () => {
        expectFailure(
          await suite.http.get(`/api/v1/namespaces/${namespace}/pods`, { token: lostToken }),
          403,
          'Forbidden',
          `pods is forbidden: User "${lost}" cannot list resource "pods" in API group "" in the namespace "${namespace}": RBAC: clusterrole.rbac.authorization.k8s.io "${lost}" not found`,
        )
      })
    })

    describe('impersonation', () => {
      const as = (
        headers: NonNullable<RequestOptions['headers']>,
        options: RequestOptions = {},
      ): RequestOptions => ({
        ...options,
        headers,
      })

      test('an admin who says so is judged as the user and the groups', async () => {
        const path = `/api/v1/namespaces/${namespace}`
        expect((await suite.http.get(`${path}/pods`, as({ 'impersonate-user': user }))).status).toBe(200)
        const refused = await suite.http.get(`${path}/services`, as({ 'impersonate-user': user }))
        expectFailure(refused, 403, 'Forbidden', new RegExp(`User "${user}" cannot list resource "services"`))
        const grouped = await suite.http.get(
          `${path}/services`,
          as({ 'impersonate-user': user, 'impersonate-group': ['a', group] }),
        )
        expect(grouped.status).toBe(200)
      })

      test('user, uid, groups and extra arrive as they were said', async (context) => {
        needs(context, suite, 28, 'SelfSubjectReview')
        const { body } = await suite.http.post(
          '/apis/authentication.k8s.io/v1/selfsubjectreviews',
          { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
          as({
            'impersonate-user': 'bob',
            'impersonate-uid': '77',
            'impersonate-group': ['a', 'b'],
            'impersonate-extra-acme.com%2Fproject': ['x', 'y'],
          }),
        )
        expect(at(body, 'status.userInfo')).toEqual({
          username: 'bob',
          uid: '77',
          groups: ['a', 'b', 'system:authenticated'],
          extra: { 'acme.com/project': ['x', 'y'] },
        })
      })

      const whoAmI = async (headers: NonNullable<RequestOptions['headers']>): Promise<unknown> => {
        const { body } = await suite.http.post(
          '/apis/authentication.k8s.io/v1/selfsubjectreviews',
          { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
          as(headers),
        )
        return at(body, 'status.userInfo')
      }

      test('a service account has its groups, unless others are said', async (context) => {
        needs(context, suite, 28, 'SelfSubjectReview')
        const robot = `system:serviceaccount:${namespace}:robot`
        expect(await whoAmI({ 'impersonate-user': robot })).toEqual({
          username: robot,
          groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
        })
        expect(await whoAmI({ 'impersonate-user': robot, 'impersonate-group': 'a' })).toEqual({
          username: robot,
          groups: ['a', 'system:authenticated'],
        })
        // No account can be called that: a user like others.
        const odd = `system:serviceaccount:${namespace}:Robot`
        expect(await whoAmI({ 'impersonate-user': odd })).toEqual({
          username: odd,
          groups: ['system:authenticated'],
        })
      })

      test('everyone is authenticated, but for the anonymous and those who say otherwise', async (context) => {
        needs(context, suite, 28, 'SelfSubjectReview')
        const groups = async (name: string, ...said: readonly string[]): Promise<unknown> =>
          at(await whoAmI({ 'impersonate-user': name, 'impersonate-group': [...said] }), 'groups')
        expect(await groups('bob')).toEqual(['system:authenticated'])
        expect(await groups('bob', 'system:authenticated', 'a')).toEqual(['system:authenticated', 'a'])
        // They may not even ask who they are.
        expect(await groups('bob', 'system:unauthenticated', 'a')).toBeUndefined()
        expect(await groups('system:anonymous')).toBeUndefined()
      })

      test('each part needs a right of its own', async () => {
        const agent = suite.unique('agent')
        const agentToken = await suite.server.token(agent)
        await suite.http.must(
          suite.http.post(`${RBAC}/clusterroles`, {
            apiVersion: 'rbac.authorization.k8s.io/v1',
            kind: 'ClusterRole',
            metadata: { name: agent },
            rules: [
              { apiGroups: [''], resources: ['users'], verbs: ['impersonate'] },
              { apiGroups: [''], resources: ['groups'], resourceNames: ['a'], verbs: ['impersonate'] },
              {
                apiGroups: ['authentication.k8s.io'],
                resources: ['userextras/project'],
                resourceNames: ['x'],
                verbs: ['impersonate'],
              },
            ],
          }),
        )
        await suite.http.must(
          suite.http.post(`${RBAC}/clusterrolebindings`, {
            apiVersion: 'rbac.authorization.k8s.io/v1',
            kind: 'ClusterRoleBinding',
            metadata: { name: agent },
            roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: agent },
            subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: agent }],
          }),
        )
        const tried = async (headers: NonNullable<RequestOptions['headers']>): Promise<Answer> =>
          suite.http.get('/version', as({ 'impersonate-user': 'bob', ...headers }, { token: agentToken }))
        await expect.poll(async () => (await tried({})).status).toBe(200)
        expect((await tried({ 'impersonate-group': 'a' })).status).toBe(200)
        expect((await tried({ 'impersonate-extra-project': 'x' })).status).toBe(200)
        for (const headers of [
          { 'impersonate-group': ['a', 'b'] },
          { 'impersonate-extra-project': 'y' },
          { 'impersonate-extra-other': 'x' },
          { 'impersonate-uid': '1' },
          { 'impersonate-user': `system:serviceaccount:${namespace}:default` },
        ]) {
          expectFailure(
            await tried(headers),
            403,
            'Forbidden',
            new RegExp(
              `User "${agent}" cannot impersonate resource "(groups|userextras/|uids|serviceaccounts)`,
            ),
          )
        }
      })

      test('a right to all extra keys is one to all of the group: nothing is wild after a slash', async () => {
        const tried = async (resource: string): Promise<() => Promise<number>> => {
          const agent = suite.unique('agent')
          const agentToken = await suite.server.token(agent)
          const rules = [
            { apiGroups: [''], resources: ['users'], verbs: ['impersonate'] },
            { apiGroups: ['authentication.k8s.io'], resources: [resource], verbs: ['impersonate'] },
          ]
          for (const object of [
            { kind: 'ClusterRole', rules },
            {
              kind: 'ClusterRoleBinding',
              roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: agent },
              subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: agent }],
            },
          ]) {
            const path = `${RBAC}/${object.kind.toLowerCase()}s`
            const metadata = { name: agent }
            await suite.http.must(
              suite.http.post(path, { apiVersion: 'rbac.authorization.k8s.io/v1', metadata, ...object }),
            )
          }
          const status = async (headers: Readonly<Record<string, string>>): Promise<number> =>
            (
              await suite.http.get(
                '/version',
                as({ 'impersonate-user': 'bob', ...headers }, { token: agentToken }),
              )
            ).status
          await expect.poll(() => status({})).toBe(200)
          return () => status({ 'impersonate-extra-acme.com%2fproject': 'x' })
        }
        expect(await (await tried('userextras/*'))()).toBe(403)
        expect(await (await tried('userextras/acme.com/project'))()).toBe(200)
        expect(await (await tried('*'))()).toBe(200)
      })

      test('who may not impersonate is 403', async () => {
        const answer = await suite.http.get('/api/v1/pods', as({ 'impersonate-user': 'bob' }, { token }))
        expectFailure(answer, 403, 'Forbidden', new RegExp(`User "${user}" cannot impersonate`))
      })

      test('groups without a user are 400 or 500, never the rights of the asker', async () => {
        const { status } = await suite.http.get('/api/v1/pods', as({ 'impersonate-group': 'a' }))
        expect([400, 500]).toContain(status)
      })
    })

    describe('reviews', () => {
      const review = (kind: string, spec: object, options: RequestOptions = {}): Promise<Answer> =>
        suite.http.post(
          `${AUTHORIZATION}/${kind.toLowerCase()}s`,
          { apiVersion: 'authorization.k8s.io/v1', kind, spec },
          options,
        )
      const attributes = (verb: string, resource: string, more: object = {}): object => ({
        resourceAttributes: { namespace, verb, resource, ...more },
      })

      test('SelfSubjectAccessReview answers for the asker', async () => {
        const may = await review('SelfSubjectAccessReview', attributes('list', 'pods'), { token })
        expect(may.status).toBe(201)
        expect(may.body).toMatchObject({ kind: 'SelfSubjectAccessReview', status: { allowed: true } })
        expect(at(may.body, 'status.reason')).toMatch(
          /^RBAC: allowed by RoleBinding "read\/.*" of Role "read" to User/,
        )
        const mayNot = await review('SelfSubjectAccessReview', attributes('delete', 'pods'), { token })
        expect(at(mayNot.body, 'status')).toEqual({ allowed: false })
        const subresource = attributes('get', 'pods', { subresource: 'log', name: 'x' })
        expect((await review('SelfSubjectAccessReview', subresource, { token })).body).toMatchObject({
          status: { allowed: true },
        })
        const named = attributes('update', 'configmaps', { name: 'mine' })
        expect((await review('SelfSubjectAccessReview', named, { token })).body).toMatchObject({
          status: { allowed: true },
        })
      })

      test('SubjectAccessReview answers for others, to those who may ask', async () => {
        const spec = { ...attributes('create', 'secrets'), user: 'somebody', groups: [group] }
        expect((await review('SubjectAccessReview', spec)).body).toMatchObject({ status: { allowed: true } })
        const without = { ...attributes('create', 'secrets'), user: 'somebody', groups: ['x'] }
        expect((await review('SubjectAccessReview', without)).body).toMatchObject({
          status: { allowed: false },
        })
        expectFailure(await review('SubjectAccessReview', spec, { token }), 403, 'Forbidden')
        const url = { nonResourceAttributes: { path: '/metrics', verb: 'get' }, user: 'somebody' }
        expect((await review('SubjectAccessReview', url)).body).toMatchObject({ status: { allowed: false } })
      })

      test('a review of nobody, or of nothing, is 422', async () => {
        expectFailure(
          await review('SubjectAccessReview', attributes('get', 'pods')),
          422,
          'Invalid',
          /at least one of user or group must be specified/,
        )
        expectFailure(await review('SelfSubjectAccessReview', {}), 422, 'Invalid', /exactly one of/)
      })

      test('SelfSubjectRulesReview lists what the asker may in a namespace', async () => {
        const { body } = await review('SelfSubjectRulesReview', { namespace }, { token })
        expect(at(body, 'status.incomplete')).toBe(false)
        expect(at(body, 'status.resourceRules')).toEqual(
          expect.arrayContaining([
            { verbs: ['get', 'list', 'watch'], apiGroups: [''], resources: ['pods', 'pods/log'] },
            { verbs: ['get', 'update'], apiGroups: [''], resources: ['configmaps'], resourceNames: ['mine'] },
          ]),
        )
      })

      test('TokenReview tells whose token it is', async () => {
        const ask = (value: string, audiences?: readonly string[]): Promise<Answer> =>
          suite.http.post('/apis/authentication.k8s.io/v1/tokenreviews', {
            apiVersion: 'authentication.k8s.io/v1',
            kind: 'TokenReview',
            spec: { token: value, ...(audiences && { audiences }) },
          })
        expect(at((await ask(token)).body, 'status')).toMatchObject({
          authenticated: true,
          user: { username: user, groups: ['others', 'system:authenticated'] },
        })
        const forOthers = (await ask(token, ['https://others.fleetgraph.test'])).body
        expect(at(forOthers, 'status.authenticated') ?? false).toBe(false)
        const unknown = (await ask('nobody')).body
        expect(at(unknown, 'status.authenticated') ?? false).toBe(false)
      })
    })

    test('a service account has a token of its own, its name and its groups', async () => {
      const accounts = `/api/v1/namespaces/${namespace}/serviceaccounts`
      await suite.http.must(
        suite.http.post(accounts, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'robot' } }),
      )
      const { status, body } = await suite.http.post(`${accounts}/robot/token`, {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { expirationSeconds: 3600 },
      })
      expect(status).toBe(201)
      expect(at(body, 'status.expirationTimestamp')).toMatch(/Z$/)
      const answer = await suite.http.get('/api/v1/pods', { token: at(body, 'status.token') as string })
      expectFailure(
        answer,
        403,
        'Forbidden',
        new RegExp(`User "system:serviceaccount:${namespace}:robot" cannot list`),
      )
    })

    test('a token for others is none for the API server, and TokenReview says for whom it is', async () => {
      const accounts = `/api/v1/namespaces/${namespace}/serviceaccounts`
      await suite.http.must(
        suite.http.post(accounts, {
          apiVersion: 'v1',
          kind: 'ServiceAccount',
          metadata: { name: 'courier' },
        }),
      )
      const { body } = await suite.http.post(`${accounts}/courier/token`, {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { audiences: ['portal', 'wiki'] },
      })
      const courierToken = at(body, 'status.token') as string
      expect((await suite.http.get('/version', { token: courierToken })).status).toBe(401)
      const ask = async (audiences?: readonly string[]): Promise<unknown> => {
        const answer = await suite.http.post('/apis/authentication.k8s.io/v1/tokenreviews', {
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenReview',
          spec: { token: courierToken, ...(audiences && { audiences }) },
        })
        return at(answer.body, 'status')
      }
      expect(await ask(['shop', 'portal'])).toMatchObject({
        authenticated: true,
        audiences: ['portal'],
        user: { username: `system:serviceaccount:${namespace}:courier` },
      })
      expect(await ask()).not.toMatchObject({ authenticated: true })
      expect(await ask(['shop'])).not.toMatchObject({ authenticated: true })
    })
  })
}
