/**
 * Inputs of mutations, made from the schema: whatever type an argument has, values that are of this type, that hit
 * what is in the fleet, and that are now and then what nobody means. A field that is added to the schema is fuzzed
 * from then on without a change here.
 */
import * as fc from 'fast-check'
import {
  getNullableType,
  isEnumType,
  isInputObjectType,
  isListType,
  isNonNullType,
  type GraphQLInputObjectType,
  type GraphQLInputType,
  type GraphQLSchema,
} from 'graphql'
import { globalId } from '../../src/kubernetes/kinds.ts'

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/** The arguments of one mutation. */
export interface HostileCall {
  readonly mutation: string
  readonly args: Readonly<Record<string, Json>>
}

// ── What is in the fleet ────────────────────────────────────────────────────────────────────────

const NAMES = [
  'web',
  'web',
  'web',
  'db',
  'agent',
  'nightly',
  'once',
  'node-0',
  'web-1',
  'settings',
  'credentials',
  'absent',
]
const CLUSTERS = ['east', 'west', 'east', 'west', 'gone']
const NAMESPACES = ['shop', 'shop', 'shop', 'shop', 'shop', 'default', 'empty', 'made']
const IDS = [
  globalId('Deployment', 'east', 'shop', 'web'),
  globalId('Deployment', 'west', 'shop', 'web'),
  globalId('StatefulSet', 'east', 'shop', 'db'),
  globalId('CronJob', 'east', 'shop', 'nightly'),
  globalId('Pod', 'east', 'shop', 'web-1'),
  globalId('Node', 'east', '', 'node-0'),
  globalId('Service', 'west', 'shop', 'web'),
  globalId('Deployment', 'east', 'vault', 'absent'),
]

/** What stands where, most of the time: by the name of the field, or its type and name. */
const LIKELY: Readonly<Record<string, readonly Json[]>> = {
  cluster: CLUSTERS,
  clusters: CLUSTERS,
  namespace: NAMESPACES,
  namespaces: NAMESPACES,
  name: NAMES,
  names: NAMES,
  id: IDS,
  ids: IDS,
  'CreateNamespaceInput.name': NAMESPACES,
  'DeleteNamespaceInput.name': ['empty', 'made'],
  confirmName: ['empty', 'made'],
  'ObjectInput.kind': ['Deployment', 'Pod', 'Node', 'Service', 'Secret', 'ConfigMap', 'CronJob', 'Widget'],
  apiVersion: ['v1', 'apps/v1', 'batch/v1', 'example.com/v1'],
  labelSelector: ['app=web', 'app', '!missing', 'tier in (a,b)', ''],
  clusterSelector: ['env=prod', 'region=eu', ''],
  selector: ['env=prod', 'region=eu', 'env'],
  waves: ['env=prod', 'region=eu'],
  key: ['team', 'example.com/team', 'app', 'token', 'constructor', 'hasOwnProperty'],
  value: ['blue', '', 'green'],
  remove: ['team', 'example.com/gone', 'toString'],
  image: ['nginx:1.29', 'registry.example.com/web:2', 'web@sha256:' + 'a'.repeat(64)],
  imageRegistry: ['registry.eu.example.com'],
  container: ['main', 'sidecar'],
  'ContainerInput.name': ['main', 'sidecar', 'helper'],
  cpu: ['250m', '2'],
  memory: ['512Mi', '1G'],
  ephemeralStorage: ['1Gi'],
  storage: ['10Gi'],
  sizeLimit: ['1Gi'],
  schedule: ['*/5 * * * *', '@hourly'],
  timeZone: ['Europe/Berlin'],
  mountPath: ['/data', '/cache'],
  volume: ['data'],
  'VolumeInput.name': ['data', 'cache'],
  path: ['/', '/healthz', 'settings.yaml'],
  host: ['web.example.com', '*.example.com'],
  externalName: ['db.example.com'],
  field: ['metadata.name', 'status.podIP'],
  loadBalancerSourceRanges: ['10.0.0.0/8'],
  'ServicePortInput.name': ['http'],
  'ContainerPortInput.name': ['http'],
  IntOrString: [8080, 'http', '25%', 1],
  // Few enough to come again, and not so few that soon all are used.
  idempotencyKey: Array.from({ length: 500 }, (_, i) => `key-${i}`),
  dropCapabilities: ['ALL'],
  // Nothing here is to wait for longer than a test does.
  patienceSeconds: [0, 1],
  timeoutSeconds: [0, 1],
  waitForAddressSeconds: [0, 1],
}

