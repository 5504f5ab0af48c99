import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { ConfigError, configKeys, entryKeys, loadConfig } from '../../src/config.ts'

const directory = mkdtempSync(join(tmpdir(), 'fleetgraph-config-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

function file(text: string): string {
  const path = join(directory, `${crypto.randomUUID()}.yaml`)
  writeFileSync(path, text)
  return path
}

function problems(text: string, env: Record<string, string> = {}): readonly string[] {
  try {
    loadConfig(file(text), env)
  } catch (error) {
    if (error instanceof ConfigError) {
      return error.problems.map((line) => line.replace(directory, '').replace(/^\/[-0-9a-f]+/, 'file'))
    }
    throw error
  }
  return []
}

const example = new URL('../../examples/fleetgraph.yaml', import.meta.url).pathname

describe('the configuration', () => {
  it('serves every context of the default kubeconfig on loopback when nothing is given', () => {
    const config = loadConfig(undefined, {})
    expect(config.server.host).toBe('127.0.0.1')
    expect(config.clusters).toEqual([{ type: 'kubeconfig', labels: {}, contextLabels: {} }])
  })

  it('shows every key with its default in examples/fleetgraph.yaml, and no other', () => {
    const documented = new Map<string, unknown>()
    const entries: [string, readonly string[]][] = []
    const { clusters, ...sections } = parse(readFileSync(example, 'utf8')) as Record<
      string,
      Record<string, unknown>
    > & { clusters: { type: string }[] }
    for (const entry of clusters) entries.push([`clusters ${entry.type}`, Object.keys(entry)])
    for (const [section, values] of Object.entries(sections)) {
      for (const [key, value] of Object.entries(values)) {
        const name = `${section}.${key}`
        documented.set(name, value)
        // Of lists whose entries have keys of their own one is shown; the default is none.
        if (!Array.isArray(value) || typeof value[0] !== 'object') continue
        documented.set(name, [])
        entries.push([name, Object.keys(value[0] as object)])
      }
    }
    expect(Object.fromEntries(documented)).toEqual(Object.fromEntries(configKeys()))
    const sorted = (all: Iterable<readonly [string, readonly string[]]>) =>
      Object.fromEntries(Array.from(all, ([name, keys]) => [name, [...keys].sort()]))
    expect(sorted(entries)).toEqual(sorted(entryKeys()))
    expect(() => loadConfig(example, {})).not.toThrow()
  })

  it('takes the address of Redis from REDIS_URL, unless the variable of its own says otherwise', () => {
    const env = { REDIS_URL: 'redis://one:6379' }
    expect(loadConfig(undefined, env).redis.url).toBe('redis://one:6379')
    const both = { FLEETGRAPH_REDIS_URL: 'rediss://two:6379', ...env }
    expect(loadConfig(undefined, both).redis.url).toBe('rediss://two:6379')
  })

  it('never repeats an address of Redis that is wrong: it may hold a password', () => {
    expect(problems('redis:\n  url: http://user:hunter2@redis\n')).toEqual([
      'file.yaml:2:8: redis.url: expected redis://, rediss://, redis-sentinel:// or redis-cluster://.',
    ])
  })

  it('names file, line, column, key and what was expected, for every problem at once', () => {
    expect(problems('server:\n  port: abc\n  hots: x\nclusters:\n  - type: bogus\n')).toEqual([
      'file.yaml:2:9: server.port: expected number, received string, got "abc".',
      'file.yaml:3:3: server.hots: there is no such key; see examples/fleetgraph.yaml for all of them.',
      `file.yaml:5:11: clusters[0].type: Invalid discriminator value. Expected 'kubeconfig' | 'directory' | 'inCluster' | 'server', got {"type":"bogus"}.`,
    ])
  })

  it('points at the entry in which a key is missing', () => {
    expect(problems('clusters:\n  - type: kubeconfig\n  - type: server\n    name: a\n')).toEqual([
      'file.yaml:3:5: clusters[1].server: is missing (expected string).',
    ])
  })

  it('points at the line of broken YAML and of a key given twice', () => {
    expect(problems('server: [')[0]).toMatch(/^file\.yaml:1:\d+: not valid YAML: /)
    expect(problems('log:\n  level: info\nlog:\n  level: warn\n')[0]).toMatch(
      /^file\.yaml:3:1: not valid YAML: .*unique/,
    )
  })

  it('says so when the file is a list, empty, or not there', () => {
    expect(problems('- a\n')[0]).toContain('expected a map of keys')
    expect(problems('')).toEqual([])
    expect(() => loadConfig(join(directory, 'nowhere.yaml'), {})).toThrow(
      /nowhere\.yaml: the file cannot be read/,
    )
  })

  it('lets a variable override each single value, with its type', () => {
    const config = loadConfig(file('server: { port: 1, graphiql: true }\n'), {
      FLEETGRAPH_SERVER_PORT: '8080',
      FLEETGRAPH_SERVER_GRAPHIQL: 'false',
      FLEETGRAPH_LOG_LEVEL: 'debug',
    })
    expect(config.server).toMatchObject({ port: 8080, graphiql: false })
    expect(config.log.level).toBe('debug')
  })

  it('names the variable whose value does not fit, and refuses one that is no key', () => {
    expect(problems('', { FLEETGRAPH_SERVER_PORT: 'high' })).toEqual([
      'environment FLEETGRAPH_SERVER_PORT: server.port: expected number, received string, got "high".',
    ])
    expect(problems('', { FLEETGRAPH_SERVER_PROT: '1' })[0]).toMatch(
      /^environment FLEETGRAPH_SERVER_PROT: there is no such key\. Known: FLEETGRAPH_SERVER_HOST/,
    )
  })

  it('is not confused by the variables that Kubernetes sets for a Service named fleetgraph', () => {
    const config = loadConfig(undefined, {
      FLEETGRAPH_PORT: 'tcp://10.0.0.1:4000',
      FLEETGRAPH_SERVER_PORT: 'tcp://10.0.0.2:4000',
      FLEETGRAPH_SERVICE_HOST: '10.0.0.1',
      FLEETGRAPH_SERVICE_PORT_HTTP: '4000',
      FLEETGRAPH_PORT_4000_TCP_ADDR: '10.0.0.1',
    })
    expect(config.server.port).toBe(4000)
  })

  it('takes paths relative to the file and to the home directory', () => {
    const path = file(
      'clusters:\n  - { type: directory, path: sub }\n  - { type: kubeconfig, paths: [~/k] }\n',
    )
    expect(loadConfig(path, {}).clusters).toMatchObject([
      { path: join(directory, 'sub') },
      { paths: [join(homedir(), 'k')] },
    ])
  })

  it('refuses a cluster name that could not be part of a global ID', () => {
    expect(problems('clusters:\n  - { type: inCluster, name: a/b }\n')[0]).toContain('RFC 1123')
  })

  it('refuses a cluster name that the source would leave out later', () => {
    for (const name of ['a..b', 'a.-b', 'a-.b'])
      expect(problems(`clusters:\n  - { type: inCluster, name: ${name} }\n`)[0]).toContain('RFC 1123')
    expect(loadConfig(file('clusters:\n  - { type: inCluster, name: shop.prod-eu }\n'), {}).clusters).toEqual(
      [expect.objectContaining({ name: 'shop.prod-eu' })],
    )
  })

  describe('of policies', () => {
    const policy = (...lines: readonly string[]) =>
      problems(`changes:\n  policies:\n    - name: rule\n${lines.map((line) => `      ${line}\n`).join('')}`)

    it('takes a good one, which denies unless it says otherwise', () => {
      expect(policy('expression: replicas == null || replicas < 10')).toEqual([])
      const path = file('changes: { policies: [{ name: rule, expression: object != null }] }\n')
      expect(loadConfig(path, {}).changes).toMatchObject({
        policies: [{ name: 'rule', action: 'deny', expression: 'object != null' }],
        maxReplicas: 1000,
        allowHostPath: false,
      })
    })

    it.each([
      ['1 +', '1:4: Unexpected token: EOF'],
      ['user.nam == "a"', '1:6: No such key: nam'],
      ['objct == null', '1:1: Unknown variable: objct'],
      ['request.verb', '1:1: it is of type string, expected bool'],
      ['cluster.labels.env == 1', '1:1: no such overload: string == int'],
    ])('names the policy and the position of what is not valid in %s', (expression, problem) => {
      expect(policy(`expression: '${expression}'`)).toEqual([
        expect.stringContaining(
          `file.yaml:4:19: changes.policies[0].expression: the policy "rule" is not valid CEL at ${problem}`,
        ),
      ])
    })

    it('points into the lines of a long one', () => {
      const [problem] = policy('expression: |', '  object != null &&', '    usr.name == "a"')
      expect(problem).toContain('is not valid CEL at 2:3: Unknown variable: usr')
    })

    it('checks what makes the message, and the cluster selector', () => {
      expect(policy('expression: "true"', 'messageExpression: 1 + 1')[0]).toContain(
        'changes.policies[0].messageExpression: the policy "rule" is not valid CEL at 1:1: it is of type int, expected string',
      )
      expect(policy('expression: "true"', 'clusterSelector: env in prod')[0]).toMatch(
        /^file\.yaml:5:24: changes\.policies\[0\]\.clusterSelector: the policy "rule": The label selector .* is not valid at character 8/,
      )
    })

    it('refuses verbs that no mutation has, names that are none, and names that are taken', () => {
      expect(policy('expression: "true"', 'verbs: [scal]')[0]).toContain('changes.policies[0].verbs[0]')
      expect(problems('changes: { policies: [{ name: A, expression: "true" }] }')[0]).toContain(
        'policies[0].name',
      )
      const one = '{ name: a, expression: "true" }'
      expect(problems(`changes: { policies: [${one}, ${one}] }`)[0]).toContain(
        'changes.policies[1].name: expected a name that no policy before it has',
      )
    })

    it('refuses an expression that is a program', () => {
      const long = Array.from({ length: 1_500 }, () => '1').join('+')
      expect(policy(`expression: ${long} == 1`)[0]).toContain('maxAstNodes')
    })

    it('refuses what is no namespace and no registry', () => {
      expect(problems('changes: { protectedNamespaces: [kube-*, "*-system"] }')).toEqual([
        expect.stringContaining('changes.protectedNamespaces[1]: expected a namespace'),
      ])
      expect(problems('changes: { allowedRegistries: [ghcr.io/acme, acme, https://ghcr.io] }')).toEqual([
        expect.stringContaining('changes.allowedRegistries[1]: expected a registry'),
        expect.stringContaining('changes.allowedRegistries[2]: expected a registry'),
      ])
    })
  })
})
