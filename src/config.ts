/**
 * The configuration: one YAML file, environment overrides on top, checked and typed. The one reader of
 * the environment, but for what Kubernetes itself puts there (KUBECONFIG, proxies, a pod's service account).
 *
 * Every key is described in `examples/fleetgraph.yaml`, which a test holds equal to this schema. Every
 * value can be overridden by a variable named after its key: `limits.bodyBytes` is
 * `FLEETGRAPH_LIMITS_BODY_BYTES`; `REDIS_URL` is known too. Lists and maps stand in the file only.
 */
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, resolve } from 'node:path'
import { isCollection, isMap, isPair, isScalar, LineCounter, parseDocument, type Document } from 'yaml'
import * as z from 'zod'
import { isClusterName } from './fleet/sources/source.ts'
import { LabelSelectorError, parseLabelSelector } from './kubernetes/label-selector.ts'
import { DEFAULT_LIMITS } from './server/limits.ts'
import { expressionProblem } from './writes/cel.ts'
import { VERBS } from './writes/change.ts'
import { isRegistry } from './writes/images.ts'

const labels = z
  .record(z.string(), z.string())
  .default({})
  .describe('Labels of the clusters, matched by cluster selectors')

const clusterName = z
  .string()
  .refine(isClusterName, 'expected lower-case letters, digits, "-" and "." (RFC 1123)')

const kubeconfigSource = z.strictObject({
  type: z.literal('kubeconfig'),
  paths: z.array(z.string().min(1)).optional(),
  contexts: z.array(z.string().min(1)).min(1).optional(),
  labels,
  contextLabels: z.record(z.string(), z.record(z.string(), z.string())).default({}),
})

const directorySource = z.strictObject({
  type: z.literal('directory'),
  path: z.string().min(1),
  labels,
})

const inClusterSource = z.strictObject({
  type: z.literal('inCluster'),
  name: clusterName.default('local'),
  labels,
})

const serverSource = z.strictObject({
  type: z.literal('server'),
  name: clusterName,
  server: z.url({ protocol: /^https?$/ }),
  caFile: z.string().min(1).optional(),
  tlsServerName: z.string().min(1).optional(),
  insecureSkipTlsVerify: z.boolean().default(false),
  proxyUrl: z.url().optional(),
  tokenFile: z.string().min(1).optional(),
  clientCertificateFile: z.string().min(1).optional(),
  clientKeyFile: z.string().min(1).optional(),
  labels,
})

const count = (min: number, max: number) => z.int().min(min).max(max)
const seconds = (min: number, max: number) => z.number().min(min).max(max)
const texts = z.array(z.string().min(1))

/** A claim of a token, and what is put in front of its value (as kube-apiserver's `prefix`). */
const claim = z.strictObject({ claim: z.string().min(1), prefix: z.string().default('') })

const oidcIssuer = z.strictObject({
  issuer: z.url({ protocol: /^https?$/ }),
  discoveryUrl: z.url({ protocol: /^https?$/ }).optional(),
  caFile: z.string().min(1).optional(),
  audiences: texts.min(1),
  algorithms: texts.min(1).default(['RS256', 'PS256', 'ES256', 'EdDSA']),
  clockSkewSeconds: seconds(0, 600).default(30),
  username: claim.default({ claim: 'sub', prefix: '' }),
  groups: claim.optional(),
  uidClaim: z.string().min(1).optional(),
  extra: z.record(z.string(), z.string()).default({}),
  requiredClaims: z.record(z.string(), z.string()).default({}),
  introspection: z
    .strictObject({
      url: z.url({ protocol: /^https?$/ }).optional(),
      clientId: z.string().min(1),
      clientSecretFile: z.string().min(1),
      cacheSeconds: seconds(0, 300).default(10),
    })
    .optional(),
  backchannelLogout: z.boolean().default(false),
})

const tokenReview = z.strictObject({
  cluster: clusterName,
  issuer: z.string().min(1).optional(),
  audiences: texts.default([]),
  cacheSeconds: seconds(0, 300).default(10),
  holdsIn: z.enum(['cluster', 'fleet']).default('cluster'),
})

const authenticatingProxy = z.strictObject({
  addresses: texts.default([]),
  certificateNames: texts.default([]),
  userHeader: z.string().min(1).default('X-Remote-User'),
  uidHeader: z.string().min(1).default('X-Remote-Uid'),
  groupHeader: z.string().min(1).default('X-Remote-Group'),
  extraHeaderPrefix: z.string().min(1).default('X-Remote-Extra-'),
})

const DNS_LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/

