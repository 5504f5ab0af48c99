#!/usr/bin/env node
/**
 * The process edge: commands, signals, exit codes, what is printed. Everything else is `gateway.ts`.
 *
 * Exit codes: 0 all right; 1 trouble (a cluster that `check` cannot use, a port that is taken); 2 the
 * command line or the configuration is wrong. Results go to standard output, logs to standard error.
 */
import { chmodSync, existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { parseArgs, type ParseArgsConfig } from 'node:util'
import { pino, type Logger } from 'pino'
import { parseDocument, stringify } from 'yaml'
import { ConfigError, loadConfig, type Config } from './config.ts'
import {
  checkClusters,
  createDemo,
  createGateway,
  createToken,
  leastPrivilegedRole,
  MISCONFIGURED,
  printFleetSchema,
  printTokenEntry,
  REDACTION,
  requireTokensFile,
  type FleetReport,
  type Gateway,
  type Right,
} from './gateway.ts'
import { giveHeapRoom } from './heap.ts'

interface Command {
  readonly summary: string
  readonly help: string
  readonly options: NonNullable<ParseArgsConfig['options']>
  /** The word that has to follow. */
  readonly action?: string
  run(options: Readonly<Record<string, unknown>>): Promise<number>
}

/** Later years are not written with four digits. */
const MAX_DAYS = 1_000_000

/** The command line is wrong. */
class UsageError extends Error {}

const CONFIG_HELP = `  --config FILE   YAML file with the configuration; default: $FLEETGRAPH_CONFIG, else
                  ./fleetgraph.yaml where there is one, else the default kubeconfig's clusters.
                  All keys: examples/fleetgraph.yaml. Each single value can be overridden by a
                  variable, e.g. FLEETGRAPH_SERVER_PORT=8080.`

const COMMANDS: Readonly<Record<string, Command>> = {
  serve: {
    summary: 'serve the graph of the configured clusters',
    help: `Usage: fleetgraph serve [--config FILE]

Serves GraphQL at http://127.0.0.1:4000/graphql over every configured cluster, to everyone who can sign in: a
file of tokens, an OpenID provider, TokenReviews or a proxy has to be configured. It serves at once and says per
cluster what is still syncing. Ends on SIGTERM or SIGINT after the answers in flight.

${CONFIG_HELP}`,
    options: { config: { type: 'string' } },
    async run(options) {
      const config = configuration(options)
      return runUntilSignal(config, (logger) => createGateway(config, { logger }))
    },
  },
  demo: {
    summary: 'serve three simulated clusters, with nothing else needed',
    help: `Usage: fleetgraph demo [--kubeconfig FILE]

Starts three simulated clusters (prod-eu, prod-us, staging) and the gateway over them, on loopback, and
writes a kubeconfig for kubectl. Nothing else is needed, and nothing outlives the command. Whoever sends no
token may do everything; beside the kubeconfig are the tokens of a few people who may do less.

  --kubeconfig FILE   where to write it; default .demo/kubeconfig`,
    options: { kubeconfig: { type: 'string' } },
    async run(options) {
      const given = options['kubeconfig']
      const kubeconfig = typeof given === 'string' ? given : '.demo/kubeconfig'
      const config = { ...loadConfig(undefined), clusters: [] }
      return runUntilSignal(config, async (logger) => {
        const demo = await createDemo(config, { logger, kubeconfig })
        console.log(
          [
            '',
            `  GraphiQL    ${demo.url}`,
            `  clusters    ${demo.clusters.join(', ')} (simulated)`,
            `  kubectl     kubectl --kubeconfig ${kubeconfig} --context ${demo.clusters[0]} get pods -A`,
            `  people      ${demo.people.join(', ')}: authorization: Bearer $(cat ${dirname(kubeconfig)}/NAME.token)`,
            '',
            '  Ctrl-C ends it all.',
            '',
          ].join('\n'),
        )
        return demo
      })
    },
  },
  check: {
    summary: 'connect to each configured cluster and say what the credentials may read',
    help: `Usage: fleetgraph check [--config FILE]

Reads the configuration, connects to each cluster and prints a table: version, whether it is reachable,
and which kinds the gateway's credentials may list and watch. Then the ClusterRole that the gateway needs in
each cluster, and what its credentials lack of it or have beyond it. Exits with 1 if there is any trouble;
having more is none.

${CONFIG_HELP}`,
    options: { config: { type: 'string' } },
    async run(options) {
      const ended = new AbortController()
      process.once('SIGINT', () => ended.abort(new Error('Interrupted.')))
      const report = await checkClusters(configuration(options), ended.signal)
      console.log(reportTable(report))
      const inOrder = report.clusters.every(({ error, missing }) => error === null && missing.length === 0)
      return inOrder && report.clusters.length > 0 && report.problems.length === 0 ? 0 : 1
    },
  },
  token: {
    summary: 'make a token for a program, or for oneself',
    help: `Usage: fleetgraph token create --name NAME [--user USER] [--group GROUP]... [--days DAYS] [--file FILE]

Makes a static token and prints it, once: only its hash is kept. The clusters' RBAC knows its holder by the
user and the groups.

  --name NAME     whose it is, for people; stands in the audit log
  --user USER     as RBAC calls the holder; default: the name
  --group GROUP   a group of the holder's; may be given several times
  --days DAYS     until it ends by itself; default: never
  --file FILE     the file of authentication.tokensFile: the entry is added to it (a running gateway takes
                  it at once). Without it the entry is printed to standard error`,
    action: 'create',
    options: {
      name: { type: 'string' },
      user: { type: 'string' },
      group: { type: 'string', multiple: true },
      days: { type: 'string' },
      file: { type: 'string' },
    },
    async run({ name, user = name, group = [], days, file }) {
      if (typeof name !== 'string' || name === '') throw new UsageError('--name NAME is needed.')
      if (days !== undefined && !(Number(days) > 0 && Number(days) <= MAX_DAYS)) {
        throw new UsageError(`--days takes a number above 0, and at most ${MAX_DAYS}.`)
      }
      const { token, hash } = createToken({ name })
      const entry = {
        name,
        hash,
        user: String(user),
        groups: group as string[],
        ...(days !== undefined && {
          expiresAt: new Date(Date.now() + Number(days) * 86_400_000).toISOString(),
        }),
      }
      if (typeof file === 'string') addToken(file, entry)
      else {
        const text = `tokens:\n${printTokenEntry(entry)}`
        requireTokensFile(text, 'the new entry')
        console.error(text)
      }
      console.log(token)
      return 0
    },
  },
  schema: {
    summary: 'print the GraphQL schema',
    help: `Usage: fleetgraph schema [--output FILE]

Prints the schema in GraphQL's schema definition language, sorted: what schema/schema.graphql holds.

  --output FILE   write it there instead of to standard output`,
    options: { output: { type: 'string' } },
    async run(options) {
      const text = printFleetSchema()
      if (typeof options['output'] === 'string') writeFileSync(options['output'], text)
      else process.stdout.write(text)
      return 0
    },
  },
}

const HELP = `Usage: fleetgraph COMMAND [options]

One typed GraphQL API over every Kubernetes cluster you run.

${Object.entries(COMMANDS)
  .map(([name, { summary }]) => `  ${name.padEnd(8)} ${summary}`)
  .join('\n')}

fleetgraph COMMAND --help tells more.`

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  const [name = '', ...rest] = args
  if (name === '--help' || name === '-h' || name === 'help') {
    console.log(HELP)
    return 0
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (!command) {
    console.error(name === '' ? HELP : `fleetgraph: there is no command "${name}".\n\n${HELP}`)
    return 2
  }
  let options: Readonly<Record<string, unknown>>
  try {
    const { action } = command
    const isHelp = rest.includes('--help') || rest.includes('-h')
    if (action !== undefined && !isHelp && rest[0] !== action) throw new UsageError(`Expected "${action}".`)
    const parsed = parseArgs({
      args: action === rest[0] ? rest.slice(1) : rest,
      options: { ...command.options, help: { type: 'boolean', short: 'h' } },
    })
    options = parsed.values
  } catch (error) {
    console.error(`fleetgraph ${name}: ${messageOf(error)}\n\n${command.help}`)
    return 2
  }
  if (options['help']) {
    console.log(command.help)
    return 0
  }
  try {
    return await command.run(options)
  } catch (error) {
    console.error(`fleetgraph ${name}: ${messageOf(error)}`)
    if (error instanceof UsageError) console.error(`\n${command.help}`)
    const wrong = [ConfigError, UsageError, ...MISCONFIGURED]
    return wrong.some((type) => error instanceof type) ? 2 : 1
  }
}

/**
 * Adds an entry to a file of tokens, whole or not at all; what stands there stays as it was written. A gateway
 * that does not take the file, or may not read it any more, would not see either which tokens are removed.
 */
function addToken(file: string, entry: Parameters<typeof printTokenEntry>[0]): void {
  const document = parseDocument(existsSync(file) ? readFileSync(file, 'utf8') : '')
  if (document.errors[0]) throw new Error(`${file}: not valid YAML: ${document.errors[0].message}`)
  if (document.getIn(['tokens']) == null) document.setIn(['tokens'], document.createNode([]))
  document.addIn(['tokens'], entry)
  const text = document.toString({ lineWidth: 0 })
  requireTokensFile(text, file)
  const mode = existsSync(file) ? statSync(file).mode & 0o777 : 0o600
  writeFileSync(`${file}.new`, text, { mode: 0o600 })
  chmodSync(`${file}.new`, mode)
  renameSync(`${file}.new`, file)
}

function configuration(options: Readonly<Record<string, unknown>>): Config {
  const named = options['config'] ?? process.env['FLEETGRAPH_CONFIG']
  const file =
    typeof named === 'string' ? named : existsSync('fleetgraph.yaml') ? 'fleetgraph.yaml' : undefined
  return loadConfig(file)
}

/** Serves until SIGTERM or SIGINT, then drains; a second signal ends the process at once. */
async function runUntilSignal(config: Config, start: (logger: Logger) => Promise<Gateway>): Promise<number> {
  const logger = pino(
    { level: config.log.level, redact: REDACTION },
    pino.destination({ dest: 2, sync: false }),
  )
  giveHeapRoom()
  const gateway = await start(logger)
  const signal = await new Promise<NodeJS.Signals>((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve(name))
  })
  logger.info({ signal }, 'closing: answers in flight end first')
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => process.exit(1))
  await gateway.close()
  return 0
}

