/**
 * `search`: one text over the names, labels, images and addresses of everything in memory, best first. It
 * is a pass over the rows of the kinds asked for, about a microsecond each, that lets the event loop turn
 * every few milliseconds; it keeps no more than what it returns.
 */
import { setImmediate as turn } from 'node:timers/promises'
import type { Coverage } from '../access/coverage.ts'
import type { Cluster } from '../fleet/fleet.ts'
import type { ContainerSpec, Kind, LabelSet, Row } from '../kubernetes/rows.ts'
import { builder } from './builder.ts'
import type { GraphContext } from './context.ts'
import { CoverageRef } from './coverage.ts'
import { KindEnum } from './enums.ts'
import { badUserInput } from './errors.ts'
import { clustersOf } from './filters.ts'
import { KubernetesObject } from './refs.ts'
import { FleetFilter } from './summary.ts'

/** Best first. */
const MATCHES = {
  NAME: 'The name is this text.',
  ADDRESS: 'An IP address or host name is this text.',
  NAME_PREFIX: 'The name begins with this text.',
  LABEL: 'A label is this `key=value`, or has this text as its value.',
  NAME_CONTAINS: 'The name contains this text.',
  IMAGE: 'The image of a container contains this text.',
  ADDRESS_PREFIX: 'An IP address or host name begins with this text.',
} as const

type Match = keyof typeof MATCHES

const RANKS = Object.keys(MATCHES) as readonly Match[]

/**
 * Among equal matches, what people look for comes first; Events, EndpointSlices, roles and bindings only when
 * asked for.
 */
const SEARCH_ORDER = [
  'Namespace',
  'Node',
  'Deployment',
  'StatefulSet',
  'DaemonSet',
  'CronJob',
  'Job',
  'Service',
  'Ingress',
  'PersistentVolumeClaim',
  'PersistentVolume',
  'HorizontalPodAutoscaler',
  'ConfigMap',
  'StorageClass',
  'ResourceQuota',
  'Pod',
  'ReplicaSet',
] as const satisfies readonly Kind[]

interface Hit {
  readonly object: Row
  readonly match: Match
  /** What matched: the name, the label as `key=value`, the image, the address. */
  readonly matched: string
}

interface SearchResults {
  readonly hits: readonly Hit[]
  readonly totalCount: number
  readonly coverage: readonly Coverage[]
}

/** What one text matches. Label sets and container specifications are shared, and tested once each. */
class Matcher {
  /** In lower case: names and addresses are, labels and images are taken as if they were. */
  readonly #text: string
  readonly #label: { readonly key: string; readonly value: string } | undefined
  readonly #labels = new Map<LabelSet, string | undefined>()
  readonly #images = new Map<ContainerSpec, boolean>()
  readonly #isAddress: boolean

  constructor(text: string) {
    this.#text = text.toLowerCase()
    const equals = text.indexOf('=')
    if (equals > 0) this.#label = { key: text.slice(0, equals), value: text.slice(equals + 1) }
    this.#isAddress = /[.:]/.test(text) && /^[\w.:-]+$/.test(text)
  }

  match(row: Row): Hit | undefined {
    const text = this.#text
    const at = this.#label ? -1 : row.name.indexOf(text)
    if (at === 0) {
      const match = row.name.length === text.length ? 'NAME' : 'NAME_PREFIX'
      return { object: row, match, matched: row.name }
    }
    const address = this.#isAddress ? this.#address(row) : undefined
    if (address === text) return { object: row, match: 'ADDRESS', matched: address }
    const label = this.#matchLabels(row.labels)
    if (label !== undefined) return { object: row, match: 'LABEL', matched: label }
    if (at > 0) return { object: row, match: 'NAME_CONTAINS', matched: row.name }
    const image = this.#label ? undefined : this.#image(row)
    if (image !== undefined) return { object: row, match: 'IMAGE', matched: image }
    if (address !== undefined) return { object: row, match: 'ADDRESS_PREFIX', matched: address }
    return undefined
  }