/** How often, in percent, a field is given that may be left out. */
const PRESENCE: Readonly<Record<string, number>> = {
  strategy: 6,
  idempotencyKey: 10,
  'ObjectInput.namespace': 90,
  'ObjectInput.kind': 15,
  'ObjectInput.apiVersion': 5,
  'ObjectSelector.kinds': 10,
  'ObjectSelector.labelSelector': 60,
  'ScaleInput.to': 70,
  'ScaleInput.by': 10,
  'AutoscaleInput.maxReplicas': 85,
  'ApplyManifestInput.namespace': 60,
  set: 80,
  resourceVersion: 5,
  uid: 5,
}
const PRESENT = 20

const LIKELY_INTEGERS = [0, 1, 2, 3, 80, 8080]

// ── What nobody means ───────────────────────────────────────────────────────────────────────────

/** A megabyte in all where a field has some thousand of them. */
const LONG = 'a'.repeat(20_000)

const HOSTILE_TEXTS: readonly string[] = [
  '',
  ' ',
  '.',
  '..',
  '/',
  '../../../secrets/topic',
  '..%2f..%2f..%2fapi%2fv1%2fsecrets',
  '%2e%2e',
  'web/status',
  'web?dryRun=All',
  'web#fragment',
  'web;rm -rf',
  'web\0',
  'web\r\nx-injected: 1',
  '\u001b[2Jweb',
  '\u007f',
  'wéb',
  'wеb', // the second letter is Cyrillic
  '名前',
  '👩‍👩‍👧‍👦',
  'e\u0301'.repeat(100),
  '\u202egnp.exe',
  '\ufeffweb',
  '\ud800',
  'web\udc00x',
  '\u2028',
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  '${7*7}',
  '{{.Values}}',
  "' OR '1'='1",
  '-1',
  'NaN',
  '1e400',
  '0x7fffffff',
  '9'.repeat(400),
  '99999999999999999999Gi',
  'null',
  'WEB',
  '-web-',
  'web.',
  'a'.repeat(64),
  'a'.repeat(254),
  LONG,
  `${'a-'.repeat(10_000)}!`,
  `${'a.'.repeat(10_000)}!`,
  '(a,'.repeat(5_000),
  `a in (${'b,'.repeat(5_000)}c)`,
  Array.from({ length: 2_000 }, (_, i) => `k${i}=v`).join(','),
  `${' '.repeat(20_000)}x`,
  '\u0301'.repeat(5_000),
  '*/5 '.repeat(5_000),
  '1-59/2,'.repeat(2_000),
  `${'a/'.repeat(5_000)}b:${'t'.repeat(200)}`,
  globalId('Deployment', 'east', 'shop', '../../secrets'),
  globalId('Deployment', 'nowhere', 'shop', 'web'),
  globalId('Deployment', 'east', '', 'web'),
  globalId('Deployment', 'east', '..', 'web'),
  globalId('Deployment', 'east', 'shop', '..'),
  globalId('Deployment', 'east', 'shop', 'web?dryRun=All'),
  globalId('Deployment', 'east', 'shop', 'web\r\n'),
  globalId('Node', 'east', 'shop', 'node-0'),
  globalId('Cluster', 'east'),
  Buffer.from('Deployment/east/shop').toString('base64url'),
]

