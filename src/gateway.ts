/**
 * The composition root: the one file that imports every module and decides who gets what. Data travels
 * one way through what is wired here: sources → fleet → hub → AuthorizedFleet → graph → server; with a Redis
 * the replication decides who fills the fleet's tables.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { stringify } from 'yaml'
import packageJson from '../package.json' with { type: 'json' }
import { AuditTrail } from './access/audit/audit-trail.ts'
import { AddressList } from './access/authentication/address-list.ts'
import { createAuthentication, type Authentication } from './access/authentication/authentication.ts'
import { redisRevocations } from './access/authentication/redis-revocations.ts'
import type { Revocations } from './access/authentication/revocations.ts'
import { createToken, printTokenEntry } from './access/authentication/static-tokens.ts'
import { AuthenticationSetupError } from './access/authentication/sign-in.ts'
import { AuthorizedFleet } from './access/authorized-fleet.ts'
import { createClusterPolicy } from './access/cluster-policy.ts'
import { AskedReviews } from './access/reviews.ts'
import { viewerOf, type Viewer } from './access/viewer.ts'
import type { Config } from './config.ts'
import { Hub } from './events/hub.ts'
import { connectRedis, type RedisConnection } from './events/redis/connection.ts'
import { Replication } from './events/redis/replication.ts'
import { checkFleet, type FleetReport } from './fleet/check.ts'
import { systemClock } from './fleet/clock.ts'
import { createFleet, type Fleet } from './fleet/fleet.ts'
import { configuredSources } from './fleet/sources/configured-sources.ts'
import type { SourceProblem } from './fleet/sources/source.ts'
import { createContext } from './graph/context.ts'
import { createSchema } from './graph/schema.ts'
import type { Logger } from './server/logger.ts'
import { startServer } from './server/server.ts'
import { TlsError } from './server/tls.ts'
import { TrustedDocumentsError } from './server/trusted-documents.ts'
import { demoFleet } from './simulator/fixtures/demo-fleet.ts'
import { demoUsers } from './simulator/fixtures/demo-people.ts'
import { startSimulator, type ControlledCluster, type Simulator } from './simulator/simulator.ts'
import { recordStep } from './writes/audit.ts'
import { createMemoryOperationStore } from './writes/memory-operation-store.ts'
import type { OperationOwner } from './writes/operation.ts'
import { createPlans } from './writes/plans.ts'
import { createPolicies } from './writes/policies.ts'
import { redisOperationStore } from './writes/redis-operation-store.ts'
import { stepper } from './writes/steps/stepper.ts'
import { createWrites, type OwnedWrites } from './writes/writing.ts'

export { createToken, printTokenEntry, requireTokensFile } from './access/authentication/static-tokens.ts'
export { leastPrivilegedRole, type Right } from './fleet/least-privilege.ts'
export { printFleetSchema } from './graph/schema.ts'
export { REDACTION } from './server/logger.ts'
export type { FleetReport } from './fleet/check.ts'

export interface Gateway {
  /** Of the GraphQL endpoint and of GraphiQL: `http://127.0.0.1:4000/graphql`. */
  readonly url: string
  /** Lets answers in flight end, then closes watches, connections and timers. Idempotent. */
  close(): Promise<void>
}

export interface GatewayOptions {
  readonly logger: Logger
  /** Closes the gateway without grace. */
  readonly signal?: AbortSignal
  /** Whom everyone is who shows no credentials: then it listens on loopback only. Default: nobody gets in. */
  readonly anonymous?: Viewer
}

/** Nobody could sign in. */
class NoSignIn extends Error {
  override readonly name = 'NoSignIn'
  readonly code = 'NO_SIGN_IN'

  constructor() {
    super(
      'There is no way to sign in: everyone would be refused. Make a token with `fleetgraph token create --name me --group system:masters --file tokens.yaml` and name that file by authentication.tokensFile (FLEETGRAPH_AUTHENTICATION_TOKENS_FILE), or configure authentication.oidc, tokenReviews or proxies: see examples/fleetgraph.yaml.',
    )
  }
}

/** What is wrong in the configuration beyond its syntax: the message says what, and in which file. */
export const MISCONFIGURED = [NoSignIn, AuthenticationSetupError, TlsError, TrustedDocumentsError] as const

/** How long sources of clusters may take until the port is opened without them. */
const SOURCES_MS = 5_000

/**
 * Serves the configured clusters: resolves when the port is open, without waiting for any cluster, but not
 * before their names are known: an answer, or a stream that goes on after a cursor, would leave them out
 * and not say so. Rejects with `NoSignIn`, with what is wrong in the files that the configuration names, or
 * where the address cannot be had.
 */
