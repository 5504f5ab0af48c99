/** The command line: what it prints, where, and with which exit code. */
import { execFile } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { parse, stringify } from 'yaml'
import { startGatewayProcess } from '../support/gateway-process.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const taken = createServer()
const scratch = mkdtempSync(join(tmpdir(), 'fleetgraph-commands-'))
afterAll(() => {
  taken.close()
  rmSync(scratch, { recursive: true, force: true })
})

interface Result {
  readonly code: number
  readonly output: string
  readonly errors: string
}

function fleetgraph(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Result> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [MAIN, ...args],
      { env: { PATH: process.env['PATH'], KUBECONFIG: '/dev/null', ...env }, timeout: 30_000 },
      (error, output, errors) =>
        resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, output, errors }),
    )
  })
}

describe('fleetgraph', () => {
  it('tells its commands with --help, and without any command ends with 2', async () => {
    const help = await fleetgraph(['--help'])
    expect(help.code).toBe(0)
    for (const command of ['serve', 'demo', 'check', 'token', 'schema'])
      expect(help.output).toContain(`  ${command} `)
    const nothing = await fleetgraph([])
    expect(nothing).toMatchObject({ code: 2, output: '' })
    expect(nothing.errors).toContain('Usage: fleetgraph COMMAND')
  })

  it.each(['serve', 'demo', 'check', 'token', 'schema'])(
    'tells the options of %s with --help',
    async (command) => {
      const { code, output } = await fleetgraph([command, '--help'])
      expect(code).toBe(0)
      expect(output).toMatch(new RegExp(`^Usage: fleetgraph ${command} `))
    },
  )

  it('ends with 2 and the usage for a command or an option that does not exist', async () => {
    const command = await fleetgraph(['sevre'])
    expect(command.code).toBe(2)
    expect(command.errors).toContain('there is no command "sevre"')
    const option = await fleetgraph(['serve', '--confg', 'x'])
    expect(option.code).toBe(2)
    expect(option.errors).toMatch(/--confg[^]*Usage: fleetgraph serve/)
  })

  it('prints the committed schema', async () => {
    const { code, output } = await fleetgraph(['schema'])
    expect(code).toBe(0)
    expect(output).toBe(readFileSync(new URL('../../schema/schema.graphql', import.meta.url), 'utf8'))
  })

  it('ends with 2 for a configuration that is not there', async () => {
    const { code, errors } = await fleetgraph(['serve', '--config', '/nowhere/fleetgraph.yaml'])
    expect(code).toBe(2)
    expect(errors).toContain('/nowhere/fleetgraph.yaml: the file cannot be read')
  })

  it('does not serve where nobody could sign in, and says how to make a token', async () => {
    const { code, errors } = await fleetgraph(['serve'])
    expect(code).toBe(2)
    expect(errors).toContain('There is no way to sign in')
    expect(errors).toContain('fleetgraph token create')
  })

  it('shows a demo, which lets everyone in, on loopback only', async () => {
    const { code, errors } = await fleetgraph(['demo', '--kubeconfig', join(scratch, 'kubeconfig')], {
      FLEETGRAPH_SERVER_HOST: '0.0.0.0',
    })
    expect(code).toBe(1)
    expect(errors).toContain('Refusing to listen on 0.0.0.0')
  })

  it('makes tokens, prints each once, and adds its hash to the file, which keeps what it says', async () => {
    const file = join(scratch, 'my-tokens.yaml')
    const first = await fleetgraph([
      'token',
      'create',
      '--name',
      'me',
      '--group',
      'a',
      '--group',
      'b',
      '--file',
      file,
    ])
    expect(first).toMatchObject({ code: 0, errors: '' })
    writeFileSync(file, readFileSync(file, 'utf8').replace('tokens:', '# ours\ntokens:'))
    const second = await fleetgraph([
      'token',
      'create',
      '--name',
      'bot',
      '--user',
      'bots:one',
      '--days',
      '2',
      '--file',
      file,
    ])
    const text = readFileSync(file, 'utf8')
    expect(text).toContain('# ours')
    for (const { output } of [first, second]) expect(text).not.toContain(output.trim())
    expect(parse(text)).toEqual({
      tokens: [
        { name: 'me', hash: expect.any(String), user: 'me', groups: ['a', 'b'] },
        {
          name: 'bot',
          hash: expect.any(String),
          user: 'bots:one',
          groups: [],
          expiresAt: expect.stringMatching(/^\d{4}-/),
        },
      ],
    })
    expect(statSync(file).mode & 0o777).toBe(0o600)
    const gateway = await startGatewayProcess({ authentication: { tokensFile: file }, clusters: [] })
    const { viewer } = await gateway.query<{ viewer: object }>(
      '{ viewer { name method } }',
      {},
      second.output.trim(),
    )
    expect(viewer).toEqual({ name: 'bots:one', method: 'TOKEN' })
    expect(await gateway.close()).toBe(0)
  })

  it('adds no entry that would make the file one that a gateway does not take', async () => {
    const file = join(scratch, 'shared-tokens.yaml')
    const create = (...more: string[]) => fleetgraph(['token', 'create', '--file', file, ...more])
    expect((await create('--name', 'ci')).code).toBe(0)
    chmodSync(file, 0o640)
    const before = readFileSync(file, 'utf8')
    const refused = [
      [['--name', 'ci'], 'tokens[1].name: stands there twice'],
      [['--name', 'other', '--user', ''], 'tokens[1].user'],
      [['--name', 'other', '--user', 'a\nb'], 'tokens[1]'],
      [['--name', 'other', '--days', '4000000'], '--days'],
    ] as const
    await Promise.all(
      refused.map(async ([args, why]) => {
        expect(await create(...args)).toEqual({ code: 2, output: '', errors: expect.stringContaining(why) })
      }),
    )
    expect(readFileSync(file, 'utf8')).toBe(before)
    // Who could read it still can.
    expect((await create('--name', 'other')).code).toBe(0)
    expect(statSync(file).mode & 0o777).toBe(0o640)
  })

  it.each([
    [['token'], 'Expected "create"'],
    [['token', 'create'], '--name NAME is needed'],
    [['token', 'create', '--name', 'x', '--days', '0'], '--days takes a number above 0'],
  ])('refuses %j, and says what was expected', async (args, message) => {
    const { code, errors } = await fleetgraph(args)
    expect(code).toBe(2)
    expect(errors).toContain(message)
    expect(errors).toContain('Usage: fleetgraph token create')
  })

  it('knows the names of its clusters when it begins to listen, though none of them answers', async () => {
    const names = Array.from({ length: 100 }, (_, i) => `dark-${i}`)
    const path = mkdtempSync(join(tmpdir(), 'fleetgraph-dark-'))
    for (const name of names) {
      const server = 'http://127.0.0.1:1'
      const text = stringify({
        'current-context': name,
        clusters: [{ name, cluster: { server } }],
        contexts: [{ name, context: { cluster: name, user: '' } }],
      })
      writeFileSync(join(path, `${name}.yaml`), text)
    }
    const clusters = [{ type: 'directory', path }]
    const gateway = await startGatewayProcess({ clusters })
    const { pods } = await gateway.query<{ pods: { coverage: readonly { cluster: string }[] } }>(
      '{ pods { coverage { cluster } } }',
    )
    expect(pods.coverage.map(({ cluster }) => cluster)).toEqual(names.toSorted())
    expect(await gateway.close()).toBe(0)
    rmSync(path, { recursive: true })
  })

  it('ends with 1 and says so when its port is taken', async () => {
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    const { port } = taken.address() as AddressInfo
    const { code, errors } = await fleetgraph(['demo', '--kubeconfig', join(scratch, 'kubeconfig')], {
      FLEETGRAPH_SERVER_PORT: String(port),
    })
    expect(code).toBe(1)
    expect(errors).toContain(`EADDRINUSE`)
    expect(errors).toContain(String(port))
  })

  it('says in check that no cluster is configured', async () => {
    const { code, output } = await fleetgraph(['check'])
    expect(code).toBe(1)
    expect(output).toContain('No cluster is configured')
  })
})