const policy = z
  .strictObject({
    name: z.string().max(63).regex(DNS_LABEL, 'expected lower-case letters, digits and "-"'),
    description: z.string().optional(),
    verbs: z.array(z.enum(VERBS)).min(1).optional(),
    kinds: texts.min(1).optional(),
    clusters: z.array(clusterName).min(1).optional(),
    clusterSelector: z.string().min(1).optional(),
    action: z.enum(['deny', 'confirm']).default('deny'),
    expression: z.string().min(1).max(10_000),
    message: z.string().min(1).max(500).optional(),
    messageExpression: z.string().min(1).max(10_000).optional(),
  })
  .superRefine(({ name, expression, messageExpression, clusterSelector }, context) => {
    const check = (key: string, text: string | undefined, result: 'bool' | 'string') => {
      const problem = text === undefined ? undefined : expressionProblem(text, result)
      if (problem === undefined) return
      context.addIssue({
        code: 'custom',
        path: [key],
        message: `the policy "${name}" is not valid CEL at ${problem}`,
        input: text,
      })
    }
    check('expression', expression, 'bool')
    check('messageExpression', messageExpression, 'string')
    try {
      if (clusterSelector !== undefined) parseLabelSelector(clusterSelector)
    } catch (error) {
      if (!(error instanceof LabelSelectorError)) throw error
      const message = `the policy "${name}": ${error.message.replace(/\.$/, '')}`
      context.addIssue({ code: 'custom', path: ['clusterSelector'], message, input: clusterSelector })
    }
  })

const policies = z.array(policy).superRefine((all, context) => {
  const names = new Set<string>()
  for (const [index, { name }] of all.entries()) {
    if (names.has(name)) {
      const message = 'expected a name that no policy before it has'
      context.addIssue({ code: 'custom', path: [index, 'name'], message, input: name })
    }
    names.add(name)
  }
})

const accessMode = z.enum(['rbac', 'subjectAccessReview', 'passthrough'])

