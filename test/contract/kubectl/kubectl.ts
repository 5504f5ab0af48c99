/**
 * What a user sees who points kubectl at a cluster: columns, messages and exit codes, command by
 * command. Run with the same binary against a real control plane and against the simulator; what
 * differs by nature (ages, addresses, generated names) is matched by its shape.
 */
import { afterAll, beforeAll, describe, expect, test, type TestContext } from 'vitest'
import { eventually } from '../../support/eventually.ts'
import type { CommandResult, Kubectl } from '../../support/kubectl.ts'

export interface KubectlUnderTest {
  readonly kubectl: Kubectl
  /** Of the server: 36. */
  readonly minor: number
  /** At least two nodes, Ready. */
  readonly nodeNames: readonly string[]
  close(): Promise<void>
}

/** The words between runs of two or more spaces: kubectl's columns. */
const cells = (line: string | undefined): string[] => (line ?? '').trim().split(/ {2,}/)
const header = (result: CommandResult): string => cells(result.stdout.split('\n')[0]).join('|')
const rows = (result: CommandResult): string[][] => result.stdout.trimEnd().split('\n').slice(1).map(cells)

export function describeKubectl(name: string, start: () => Promise<KubectlUnderTest>): void {
  describe(`kubectl against ${name}`, () => {
    let server: KubectlUnderTest
    let counter = 0

    /** A namespace of its own, and kubectl in it. */
    async function workspace(): Promise<(...args: string[]) => Promise<CommandResult>> {
      const namespace = `work-${++counter}`
      await ok('create', 'namespace', namespace)
      await eventually(() => ok('get', 'serviceaccount', 'default', '-n', namespace))
      return (...args) => server.kubectl.run(['-n', namespace, ...args])
    }
    const any = (...args: string[]): Promise<CommandResult> => server.kubectl.run(args)
    async function ok(...args: string[]): Promise<string> {
      const { stdout, stderr, code } = await any(...args)
      if (code !== 0) throw new Error(`kubectl ${args.join(' ')} ended with ${code}: ${stderr}`)
      return stdout
    }
    function expectOutput(result: CommandResult, stdout: string | RegExp): void {
      expect({ code: result.code, stderr: result.stderr }).toEqual({ code: 0, stderr: '' })
      if (typeof stdout === 'string') expect(result.stdout).toBe(stdout)
      else expect(result.stdout).toMatch(stdout)
    }
    /** Server and kubectl of the same build: what neither of them had before this release is left out. */
    function needs(context: TestContext, minor: number, what: string): void {
      if (server.minor < minor) context.skip(`Kubernetes 1.${minor} or later: ${what}`)
    }
    function expectError(result: CommandResult, stderr: string | RegExp): void {
      expect(result.code).toBe(1)
      if (typeof stderr === 'string') expect(result.stderr).toBe(stderr)
      else expect(result.stderr).toMatch(stderr)
    }

    beforeAll(async () => {
      server = await start()
    }, 180_000)
    afterAll(() => server?.close(), 60_000)

    describe('create, get and delete', () => {
      test('a deployment is created, rolled out, shown, and deleted', async () => {
        const k = await workspace()
        expectOutput(
          await k('create', 'deployment', 'web', '--image=nginx:1.29', '--replicas=2'),
          'deployment.apps/web created\n',
        )
        const status = await k('rollout', 'status', 'deployment/web', '--timeout=30s')
        expectOutput(status, /deployment "web" successfully rolled out\n$/)
        const deployments = await k('get', 'deployments')
        expect(header(deployments)).toBe('NAME|READY|UP-TO-DATE|AVAILABLE|AGE')
        expect(rows(deployments)).toEqual([['web', '2/2', '2', '2', expect.stringMatching(/^\d+s$/)]])
        const sets = await k('get', 'rs', '-o', 'wide')
        expect(header(sets)).toBe('NAME|DESIRED|CURRENT|READY|AGE|CONTAINERS|IMAGES|SELECTOR')
        expect(rows(sets)[0]).toEqual([
          expect.stringMatching(/^web-/),
          '2',
          '2',
          '2',
          expect.any(String),
          'nginx',
          'nginx:1.29',
          expect.stringMatching(/^app=web,pod-template-hash=/),
        ])
        const pods = await k('get', 'pods', '-o', 'wide')
        expect(header(pods)).toBe('NAME|READY|STATUS|RESTARTS|AGE|IP|NODE|NOMINATED NODE|READINESS GATES')
        for (const row of rows(pods)) {
          expect(row.slice(0, 4)).toEqual([
            expect.stringMatching(/^web-[a-z0-9]+-[a-z0-9]{5}$/),
            '1/1',
            'Running',
            '0',
          ])
          expect(server.nodeNames).toContain(row[6])
        }
        const deleted = await k('delete', 'deployment', 'web')
        expectOutput(deleted, /^deployment\.apps "web" deleted( from \S+ namespace)?\n$/)
        await eventually(
          async () => {
            const { stderr } = await k('get', 'all')
            expect(stderr).toMatch(/^No resources found in work-\d+ namespace\.\n$/)
          },
          { timeoutMs: 30_000 },
        )
      })

      test('a second of the same name, and one that is missing, are errors in the server’s words', async () => {
        const k = await workspace()
        await k('create', 'configmap', 'twice', '--from-literal=a=1')
        expectError(
          await k('create', 'configmap', 'twice'),
          /^(error: failed to create configmap|Error from server \(AlreadyExists\)): configmaps "twice" already exists\n$/,
        )
        expectError(await k('get', 'pod', 'none'), 'Error from server (NotFound): pods "none" not found\n')
        expectError(
          await k('get', 'nonsense'),
          'error: the server doesn\'t have a resource type "nonsense"\n',
        )
        expectError(
          await k('delete', 'cm', 'none'),
          'Error from server (NotFound): configmaps "none" not found\n',
        )
      })

      test('-A shows namespaces, -l and --field-selector narrow, -o name names', async () => {
        const k = await workspace()
        await k('create', 'configmap', 'one')
        await k('create', 'configmap', 'two')
        expectOutput(await k('label', 'configmap', 'one', 'color=red'), 'configmap/one labeled\n')
        expectOutput(await k('get', 'cm', '-l', 'color in (red,blue)', '-o', 'name'), 'configmap/one\n')
        expectOutput(
          await k('get', 'cm', '--field-selector=metadata.name=two', '-o', 'name'),
          'configmap/two\n',
        )
        const everywhere = await any('get', 'cm', '-A', '-l', 'color=red')
        expect(header(everywhere)).toBe('NAMESPACE|NAME|DATA|AGE')
        const labelled = await k('get', 'cm', '-L', 'color', '--sort-by=.metadata.name')
        expect(header(labelled)).toBe('NAME|DATA|AGE|COLOR')
        const shown = await k('get', 'cm', 'one', '--show-labels')
        expect(rows(shown)).toEqual([['one', '0', expect.any(String), 'color=red']])
        const jsonpath = await k('get', 'cm', 'one', '-o', 'jsonpath={.metadata.labels.color}')
        expectOutput(jsonpath, 'red')
        expectOutput(
          await k('get', 'cm', 'one', '-o', 'yaml'),
          /^apiVersion: v1\nkind: ConfigMap\nmetadata:\n/,
        )
      })

      test.each([
        ['nodes', 'NAME|STATUS|ROLES|AGE|VERSION'],
        ['namespaces', 'NAME|STATUS|AGE'],
        ['storageclasses', 'NAME|PROVISIONER|RECLAIMPOLICY|VOLUMEBINDINGMODE|ALLOWVOLUMEEXPANSION|AGE'],
        ['services -A', 'NAMESPACE|NAME|TYPE|CLUSTER-IP|EXTERNAL-IP|PORT(S)|AGE'],
        ['clusterroles', 'NAME|CREATED AT'],
        ['clusterrolebindings', 'NAME|ROLE|AGE'],
        ['leases -n kube-node-lease', 'NAME|HOLDER|AGE'],
      ])('get %s', async (what, expected) => {
        const result = await any('get', ...what.split(' '))
        expect(result.stderr).toBe('')
        expect(header(result)).toBe(expected)
      })

      test('each kind of workload is shown with its own columns', async (context) => {
        needs(context, 32, 'the columns STATUS of jobs and TIMEZONE of cron jobs')
        const k = await workspace()
        expectOutput(
          await k('create', 'job', 'once', '--image=busybox', '--', 'sh', '-c', 'exit 0'),
          'job.batch/once created\n',
        )
        await k('create', 'cronjob', 'often', '--image=busybox', '--schedule=0 0 1 1 *')
        await k('create', 'ingress', 'door', '--class=nginx', '--rule=a.test/*=web:80')
        await k('create', 'service', 'clusterip', 'inside', '--tcp=80:8080')
        await k('create', 'quota', 'few', '--hard=pods=10')
        await k('create', 'poddisruptionbudget', 'guard', '--selector=app=web', '--min-available=1')
        await k('create', 'role', 'reader', '--verb=get', '--resource=pods')
        await k('create', 'rolebinding', 'readers', '--role=reader', '--user=jane')
        await k('create', 'secret', 'generic', 'hidden', '--from-literal=a=b')
        expectOutput(
          await k('wait', '--for=condition=complete', 'job/once', '--timeout=30s'),
          'job.batch/once condition met\n',
        )
        const expected: [string, string, (string | RegExp)[]][] = [
          ['jobs', 'NAME|STATUS|COMPLETIONS|DURATION|AGE', ['once', 'Complete', '1/1']],
          [
            'cronjobs',
            'NAME|SCHEDULE|TIMEZONE|SUSPEND|ACTIVE|LAST SCHEDULE|AGE',
            ['often', '0 0 1 1 *', '<none>', 'False', '0', '<none>'],
          ],
          ['ingresses', 'NAME|CLASS|HOSTS|ADDRESS|PORTS|AGE', ['door', 'nginx', 'a.test']],
          [
            'services',
            'NAME|TYPE|CLUSTER-IP|EXTERNAL-IP|PORT(S)|AGE',
            ['inside', 'ClusterIP', /^\d+\./, '<none>', '80/TCP'],
          ],
          ['pdb', 'NAME|MIN AVAILABLE|MAX UNAVAILABLE|ALLOWED DISRUPTIONS|AGE', ['guard', '1', 'N/A', '0']],
          ['roles', 'NAME|CREATED AT', ['reader', /Z$/]],
          ['rolebindings', 'NAME|ROLE|AGE', ['readers', 'Role/reader']],
          ['secrets', 'NAME|TYPE|DATA|AGE', ['hidden', 'Opaque', '1']],
        ]
        for (const [kind, columns, first] of expected) {
          const result = await k('get', kind)
          expect(header(result), kind).toBe(columns)
          expect(rows(result)[0]?.slice(0, first.length), kind).toEqual(
            first.map((cell) => (typeof cell === 'string' ? cell : expect.stringMatching(cell))),
          )
        }
      })

      test('-w prints each change as it comes', async () => {
        const k = await workspace()
        await k('create', 'deployment', 'seen', '--image=x', '--replicas=1')
        const watch = server.kubectl.follow(['-n', `work-${counter}`, 'get', 'deployment', 'seen', '-w'])
        await eventually(() => expect(watch.lines.at(-1)).toMatch(/^seen +1\/1/), { timeoutMs: 30_000 })
        await k('scale', 'deployment', 'seen', '--replicas=2')
        await eventually(() => expect(watch.lines.at(-1)).toMatch(/^seen +2\/2 +2 +2/), { timeoutMs: 30_000 })
        await watch.stop()
        expect(watch.lines[0]).toMatch(/^NAME +READY/)
        expect(watch.lines.filter((line) => line.startsWith('NAME'))).toHaveLength(1)
      })

      test('a forced delete does not wait, --ignore-not-found does not mind, -l deletes many', async () => {
        const k = await workspace()
        await k('run', 'p', '--image=x')
        expectOutput(
          await k('wait', '--for=condition=Ready', 'pod/p', '--timeout=30s'),
          'pod/p condition met\n',
        )
        const forced = await k('delete', 'pod', 'p', '--force', '--grace-period=0')
        expect(forced.stdout).toMatch(/^pod "p" force deleted/)
        expectOutput(await k('delete', 'pod', 'p', '--ignore-not-found'), '')
        for (const name of ['a', 'b']) await k('create', 'configmap', name)
        await k('label', 'cm', 'a', 'b', 'go=yes')
        const many = await k('delete', 'cm', '-l', 'go=yes')
        expect(many.stdout.split('\n').filter((line) => line.startsWith('configmap "'))).toHaveLength(2)
      })

      test('a namespace is deleted with all that is in it, and delete waits for that', async () => {
        const k = await workspace()
        await k('create', 'deployment', 'inside', '--image=x')
        const name = `work-${counter}`
        expectOutput(await any('delete', 'namespace', name, '--timeout=60s'), `namespace "${name}" deleted\n`)
        expectError(
          await any('get', 'namespace', name),
          `Error from server (NotFound): namespaces "${name}" not found\n`,
        )
      })
    })

    describe('workloads', () => {
      test('scale changes the number of replicas, if it is the current one', async () => {
        const k = await workspace()
        await k('create', 'deployment', 'web', '--image=x')
        expectOutput(await k('scale', 'deployment/web', '--replicas=3'), 'deployment.apps/web scaled\n')
        expectOutput(await k('get', 'deployment', 'web', '-o', 'jsonpath={.spec.replicas}'), '3')
        expectError(
          await k('scale', 'deployment/web', '--current-replicas=7', '--replicas=1'),
          /^error: Expected replicas to be 7, was 3\n$/,
        )
      })

      test('set image rolls out, history lists revisions, undo goes back', async () => {
        const k = await workspace()
        await k('create', 'deployment', 'web', '--image=app:1')
        await k('rollout', 'status', 'deployment/web', '--timeout=30s')
        expectOutput(
          await k('set', 'image', 'deployment/web', 'app=app:2'),
          'deployment.apps/web image updated\n',
        )
        await k('annotate', 'deployment/web', 'kubernetes.io/change-cause=second')
        expectOutput(
          await k('rollout', 'status', 'deployment/web', '--timeout=30s'),
          /successfully rolled out\n$/,
        )
        const history = await k('rollout', 'history', 'deployment/web')
        expectOutput(history, /^deployment\.apps\/web \nREVISION +CHANGE-CAUSE\n1 +<none>\n2 +second\n\n$/)
        const first = await k('rollout', 'history', 'deployment/web', '--revision=1')
        expectOutput(first, /Pod Template:\n[^]*Image:\s+app:1\n/)
        expectOutput(await k('rollout', 'undo', 'deployment/web'), 'deployment.apps/web rolled back\n')
        await k('rollout', 'status', 'deployment/web', '--timeout=30s')
        expectOutput(await k('get', 'deployment', 'web', '-o', 'jsonpath={..containers[*].image}'), 'app:1')
        expectOutput(await k('rollout', 'history', 'deployment/web'), /\n2 +second\n3 +<none>\n/)
        expectOutput(
          await k('rollout', 'undo', 'deployment/web', '--to-revision=2', '--dry-run=server'),
          /rolled back \(server dry run\)\n$/,
        )
        expectError(
          await k('rollout', 'undo', 'deployment/web', '--to-revision=9'),
          /unable to find specified revision 9 in history\n$/,
        )
      })

      test('rollout restart, pause and resume', async () => {
        const k = await workspace()
        await k('create', 'deployment', 'web', '--image=x')
        await k('rollout', 'status', 'deployment/web', '--timeout=30s')
        expectOutput(await k('rollout', 'restart', 'deployment/web'), 'deployment.apps/web restarted\n')
        await k('rollout', 'status', 'deployment/web', '--timeout=30s')
        expect(rows(await k('get', 'rs'))).toHaveLength(2)
        expectOutput(await k('rollout', 'pause', 'deployment/web'), 'deployment.apps/web paused\n')
        expectError(
          await k('rollout', 'pause', 'deployment/web'),
          /deployments\.apps "web" is already paused\n$/,
        )
        expectOutput(await k('rollout', 'resume', 'deployment/web'), 'deployment.apps/web resumed\n')
      })

      test('expose makes a service that finds the pods', async () => {
        const k = await workspace()
        await k('create', 'deployment', 'web', '--image=x', '--port=8080', '--replicas=2')
        await k('rollout', 'status', 'deployment/web', '--timeout=30s')
        expectOutput(
          await k('expose', 'deployment/web', '--port=80', '--target-port=8080', '--type=LoadBalancer'),
          'service/web exposed\n',
        )
        await eventually(
          async () => {
            const [row] = rows(await k('get', 'service', 'web'))
            expect(row).toEqual([
              'web',
              'LoadBalancer',
              expect.stringMatching(/^\d+\./),
              expect.stringMatching(/^\d+\./),
              expect.stringMatching(/^80:3\d{4}\/TCP$/),
              expect.any(String),
            ])
          },
          { timeoutMs: 30_000 },
        )
        const slices = await k('get', 'endpointslices')
        expect(header(slices)).toBe('NAME|ADDRESSTYPE|PORTS|ENDPOINTS|AGE')
        expect(rows(slices)[0]).toEqual([
          expect.stringMatching(/^web-/),
          'IPv4',
          '8080',
          expect.stringMatching(/^\d[\d.]+,\d[\d.]+$/),
          expect.any(String),
        ])
        expectOutput(
          await k('describe', 'service', 'web'),
          /\nType: +LoadBalancer\n[^]*\nEndpoints: +\d[\d.]+:8080,\d[\d.]+:8080\n/,
        )
      })

      test('logs are printed, followed, and asked of a deployment', async () => {
        const k = await workspace()
        await k('create', 'deployment', 'talks', '--image=x')
        await k('rollout', 'status', 'deployment/talks', '--timeout=30s')
        const all = await k('logs', 'deployment/talks')
        expect(all.code).toBe(0)
        expect(all.stdout.trim()).not.toBe('')
        const last = await k('logs', 'deployment/talks', '--tail=1')
        expect(last.stdout.trim().split('\n')).toHaveLength(1)
        const following = server.kubectl.follow([
          '-n',
          `work-${counter}`,
          'logs',
          '-f',
          '--tail=1',
          'deployment/talks',
        ])
        await eventually(() => expect(following.lines.length).toBeGreaterThan(2), { timeoutMs: 30_000 })
        await following.stop()
        expectError(
          await k('logs', 'deployment/talks', '-c', 'nope'),
          /container nope is not valid for pod talks-/,
        )
      })

      test('a pod that cannot start says why', async () => {
        const k = await workspace()
        await k('run', 'no-image', '--image=registry.invalid/nope:1')
        await k('run', 'no-room', '--image=x', '--overrides={"spec":{"nodeSelector":{"none":"x"}}}')
        await eventually(
          async () => {
            const shown = Object.fromEntries(rows(await k('get', 'pods')).map((row) => [row[0], row[2]]))
            expect(shown).toEqual({
              'no-image': expect.stringMatching(/^(ErrImagePull|ImagePullBackOff)$/),
              'no-room': 'Pending',
            })
          },
          { timeoutMs: 30_000 },
        )
        await eventually(
          async () => {
            const described = await k('describe', 'pod', 'no-room')
            expect(described.stdout).toMatch(
              /\nEvents:\n +Type +Reason +Age +From +Message\n[^]*Warning +FailedScheduling/,
            )
          },
          { timeoutMs: 30_000 },
        )
      })
    })

    describe('apply', () => {
      const manifest = (image: string, more = ''): string => `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: main, image: ${image}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: "1"${more}}
`
      test('client-side: created, unchanged, configured', async () => {
        const k = await workspace()
        const apply = (input: string, ...args: string[]): Promise<CommandResult> =>
          server.kubectl.run(['-n', `work-${counter}`, 'apply', ...args, '-f', '-'], { input })
        expectOutput(
          await apply(manifest('app:1', ', b: "2"')),
          'deployment.apps/web created\nconfigmap/settings created\n',
        )
        expectOutput(
          await apply(manifest('app:1', ', b: "2"')),
          'deployment.apps/web unchanged\nconfigmap/settings unchanged\n',
        )
        expectOutput(
          await apply(manifest('app:2')),
          'deployment.apps/web configured\nconfigmap/settings configured\n',
        )
        expectOutput(await k('get', 'cm', 'settings', '-o', 'jsonpath={.data}'), '{"a":"1"}')
        const diff = await server.kubectl.run(['-n', `work-${counter}`, 'diff', '-f', '-'], {
          input: manifest('app:3'),
        })
        expect(diff.code).toBe(1)
        expect(diff.stdout).toMatch(/^-\s+- image: app:2$/m)
        expect(diff.stdout).toMatch(/^\+\s+- image: app:3$/m)
        const dry = await apply(manifest('app:4'), '--dry-run=server')
        expect(dry.stdout).toMatch(/^deployment\.apps\/web configured \(server dry run\)$/m)
      })

      test('server-side: applied, a conflict is explained, force takes over', async () => {
        const k = await workspace()
        const apply = (input: string, ...args: string[]): Promise<CommandResult> =>
          server.kubectl.run(['-n', `work-${counter}`, 'apply', '--server-side', ...args, '-f', '-'], {
            input,
          })
        expectOutput(
          await apply(manifest('app:1')),
          'deployment.apps/web serverside-applied\nconfigmap/settings serverside-applied\n',
        )
        const conflict = await apply(manifest('app:2'), '--field-manager=other')
        expect(conflict.code).toBe(1)
        expect(conflict.stderr).toMatch(
          /Apply failed with 1 conflict: conflict with "kubectl"(?: using apps\/v1)?: \.spec\.template\.spec\.containers\[name="main"\]\.image/,
        )
        const forced = await apply(manifest('app:2'), '--field-manager=other', '--force-conflicts')
        expect(forced.code).toBe(0)
        expectOutput(await k('get', 'deployment', 'web', '-o', 'jsonpath={..containers[*].image}'), 'app:2')
      })

      test('a manifest with a field that no schema knows is refused', async () => {
        await workspace()
        const input = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndatum: {a: "1"}\n'
        const result = await server.kubectl.run(['-n', `work-${counter}`, 'apply', '-f', '-'], { input })
        expectError(result, /unknown field "datum"/)
      })

      test('replace, patch, edit-like changes, label and annotate', async () => {
        const k = await workspace()
        await k('create', 'configmap', 'c', '--from-literal=a=1')
        expectOutput(
          await k('patch', 'cm', 'c', '--type=merge', '-p', '{"data":{"b":"2"}}'),
          'configmap/c patched\n',
        )
        expectOutput(
          await k('patch', 'cm', 'c', '--type=merge', '-p', '{"data":{"b":"2"}}'),
          'configmap/c patched (no change)\n',
        )
        expectOutput(
          await k('patch', 'cm', 'c', '--type=json', '-p', '[{"op":"remove","path":"/data/b"}]'),
          'configmap/c patched\n',
        )
        expectOutput(await k('annotate', 'cm', 'c', 'note=hi'), 'configmap/c annotated\n')
        expectError(
          await k('label', 'cm', 'c', 'x=1', 'x-'),
          /can not both modify and remove a label in the same command/,
        )
        const input = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {z: "26"}\n'
        const replaced = await server.kubectl.run(['-n', `work-${counter}`, 'replace', '-f', '-'], { input })
        expectOutput(replaced, 'configmap/c replaced\n')
        expectOutput(await k('get', 'cm', 'c', '-o', 'jsonpath={.data}'), '{"z":"26"}')
      })
    })

    describe('nodes', () => {
      test('get nodes -o wide, describe node', async () => {
        const result = await any('get', 'nodes', '-o', 'wide')
        expect(header(result)).toBe(
          'NAME|STATUS|ROLES|AGE|VERSION|INTERNAL-IP|EXTERNAL-IP|OS-IMAGE|KERNEL-VERSION|CONTAINER-RUNTIME',
        )
        expect(rows(result).map(([name, status]) => `${name} ${status}`)).toEqual(
          server.nodeNames.toSorted().map((node) => `${node} Ready`),
        )
        const described = await any('describe', 'node', server.nodeNames[0] ?? '')
        expectOutput(
          described,
          /\nConditions:\n[^]*\n +Ready +True [^]*\nCapacity:\n[^]*\nAllocated resources:\n/,
        )
      })

      test('cordon, drain and uncordon', async () => {
        const k = await workspace()
        const node = server.nodeNames.at(-1) ?? ''
        const pinned = JSON.stringify({ spec: { nodeSelector: { 'kubernetes.io/hostname': node } } })
        await k('run', 'guest', '--image=x', `--overrides=${pinned}`)
        await k('wait', '--for=condition=Ready', 'pod/guest', '--timeout=30s')
        try {
          expectOutput(await any('cordon', node), `node/${node} cordoned\n`)
          expectOutput(await any('cordon', node), `node/${node} already cordoned\n`)
          const [row] = rows(await any('get', 'node', node))
          expect(row?.[1]).toBe('Ready,SchedulingDisabled')
          const refused = await any('drain', node, '--ignore-daemonsets', '--timeout=20s')
          expectError(
            refused,
            /cannot delete (cannot delete )?Pods (that declare no controller|not managed by .*) \(use --force to override\)/,
          )
          const drained = await any(
            'drain',
            node,
            '--ignore-daemonsets',
            '--force',
            '--delete-emptydir-data',
            '--timeout=60s',
          )
          expect(drained.code).toBe(0)
          expect(drained.stdout).toMatch(
            new RegExp(`pod/guest evicted\n[^]*node/${node} (drained|evicted)\n$`),
          )
        } finally {
          expectOutput(await any('uncordon', node), `node/${node} uncordoned\n`)
        }
      })

      test('taint', async () => {
        const node = server.nodeNames[0] ?? ''
        expectOutput(
          await any('taint', 'node', node, 'fleetgraph.test/x=y:PreferNoSchedule'),
          `node/${node} tainted\n`,
        )
        expectOutput(await any('taint', 'node', node, 'fleetgraph.test/x-'), `node/${node} untainted\n`)
      })
    })

    describe('questions', () => {
      test('auth can-i answers yes and no, for oneself and for others', async () => {
        const k = await workspace()
        expectOutput(await k('auth', 'can-i', 'create', 'pods'), 'yes\n')
        const no = await k('auth', 'can-i', 'create', 'pods', '--as=jane')
        expect(no).toMatchObject({ code: 1, stdout: 'no\n' })
        await k('create', 'role', 'reader', '--verb=get,list', '--resource=pods')
        await k('create', 'rolebinding', 'readers', '--role=reader', '--group=devs')
        await eventually(async () => {
          expect((await k('auth', 'can-i', 'list', 'pods', '--as=jane', '--as-group=devs')).stdout).toBe(
            'yes\n',
          )
        })
        const listed = await k('auth', 'can-i', '--list', '--as=jane', '--as-group=devs')
        expect(listed.stdout).toMatch(/^Resources +Non-Resource URLs +Resource Names +Verbs\n/)
        expect(listed.stdout).toMatch(/^pods +\[\] +\[\] +\[get list\]$/m)
        expectError(
          await k('get', 'secrets', '--as=jane'),
          /^Error from server \(Forbidden\): secrets is forbidden: User "jane" cannot list resource "secrets" in API group "" in the namespace "work-\d+"\n$/,
        )
      })

      test('auth whoami', async (context) => {
        needs(context, 28, 'kubectl auth whoami')
        const result = await any(
          'auth',
          'whoami',
          '--as=jane',
          '--as-group=devs',
          '-o',
          'jsonpath={.status.userInfo.username} {.status.userInfo.groups}',
        )
        expectOutput(result, 'jane ["devs","system:authenticated"]')
      })

      test('api-resources and api-versions', async () => {
        const all = await any('api-resources')
        expect(header(all)).toBe('NAME|SHORTNAMES|APIVERSION|NAMESPACED|KIND')
        expect(all.stdout).toMatch(/^pods +po +v1 +true +Pod$/m)
        expect(all.stdout).toMatch(/^deployments +deploy +apps\/v1 +true +Deployment$/m)
        const apps = await any('api-resources', '--api-group=apps', '-o', 'name')
        expect(apps.stdout.trim().split('\n')).toEqual(
          expect.arrayContaining([
            'daemonsets.apps',
            'deployments.apps',
            'replicasets.apps',
            'statefulsets.apps',
          ]),
        )
        const watchable = await any('api-resources', '--verbs=list,watch', '--namespaced=false', '-o', 'name')
        expect(watchable.stdout.split('\n')).toEqual(expect.arrayContaining(['nodes', 'namespaces']))
        expect((await any('api-versions')).stdout.split('\n')).toEqual(
          expect.arrayContaining(['v1', 'apps/v1', 'batch/v1']),
        )
      })

      test('explain reads the schema', async (context) => {
        needs(context, 27, 'explain from OpenAPI v3')
        expectOutput(
          await any('explain', 'deployment.spec.replicas'),
          /KIND: +Deployment\n[^]*FIELD: replicas <integer>\n/,
        )
        expectOutput(await any('explain', 'pod'), /KIND: +Pod\n[^]*\n +spec\t<PodSpec>\n/)
      })

      test('version and cluster-info reach the server', async () => {
        // A kubectl of another release warns on standard error, which is no fault of the server.
        expect((await any('version', '-o', 'json')).stdout).toMatch(
          /"serverVersion": \{[^]*"gitVersion": "v1\.\d+/,
        )
        expect((await any('cluster-info')).stdout).toMatch(/Kubernetes control plane.* is running at/)
      })

      test('describe tells of a deployment and of its pods', async () => {
        const k = await workspace()
        await k('create', 'deployment', 'web', '--image=app:1', '--replicas=2')
        await k('rollout', 'status', 'deployment/web', '--timeout=30s')
        const deployment = await k('describe', 'deployment', 'web')
        expectOutput(
          deployment,
          /^Name: +web\n[^]*\nReplicas: +2 desired \| 2 updated \| 2 total \| 2 available \| 0 unavailable\nStrategyType: +RollingUpdate\n[^]*\nNewReplicaSet: +web-[a-z0-9]+ \(2\/2 replicas created\)\nEvents:\n[^]*Scaled up replica set/,
        )
        const [first = ''] = (await k('get', 'pods', '-o', 'name')).stdout.split('\n')
        await eventually(async () => {
          const pod = await k('describe', first)
          expectOutput(
            pod,
            /\nControlled By: +ReplicaSet\/web-[^]*\nQoS Class: +BestEffort\n[^]*\n +Normal +Scheduled /,
          )
        })
      })

      test('wait gives up in time', async (context) => {
        needs(context, 23, 'waiting for a JSONPath')
        const k = await workspace()
        await k('create', 'configmap', 'never')
        expectError(
          await k('wait', '--for=jsonpath={.data.x}=1', 'cm/never', '--timeout=1s'),
          'error: timed out waiting for the condition on configmaps/never\n',
        )
        await k('run', 'leaves', '--image=x')
        await k('delete', 'pod', 'leaves', '--wait=false')
        expectOutput(
          await k('wait', '--for=delete', 'pod/leaves', '--timeout=30s'),
          /^(pod\/leaves condition met\n)?$/,
        )
      })

      test('events and get events tell what happened', async (context) => {
        needs(context, 26, 'kubectl events')
        const k = await workspace()
        await k('create', 'deployment', 'web', '--image=x')
        await eventually(
          async () => {
            const events = await k('get', 'events', '--field-selector=involvedObject.kind=Deployment')
            expect(header(events)).toBe('LAST SEEN|TYPE|REASON|OBJECT|MESSAGE')
            expect(rows(events)[0]?.slice(1, 4)).toEqual(['Normal', 'ScalingReplicaSet', 'deployment/web'])
          },
          { timeoutMs: 20_000 },
        )
        expect((await k('events', '--for=deployment/web')).stdout).toMatch(
          /^LAST SEEN +TYPE +REASON +OBJECT +MESSAGE\n/,
        )
      })
    })
  })
}
