/**
 * Manifests as people write them – YAML or JSON, several documents – made objects to apply.
 *
 * A file means here what it means to kubectl, which reads YAML 1.1 as go-yaml 2 does: `yes`, `on` and `0777` are not
 * texts, `22:22` and `2001-01-01` are. Where kubectl would guess in silence it is refused: a key that stands twice, a
 * number that a double cannot hold, a key that a merge (`<<`) after it takes over.
 *
 * Text from strangers: the size is looked at before anything else, nesting while it is read, and what aliases
 * multiply is counted while it is written out. Nothing is recursive deeper than the nesting that is allowed, and the
 * first error ends it.
 */
import { Composer, isAlias, isMap, isScalar, isSeq, Lexer, Parser, type Document, type YAMLMap } from 'yaml'
import { setImmediate } from 'node:timers/promises'
import { isObject, type KubernetesJson } from '../kubernetes/json.ts'
import { dnsLabel, dnsSubdomain, pathSegment, quoted } from './names.ts'

export interface ManifestLimits {
  /** Of the text in UTF-8, and once more of what its aliases stand for. Default 1 MiB. */
  readonly maxBytes?: number
  /** Default 500. */
  readonly maxObjects?: number
  /** Of lists and mappings in each other. Default 100. */
  readonly maxDepth?: number
  /** Default 100. */
  readonly maxAliases?: number
}

const LIMITS = { maxBytes: 1 << 20, maxObjects: 500, maxDepth: 100, maxAliases: 100 }

/** Where it is, each from 1; and what is wrong and what to do, in its message. */
export class ManifestError extends Error {
  override readonly name = 'ManifestError'
  /** `null`: it is not one place that is wrong. */
  readonly place: { readonly document: number; readonly line: number; readonly column: number } | null

  constructor(place: ManifestError['place'], sentence: string) {
    super(
      place
        ? `Document ${place.document}, line ${place.line}, column ${place.column}: ${sentence}`
        : sentence,
    )
    this.place = place
  }
}

/**
 * In the order of the text, `List`s taken apart. Each has `apiVersion`, `kind` and `metadata.name`; what only the API
 * server writes (`status`, `metadata.uid`…) is left out. Throws nothing but `ManifestError`.
 */
export function parseManifests(text: string, limits: ManifestLimits = {}): KubernetesJson[] {
  const reading = read(text, { ...LIMITS, ...limits })
  for (;;) {
    const { done, value } = reading.next()
    if (done) return value
  }
}

/** How long the loop is held by one of its turns, in milliseconds. */
const TURN = 5

/**
 * The same, a few milliseconds at a time: a megabyte takes up to seconds. Rejects with the signal's reason once it is
 * aborted.
 */
export async function parseManifestsInTurns(
  text: string,
  limits: ManifestLimits = {},
  signal?: AbortSignal,
): Promise<KubernetesJson[]> {
  const reading = read(text, { ...LIMITS, ...limits })
  let began = performance.now()
  for (;;) {
    const { done, value } = reading.next()
    if (done) return value
    if (performance.now() - began < TURN) continue
    await setImmediate()
    signal?.throwIfAborted()
    began = performance.now()
  }
}

/** Lexemes between two looks at the time. */
const LEXEMES = 256

/** Yields now and then, so that who reads may let others have a turn. */
function* read(text: string, limits: Required<ManifestLimits>): Generator<undefined, KubernetesJson[]> {
  // A character has at least one byte: what is far too long is not even measured.
  const bytes = text.length > limits.maxBytes ? text.length : Buffer.byteLength(text)
  if (bytes > limits.maxBytes) {
    throw new ManifestError(
      null,
      `The manifests have ${text.length > limits.maxBytes ? 'at least ' : ''}${bytes} bytes, and at most ${limits.maxBytes} are read: send them in several requests.`,
    )
  }
  const reader = new Reader(text, limits)
  const parser = new Parser()
  const composer = new Composer({
    // Scalars stay texts: what they mean is decided here.
    schema: 'failsafe',
    version: '1.1',
    // Compares each key with each other: that is done here, too.
    uniqueKeys: false,
    logLevel: 'silent',
  })
  // Its first error is enough: a text of nothing but errors would make one for each character.
  Object.assign(composer, { onError: reader.syntaxError })

  let lexemes = 0
  for (const lexeme of new Lexer().lex(text)) {
    for (const token of parser.next(lexeme)) {
      if (token.type === 'error') reader.refuse(token.offset, sentence(token.message))
      for (const document of composer.next(token)) reader.add(document)
    }
    // A document and a scalar are on the stack, too.
    if (parser.stack.length > limits.maxDepth + 2) reader.tooDeep(parser.offset)
    if (++lexemes % LEXEMES === 0) yield
  }
  for (const token of parser.end()) {
    if (token.type === 'error') reader.refuse(token.offset, sentence(token.message))
    for (const document of composer.next(token)) reader.add(document)
  }
  for (const document of composer.end()) reader.add(document)
  return reader.objects()
}

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }
type YamlNode = Document['contents']