  #matchLabels(labels: LabelSet): string | undefined {
    if (this.#labels.has(labels)) return this.#labels.get(labels)
    let found: string | undefined
    if (this.#label) {
      const { key, value } = this.#label
      if (labels[key] === value) found = `${key}=${value}`
    } else {
      for (const key in labels)
        if (labels[key]!.toLowerCase() === this.#text) found ??= `${key}=${labels[key]}`
    }
    this.#labels.set(labels, found)
    return found
  }

  #image(row: Row): string | undefined {
    if (!('containers' in row)) return undefined
    for (const container of row.containers) {
      const spec = 'spec' in container ? container.spec : container
      let matches = this.#images.get(spec)
      if (matches === undefined) {
        matches = spec.image.toLowerCase().includes(this.#text)
        this.#images.set(spec, matches)
      }
      if (matches) return spec.image
    }
    return undefined
  }

  /** The address that is the text, else the first that begins with it. */
  #address(row: Row): string | undefined {
    const addresses = addressesOf(row)
    return addresses.includes(this.#text)
      ? this.#text
      : addresses.find((address) => address.startsWith(this.#text))
  }
}

function addressesOf(row: Row): readonly string[] {
  switch (row.kind) {
    case 'Pod':
      return row.podIP === null ? [] : [row.podIP]
    case 'Node':
      return row.addresses.map(({ address }) => address)
    case 'Service':
      return [
        row.clusterIP,
        ...row.externalIPs,
        ...row.loadBalancer.flatMap(({ ip, hostname }) => [ip ?? [], hostname ?? []].flat()),
        row.externalName ?? '',
      ]
    case 'Ingress':
      return [
        ...row.paths.flatMap(({ host }) => host ?? []),
        ...row.loadBalancer.flatMap(({ ip, hostname }) => [ip ?? [], hostname ?? []].flat()),
      ]
    default:
      return []
  }
}

/** Time between two turns of the event loop, looked at every so many rows. */
const SLICE_MS = 5
const SLICE_ROWS = 256

/** Kinds, clusters and rows are visited in the order of the answer, so each rank keeps its first ones. */
async function search(
  text: string,
  limit: number,
  kinds: readonly Kind[],
  clusters: readonly Cluster[],
  namespaces: ReadonlySet<string> | undefined,
  { fleet, signal }: GraphContext,
): Promise<SearchResults> {
  const matcher = new Matcher(text)
  const ranks = new Map<Match, Hit[]>(RANKS.map((match) => [match, []]))
  let totalCount = 0
  let slice = performance.now()
  for (const kind of kinds) {
    for (const { name } of clusters) {
      // A copy: the table may change whenever the event loop turns.
      const rows = fleet.related(kind, name, (table) => table.rows())
      for (const [index, row] of rows.entries()) {
        if (index % SLICE_ROWS === 0 && performance.now() - slice > SLICE_MS) {
          await turn()
          signal?.throwIfAborted()
          slice = performance.now()
        }
        if (namespaces && !namespaces.has(row.namespace)) continue
        const hit = matcher.match(row)
        if (!hit) continue
        totalCount++
        const hits = ranks.get(hit.match)!
        if (hits.length < limit) hits.push(hit)
      }
    }
  }
  // A cluster may have left the fleet since its turn.
  const present = ({ object }: Hit) => fleet.cluster(object.cluster) !== undefined
  const hits = RANKS.flatMap((match) => ranks.get(match)!)
    .filter(present)
    .slice(0, limit)
  return {
    hits,
    totalCount,
    get coverage() {
      return fleet.coverage(kinds, clusters)
    },
  }
}

const SearchMatch = builder.enumType('SearchMatch', {
  description: 'Why an object was found, best first.',
  values: Object.fromEntries(
    Object.entries(MATCHES).map(([match, description]) => [match, { description, value: match }]),
  ),
})

const SearchHitRef = builder.objectRef<Hit>('SearchHit').implement({
  description: 'An object that was found.',
  fields: (t) => ({
    object: t.expose('object', { type: KubernetesObject, description: 'The object.' }),
    match: t.field({
      type: SearchMatch,
      description: 'Why it was found.',
      resolve: ({ match }) => match as never,
    }),
    matched: t.exposeString('matched', {
      description: 'What matched: the name, the label as `key=value`, the image or the address.',
    }),
  }),
})

const SearchResultsRef = builder.objectRef<SearchResults>('SearchResults').implement({
  description: 'What a search found.',
  fields: (t) => ({
    hits: t.expose('hits', {
      type: [SearchHitRef],
      description: 'The best ones: by how they match, then by kind, cluster, namespace and name.',
    }),
    totalCount: t.exposeInt('totalCount', { description: 'How many objects match, shown or not.' }),
    coverage: t.expose('coverage', {
      type: [CoverageRef],
      description: 'How complete and fresh what was searched is: one entry for each cluster.',
    }),
  }),
})

const DEFAULT_HITS = 20
const MAX_HITS = 100

builder.queryField('search', (t) =>
  t.field({
    type: SearchResultsRef,
    description:
      'Finds objects of all clusters by a text: names, labels (`app=web`), images, IP addresses and host names. Best first; refine the text rather than page.',
    args: {
      text: t.arg.string({ required: true, description: 'What to look for: at least one character.' }),
      kinds: t.arg({
        type: [KindEnum],
        description: 'Only these kinds; absent: all but Event, EndpointSlice, roles and their bindings.',
      }),
      filter: t.arg({ type: FleetFilter, description: 'Which part of the fleet; absent: all.' }),
      first: t.arg.int({
        description: `How many at most: 0 to ${MAX_HITS}; absent: ${DEFAULT_HITS}.`,
      }),
    },
    resolve: (_root, { text, kinds, filter, first }, context) => {
      const wanted = text.trim()
      if (wanted === '') throw badUserInput('"text" is empty: give at least one character.', 'text')
      const limit = first ?? DEFAULT_HITS
      if (limit < 0 || limit > MAX_HITS) {
        throw badUserInput(`"first" is ${limit}: it can be from 0 to ${MAX_HITS}.`, 'first')
      }
      const order: readonly Kind[] = SEARCH_ORDER
      const asked = kinds
        ? Array.from(new Set(kinds)).sort((a, b) => (order.indexOf(a) >>> 0) - (order.indexOf(b) >>> 0))
        : order
      const namespaces = filter?.namespaces ? new Set(filter.namespaces) : undefined
      const clusters = clustersOf(filter, context)
      return context.loaders.once(`search ${JSON.stringify([wanted, limit, asked, filter])}`, () =>
        search(wanted, limit, asked, clusters, namespaces, context),
      )
    },
  }),
)