export async function createGateway(config: Config, options: GatewayOptions): Promise<Gateway> {
  const { logger, signal, anonymous } = options
  const { tokensFile, oidc, tokenReviews, proxies } = config.authentication
  const others = [...oidc, ...tokenReviews, ...proxies]
  if (!anonymous && tokensFile === '' && others.length === 0) throw new NoSignIn()
  const replication = replicationOf(config, logger)
  const logProblems = problemLog(logger)
  let onSources = () => {}
  const sourcesRead = new Promise<void>((resolve) => {
    onSources = resolve
  })
  const fleet = createFleet({
    ...(replication && { feeding: replication.feeding }),
    sources: [configuredSources(config.clusters)],
    limits: config.fleet,
    onSourceProblems: (problems) => {
      logProblems(problems)
      onSources()
    },
    onClusterHealth: (cluster, { state, version }, error) => {
      if (error === undefined) logger.info({ cluster, state, version }, 'a cluster changed its state')
      else
        logger.warn(
          { cluster, state, error: error instanceof Error ? error.message : error },
          'a cluster changed its state',
        )
    },
    onObjectError: (cluster, object, error) =>
      logger.warn({ cluster, object, error: String(error) }, 'an object could not be read and is left out'),
    ...(signal && { signal }),
  })
  let known: readonly string[] = []
  fleet.onChange(() => {
    const names = fleet.clusters.map(({ name }) => name)
    if (names.join() === known.join()) return
    known = names
    logger.info({ clusters: names }, 'the clusters of the fleet')
  })
  const hub = new Hub({
    fleet,
    clock: systemClock,
    limits: { queue: config.live.queue },
    onFailure: (error) => logger.error({ err: error }, 'a subscription failed by a bug and was ended'),
  })
  const policy = createClusterPolicy({
    fleet,
    clock: systemClock,
    modeOf: (cluster) => config.access.modes[cluster] ?? config.access.mode,
    reviews: new AskedReviews({
      fleet,
      clock: systemClock,
      cacheMs: config.access.reviewCacheSeconds * 1_000,
    }),
  })
  const eyesChanged = () => hub.rightsChanged()
  policy.onChange(eyesChanged)
  const redis = sharedRedis(config, logger)
  const revocations = redis && redisRevocations({ connection: redis, clock: systemClock })
  const trail = auditTrailOf(config, redis, logger)
  const writes = writesOf(config, {
    redis,
    trail,
    fleetFor: ({ user, method, issuer, clusters }) =>
      new AuthorizedFleet(
        fleet,
        viewerOf(user, { method, issuer, clusters: clusters && new Set(clusters) }),
        policy,
        hub,
      ),
    onError: (error) => logger.error({ err: error }, 'a change failed by a bug'),
  })
  let authentication: Authentication | undefined
  const closeFleet = async (): Promise<void> => {
    await writes.close()
    await authentication?.close()
    revocations?.close()
    hub.close()
    await policy.close()
    await trail.close()
    await redis?.close()
    // What this replica owned goes to others before its tables end.
    await replication?.close()
    await fleet.close()
  }
  try {
    const cancel = systemClock.after(SOURCES_MS, onSources)
    await sourcesRead
    cancel()
    const signIns = (authentication = signInsOf(config, fleet, revocations, options))
    const { socketBytes, subscriptionsPerSocket, initTimeoutSeconds, keepAliveSeconds } = config.live
    const { host, port, graphiql, introspection, maxConnections, shutdownGraceSeconds } = config.server
    const { tlsCertificateFile, tlsKeyFile, tlsClientCaFile } = config.server
    const { allowedOrigins, documents, documentsDirectory, trustedProxies } = config.server
    const proxyAddresses = new AddressList(trustedProxies, 'server.trustedProxies')
    const server = await startServer({
      schema: createSchema(),
      policy,
      fleet,
      anonymous: anonymous !== undefined,
      access: {
        authenticate: (credentials) => signIns.authenticate(credentials),
        known: (credentials) => signIns.known?.(credentials),
        onEnd: (viewer, listener) => signIns.onEnd(viewer, listener),
        contextFor: (viewer, ended) =>
          createContext(new AuthorizedFleet(fleet, viewer, policy, hub), ended, systemClock, {
            audit: trail.readerFor(viewer),
            writes,
          }),
        eyesChanged,
      },
      audit: trail,
      isProxy: (peer) => proxyAddresses.holds(peer.remoteAddress) || signIns.isProxy(peer),
      ...(signIns.handleLogout && { backchannelLogout: (body) => signIns.handleLogout!(body) }),
      ...(redis && { redis: { client: redis.commands, prefix: redis.prefix } }),
      options: {
        host,
        port,
        graphiql,
        introspection,
        maxConnections,
        allowedOrigins,
        ...(tlsCertificateFile !== '' && {
          tls: {
            certificateFile: tlsCertificateFile,
            keyFile: tlsKeyFile,
            ...(tlsClientCaFile !== '' && { clientCaFile: tlsClientCaFile }),
          },
        }),
        ...((documentsDirectory !== '' || documents === 'trusted') && {
          documents: { folder: documentsDirectory, only: documents === 'trusted' },
        }),
        limits: config.limits,
        answerBytes: config.answers.bytes,
        live: {
          socketBytes,
          subscriptionsPerSocket,
          initTimeoutMs: initTimeoutSeconds * 1_000,
          keepAliveMs: keepAliveSeconds * 1_000,
        },
      },
      version: packageJson.version,
      logger,
      ...(signal && { signal }),
    })
    const url = `${server.url}/graphql`
    let closing: Promise<void> | undefined
    const close = async (): Promise<void> => {
      await server.close({ graceMs: shutdownGraceSeconds * 1_000 })
      await closeFleet()
    }
    return { url, close: () => (closing ??= close()) }
  } catch (error) {
    await closeFleet()
    throw error
  }
}