interface Found {
  readonly object: KubernetesJson
  readonly document: number
  readonly offset: number
}

/** Of one text: its documents become JSON, then objects. */
class Reader {
  readonly #text: string
  readonly #limits: Required<ManifestLimits>
  readonly #found: Found[] = []
  /** The document that is read, from 1. */
  #document = 1
  #aliases = 0
  /** Characters that aliases have stood for. */
  #aliased = 0
  /** Of the document: the newest node of each name. */
  #anchors = new Map<string, YamlNode>()
  /** Nodes around the one that is read. */
  readonly #open = new Set<YamlNode>()
  #refused: ManifestError | undefined
  /** Where the keys of an object are. */
  readonly #places = new WeakMap<object, ReadonlyMap<string, number>>()

  constructor(text: string, limits: Required<ManifestLimits>) {
    this.#text = text
    this.#limits = limits
    // What YAML does not allow, and neither does any name of Kubernetes; the reader would mistake some for its own.
    // oxlint-disable-next-line no-control-regex
    const control = /[\0-\u0008\u000b\u000c\u000e-\u001f\u007f\u0080-\u0084\u0086-\u009f\ufffe\uffff]/.exec(
      text,
    )
    const bad = control?.index ?? (text.isWellFormed() ? -1 : loneSurrogate(text))
    if (bad < 0) return
    const code = text.charCodeAt(bad).toString(16).toUpperCase().padStart(4, '0')
    this.refuse(
      bad,
      `the character U+${code} may not stand in YAML: take it away, or write it as "\\u${code}" in double quotes.`,
    )
  }

