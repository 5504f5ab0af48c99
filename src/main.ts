#!/usr/bin/env node
/**
 * The process edge: commands, signals, exit codes, what is printed. Everything else is `gateway.ts`.
 *
 * Exit codes: 0 all right; 1 trouble (a cluster that `check` cannot use, a port that is taken); 2 the
 * command line or the configuration is wrong. Results go to standard output, logs to standard error.
 */
import { existsSync, writeFileSync } from 'node:fs'
import { parseArgs, type ParseArgsConfig } from 'node:util'
import { pino, type Logger } from 'pino'
import { ConfigError, loadConfig, type Config } from './config.ts'
import {
  checkClusters,
  createDemo,
  createGateway,
  printFleetSchema,
  type FleetReport,
  type Gateway,
} from './gateway.ts'

interface Command {
  readonly summary: string
  readonly help: string
  readonly options: NonNullable<ParseArgsConfig['options']>
  run(options: Readonly<Record<string, unknown>>): Promise<number>
}

const CONFIG_HELP = `  --config FILE   YAML file with the configuration; default: $FLEETGRAPH_CONFIG, else
                  ./fleetgraph.yaml where there is one, else the default kubeconfig's clusters.
                  All keys: examples/fleetgraph.yaml. Each single value can be overridden by a
                  variable, e.g. FLEETGRAPH_SERVER_PORT=8080.`

const COMMANDS: Readonly<Record<string, Command>> = {
  serve: {
    summary: 'serve the graph of the configured clusters',
    help: `Usage: fleetgraph serve [--config FILE]

Serves GraphQL at http://127.0.0.1:4000/graphql over every configured cluster. It serves at once and says
per cluster what is still syncing. Ends on SIGTERM or SIGINT after the answers in flight.

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
writes a kubeconfig for kubectl. Nothing else is needed, and nothing outlives the command.

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
and which kinds the gateway's credentials may list and watch. Exits with 1 if there is any trouble.

${CONFIG_HELP}`,
    options: { config: { type: 'string' } },
    async run(options) {
      const ended = new AbortController()
      process.once('SIGINT', () => ended.abort(new Error('Interrupted.')))
      const report = await checkClusters(configuration(options), ended.signal)
      console.log(reportTable(report))
      const inOrder = report.clusters.every(
        ({ error, forbidden }) => error === null && forbidden.length === 0,
      )
      return inOrder && report.clusters.length > 0 && report.problems.length === 0 ? 0 : 1
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
    const parsed = parseArgs({
      args: rest,
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
    return error instanceof ConfigError ? 2 : 1
  }
}

function configuration(options: Readonly<Record<string, unknown>>): Config {
  const named = options['config'] ?? process.env['FLEETGRAPH_CONFIG']
  const file =
    typeof named === 'string' ? named : existsSync('fleetgraph.yaml') ? 'fleetgraph.yaml' : undefined
  return loadConfig(file)
}

/** Serves until SIGTERM or SIGINT, then drains; a second signal ends the process at once. */
async function runUntilSignal(config: Config, start: (logger: Logger) => Promise<Gateway>): Promise<number> {
  const logger = pino({ level: config.log.level }, pino.destination({ dest: 2, sync: false }))
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
  for (const { message } of problems) lines.push('', message)
  if (clusters.length === 0) lines.push('', 'No cluster is configured: see examples/fleetgraph.yaml.')
  return lines.join('\n')
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