const HOSTILE_INTEGERS = [-1, -2_147_483_648, 2_147_483_647, 65_536, 100_000, 1_000_001]

/** Not of the type at all: what coercion is for. */
const OF_NO_TYPE: readonly Json[] = [
  2_147_483_648,
  -1e300,
  1.5,
  true,
  [],
  {},
  [[[]]],
  { __proto__: null, constructor: { prototype: 1 } },
  JSON.parse('{"__proto__":{"isAdmin":true},"constructor":1}') as Json,
  deep(60),
]

function deep(levels: number): Json {
  let value: Json = 1
  for (let i = 0; i < levels; i++) value = i % 2 ? [value] : { a: value }
  return value
}

/** How often, in percent, a leaf is what nobody means. */
const HOSTILITY = 4

// ── Manifests ───────────────────────────────────────────────────────────────────────────────────

const configMap = (name: string, data: Json = { a: 'b' }) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  data,
})

/** Texts that are meant to break who reads them. All of them have to be refused, and in a moment. */
export const MANIFEST_BOMBS: Readonly<Record<string, () => string>> = {
  'a billion laughs': () => {
    const lines = ['a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]']
    for (let i = 1; i < 12; i++)
      lines.push(
        `a${i}: &a${i} [${Array(10)
          .fill(`*a${i - 1}`)
          .join(', ')}]`,
      )
    return lines.join('\n')
  },
  'merges that double': () => {
    const lines = ['a0: &a0 {k0: v}']
    for (let i = 1; i < 60; i++) lines.push(`a${i}: &a${i} {<<: [*a${i - 1}, *a${i - 1}], k${i}: v}`)
    return lines.join('\n')
  },
  'an alias of itself': () => 'apiVersion: v1\nkind: ConfigMap\nmetadata: &a {name: x, labels: *a}\n',
  'nesting without an end': () => '['.repeat(200_000),
  'mappings without an end': () => '{a: '.repeat(100_000),
  'sequences without an end': () => '- '.repeat(200_000),
  'indentation that goes on': () => Array.from({ length: 1_000 }, (_, i) => `${' '.repeat(i)}a:`).join('\n'),
  'nothing but documents': () => '---\n'.repeat(200_000),
  'ten thousand objects': () =>
    Array.from({ length: 10_000 }, (_, i) => JSON.stringify(configMap(`x${i}`))).join('\n---\n'),
  'a list of ten thousand': () =>
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'List',
      items: Array.from({ length: 10_000 }, (_, i) => configMap(`x${i}`)),
    }),
  'lists in lists': () => {
    let value: Json = configMap('x')
    for (let i = 0; i < 2_000; i++) value = { apiVersion: 'v1', kind: 'List', items: [value] }
    return JSON.stringify(value)
  },
  'five megabytes of an object': () => JSON.stringify(configMap('large', { a: 'x'.repeat(5 << 20) })),
  'five megabytes of keys': () =>
    `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n${Array.from({ length: 300_000 }, (_, i) => `  k${i}: value`).join('\n')}`,
  'five megabytes of errors': () => '\t@`%: }'.repeat(800_000),
  'five megabytes of one key': () => `? ${'k'.repeat(5 << 20)}\n: v`,
  'a megabyte of quotes': () => `a: ${'"'.repeat(1_000_000)}`,
  'a megabyte of anchors': () => Array.from({ length: 60_000 }, (_, i) => `- &a${i} x`).join('\n'),
  'a megabyte of tags': () => Array.from({ length: 60_000 }, () => '- !!binary x').join('\n'),
  'a megabyte of comments': () => '# nothing\n'.repeat(100_000),
  'a megabyte of directives': () => '%YAML 1.1\n'.repeat(100_000),
  'the same key a hundred thousand times': () => 'a: b\n'.repeat(100_000),
  'a prototype': () => 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n__proto__: {isAdmin: true}',
  'a function': () => '!!js/function "function () { return process.exit() }"',
  'control characters': () => 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "x\0y"}',
  'half of a character': () => 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: \ud800}',
  'a path for a name': () =>
    'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ../../secrets/x, namespace: shop}',
  'a path for a kind': () => 'apiVersion: ../../v1\nkind: ../secrets\nmetadata: {name: x}',
  'a path for a namespace': () =>
    'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: ../../../api}',
  'no object': () => '42',
  'nothing at all': () => '',
}