/** Without a Redis every cluster is watched by this process. */
function replicationOf({ redis }: Config, logger: Logger): Replication | undefined {
  if (redis.url === '') return undefined
  let status: string | undefined
  return new Replication({
    url: redis.url,
    prefix: redis.prefix,
    graceMs: redis.graceSeconds * 1_000,
    ...(redis.caFile !== '' && { caFile: redis.caFile }),
    onOwner: (cluster, owned) =>
      logger.info({ cluster, owned }, owned ? 'watches a cluster for all replicas' : 'gave a cluster up'),
    onState: (state) => {
      if (state.redis.status === status) return
      status = state.redis.status
      const { problem } = state.redis
      if (status === 'READY') logger.info({}, 'Redis answers')
      else logger.warn({ problem }, 'Redis is away: answers come from memory, and are said to be stale')
    },
    onError: (error) => logger.warn({ error: error.message }, 'trouble with Redis'),
  })
}

/** What replicas share beside the tables: sessions that have ended, what users have asked for in a minute. */
function sharedRedis({ redis }: Config, logger: Logger): RedisConnection | undefined {
  if (redis.url === '') return undefined
  return connectRedis(redis.url, {
    clock: systemClock,
    prefix: redis.prefix,
    ...(redis.caFile !== '' && { caFile: redis.caFile }),
    onError: (error) => logger.warn({ error: error.message }, 'trouble with Redis'),
  })
}

/** Operations and plans are kept where all replicas see them, or in this process. */
function writesOf(
  { changes }: Config,
  {
    redis,
    trail,
    fleetFor,
    onError,
  }: {
    readonly redis: RedisConnection | undefined
    readonly trail: AuditTrail
    readonly fleetFor: (owner: OperationOwner) => AuthorizedFleet
    readonly onError: (error: unknown) => void
  },
): OwnedWrites {
  const clock = systemClock
  const keepMs = changes.keepHours * 3_600_000
  return createWrites({
    stepper,
    policies: createPolicies(changes),
    store: redis
      ? redisOperationStore({ connection: redis, clock, keepMs })
      : createMemoryOperationStore(clock, { keepMs }),
    plans: createPlans({ clock, ...(redis && { redis }), ttlMs: changes.planMinutes * 60_000 }),
    clock,
    fleetFor,
    mayReadAll: (viewer) => trail.readerFor(viewer).allowed,
    onStep: (head, result) => recordStep(trail, head, result),
    onError,
  })
}

function auditTrailOf({ audit }: Config, redis: RedisConnection | undefined, logger: Logger): AuditTrail {
  return new AuditTrail({
    clock: systemClock,
    ...(audit.log && { onRecord: (record) => logger.info({ audit: record }, 'audit') }),
    onProblem: (message) => logger.warn({}, message),
    ...(audit.file !== '' && { file: audit.file }),
    entries: audit.entries,
    ...(redis && { redis }),
    readerUsers: audit.readerUsers,
    readerGroups: audit.readerGroups,
  })
}