const schema = z.strictObject({
  server: z
    .strictObject({
      host: z.string().min(1).default('127.0.0.1'),
      port: count(0, 65_535).default(4000),
      graphiql: z.boolean().default(true),
      introspection: z.boolean().default(true),
      maxConnections: count(1, 1_000_000).default(10_000),
      trustedProxies: texts.default([]),
      allowedOrigins: z.array(z.url({ protocol: /^https?$/ })).default([]),
      tlsCertificateFile: z.string().default(''),
      tlsKeyFile: z.string().default(''),
      tlsClientCaFile: z.string().default(''),
      documents: z.enum(['any', 'trusted']).default('any'),
      documentsDirectory: z.string().default(''),
      shutdownGraceSeconds: z.number().min(0).max(600).default(10),
    })
    .refine(({ tlsCertificateFile, tlsKeyFile }) => (tlsCertificateFile === '') === (tlsKeyFile === ''), {
      path: ['tlsKeyFile'],
      error: 'expected both tlsCertificateFile and tlsKeyFile, or neither',
    })
    .refine(({ documents, documentsDirectory }) => documents === 'any' || documentsDirectory !== '', {
      path: ['documentsDirectory'],
      error: 'expected a directory, since server.documents is trusted',
    })
    .prefault({}),
  limits: z
    .strictObject({
      bodyBytes: count(1_024, 64 * 1024 * 1024).default(DEFAULT_LIMITS.bodyBytes),
      characters: count(1_024, 64 * 1024 * 1024).default(DEFAULT_LIMITS.characters),
      tokens: count(100, 1_000_000).default(DEFAULT_LIMITS.tokens),
      depth: count(3, 100).default(DEFAULT_LIMITS.depth),
      fields: count(10, 100_000).default(DEFAULT_LIMITS.fields),
      aliases: count(0, 10_000).default(DEFAULT_LIMITS.aliases),
      directives: count(0, 10_000).default(DEFAULT_LIMITS.directives),
      errors: count(1, 100).default(DEFAULT_LIMITS.errors),
      cost: count(100, 100_000_000).default(DEFAULT_LIMITS.cost),
      timeoutMs: count(100, 600_000).default(DEFAULT_LIMITS.timeoutMs),
      requestsPerMinute: count(1, 10_000_000).default(DEFAULT_LIMITS.requestsPerMinute),
      refusedRequestWeight: count(1, 1_000).default(DEFAULT_LIMITS.refusedRequestWeight),
      costPerMinute: count(100, 1_000_000_000).default(DEFAULT_LIMITS.costPerMinute),
      requestsPerUser: count(1, 100_000).default(DEFAULT_LIMITS.requestsPerUser),
      connectionsPerUser: count(1, 1_000_000).default(DEFAULT_LIMITS.connectionsPerUser),
      subscriptionsPerUser: count(1, 1_000_000).default(DEFAULT_LIMITS.subscriptionsPerUser),
      subscriptions: count(1, 10_000_000).default(DEFAULT_LIMITS.subscriptions),
      signInFailuresPerMinute: count(1, 1_000_000).default(DEFAULT_LIMITS.signInFailuresPerMinute),
    })
    .prefault({}),
  answers: z
    .strictObject({
      bytes: count(0, 16 * 1024 * 1024 * 1024).default(64 * 1024 * 1024),
    })
    .prefault({}),
  fleet: z
    .strictObject({
      syncs: count(1, 1_000).default(16),
      syncsPerCluster: count(1, 64).default(4),
    })
    .prefault({}),
  live: z
    .strictObject({
      queue: count(16, 1_000_000).default(4_096),
      socketBytes: count(4_096, 64 * 1024 * 1024).default(64 * 1024),
      subscriptionsPerSocket: count(1, 10_000).default(100),
      initTimeoutSeconds: z.number().min(1).max(300).default(10),
      keepAliveSeconds: z.number().min(1).max(300).default(12),
    })
    .prefault({}),
  redis: z
    .strictObject({
      url: z
        .string()
        .regex(
          /^$|^rediss?(-sentinel|-cluster)?:\/\/./,
          'expected redis://, rediss://, redis-sentinel:// or redis-cluster://',
        )
        .default(''),
      caFile: z.string().default(''),
      prefix: z
        .string()
        .regex(/^[\w.-]+$/, 'expected letters, digits, ".", "_" and "-"')
        .default('fleetgraph'),
      graceSeconds: z.number().min(0).max(3_600).default(10),
    })
    .prefault({}),
  authentication: z
    .strictObject({
      tokensFile: z.string().default(''),
      cookie: z
        .string()
        .regex(/^[\w-]*$/, 'expected the name of a cookie')
        .default(''),
      oidc: z.array(oidcIssuer).default([]),
      tokenReviews: z.array(tokenReview).default([]),
      proxies: z.array(authenticatingProxy).default([]),
    })
    .prefault({}),
  access: z
    .strictObject({
      mode: accessMode.default('rbac'),
      modes: z.record(clusterName, accessMode).default({}),
      reviewCacheSeconds: seconds(0, 300).default(10),
    })
    .prefault({}),
  changes: z
    .strictObject({
      protectedNamespaces: z
        .array(
          z
            .string()
            .regex(/^[a-z0-9][-a-z0-9]*\*?$|^\*$/, 'expected a namespace, or its beginning and a "*"'),
        )
        .default([]),
      protectedClusters: z.array(clusterName).default([]),
      maxReplicas: count(0, 1_000_000).default(1000),
      allowedRegistries: z
        .array(
          z
            .string()
            .refine(isRegistry, 'expected a registry: docker.io, ghcr.io/acme, registry.example.com:5000'),
        )
        .default([]),
      allowHostPath: z.boolean().default(false),
      confirmAbove: count(0, 1_000_000).default(0),
      planMinutes: z.number().min(0.1).max(1_440).default(10),
      keepHours: z.number().min(0.1).max(8_760).default(24),
      policies: policies.default([]),
    })
    .prefault({}),
  audit: z
    .strictObject({
      log: z.boolean().default(true),
      file: z.string().default(''),
      entries: count(0, 10_000_000).default(10_000),
      readerUsers: texts.default([]),
      readerGroups: texts.default([]),
    })
    .prefault({}),
  log: z
    .strictObject({
      level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
    })
    .prefault({}),
  clusters: z
    .array(z.discriminatedUnion('type', [kubeconfigSource, directorySource, inClusterSource, serverSource]))
    .default([{ type: 'kubeconfig', labels: {}, contextLabels: {} }]),
})

export type Config = z.infer<typeof schema>
/** One entry of `clusters`: where clusters come from. Its paths are absolute. */
export type ClusterSourceConfig = Config['clusters'][number]

/** The configuration cannot be used. The message has one line a problem: file, line, key, what was expected. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly code = 'INVALID_CONFIG'
  readonly problems: readonly string[]

  constructor(problems: readonly string[], cause?: unknown) {
    super(problems.join('\n'), { cause })
    this.problems = problems
  }
}

/**
 * Reads the file, if any, and the environment. Paths in it are relative to the file and may begin with
 * `~/`. Throws `ConfigError` with every problem at once.
 */