function manifests(): fc.Arbitrary<string> {
  const text = fc.constantFrom(...HOSTILE_TEXTS)
  const kind = fc.constantFrom('ConfigMap', 'Secret', 'Service', 'Deployment', 'Widget', 'constructor')
  const name = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...NAMES) }, { weight: 1, arbitrary: text })
  const object = fc
    .record({
      apiVersion: fc.constantFrom('v1', 'v1', 'v1', 'apps/v1', 'example.com/v1', ''),
      kind,
      name,
      namespace: fc.constantFrom(undefined, ...NAMESPACES, 'vault', '..'),
      data: fc.oneof(
        {
          weight: 6,
          arbitrary: fc.dictionary(fc.constantFrom('a', 'b', 'valueOf', '__proto__'), fc.string()),
        },
        { weight: 1, arbitrary: fc.jsonValue() },
        { weight: 1, arbitrary: text },
        { weight: 1, arbitrary: fc.constant(deep(150) as never) },
      ),
    })
    .map(({ apiVersion, kind, name, namespace, data }) => ({
      apiVersion,
      kind,
      metadata: { name, ...(namespace !== undefined && { namespace }) },
      [kind === 'Deployment' || kind === 'Service' ? 'spec' : 'data']: data,
    }))
  const documents = fc
    .array(object, { minLength: 1, maxLength: 4 })
    .map((objects) => objects.map((one) => JSON.stringify(one)).join('\n---\n'))
  return fc.oneof(
    { weight: 8, arbitrary: documents },
    { weight: 1, arbitrary: fc.string() },
    { weight: 1, arbitrary: text },
    { weight: 1, arbitrary: fc.tuple(documents, text).map(([a, b]) => `${a}\n---\n${b}`) },
  )
}

// ── From the schema ─────────────────────────────────────────────────────────────────────────────

/** Calls of all mutations of a schema, each as often as any other. */
export function hostileCalls(schema: GraphQLSchema): fc.Arbitrary<HostileCall> {
  const types = new Map<GraphQLInputObjectType, fc.Arbitrary<Json>>()

  const objectOf = (type: GraphQLInputObjectType): fc.Arbitrary<Json> => {
    const known = types.get(type)
    if (known) return known
    const fields = Object.values(type.getFields()).map((field) => ({
      name: field.name,
      isRequired: isNonNullType(field.type) && field.defaultValue === undefined,
      value: valueOf(field.type, type.name, field.name),
    }))
    const one = fields.map(({ name, value }) => value.map((given): Json => ({ [name]: given })))
    const arbitrary = type.isOneOf
      ? fc.oneof(
          ...one.map((arbitrary) => ({ weight: 20, arbitrary })),
          // None of them, and several: coercion has to see it.
          { weight: 1, arbitrary: fc.constant<Json>({}) },
          { weight: 1, arbitrary: fc.tuple(one[0]!, one.at(-1)!).map(([a, b]) => Object.assign({}, a, b)) },
        )
      : fc
          .tuple(
            ...fields.map(({ value, isRequired, name }) => {
              const percent = isRequired
                ? 99
                : (PRESENCE[`${type.name}.${name}`] ?? PRESENCE[name] ?? PRESENT)
              return fc.oneof(
                { weight: percent, arbitrary: value },
                { weight: 100 - percent, arbitrary: fc.constant(undefined) },
              )
            }),
          )
          .map((values) => {
            const given = values.flatMap((value, i) =>
              value === undefined ? [] : [[fields[i]!.name, value] as const],
            )
            return Object.fromEntries(given)
          })
    types.set(type, arbitrary)
    return arbitrary
  }

  const valueOf = (type: GraphQLInputType, parent: string, field: string): fc.Arbitrary<Json> => {
    const inner = getNullableType(type)
    const nothing = fc.constant<Json>(null)
    const value = isListType(inner)
      ? listOf(valueOf(inner.ofType, parent, field))
      : isInputObjectType(inner)
        ? objectOf(inner)
        : isEnumType(inner)
          ? leafOf(
              fc.constantFrom<Json>(...inner.getValues().map(({ name }) => name)),
              fc.constantFrom<Json>('NOTHING', '__proto__', 0),
            )
          : scalarOf((inner as { name: string }).name, parent, field)
    return isNonNullType(type)
      ? value
      : fc.oneof({ weight: 40, arbitrary: value }, { weight: 1, arbitrary: nothing })
  }

  const fields = Object.values(schema.getMutationType()!.getFields())
  return fc.oneof(
    ...fields.map(({ name, args }) =>
      fc.tuple(...args.map((arg) => valueOf(arg.type, name, arg.name))).map((values): HostileCall => ({
        mutation: name,
        args: Object.fromEntries(args.map((arg, i) => [arg.name, values[i]!])),
      })),
    ),
  )
}