function signInsOf(
  config: Config,
  fleet: Fleet,
  revocations: Revocations | undefined,
  { logger, anonymous }: GatewayOptions,
): Authentication {
  return createAuthentication({
    config: config.authentication,
    clock: systemClock,
    client: (cluster) => fleet.cluster(cluster)?.client,
    ...(anonymous && { anonymous }),
    ...(revocations && { revocations }),
    onProblem: (problem, error) => logger.warn(error === undefined ? {} : { err: error }, problem),
    onTokensFile: (problems) => {
      for (const problem of problems) logger.warn({}, `the tokens before are still in use: ${problem}`)
      if (problems.length === 0) logger.info({}, 'the file of tokens is in order again')
    },
  })
}

export interface Demo extends Gateway {
  /** Names of the simulated clusters, in order. */
  readonly clusters: readonly string[]
  /** Names of those who can sign in with the token in the file `NAME.token` beside the kubeconfig. */
  readonly people: readonly string[]
}

/** Who shows no credentials in the demo: may do everything. */
const VISITOR = viewerOf({ name: 'visitor', groups: ['system:masters', 'system:authenticated'] })

/**
 * The gateway over three simulated, populated clusters, all of them in this process and on loopback. The
 * file at `kubeconfig` is (over)written with a context for each, for kubectl and for the gateway itself;
 * beside it, for each of the people in the clusters' RBAC, a file with the token to sign in with.
 */
export async function createDemo(
  config: Config,
  { logger, signal, kubeconfig }: GatewayOptions & { readonly kubeconfig: string },
): Promise<Demo> {
  const simulators: Simulator[] = []
  const closeSimulators = () => Promise.all(simulators.map((simulator) => simulator.close()))
  try {
    const fixtures = demoFleet()
    for (const fixture of fixtures) {
      const controllers = (cluster: ControlledCluster) => fixture.controllers(cluster)
      const { name, version, users } = fixture
      simulators.push(
        await startSimulator({ name, version, users, controllers, tls: true, ...(signal && { signal }) }),
      )
    }
    const folder = dirname(kubeconfig)
    mkdirSync(folder, { recursive: true })
    writeFileSync(kubeconfig, stringify(mergedKubeconfig(simulators)), { mode: 0o600 })
    const contextLabels = Object.fromEntries(fixtures.map(({ name, labels }) => [name, labels]))
    const people = Object.values(demoUsers)
    const entries = people.map(({ username: name, groups }) => {
      const { token, hash } = createToken({ name })
      writeFileSync(join(folder, `${name}.token`), `${token}\n`, { mode: 0o600 })
      return printTokenEntry({ name, hash, user: name, groups })
    })
    const tokensFile = resolve(folder, 'tokens.yaml')
    writeFileSync(tokensFile, `tokens:\n${entries.join('')}`)
    const gateway = await createGateway(
      {
        ...config,
        authentication: { ...config.authentication, tokensFile },
        clusters: [{ type: 'kubeconfig', paths: [kubeconfig], labels: {}, contextLabels }],
      },
      { logger, anonymous: VISITOR, ...(signal && { signal }) },
    )
    let closing: Promise<void> | undefined
    const close = async (): Promise<void> => {
      await gateway.close()
      await closeSimulators()
    }
    return {
      url: gateway.url,
      clusters: fixtures.map(({ name }) => name),
      people: people.map(({ username }) => username),
      close: () => (closing ??= close()),
    }
  } catch (error) {
    await closeSimulators()
    throw error
  }
}

/** Connects to each configured cluster once and says what the gateway could do there. */
export function checkClusters(config: Config, signal: AbortSignal): Promise<FleetReport> {
  return checkFleet(configuredSources(config.clusters), signal)
}

/** One line for each problem when it comes, and one when all are gone, however often sources repeat them. */
function problemLog(logger: Logger): (problems: readonly SourceProblem[]) => void {
  let known = new Set<string>()
  return (problems) => {
    const now = new Set(problems.map(({ message }) => message))
    for (const message of now) if (!known.has(message)) logger.warn({}, message)
    if (now.size === 0 && known.size > 0) logger.info({}, 'all sources of clusters are in order again')
    known = now
  }
}

/** One file with a context for each, named as the cluster, like its entries for the server and the user. */
function mergedKubeconfig(simulators: readonly Simulator[]): object {
  const files = simulators.map((simulator) => simulator.kubeconfig())
  const all = (key: string) => files.flatMap((file) => file[key])
  return {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': simulators[0]?.name,
    clusters: all('clusters'),
    users: all('users'),
    contexts: all('contexts'),
  }
}