  refuse(offset: number, sentence: string, document = this.#document): never {
    const lines = this.#text.slice(0, offset).split(/\r\n|[\r\n]/)
    this.#refused = new ManifestError(
      { document, line: lines.length, column: lines[lines.length - 1]!.length + 1 },
      sentence,
    )
    throw this.#refused
  }

  readonly syntaxError = (
    source: number | readonly [number, number] | { readonly offset: number },
    code: string,
    message: string,
  ): never => {
    // The composer takes what is thrown out of it for an error of its own, at each collection around it.
    if (this.#refused) throw this.#refused
    const offset = typeof source === 'number' ? source : 'offset' in source ? source.offset : source[0]
    if (code === 'TAG_RESOLVE_FAILED') this.#tag(offset)
    return this.refuse(offset, sentence(message))
  }

  tooDeep(offset: number): never {
    return this.refuse(
      offset,
      `lists and mappings are nested more than ${this.#limits.maxDepth} deep: no object of Kubernetes is.`,
    )
  }

  #tag(offset: number): never {
    return this.refuse(
      offset,
      'tags are not read, except `!!str`: write the value without one (the data of a Secret as base64 text).',
    )
  }

  add(document: Document): void {
    this.#anchors = new Map()
    const { contents } = document
    const value = this.#value(contents, 1, false)
    // Nothing but comments, as templates leave them.
    if (value !== null) this.#collect(value, offsetOf(contents), '')
    this.#document++
  }

  objects(): KubernetesJson[] {
    if (this.#found.length === 0) {
      throw new ManifestError(
        null,
        'There is no object in the manifests: write at least one, with `apiVersion`, `kind` and `metadata.name`.',
      )
    }
    const first = new Map<string, Found>()
    for (const found of this.#found) {
      const { apiVersion = '', kind, metadata } = found.object
      const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : ''
      const key = [group, kind, metadata?.namespace, metadata?.name].join(' ')
      const other = first.get(key)
      if (other) {
        this.refuse(
          found.offset,
          `${kind} ${quoted(metadata!.name!)} stands in document ${other.document} already: keep one of them.`,
          found.document,
        )
      }
      first.set(key, found)
    }
    return this.#found.map(({ object }) => object)
  }

  /** `aliased`: it is written out for an alias. */
  #value(node: YamlNode | undefined, depth: number, aliased: boolean): Json {
    if (!node) return null
    const offset = offsetOf(node)
    if (isAlias(node)) return this.#alias(node.source, offset, depth)
    if (!isScalar(node) && !isMap(node) && !isSeq(node)) return this.refuse(offset, 'this is no YAML.')
    if (node.tag && !KNOWN_TAGS.has(node.tag)) this.#tag(offset)
    if (node.anchor && !aliased) this.#anchors.set(node.anchor, node)
    if (isScalar(node)) {
      const text = node.source ?? ''
      if (aliased) this.#count(text.length, offset)
      return node.type === 'PLAIN' && !node.tag ? this.#plain(text, offset) : text
    }
    if (depth > this.#limits.maxDepth) this.tooDeep(offset)
    if (aliased) this.#count(1, offset)
    this.#open.add(node)
    const value = isMap(node)
      ? this.#mapping(node, depth, aliased)
      : node.items.map((item) => this.#value(item as YamlNode, depth + 1, aliased))
    this.#open.delete(node)
    return value
  }

  #alias(name: string, offset: number, depth: number): Json {
    const node = this.#anchors.get(name)
    if (!node) this.refuse(offset, `there is no anchor \`&${name}\` before this alias.`)
    if (this.#open.has(node)) {
      this.refuse(offset, `the alias \`*${name}\` stands inside of what it stands for, which has no end.`)
    }
    if (++this.#aliases > this.#limits.maxAliases) {
      this.refuse(offset, `there are more than ${this.#limits.maxAliases} aliases: write the values out.`)
    }
    return this.#value(node, depth, true)
  }

  #count(characters: number, offset: number): void {
    this.#aliased += characters + 1
    if (this.#aliased <= this.#limits.maxBytes) return
    this.refuse(offset, 'what the aliases stand for is too large: write less of it.')
  }

  #mapping(node: YAMLMap, depth: number, aliased: boolean): Json {
    const own = new Map<string, Json>()
    const merged = new Map<string, Json>()
    const places = new Map<string, number>()
    for (const pair of node.items) {
      const keyNode = pair.key as YamlNode
      const offset = keyNode ? offsetOf(keyNode) : offsetOf(node)
      const value = pair.value as YamlNode
      if (isScalar(keyNode) && keyNode.type === 'PLAIN' && !keyNode.tag && keyNode.source === '<<') {
        if (places.has('<<')) this.refuse(offset, 'there is a second `<<`: give one a list of aliases.')
        if (own.size > 0) {
          this.refuse(
            offset,
            '`<<` has to come first: of keys before it, programs disagree whether it takes them over.',
          )
        }
        places.set('<<', offset)
        this.#merge(this.#value(value, depth + 1, aliased), offset, merged)
        continue
      }
      const key = this.#key(keyNode, offset, depth, aliased)
      const before = places.get(key)
      if (before !== undefined) {
        const line = this.#text.slice(0, before).split(/\r\n|[\r\n]/).length
        this.refuse(offset, `the key ${quoted(key)} stands twice, first in line ${line}: keep one of them.`)
      }
      places.set(key, offset)
      own.set(key, this.#value(value, depth + 1, aliased))
    }
    const object = Object.fromEntries([...merged, ...own])
    this.#places.set(object, places)
    return object
  }

  /** Of several, those that come first win. */
  #merge(value: Json, offset: number, into: Map<string, Json>): void {
    for (const source of Array.isArray(value) ? (value as readonly Json[]) : [value]) {
      if (source === null || typeof source !== 'object' || Array.isArray(source)) {
        this.refuse(offset, 'what `<<` merges has to be a mapping, or a list of mappings.')
      }
      for (const [key, one] of Object.entries(source)) if (!into.has(key)) into.set(key, one)
    }
  }

  #key(node: YamlNode, offset: number, depth: number, aliased: boolean): string {
    const key = this.#value(node, depth + 1, aliased)
    if (key === null) this.refuse(offset, 'a key may not be null: put it in quotes if it is a text.')
    if (typeof key === 'object') this.refuse(offset, 'a key has to be a text, and not a list or a mapping.')
    if (key === '__proto__') this.refuse(offset, 'the key `__proto__` is not read: give it another name.')
    return String(key)
  }

  /** A scalar without quotes, as go-yaml 2 understands it. */
  #plain(text: string, offset: number): Json {
    const word = WORDS.get(text)
    if (word !== undefined) return word
    if (!/^[-+.\d]/.test(text)) return text
    if (NOT_FINITE.test(text)) {
      this.refuse(offset, `\`${text}\` cannot be said in JSON: put it in quotes if it is a text.`)
    }
    // Only go-yaml knows why it does not look for them here.
    const digits = text.startsWith('.') ? text : text.replaceAll('_', '')
    const integer = integerOf(digits)
    if (integer !== undefined) {
      const number = Number(integer)
      // As it is written out again: not even a double is always written with all its digits.
      if (String(number) === String(integer)) return number
      this.refuse(
        offset,
        `${quoted(text)} is no number that can be kept exactly: put it in quotes if it is a text.`,
      )
    }
    if (!FLOAT.test(digits)) return text
    const number = Number(digits)
    // Beyond a double it is a text, as in Go. Zero has no sign in JSON that is written by Go.
    return Number.isFinite(number) ? number || 0 : text
  }

  #collect(value: Json, offset: number, path: string): void {
    const where = path === '' ? 'the document' : path
    if (!isObject(value)) {
      const what = Array.isArray(value) ? 'a list' : `the ${typeof value} ${quoted(JSON.stringify(value))}`
      this.refuse(
        offset,
        `${where} is ${what}: write a mapping with \`apiVersion\`, \`kind\` and \`metadata\`${Array.isArray(value) ? ', or `kind: List` with `items`' : ''}.`,
      )
    }
    const { kind, items } = value
    if (typeof kind === 'string' && kind.endsWith('List') && Array.isArray(items)) {
      for (const [index, item] of (items as readonly Json[]).entries()) {
        const place = isObject(item) ? firstOf(this.#places.get(item)) : undefined
        this.#collect(item, place ?? this.#at(value, 'items', offset), `${path && `${path}.`}items[${index}]`)
      }
      return
    }
    if (this.#found.length === this.#limits.maxObjects) {
      this.refuse(
        offset,
        `there are more than ${this.#limits.maxObjects} objects: send them in several requests.`,
      )
    }
    this.#found.push({ object: this.#object(value, offset, path), document: this.#document, offset })
  }

  #object(value: KubernetesJson, offset: number, path: string): KubernetesJson {
    const field = (name: string) => `\`${path && `${path}.`}${name}\``
    const { apiVersion, kind, metadata } = value as Readonly<Record<string, unknown>>
    if (typeof apiVersion !== 'string' || !API_VERSION.test(apiVersion)) {
      this.refuse(
        this.#at(value, 'apiVersion', offset),
        `${field('apiVersion')} ${apiVersion === undefined ? 'is missing' : 'is none'}: write \`v1\`, or a group and a version as \`apps/v1\`.`,
      )
    }
    if (typeof kind !== 'string' || !KIND.test(kind)) {
      this.refuse(
        this.#at(value, 'kind', offset),
        `${field('kind')} ${kind === undefined ? 'is missing' : 'is none'}: write the kind of the object, as \`Deployment\`.`,
      )
    }
    if (!isObject(metadata)) {
      this.refuse(
        this.#at(value, 'metadata', offset),
        `${field('metadata')} ${metadata === undefined || metadata === null ? 'is missing' : 'is no mapping'}: write it with the \`name\` of the object.`,
      )
    }
    const { name, namespace, generateName } = metadata as Readonly<Record<string, unknown>>
    const at = (key: string) => this.#at(metadata, key, this.#at(value, 'metadata', offset))
    if (name === undefined || name === null) {
      this.refuse(
        at('generateName'),
        generateName === undefined
          ? `${field('metadata.name')} is missing: give the ${kind} a name.`
          : `${field('metadata.generateName')} cannot be applied, since each time would make another object: write ${field('metadata.name')}.`,
      )
    }
    if (typeof name !== 'string') {
      this.refuse(at('name'), `${field('metadata.name')} is no text: put it in quotes.`)
    }
    const wrong = (apiVersion.startsWith('rbac.authorization.k8s.io/') ? pathSegment : dnsSubdomain)(name)
    if (wrong) this.refuse(at('name'), `${field('metadata.name')} ${quoted(name)} ${wrong}.`)
    if (namespace !== undefined && namespace !== null) {
      if (typeof namespace !== 'string') {
        this.refuse(at('namespace'), `${field('metadata.namespace')} is no text: put it in quotes.`)
      }
      const wrong = dnsLabel(namespace)
      if (wrong) this.refuse(at('namespace'), `${field('metadata.namespace')} ${quoted(namespace)} ${wrong}.`)
    }
    for (const map of ['labels', 'annotations']) this.#texts(metadata, map, field(`metadata.${map}`), at(map))

    const { status: _status, ...rest } = value
    const kept = Object.entries(metadata).filter(([key, one]) => !SERVERS.has(key) && one !== null)
    return { ...rest, metadata: Object.fromEntries(kept) }
  }

  /** YAML makes booleans and numbers of what people mean as texts. */
  #texts(metadata: KubernetesJson, map: string, field: string, offset: number): void {
    const values = metadata[map]
    if (values === undefined || values === null) return
    if (!isObject(values)) this.refuse(offset, `${field} is no mapping of names to texts.`)
    for (const [key, value] of Object.entries(values)) {
      if (typeof value === 'string') continue
      this.refuse(
        this.#at(values, key, offset),
        `${quoted(key)} in ${field} is ${value === null ? 'null' : `a ${typeof value}`} and has to be a text: put it in quotes.`,
      )
    }
  }

  #at(object: object, key: string, otherwise: number): number {
    return this.#places.get(object)?.get(key) ?? otherwise
  }
}

