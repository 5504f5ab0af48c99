/**
 * The container image and the compose file. No Docker runs here, so what they say is taken at its word:
 * files and commands that they name exist, references meet, scripts in them are run as they stand, and the
 * gateway runs with nothing but what the image holds.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { loadConfig } from '../../src/config.ts'
import { ADMIN, writeTokens } from '../support/test-tokens.ts'

/** Of tests that start our process. */
const SLOW = { timeout: 60_000 }

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const read = (name: string): string => readFileSync(join(ROOT, name), 'utf8')

interface Instruction {
  readonly verb: string
  readonly rest: string
}

const IMAGE: readonly Instruction[] = read('Dockerfile')
  .split('\n')
  .filter((line) => !line.startsWith('#'))
  .join('\n')
  .replaceAll(/\\\n\s*/g, '')
  .split('\n')
  .filter((line) => line.trim() !== '')
  .map((line) => {
    const [verb = '', ...rest] = line.split(' ')
    return { verb, rest: rest.join(' ') }
  })
const all = (verb: string): string[] => IMAGE.filter((each) => each.verb === verb).map(({ rest }) => rest)
const last = (verb: string): string => all(verb).at(-1) ?? ''

interface Service {
  readonly image: string
  readonly build?: string
  readonly command?: readonly string[]
  readonly entrypoint?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly ports?: readonly string[]
  readonly user?: string
  readonly read_only?: boolean
  readonly privileged?: boolean
  readonly cap_drop?: readonly string[]
  readonly volumes?: readonly string[]
  readonly healthcheck?: { readonly test: readonly string[] }
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
}
interface Compose {
  readonly services: Readonly<Record<string, Service>>
  readonly volumes: Readonly<Record<string, null>>
}

/** `$$` is one dollar for Compose; a single one would be a variable of whoever runs it. */
const COMPOSE_TEXT = read('docker-compose.yml')
const compose = parse(COMPOSE_TEXT.replaceAll('$$', '$'), { merge: true }) as Compose
const GATEWAYS = ['gateway-1', 'gateway-2']
const gateways = GATEWAYS.map((name) => compose.services[name]!)

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'fleetgraph-docker-'))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

describe('the image', () => {
  it('is based on the Node that the tests run on, pinned', () => {
    const { dependencies } = JSON.parse(read('package.json')) as { dependencies: Record<string, string> }
    for (const from of all('FROM')) expect(from).toMatch(`node:${dependencies['node']}-slim`)
  })

  it('copies what exists, what the build context holds, and what a start needs', () => {
    const sent = read('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1))
    const copied = all('COPY')
      .filter((rest) => !rest.startsWith('--from'))
      .flatMap((rest) => rest.split(' ').slice(0, -1))
    for (const name of copied) expect(existsSync(join(ROOT, name)), name).toBe(true)
    expect([...new Set(copied)].toSorted()).toEqual(sent.toSorted())
    const [, entry] = JSON.parse(last('ENTRYPOINT')) as [string, string]
    expect(copied).toContain(dirname(entry))
    expect(existsSync(join(ROOT, entry))).toBe(true)
  })

  it('runs as a user that is not root, named by number', () => {
    expect(last('USER')).toMatch(/^[1-9]\d*:[1-9]\d*$/)
  })

  it('is healthy while /healthz answers 200, and only then', async () => {
    const server: Server = createServer((request, response) => {
      response.writeHead(request.url === '/healthz' ? status : 404).end()
    })
    let status = 200
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const port = String((server.address() as AddressInfo).port)
    const [, command] = /CMD (\[.*\])$/.exec(last('HEALTHCHECK'))!
    const [node, ...args] = JSON.parse(command!) as string[]
    expect(node).toBe('node')
    const check = (): Promise<number> =>
      new Promise((resolve) => {
        const child = execFile(process.execPath, args, { env: { FLEETGRAPH_SERVER_PORT: port } })
        child.once('exit', (code) => resolve(code ?? -1))
      })
    expect(await check()).toBe(0)
    status = 500
    expect(await check()).toBe(1)
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
    expect(await check()).toBe(1)
  })

  it(
    'holds all that the gateway needs to serve, with packages of production alone and nowhere to write',
    SLOW,
    async () => {
      const app = productionLayout(join(directory, 'app'))
      const tokens = join(directory, 'image-tokens.yaml')
      writeTokens(tokens, [ADMIN])
      const [, entry] = JSON.parse(last('ENTRYPOINT')) as [string, string]
      const command = JSON.parse(last('CMD')) as string[]
      const child = spawn(
        process.execPath,
        // The packages are links to those of the project; resolving them there would find its tools, too.
        ['--preserve-symlinks', '--preserve-symlinks-main', entry, ...command],
        {
          cwd: app,
          env: {
            FLEETGRAPH_SERVER_PORT: '0',
            FLEETGRAPH_AUTHENTICATION_TOKENS_FILE: tokens,
            KUBECONFIG: '/dev/null',
            HOME: '/nowhere',
            TMPDIR: '/nowhere',
          },
          stdio: ['ignore', 'ignore', 'pipe'],
        },
      )
      const lines: string[] = []
      try {
        const url = await new Promise<string>((resolve, reject) => {
          createInterface({ input: child.stderr }).on('line', (line) => {
            lines.push(line)
            const found = /"url":"(http:[^"]+)"/.exec(line)?.[1]
            if (found !== undefined) resolve(found)
          })
          child.once('exit', (code) => reject(new Error(`exit code ${code}:\n${lines.join('\n')}`)))
        })
        expect((await fetch(`${url}/healthz`)).status).toBe(200)
        const page = await fetch(`${url}/graphql`, { headers: { accept: 'text/html' } })
        expect(await page.text()).toContain('The whole fleet in one request')
      } finally {
        const exited = child.exitCode === null ? once(child, 'exit') : undefined
        child.kill('SIGTERM')
        await exited
      }
      expect(child.exitCode).toBe(0)
    },
  )
})

