/**
 * The manifests of `examples/kubernetes`, applied to a real control plane: its API server takes them as they
 * are, and with the service account's token alone the gateway reads everything, lets another service account
 * of the cluster in, and reads live as that one.
 */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { loadConfig } from '../../src/config.ts'
import { leastPrivilegedRole } from '../../src/fleet/least-privilege.ts'
import { startControlPlane, type ControlPlane } from '../support/control-plane.ts'
import { eventually } from '../support/eventually.ts'
import { startGatewayProcess, type GatewayProcess } from '../support/gateway-process.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const MANIFESTS = join(ROOT, 'examples/kubernetes/fleetgraph.yaml')

interface Manifest {
  readonly kind: string
  readonly metadata: { readonly name: string }
  readonly data?: Readonly<Record<string, string>>
}

const manifests = parseAllDocuments(readFileSync(MANIFESTS, 'utf8')).map(
  (document) => document.toJS() as Manifest,
)

let plane: ControlPlane
let folder: string
let gateway: GatewayProcess

/** Of a service account of the cluster. */
async function token(namespace: string, name: string, ...audiences: string[]): Promise<string> {
  const answer = (await plane.http.must(
    plane.http.post(`/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { audiences },
    }),
  )) as unknown as { status: { token: string } }
  return answer.status.token
}

beforeAll(async () => {
  plane = await startControlPlane({ name: 'local' })
  folder = mkdtempSync(join(tmpdir(), 'fleetgraph-least-'))
  const { code, stderr } = await plane.kubectl('apply', '--validate=strict', '-f', MANIFESTS)
  expect(stderr).toBe('')
  expect(code).toBe(0)
  const kubeconfig = plane.kubeconfigWith({ token: await token('fleetgraph', 'fleetgraph') })
  writeFileSync(join(folder, 'kubeconfig'), kubeconfig)
  const [{ data }] = manifests.filter(({ kind }) => kind === 'ConfigMap') as [Manifest]
  const config = parse(data!['fleetgraph.yaml']!) as Record<string, object>
  // What is another one outside of the cluster: the address, the Redis, and where the credentials are.
  const { server: _server, redis: _redis, clusters: _clusters, ...rest } = config
  gateway = await startGatewayProcess({
    ...rest,
    clusters: [{ type: 'kubeconfig', paths: [join(folder, 'kubeconfig')] }],
  })
})

afterAll(async () => {
  await gateway?.close()
  await plane?.close()
  rmSync(folder, { recursive: true, force: true })
})

describe('the manifests for Kubernetes', () => {
  it('hold the role that the gateway needs, and a configuration that can be loaded', () => {
    expect(manifests.find(({ kind }) => kind === 'ClusterRole')).toEqual(leastPrivilegedRole())
    const [{ data }] = manifests.filter(({ kind }) => kind === 'ConfigMap') as [Manifest]
    const file = join(folder, 'fleetgraph.yaml')
    writeFileSync(file, data!['fleetgraph.yaml']!)
    expect(loadConfig(file, {}).server.host).toBe('0.0.0.0')
  })

  it('give the gateway all that it needs, and nothing beyond that', async () => {
    const file = join(folder, 'check.yaml')
    writeFileSync(
      file,
      JSON.stringify({ clusters: [{ type: 'kubeconfig', paths: [join(folder, 'kubeconfig')] }] }),
    )
    const { code, output } = await new Promise<{ code: number; output: string }>((resolve) => {
      execFile(process.execPath, [join(ROOT, 'src/main.ts'), 'check', '--config', file], (error, output) =>
        resolve({ code: typeof error?.code === 'number' ? error.code : 0, output }),
      )
    })
    expect(output).toMatch(/^local +yes +v\S+ +everything/m)
    expect(output).not.toContain('may not')
    expect(output).not.toContain('may do more')
    expect(code).toBe(0)
  })

  it('let a service account of the cluster in, with what RBAC lets it see, also live', async () => {
    await plane.kubectl('create', 'namespace', 'shop')
    await plane.kubectl('-n', 'shop', 'create', 'configmap', 'menu', '--from-literal=soup=hot')
    await plane.kubectl(
      '-n',
      'shop',
      'create',
      'rolebinding',
      'viewer',
      '--clusterrole=view',
      '--serviceaccount=default:default',
    )
    const viewer = await token('default', 'default', 'fleetgraph')
    await eventually(
      async () => {
        const answer = await gateway.query<object>(
          `{
            viewer { name method issuer }
            configMaps(filter: { name: { equals: "menu" } }) { nodes { namespace manifest { yaml } } coverage { state } }
            secrets: canI(cluster: "local", verb: "list", resource: "secrets") { allowed }
          }`,
          {},
          viewer,
        )
        expect(answer).toEqual({
          viewer: { name: 'system:serviceaccount:default:default', method: 'TOKEN_REVIEW', issuer: 'local' },
          configMaps: {
            nodes: [{ namespace: 'shop', manifest: { yaml: expect.stringContaining('soup: hot') } }],
            coverage: [{ state: 'CURRENT' }],
          },
          secrets: { allowed: false },
        })
      },
      { timeoutMs: 30_000, everyMs: 200 },
    )
    const reads = (await plane.auditLog()).filter(
      ({ verb, objectRef }) => verb === 'get' && objectRef?.name === 'menu',
    )
    expect(reads.length).toBeGreaterThan(0)
    for (const { impersonatedUser } of reads) {
      expect(impersonatedUser?.username).toBe('system:serviceaccount:default:default')
    }
  })

  it('take no token that is not for the gateway', async () => {
    const { errors } = await gateway.ask('{ viewer { name } }', {}, await token('default', 'default'))
    expect(errors).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }])
  })
})