const KNOWN_TAGS = new Set(['str', 'map', 'seq'].map((tag) => `tag:yaml.org,2002:${tag}`))

const WORDS: ReadonlyMap<string, Json> = new Map<string, Json>([
  ...['', '~', 'null', 'Null', 'NULL'].map((word) => [word, null] as const),
  ...['y', 'Y', 'yes', 'Yes', 'YES', 'true', 'True', 'TRUE', 'on', 'On', 'ON'].map(
    (word) => [word, true] as const,
  ),
  ...['n', 'N', 'no', 'No', 'NO', 'false', 'False', 'FALSE', 'off', 'Off', 'OFF'].map(
    (word) => [word, false] as const,
  ),
])

const NOT_FINITE = /^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/
const FLOAT = /^[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?$/
const INTEGER = /^([-+]?)(?:0[xX]([\da-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9]\d*))$/

/** As Go reads one whose base its prefix says; `undefined` for what is none, or none of 64 bits. */
function integerOf(text: string): bigint | undefined {
  const match = INTEGER.exec(text)
  if (!match) return undefined
  const [, sign, hexadecimal, binary, octal, decimal] = match
  // What is longer is beyond 64 bits.
  if (text.length > 70) return undefined
  const size = BigInt(
    hexadecimal ? `0x${hexadecimal}` : binary ? `0b${binary}` : octal ? `0o${octal}` : decimal!,
  )
  if (sign === '-') return size <= 1n << 63n ? -size : undefined
  return size < 1n << 64n ? size : undefined
}

const API_VERSION = /^(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?\/)?[a-z][a-z0-9]{0,62}$/
const KIND = /^[A-Za-z][A-Za-z0-9]{0,62}$/

/** Fields of `metadata` that only the API server writes. */
const SERVERS: ReadonlySet<string> = new Set([
  'managedFields',
  'resourceVersion',
  'uid',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'generation',
  'selfLink',
  'generateName',
])

function offsetOf(node: YamlNode): number {
  return node?.range?.[0] ?? 0
}

function firstOf(places: ReadonlyMap<string, number> | undefined): number | undefined {
  return places?.values().next().value
}

function loneSurrogate(text: string): number {
  return text.search(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/)
}

/** What the parser says has no end of a sentence, and sometimes names the source. */
function sentence(message: string): string {
  const [first = ''] = message.split('\n', 1)
  return `this is no YAML: ${first.slice(0, 200).replace(/[.:]$/, '')}.`
}

export interface StagedObject {
  readonly object: KubernetesJson
  /** For `Step.stage`. */
  readonly stage: number
}

/**
 * Each with its stage, what others need first: namespaces, types, accounts, configuration, rights, storage, Services,
 * workloads, what stands before workloads, custom resources – their operators are workloads –, and last what can
 * refuse other objects. Within a stage in the order that they were given.
 */
export function inOrder(objects: readonly KubernetesJson[]): StagedObject[] {
  return objects
    .map((object) => ({ object, stage: stageOf(object) }))
    .toSorted((one, other) => one.stage - other.stage)
}

/** Of `apps`, the group; `''` is the core group. */
const STAGES: readonly Readonly<Record<string, string>>[] = [
  { '': 'Namespace' },
  {
    'apiextensions.k8s.io': 'CustomResourceDefinition',
    'scheduling.k8s.io': 'PriorityClass',
    'storage.k8s.io': 'StorageClass CSIDriver VolumeAttributesClass',
    'node.k8s.io': 'RuntimeClass',
    'networking.k8s.io': 'IngressClass',
  },
  {
    '': 'ServiceAccount ResourceQuota LimitRange',
    'networking.k8s.io': 'NetworkPolicy',
    policy: 'PodDisruptionBudget',
  },
  { '': 'Secret ConfigMap' },
  { 'rbac.authorization.k8s.io': 'ClusterRole Role' },
  { 'rbac.authorization.k8s.io': 'ClusterRoleBinding RoleBinding' },
  { '': 'PersistentVolume' },
  { '': 'PersistentVolumeClaim' },
  { '': 'Service', 'discovery.k8s.io': 'EndpointSlice' },
  {
    '': 'Pod ReplicationController',
    apps: 'Deployment StatefulSet DaemonSet ReplicaSet',
    batch: 'Job CronJob',
  },
  { autoscaling: 'HorizontalPodAutoscaler', 'networking.k8s.io': 'Ingress' },
]
const STAGE_OF_OTHERS = STAGES.length
const LAST: Readonly<Record<string, string>> = {
  'apiregistration.k8s.io': 'APIService',
  'admissionregistration.k8s.io':
    'ValidatingWebhookConfiguration MutatingWebhookConfiguration ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding MutatingAdmissionPolicy MutatingAdmissionPolicyBinding',
}

const STAGE_BY_KIND: ReadonlyMap<string, number> = new Map(
  [...STAGES, {}, LAST].flatMap((groups, stage) =>
    Object.entries(groups).flatMap(([group, kinds]) =>
      kinds.split(' ').map((kind) => [`${group}/${kind}`, stage] as const),
    ),
  ),
)

function stageOf({ apiVersion = '', kind = '' }: KubernetesJson): number {
  const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : ''
  return STAGE_BY_KIND.get(`${group}/${kind}`) ?? STAGE_OF_OTHERS
}

interface DefinedKind {
  readonly group: string
  readonly kind: string
  readonly namespaced: boolean
  /** Names of those that are to be served. */
  readonly versions: readonly string[]
}

/** `undefined` for an object that is no CustomResourceDefinition, or none that an API server would take. */
export function definedBy({ apiVersion, kind, spec }: KubernetesJson): DefinedKind | undefined {
  if (kind !== 'CustomResourceDefinition' || !apiVersion?.startsWith('apiextensions.k8s.io/'))
    return undefined
  if (!isObject(spec)) return undefined
  const { group, names, scope, versions } = spec
  const defined = isObject(names) ? names.kind : undefined
  if (typeof group !== 'string' || typeof defined !== 'string') return undefined
  const served = (Array.isArray(versions) ? versions : []).flatMap((version: unknown) =>
    isObject(version) && version['served'] === true && typeof version['name'] === 'string'
      ? [version['name']]
      : [],
  )
  return { group, kind: defined, namespaced: scope === 'Namespaced', versions: served }
}