function leafOf(likely: fc.Arbitrary<Json>, hostile: fc.Arbitrary<Json>): fc.Arbitrary<Json> {
  return fc.oneof(
    { weight: 100 - HOSTILITY, arbitrary: likely },
    { weight: HOSTILITY - 1, arbitrary: hostile },
    { weight: 1, arbitrary: fc.constantFrom(...OF_NO_TYPE) },
  )
}

function scalarOf(scalar: string, parent: string, field: string): fc.Arbitrary<Json> {
  const likely = LIKELY[`${parent}.${field}`] ?? LIKELY[field] ?? LIKELY[scalar]
  const text = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom<Json>(...HOSTILE_TEXTS) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
  )
  const integer = fc.oneof(fc.constantFrom<Json>(...HOSTILE_INTEGERS), fc.integer())
  switch (scalar) {
    case 'Boolean':
      return leafOf(fc.boolean(), fc.constant<Json>('true'))
    case 'Int':
      // Not by accident: those say for how long somebody waits.
      return leafOf(fc.constantFrom(...(likely ?? LIKELY_INTEGERS)), likely ? fc.constant<Json>(-1) : integer)
    case 'IntOrString':
      return leafOf(fc.constantFrom(...likely!), fc.oneof(text, integer))
    case 'ID':
    case 'String':
      if (field === 'manifest') return leafOf(manifests(), text)
      return leafOf(fc.constantFrom<Json>(...(likely ?? ['web', 'data', 'x'])), text)
    default:
      throw new Error(`No values are known of the scalar ${scalar}: add them here.`)
  }
}

function listOf(item: fc.Arbitrary<Json>): fc.Arbitrary<Json> {
  return fc.oneof(
    { weight: 40, arbitrary: fc.array(item, { minLength: 1, maxLength: 3 }) },
    { weight: 2, arbitrary: fc.constant<Json>([]) },
    // The same one, thousands of times; and one that coercion makes a list.
    {
      weight: 1,
      arbitrary: fc.tuple(item, fc.constantFrom(1_001, 5_000)).map(([one, n]) => repeated(one, n)),
    },
    { weight: 1, arbitrary: item },
  )
}

/** Of what is large already so many that a request has no more than a few megabytes. */
function repeated(one: Json, count: number): Json {
  const most = Math.floor(3_000_000 / (JSON.stringify(one).length + 1))
  return Array<Json>(Math.min(count, most)).fill(one)
}
