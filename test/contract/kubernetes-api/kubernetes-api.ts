/**
 * The contract of the Kubernetes REST API as the gateway and kubectl rely on it. Written against a real
 * API server as the truth; whoever claims to be one (the simulator) has to pass it unchanged.
 * One server for the whole suite: each test works in namespaces of its own, so they run in any order.
 */
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { eventually } from '../../support/eventually.ts'
import { describeAccess } from './access.ts'
import { describeApply } from './apply.ts'
import { describeControllers } from './controllers.ts'
import { describeCustomResources } from './custom-resources.ts'
import { describeDeletes } from './delete.ts'
import { describeDiscovery } from './discovery.ts'
import { describeExpiry } from './expiry.ts'
import { describeList } from './list.ts'
import { describeNamespaces } from './namespaces.ts'
import { describePatches } from './patch.ts'
import { describeSubresources } from './subresources.ts'
import { describeTables } from './table.ts'
import { describeWatch } from './watch.ts'
import { describeWorkloads } from './workloads.ts'
import { describeWrites } from './write.ts'
import type { ServerUnderTest, StartServer, Suite } from './server-under-test.ts'

export function describeKubernetesApi(name: string, start: StartServer): void {
  describe(`${name} speaks the Kubernetes API`, () => {
    let server: ServerUnderTest | undefined
    let counter = 0
    const suite: Suite = {
      get server() {
        if (!server) throw new Error('the server under test is used before it is started')
        return server
      },
      get http() {
        return this.server.http
      },
      unique: (prefix) => `${prefix}-${++counter}`,
      async namespace() {
        const { http } = this
        const namespace = this.unique('test')
        await http.must(
          http.post('/api/v1/namespaces', {
            apiVersion: 'v1',
            kind: 'Namespace',
            metadata: { name: namespace },
          }),
        )
        for (const path of ['serviceaccounts/default', 'configmaps/kube-root-ca.crt']) {
          await eventually(async () => {
            const object = await http.must(http.get(`/api/v1/namespaces/${namespace}/${path}`))
            // Before 1.24 a pod is refused until its account has a token of the lasting kind.
            if (this.server.minor < 24 && object.kind === 'ServiceAccount')
              expect(object['secrets']).toBeTruthy()
          })
        }
        return namespace
      },
    }

    beforeAll(async () => {
      server = await start()
    }, 180_000)
    afterAll(async () => {
      await server?.close()
    }, 60_000)

    describeDiscovery(suite)
    describeList(suite)
    describeWatch(suite)
    describeWrites(suite)
    describePatches(suite)
    describeApply(suite)
    describeDeletes(suite)
    describeSubresources(suite)
    describeTables(suite)
    describeAccess(suite)
    describeNamespaces(suite)
    describeControllers(suite)
    describeWorkloads(suite)
    describeCustomResources(suite)
    describeExpiry(suite)
  })
}