/** As `kubectl get` prints: columns, then what is wrong in words. */
function reportTable({ clusters, problems }: FleetReport): string {
  const rows = clusters.map(({ name, version, error, forbidden, notServed, source }) => [
    name,
    error === null ? 'yes' : 'no',
    version ?? '-',
    error !== null ? '-' : forbidden.length === 0 ? 'everything' : `all but ${forbidden.length} kinds`,
    notServed.join(',') || '-',
    source,
  ])
  const table = [['CLUSTER', 'REACHABLE', 'VERSION', 'MAY LIST AND WATCH', 'NOT SERVED', 'SOURCE'], ...rows]
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)))
  const lines = table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('   ')
      .trimEnd(),
  )
  for (const { name, error, forbidden } of clusters) {
    if (error !== null) lines.push('', `${name}: ${error}`)
    for (const { kind, verbs } of forbidden) {
      lines.push(
        '',
        `${name}: the credentials may not ${verbs.join(' and ')} ${kind} objects in all namespaces.`,
      )
    }
  }
  for (const { name, missing, excess } of clusters) {
    for (const right of missing.filter(({ purpose }) => purpose !== 'TABLES')) {
      lines.push(
        '',
        `${name}: the credentials may not ${rightText(right)}${right.forSomeNames ? ' but for some names' : ''}.`,
      )
    }
    if (excess.length > 0) {
      const texts = excess.map(
        (right) => `${rightText(right)}${right.namespaces ? ` (in ${right.namespaces.join(', ')})` : ''}`,
      )
      lines.push('', `${name}: the credentials may do more than the gateway needs: ${texts.join('; ')}.`)
    }
  }
  for (const { message } of problems) lines.push('', message)
  if (clusters.length === 0) lines.push('', 'No cluster is configured: see examples/fleetgraph.yaml.')
  lines.push(
    '',
    '# What the gateway needs in each cluster:',
    stringify(leastPrivilegedRole(), { aliasDuplicateObjects: false }).trimEnd(),
  )
  return lines.join('\n')
}

function rightText({ verbs, group, resource, subresource }: Right): string {
  const name = subresource === '' ? resource : `${resource}/${subresource}`
  return `${verbs.join(', ')} ${name}${group === '' ? '' : `.${group}`}`
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
