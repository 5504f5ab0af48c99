/**
 * The gateway as its users run it: a process of its own, spoken to over its socket. `close()` ends it by
 * SIGTERM and answers its exit code; a test that dies takes it along.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'
import { ADMIN, writeTokens, type TestToken } from './test-tokens.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export interface GraphQLAnswer<T> {
  readonly data?: T
  readonly errors?: readonly {
    readonly message: string
    readonly path?: readonly (string | number)[]
    readonly extensions?: { readonly code?: string }
  }[]
}

export interface GatewayProcess {
  /** `http://127.0.0.1:PORT/graphql` */
  readonly url: string
  readonly pid: number
  /** Log lines so far, parsed. */
  readonly log: readonly Readonly<Record<string, unknown>>[]
  /** What it printed to standard output. */
  readonly output: () => string
  /** One GraphQL request, with this token or else its own; throws when the answer has errors. */
  query<T>(document: string, variables?: Readonly<Record<string, unknown>>, token?: string): Promise<T>
  /** The same, with the errors. */
  ask<T>(
    document: string,
    variables?: Readonly<Record<string, unknown>>,
    token?: string,
  ): Promise<GraphQLAnswer<T>>
  /** SIGTERM; resolves with the exit code. Idempotent. */
  close(): Promise<number | null>
}

/**
 * `fleetgraph serve` with this configuration, on a free port. Resolves when it listens. Unless the
 * configuration says how to sign in, the administrator and the owners of these tokens can.
 */
export async function startGatewayProcess(
  config: Readonly<Record<string, unknown>>,
  tokens: readonly TestToken[] = [],
): Promise<GatewayProcess> {
  const directory = mkdtempSync(join(tmpdir(), 'fleetgraph-gateway-'))
  const file = join(directory, 'fleetgraph.yaml')
  const { server, authentication, ...rest } = config as { server?: object; authentication?: object }
  const tokensFile = join(directory, 'tokens.yaml')
  writeTokens(tokensFile, [ADMIN, ...tokens])
  writeFileSync(
    file,
    stringify({
      ...rest,
      server: { port: 0, ...server },
      authentication: authentication ?? { tokensFile },
    }),
  )
  return startCommand(
    ['serve', '--config', file],
    {},
    {
      token: ADMIN.token,
      onExit: () => rmSync(directory, { recursive: true, force: true }),
    },
  )
}

/**
 * A command of `src/main.ts` that serves. `token`: whose requests are sent that name no other; without it they
 * show none. `onExit` runs once, when the process is gone.
 */
export async function startCommand(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  { token: own, onExit }: { readonly token?: string; readonly onExit?: () => void } = {},
): Promise<GatewayProcess> {
  const child = spawn(process.execPath, [join(ROOT, 'src/main.ts'), ...args], {
    cwd: ROOT,
    env: { ...withoutConfiguration(process.env), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const killed = (): void => void child.kill('SIGKILL')
  process.once('exit', killed)
  const exited = once(child, 'exit').then(() => {
    process.off('exit', killed)
    onExit?.()
    return child.exitCode
  })
  let output = ''
  child.stdout.on('data', (chunk) => (output += String(chunk)))
  const log: Record<string, unknown>[] = []
  const url = await listening(child, log, exited)
  const ask = async <T>(
    query: string,
    variables: Readonly<Record<string, unknown>> = {},
    token = own,
  ): Promise<GraphQLAnswer<T>> => {
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify({ query, variables }),
    })
    return (await response.json()) as GraphQLAnswer<T>
  }
  return {
    url,
    pid: child.pid!,
    log,
    output: () => output,
    ask,
    async query<T>(document: string, variables?: Readonly<Record<string, unknown>>, token?: string) {
      const { data, errors } = await ask<T>(document, variables, token)
      if (errors || data === undefined) throw new Error(JSON.stringify(errors, undefined, 2))
      return data
    },
    close() {
      child.kill('SIGTERM')
      return exited
    },
  }
}

/** The configuration of a test is what the test says, whatever stands in the environment around it. */
function withoutConfiguration(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !name.startsWith('FLEETGRAPH_') && name !== 'REDIS_URL'),
  )
}

/** The URL from the line that says where it listens; rejects with the log when the process ends first. */
function listening(
  child: ChildProcess,
  log: Record<string, unknown>[],
  exited: Promise<number | null>,
): Promise<string> {
  const raw: string[] = []
  return new Promise((resolve, reject) => {
    createInterface({ input: child.stderr! }).on('line', (line) => {
      raw.push(line)
      if (!line.startsWith('{')) return
      const entry = JSON.parse(line) as Record<string, unknown>
      log.push(entry)
      const { msg, url } = entry
      if (typeof msg === 'string' && msg.startsWith('listening on') && typeof url === 'string') {
        resolve(`${url}/graphql`)
      }
    })
    void exited.then((code) => reject(new Error(`exit code ${code}:\n${raw.join('\n')}`)))
  })
}