export function loadConfig(
  file: string | undefined,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Config {
  const source = file === undefined ? undefined : readSource(file)
  const input: unknown = source?.document.toJS() ?? {}
  const problems: string[] = []
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new ConfigError([`${file}:1: expected a map of keys (${Object.keys(schema.shape).join(', ')}).`])
  }
  const merged = overrideFromEnvironment(input as Record<string, unknown>, env, problems)
  const result = schema.safeParse(merged.value, { reportInput: true })
  for (const issue of result.error?.issues ?? []) problems.push(describe(issue, source, merged.variables))
  if (problems.length > 0 || !result.success) throw new ConfigError(problems)
  const { server, authentication, audit, redis, clusters } = result.data
  const full = (path: string) => path && fullPath(path, file)
  return {
    ...result.data,
    server: {
      ...server,
      tlsCertificateFile: full(server.tlsCertificateFile),
      tlsKeyFile: full(server.tlsKeyFile),
      tlsClientCaFile: full(server.tlsClientCaFile),
      documentsDirectory: full(server.documentsDirectory),
    },
    authentication: {
      ...authentication,
      tokensFile: full(authentication.tokensFile),
      oidc: authentication.oidc.map((issuer) => ({
        ...issuer,
        ...(issuer.caFile !== undefined && { caFile: full(issuer.caFile) }),
        ...(issuer.introspection && {
          introspection: {
            ...issuer.introspection,
            clientSecretFile: full(issuer.introspection.clientSecretFile),
          },
        }),
      })),
    },
    audit: { ...audit, file: full(audit.file) },
    redis: { ...redis, caFile: full(redis.caFile) },
    clusters: clusters.map((entry) => absolute(entry, file)),
  }
}

/** Every key with its default, for the documentation test: `server.port` → 4000. */
export function configKeys(): ReadonlyMap<string, unknown> {
  const defaults = schema.parse({})
  const keys = new Map<string, unknown>()
  for (const [section, value] of Object.entries(defaults)) {
    if (section === 'clusters') continue
    for (const [key, standard] of Object.entries(value)) keys.set(`${section}.${key}`, standard)
  }
  return keys
}

/** The keys of each kind of entry of a list, for the documentation test: `clusters kubeconfig`, `authentication.oidc`. */
export function entryKeys(): ReadonlyMap<string, readonly string[]> {
  const sources = [kubeconfigSource, directorySource, inClusterSource, serverSource]
  const signIns = { oidc: oidcIssuer, tokenReviews: tokenReview, proxies: authenticatingProxy }
  return new Map([
    ...sources.map(({ shape }) => [`clusters ${shape.type.value}`, Object.keys(shape)] as const),
    ...Object.entries(signIns).map(
      ([key, { shape }]) => [`authentication.${key}`, Object.keys(shape)] as const,
    ),
    ['changes.policies', Object.keys(policy.shape)],
  ])
}

interface Source {
  readonly file: string
  readonly document: Document
  readonly lines: LineCounter
}

function readSource(file: string): Source {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new ConfigError(
      [`${file}: the file cannot be read (${(error as Error).message}). Give its path with --config.`],
      error,
    )
  }
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true })
  if (document.errors.length > 0) {
    throw new ConfigError(
      document.errors.map((error) => {
        const { line, col } = lines.linePos(error.pos[0])
        return `${file}:${line}:${col}: not valid YAML: ${error.message.split('\n', 1)[0]}`
      }),
    )
  }
  return { file, document, lines }
}

const PREFIX = 'FLEETGRAPH_'
/** Variables with the prefix that are not keys: read by the command line. */
const RESERVED = new Set(['FLEETGRAPH_CONFIG', 'FLEETGRAPH_CACHE'])

/**
 * Kubernetes gives each pod variables for the Services beside it: one named `fleetgraph` would otherwise
 * be taken for configuration (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
 */