describe('the compose file', () => {
  it('pins every image', () => {
    for (const [name, { image, build }] of Object.entries(compose.services)) {
      if (build === undefined) expect(image, name).toMatch(/:v?\d+\.\d+\.\d+/)
    }
  })

  it('names only services, volumes and health checks that it has', () => {
    for (const [name, service] of Object.entries(compose.services)) {
      for (const [other, { condition }] of Object.entries(service.depends_on ?? {})) {
        const target = compose.services[other]
        expect(target, `${name} depends on ${other}`).toBeDefined()
        if (condition === 'service_healthy') expect(target!.healthcheck, other).toBeDefined()
      }
      for (const volume of service.volumes ?? []) {
        expect(Object.keys(compose.volumes)).toContain(volume.split(':')[0])
      }
    }
  })

  it('gives nobody more rights than they need: root and a writable file system only to k3s', () => {
    for (const [name, service] of Object.entries(compose.services)) {
      if (service.image.startsWith('rancher/k3s')) continue
      expect(service.privileged, name).toBeUndefined()
      expect(service.read_only, name).toBe(true)
      expect(service.cap_drop, name).toEqual(['ALL'])
      if (name !== 'kubeconfigs') expect(service.user, name).toMatch(/^[1-9]\d*:[1-9]\d*$/)
    }
    for (const { user } of gateways) expect(user).toBe(last('USER'))
  })

  it('opens one port, and that on loopback of the machine only', () => {
    const ports = Object.values(compose.services).flatMap((service) => service.ports ?? [])
    expect(ports).toEqual(['127.0.0.1:4000:4000'])
  })

  it('lets the proxy send to each of the replicas, which let nobody in without a token', () => {
    const { proxy, token } = compose.services
    const upstreams = GATEWAYS.map((name, index) => {
      const { environment = {}, volumes } = gateways[index]!
      const { server, redis, authentication } = loadConfig(undefined, environment)
      expect(server.host).toBe('0.0.0.0')
      expect(volumes).toContain('tokens:/tokens:ro')
      expect(authentication.tokensFile).toBe(token!.command!.at(-1))
      const { hostname } = new URL(redis.url)
      expect(compose.services[hostname]?.command).toContain('redis-server')
      return `${name}:${server.port}`
    })
    expect(/reverse_proxy (.*) \{/.exec(proxy!.environment!['CADDYFILE']!)![1]!.split(' ')).toEqual(upstreams)
  })

  it('makes the token once, prints it, and makes no other when it is started anew', SLOW, async () => {
    const { entrypoint, command } = compose.services['token']!
    const tokens = join(directory, 'tokens.yaml')
    const [shell, ...args] = [...entrypoint!, ...command!].map((word) =>
      word.replaceAll('/tokens/tokens.yaml', tokens).replace('src/main.ts', join(ROOT, 'src/main.ts')),
    )
    const env = { PATH: `${dirname(process.execPath)}:/usr/bin:/bin` }
    const first = await run(shell!, args, env)
    expect(first.output).toMatch(/^fg_\w+/m)
    const written = readFileSync(tokens, 'utf8')
    expect(written).not.toContain(/^fg_\w+/m.exec(first.output)![0])
    expect(await run(shell!, args, env)).toEqual({ code: 0, output: '' })
    expect(readFileSync(tokens, 'utf8')).toBe(written)
  })

  it('hands the proxy its configuration unharmed through the shell', async () => {
    const { entrypoint, environment } = compose.services['proxy']!
    const [shell, ...args] = entrypoint!
    const stub = executable('caddy', 'echo "$@"; cat')
    const { output } = await run(shell!, args, { ...environment, PATH: `${stub}:/usr/bin:/bin` })
    expect(output).toBe(`run --config - --adapter caddyfile\n${environment!['CADDYFILE']}`)
  })

  it('gives the gateways a kubeconfig of each cluster, under its own name and address', async () => {
    const { command, environment, volumes } = compose.services['kubeconfigs']!
    const clusters = Object.entries(compose.services).filter(([, { image }]) => image.includes('k3s'))
    const [from, to] = [join(directory, 'from'), join(directory, 'to')]
    mkdirSync(to)
    for (const [name, { command: flags, volumes: written }] of clusters) {
      expect(flags).toContain(`--tls-san=${name}`)
      expect(volumes).toContain(`${written![0]!.split(':')[0]}:${environment!['FROM']}/${name}:ro`)
      mkdirSync(join(from, name), { recursive: true })
      writeFileSync(join(from, name, 'k3s.yaml'), K3S_KUBECONFIG)
    }
    const [shell, ...args] = command!
    const stub = executable('chown', 'test "$1" = 1000:1000')
    // Again, as when it is started anew over what it wrote before.
    for (let times = 0; times < 2; times += 1) {
      const env = { FROM: from, TO: to, TOKENS: to, PATH: `${stub}:/usr/bin:/bin` }
      const { code, output } = await run(shell!, args, env)
      expect(code, output).toBe(0)
    }
    const files = gateways[0]!.environment!['KUBECONFIG']!.split(':')
    expect(files).toEqual(clusters.map(([name]) => `/kubeconfigs/${name}.yaml`))
    expect(volumes).toContain('kubeconfigs:/to')
    for (const [index, [name]] of clusters.entries()) {
      const file = join(to, files[index]!.slice('/kubeconfigs/'.length))
      expect(statSync(file).mode & 0o777).toBe(0o400)
      expect(parse(readFileSync(file, 'utf8'))).toEqual({
        apiVersion: 'v1',
        kind: 'Config',
        preferences: {},
        clusters: [
          { name, cluster: { server: `https://${name}:6443`, 'certificate-authority-data': 'Y2E=' } },
        ],
        contexts: [{ name, context: { cluster: name, user: name } }],
        'current-context': name,
        users: [{ name, user: { 'client-certificate-data': 'Y2VydA==', 'client-key-data': 'ZGVmYXVsdA==' } }],
      })
    }
  })

  it('leaves no single dollar to the variables of whoever runs it', () => {
    expect(COMPOSE_TEXT.replaceAll('$$', '')).not.toContain('$')
  })
})

/** As k3s writes it. */
const K3S_KUBECONFIG = `apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: Y2E=
    server: https://127.0.0.1:6443
  name: default
contexts:
- context:
    cluster: default
    user: default
  name: default
current-context: default
kind: Config
preferences: {}
users:
- name: default
  user:
    client-certificate-data: Y2VydA==
    client-key-data: ZGVmYXVsdA==
`

/** The files of the final stage, as links: packages as `npm ci --omit=dev --ignore-scripts` leaves them. */
function productionLayout(app: string): string {
  const { packages } = JSON.parse(read('package-lock.json')) as {
    packages: Record<string, { readonly dev?: boolean }>
  }
  const link = (name: string): void => {
    mkdirSync(dirname(join(app, name)), { recursive: true })
    symlinkSync(join(ROOT, name), join(app, name))
  }
  for (const [path, { dev }] of Object.entries(packages)) {
    const nested = path.indexOf('/node_modules/') !== -1
    if (path.startsWith('node_modules/') && dev !== true && !nested && path !== 'node_modules/node') {
      if (existsSync(join(ROOT, path))) link(path)
    }
  }
  for (const name of ['package.json', 'src', 'examples/portal/tour']) link(name)
  return app
}

/** A directory for the PATH with one program in it. */
function executable(name: string, script: string): string {
  const path = join(directory, `bin-${name}`)
  mkdirSync(path, { recursive: true })
  writeFileSync(join(path, name), `#!/bin/sh\n${script}\n`)
  chmodSync(join(path, name), 0o755)
  return path
}

function run(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<{ readonly code: number; readonly output: string }> {
  return new Promise((resolve) => {
    execFile(command, args, { env, timeout: 20_000 }, (error, stdout, stderr) =>
      resolve({
        code: typeof error?.code === 'number' ? error.code : error ? -1 : 0,
        output: stdout + stderr,
      }),
    )
  })
}