function isServiceLink(name: string, value: string): boolean {
  return (
    (name.endsWith('_PORT') && /^(tcp|udp|sctp):\/\//.test(value)) ||
    /_SERVICE_(HOST|PORT)(_\w+)?$/.test(name) ||
    /_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/.test(name)
  )
}

function variableName(key: string): string {
  return (
    PREFIX +
    key
      .replace(/([A-Z])/g, '_$1')
      .replace('.', '_')
      .toUpperCase()
  )
}

function overrideFromEnvironment(
  input: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
  problems: string[],
): { value: Record<string, unknown>; variables: ReadonlyMap<string, string> } {
  const keys = new Map(
    [...configKeys()]
      .filter(([, standard]) => typeof standard !== 'object')
      .map(([key, standard]) => [variableName(key), { key, standard }]),
  )
  const value = structuredClone(input) as Record<string, unknown>
  const variables = new Map<string, string>()
  // As the platforms that provide a Redis name it; our own variable stands above it.
  const standard = env['REDIS_URL'] === undefined ? {} : { [variableName('redis.url')]: env['REDIS_URL'] }
  for (const [name, text] of Object.entries({ ...standard, ...env })) {
    if (!name.startsWith(PREFIX) || RESERVED.has(name) || text === undefined) continue
    if (isServiceLink(name, text)) continue
    const known = keys.get(name)
    if (!known) {
      problems.push(
        `environment ${name}: there is no such key. Known: ${[...keys.keys()].join(', ')}, ${[...RESERVED].join(', ')}.`,
      )
      continue
    }
    const [section = '', leaf = ''] = known.key.split('.')
    const existing = value[section]
    const target = typeof existing === 'object' && existing !== null ? existing : {}
    value[section] = { ...target, [leaf]: parseValue(text, known.standard) }
    variables.set(known.key, name)
  }
  return { value, variables }
}

/** As the default's type has it; what does not fit stays text, and the schema says what was expected. */
function parseValue(text: string, standard: unknown): unknown {
  if (typeof standard === 'number' && text.trim() !== '' && Number.isFinite(Number(text))) return Number(text)
  if (typeof standard === 'boolean' && (text === 'true' || text === 'false')) return text === 'true'
  return text
}

function describe(
  issue: z.core.$ZodIssue,
  source: Source | undefined,
  variables: ReadonlyMap<string, string>,
): string {
  const path = issue.path.map(String)
  const unknownKey = issue.code === 'unrecognized_keys' ? issue.keys[0] : undefined
  const key = [...path, ...(unknownKey ? [unknownKey] : [])].join('.').replace(/\.(\d+)(?=\.|$)/g, '[$1]')
  const variable = variables.get(key)
  const place = variable ? `environment ${variable}` : (position(source, path, unknownKey) ?? 'configuration')
  const what =
    issue.code === 'unrecognized_keys'
      ? `there is no such key; see examples/fleetgraph.yaml for all of them`
      : issue.input === undefined
        ? `is missing (${issue.message.replace(/^Invalid input: /, '').replace(/, received undefined$/, '')})`
        : `${issue.message.replace(/^Invalid input: /, '')}${SECRET.has(key) ? '' : `, got ${show(issue.input)}`}`
  return `${place}: ${key || '(the whole file)'}: ${what}.`
}

/** Their values may hold a password. */
const SECRET: ReadonlySet<string> = new Set(['redis.url'])

function show(value: unknown): string {
  const text = JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}

/** `file:line:column` of the node at the path, or of the nearest one above it that exists. */
function position(source: Source | undefined, path: readonly string[], key?: string): string | undefined {
  if (!source) return undefined
  for (let length = path.length; length >= 0; length--) {
    const steps = path.slice(0, length)
    const node = length === 0 ? source.document.contents : source.document.getIn(steps, true)
    const range = rangeOf(node, length === path.length ? key : undefined)
    if (range !== undefined) {
      const { line, col } = source.lines.linePos(range)
      return `${source.file}:${line}:${col}`
    }
  }
  return source.file
}

function rangeOf(node: unknown, key?: string): number | undefined {
  if (key !== undefined && isMap(node)) {
    const pair = node.items.find((item) => isPair(item) && isScalar(item.key) && item.key.value === key)
    if (pair && isScalar(pair.key)) return pair.key.range?.[0]
  }
  return isScalar(node) || isCollection(node) ? node.range?.[0] : undefined
}

/** Relative to the file; `~/` is the home directory. */
function fullPath(path: string, file: string | undefined): string {
  if (path === '~' || path.startsWith('~/')) return resolve(homedir(), path.slice(2))
  return resolve(file === undefined ? '.' : dirname(file), path)
}

function absolute(entry: ClusterSourceConfig, file: string | undefined): ClusterSourceConfig {
  const full = (path: string) => fullPath(path, file)
  switch (entry.type) {
    case 'kubeconfig':
      return entry.paths ? { ...entry, paths: entry.paths.map(full) } : entry
    case 'directory':
      return { ...entry, path: full(entry.path) }
    case 'server':
      return {
        ...entry,
        ...(entry.caFile !== undefined && { caFile: full(entry.caFile) }),
        ...(entry.tokenFile !== undefined && { tokenFile: full(entry.tokenFile) }),
        ...(entry.clientCertificateFile !== undefined && {
          clientCertificateFile: full(entry.clientCertificateFile),
        }),
        ...(entry.clientKeyFile !== undefined && { clientKeyFile: full(entry.clientKeyFile) }),
      }
    case 'inCluster':
      return entry
  }
}
