/**
 * A schema with one of everything that execution can get wrong – interfaces, unions, enums with inner
 * values, custom scalars, defaults, `@oneOf`, failing and waiting resolvers – over values that are fixed.
 */
import {
  GraphQLBoolean,
  GraphQLEnumType,
  GraphQLError,
  GraphQLFloat,
  GraphQLID,
  GraphQLInputObjectType,
  GraphQLInt,
  GraphQLInterfaceType,
  GraphQLList,
  GraphQLNonNull,
  GraphQLObjectType,
  GraphQLScalarType,
  GraphQLSchema,
  GraphQLString,
  GraphQLUnionType,
} from 'graphql'
import { AuthenticationError, type Credentials } from '../../src/access/authentication/authenticator.ts'
import { viewerOf, type SignInEnd, type Viewer } from '../../src/access/viewer.ts'
import { LiveSource, type Eyes, type LiveHub } from '../../src/events/live.ts'
import type { Access } from '../../src/server/exchange.ts'

export interface ZooContext {
  readonly fleet: { readonly reads: { volatile: boolean; unchanged(): boolean } }
  readonly signal?: AbortSignal
  /** Behind `animalChanges`. */
  readonly hub?: LiveHub
  readonly eyes?: Eyes
  /** At the time it was made. */
  readonly viewer?: Viewer
  /** Resolvers count their calls here. */
  readonly calls: Record<string, number>
}

interface Animal {
  readonly kind: 'Cat' | 'Dog'
  readonly id: string
  readonly name: string
  readonly age: number
  readonly mood: number
  readonly born: Date
  readonly tags: readonly string[]
  readonly friends: readonly number[]
  readonly lives?: number
  readonly trick?: string | null
}

export const ANIMALS: readonly Animal[] = Array.from({ length: 7 }, (_, index) => ({
  kind: index % 2 === 0 ? 'Cat' : 'Dog',
  id: `a${index}`,
  name: `Animal "${index}" – ü`,
  age: index,
  mood: index % 3,
  born: new Date(index * 86_400_000),
  tags: Array.from({ length: index % 3 }, (_, tag) => `tag${tag}`),
  friends: [(index + 1) % 7, (index + 3) % 7],
  ...(index % 2 === 0 ? { lives: 9 - index } : { trick: index % 3 === 0 ? null : `trick ${index}` }),
}))

const Mood = new GraphQLEnumType({
  name: 'Mood',
  values: { CALM: { value: 0 }, HUNGRY: { value: 1 }, ASLEEP: { value: 2 } },
})

const Size = new GraphQLEnumType({ name: 'Size', values: { SMALL: {}, LARGE: {} } })

const Day = new GraphQLScalarType<Date, string>({
  name: 'Day',
  serialize: (value) => (value as Date).toISOString().slice(0, 10),
  parseValue: (value) => {
    const day = new Date(String(value))
    if (Number.isNaN(day.getTime())) throw new GraphQLError(`not a day: ${String(value)}`)
    return day
  },
})

/** Anything; literals may hold variables. */
const Anything = new GraphQLScalarType({ name: 'Anything' })

const Filter: GraphQLInputObjectType = new GraphQLInputObjectType({
  name: 'Filter',
  fields: () => ({
    mood: { type: Mood },
    minAge: { type: GraphQLInt, defaultValue: 0 },
    after: { type: Day },
    tags: { type: new GraphQLList(new GraphQLNonNull(GraphQLString)) },
    not: { type: Filter },
  }),
})

const Target = new GraphQLInputObjectType({
  name: 'Target',
  isOneOf: true,
  fields: { id: { type: GraphQLID }, index: { type: GraphQLInt } },
})

interface FilterValue {
  readonly mood?: number | null
  readonly minAge?: number | null
  readonly after?: Date | null
  readonly tags?: readonly string[] | null
  readonly not?: FilterValue | null
}

function matches(animal: Animal, filter: FilterValue | null | undefined): boolean {
  if (!filter) return true
  return (
    (filter.mood == null || animal.mood === filter.mood) &&
    (filter.minAge == null || animal.age >= filter.minAge) &&
    (filter.after == null || animal.born > filter.after) &&
    (filter.tags == null || filter.tags.every((tag) => animal.tags.includes(tag))) &&
    (filter.not == null || !matches(animal, filter.not))
  )
}

const Animal: GraphQLInterfaceType = new GraphQLInterfaceType({
  name: 'Animal',
  resolveType: (value: Animal) => value.kind,
  fields: () => animalFields(),
})

const friendArguments = {
  limit: { type: GraphQLInt, defaultValue: 2 },
  moods: { type: new GraphQLList(new GraphQLNonNull(Mood)), defaultValue: [0, 1, 2] },
  since: { type: Day, defaultValue: new Date(0) },
}

const animalFields = () => ({
  id: { type: new GraphQLNonNull(GraphQLID) },
  name: { type: new GraphQLNonNull(GraphQLString) },
  age: { type: new GraphQLNonNull(GraphQLInt) },
  weight: { type: GraphQLFloat, resolve: (animal: Animal) => animal.age * 1.5 },
  mood: { type: new GraphQLNonNull(Mood) },
  size: { type: Size, resolve: (animal: Animal) => (animal.age > 3 ? 'LARGE' : 'SMALL') },
  sizes: {
    type: new GraphQLList(Size),
    resolve: (animal: Animal) => ['SMALL', null, 'LARGE'].slice(animal.age),
  },
  /** Right only once it is serialized. */
  loose: { type: GraphQLString, resolve: (animal: Animal) => (animal.age === 1 ? 1 : 'one') },
  born: { type: new GraphQLNonNull(Day) },
  tags: { type: new GraphQLNonNull(new GraphQLList(new GraphQLNonNull(GraphQLString))) },
  friends: {
    type: new GraphQLNonNull(new GraphQLList(new GraphQLNonNull(Animal))),
    args: friendArguments,
    resolve: (animal: Animal, args: { limit: number; moods: readonly number[]; since: Date }) =>
      animal.friends
        .map((index) => ANIMALS[index]!)
        .filter(({ mood, born }) => args.moods.includes(mood) && born >= args.since)
        .slice(0, args.limit),
  },
  nap: {
    type: GraphQLInt,
    args: { minutes: { type: GraphQLInt, defaultValue: 5 } },
    resolve: (_animal: Animal, { minutes }: { minutes: number }) => minutes,
  },
  /** Fails for every third animal, and may not be null. */
  fragile: {
    type: new GraphQLNonNull(GraphQLString),
    resolve: (animal: Animal) => {
      if (animal.age % 3 === 2) {
        throw new GraphQLError(`${animal.id} is fragile`, { extensions: { code: 'FRAGILE' } })
      }
      return 'whole'
    },
  },
  /** A bug for one animal. */
  buggy: {
    type: GraphQLString,
    resolve: (animal: Animal) => {
      if (animal.age === 4) throw new TypeError('secret /etc/path of the bug')
      return 'fine'
    },
  },
  /** Reads live for the oldest two. */
  live: {
    type: GraphQLString,
    extensions: { live: true },
    resolve: (animal: Animal, _args: unknown, context: ZooContext) => {
      if (animal.age < 5) return 'from memory'
      context.fleet.reads.volatile = true
      return Promise.resolve('live')
    },
  },
})

const Cat = new GraphQLObjectType({
  name: 'Cat',
  interfaces: [Animal],
  fields: () => ({ ...animalFields(), lives: { type: GraphQLInt } }),
})

const Dog = new GraphQLObjectType({
  name: 'Dog',
  interfaces: [Animal],
  fields: () => {
    const { nap, ...fields } = animalFields()
    // Allowed by the specification: the same argument with another default.
    const args = { minutes: { type: GraphQLInt, defaultValue: 7 } }
    return { ...fields, nap: { ...nap, args }, trick: { type: GraphQLString } }
  },
})

const Found = new GraphQLUnionType({
  name: 'Found',
  types: [Cat, Dog],
  resolveType: (value) => (value as Animal).kind,
})

/** Counts how often a getter is read: objects behind fields may compute. */
class Shelter {
  readonly #context: ZooContext
  constructor(context: ZooContext) {
    this.#context = context
  }
  get residents(): readonly Animal[] {
    this.#context.calls['residents'] = (this.#context.calls['residents'] ?? 0) + 1
    return ANIMALS.slice(0, 3)
  }
  get size(): number {
    return 3
  }
}

const ShelterType = new GraphQLObjectType({
  name: 'Shelter',
  fields: { residents: { type: new GraphQLList(Animal) }, size: { type: GraphQLInt } },
})

const Query: GraphQLObjectType = new GraphQLObjectType({
  name: 'Query',
  fields: () => ({
    animals: {
      type: new GraphQLNonNull(new GraphQLList(new GraphQLNonNull(Animal))),
      args: { filter: { type: Filter }, first: { type: GraphQLInt, defaultValue: 50 } },
      resolve: (_source, { filter, first }: { filter?: FilterValue; first: number }, context: ZooContext) => {
        context.calls['animals'] = (context.calls['animals'] ?? 0) + 1
        return ANIMALS.filter((animal) => matches(animal, filter)).slice(0, first)
      },
    },
    maybeAnimals: { type: new GraphQLList(Animal), resolve: () => [ANIMALS[0], null, ANIMALS[1]] },
    animal: {
      type: Animal,
      args: { target: { type: new GraphQLNonNull(Target) } },
      resolve: (_source, { target }: { target: { id?: string; index?: number } }) =>
        target.id === undefined ? ANIMALS[target.index ?? -1] : ANIMALS.find(({ id }) => id === target.id),
    },
    search: {
      type: new GraphQLNonNull(new GraphQLList(Found)),
      args: { text: { type: GraphQLString } },
      resolve: (_source, { text }: { text?: string | null }) =>
        ANIMALS.filter(({ name }) => name.includes(text ?? '')),
    },
    shelter: { type: ShelterType, resolve: (_source, _args, context: ZooContext) => new Shelter(context) },
    /** Shows what reached the resolver. */
    echo: {
      type: GraphQLString,
      args: {
        anything: { type: Anything },
        flag: { type: GraphQLBoolean },
        number: { type: GraphQLFloat, defaultValue: 1.5 },
        day: { type: Day },
        filter: { type: Filter },
      },
      resolve: (_source, args) => JSON.stringify(args, Object.keys(flatten(args)).sort()),
    },
    newSize: { type: Size, resolve: () => 'MEDIUM' },
    notANumber: { type: GraphQLFloat, resolve: () => NaN },
    tooBig: { type: GraphQLInt, resolve: () => 2 ** 40 },
    self: { type: new GraphQLNonNull(Query), resolve: () => ({}) },
    /** Never answers, whatever happens. */
    deaf: { type: GraphQLString, resolve: () => new Promise(() => undefined) },
    /** Never answers by itself. */
    stuck: {
      type: GraphQLString,
      resolve: (_source, _args, { signal, fleet }: ZooContext) => {
        fleet.reads.volatile = true
        return new Promise((_resolve, reject) =>
          signal?.addEventListener('abort', () => reject(signal.reason as Error)),
        )
      },
    },
  }),
})

function flatten(value: unknown, into: Record<string, true> = {}): Record<string, true> {
  if (typeof value !== 'object' || value === null) return into
  for (const [key, inner] of Object.entries(value)) {
    into[key] = true
    flatten(inner, into)
  }
  return into
}

const Mutation = new GraphQLObjectType({
  name: 'Mutation',
  fields: {
    rename: {
      type: GraphQLString,
      args: { to: { type: GraphQLString } },
      resolve: (_source, { to }) => to as string,
    },
  },
})

const AnimalChange = new GraphQLObjectType({
  name: 'AnimalChange',
  fields: {
    type: { type: new GraphQLNonNull(GraphQLString) },
    object: { type: Animal },
    previous: { type: Animal },
    message: { type: GraphQLString },
    cursor: { type: GraphQLString },
    /** Waits, and does not say that it reads live. */
    undeclared: { type: GraphQLString, resolve: () => Promise.resolve('late') },
  },
})

const Subscription = new GraphQLObjectType({
  name: 'Subscription',
  fields: {
    animalChanges: {
      type: new GraphQLNonNull(AnimalChange),
      args: {
        filter: { type: Filter },
        snapshot: { type: new GraphQLNonNull(GraphQLBoolean), defaultValue: false },
        after: { type: GraphQLString },
      },
      subscribe: (
        _source,
        { snapshot, after }: { snapshot: boolean; after?: string | null },
        { hub, eyes = SEES_ALL, signal }: ZooContext,
      ) => {
        const request = { type: 'clusters', clusters: () => true } as const
        return new LiveSource(hub!, request, eyes, { snapshot, ...(after != null && { after }) }, signal)
      },
      resolve: (event: unknown) => event,
    },
    /** Not of the hub; as fast as it is read. `steps` counts them. */
    countdown: {
      type: new GraphQLNonNull(GraphQLInt),
      args: { from: { type: new GraphQLNonNull(GraphQLInt) } },
      subscribe: async function* (_source, { from }: { from: number }, { calls }: ZooContext) {
        for (let left = from; left >= 0; left--) {
          calls['steps'] = (calls['steps'] ?? 0) + 1
          yield left
        }
      },
      resolve: (left: unknown) => left,
    },
    /** Says one thing, then nothing until it is ended. */
    waiting: {
      type: GraphQLString,
      subscribe: async function* (_source, _args, { signal, calls }: ZooContext) {
        calls['waiting'] = 1
        try {
          yield 'began'
          await new Promise((resolve) => signal?.addEventListener('abort', resolve))
        } finally {
          calls['waiting'] = 0
        }
      },
      resolve: (text: unknown) => text,
    },
    refusing: {
      type: GraphQLString,
      subscribe: () => Promise.reject(new GraphQLError('not today', { extensions: { code: 'CLOSED' } })),
    },
    breaking: {
      type: GraphQLString,
      subscribe: async function* () {
        yield 'one'
        throw new TypeError('secret /etc/path of the bug')
      },
      resolve: (text: unknown) => text,
    },
  },
})

export const zoo = new GraphQLSchema({
  query: Query,
  mutation: Mutation,
  subscription: Subscription,
  types: [Cat, Dog],
})

/** A context whose reads are valid until `changed` says otherwise. */
export function zooContext(state: { revision: number } = { revision: 0 }): ZooContext {
  const { revision } = state
  const reads = {
    volatile: false,
    unchanged: () => !reads.volatile && state.revision === revision,
  }
  return { fleet: { reads }, calls: {} }
}

const SEES_ALL: Eyes = { key: '', scope: () => 'all' }

export interface ZooAccess extends Access {
  /** Every context that was made. */
  readonly contexts: ZooContext[]
  /** All that were shown. */
  readonly credentials: Credentials[]
  /** Sign-ins that somebody listens to. */
  readonly listeners: number
  /** How often open streams were said to be seen with other eyes. */
  readonly exchanges: number
  /** Ends the sign-in with this token for all who listen. */
  end(token: string, end: SignInEnd): void
}

/**
 * A visitor without credentials is let in; a token `ann/ops+dev@1800000000000` is that of ann, who is in two
 * groups, until then: all but the name may be left out. It is looked at for a while where it begins with
 * `slow`, for ever where with `hanging`. Refused are `bad`, `slow forbidden`, `slow bug` and `unavailable`.
 * Eyes see by the groups.
 */
export function zooAccess(state: { revision: number } = { revision: 0 }, hub?: LiveHub): ZooAccess {
  const contexts: ZooContext[] = []
  const credentials: Credentials[] = []
  const visitor = viewerOf({ name: 'visitor', groups: [] })
  const viewers = new Map<string, Viewer>()
  const listeners = new Map<(end: SignInEnd) => void, Viewer>()
  let exchanges = 0
  return {
    contexts,
    credentials,
    get listeners() {
      return listeners.size
    },
    get exchanges() {
      return exchanges
    },
    authenticate: (given) => {
      credentials.push(given)
      const { connectionParams, headers } = given
      const shown =
        connectionParams?.['token'] ?? connectionParams?.['authorization'] ?? headers.authorization
      if (typeof shown !== 'string') return visitor
      const token = shown.replace(/^Bearer /, '')
      if (token === 'bad') throw new AuthenticationError('UNAUTHENTICATED', 'No such token.')
      if (token === 'unavailable') throw new AuthenticationError('UNAVAILABLE', 'Nobody can tell now.')
      if (token.startsWith('hanging')) return new Promise(() => {})
      let viewer = viewers.get(token)
      if (!viewer) viewers.set(token, (viewer = viewerOfToken(token)))
      if (!token.startsWith('slow')) return viewer
      const known = viewer
      return new Promise((resolve, reject) =>
        setImmediate(() => {
          if (token === 'slow forbidden') {
            reject(new GraphQLError('Not you.', { extensions: { code: 'FORBIDDEN' } }))
          } else if (token === 'slow bug') reject(new TypeError('secret'))
          else resolve(known)
        }),
      )
    },
    onEnd: (viewer, listener) => {
      // Each listener is one of its own, also where a function is given twice.
      const own = (end: SignInEnd) => listener(end)
      listeners.set(own, viewer)
      return () => void listeners.delete(own)
    },
    eyesChanged: () => {
      exchanges++
    },
    end: (token, end) => {
      for (const [listener, viewer] of Array.from(listeners)) {
        if (viewer !== viewers.get(token)) continue
        listeners.delete(listener)
        listener(end)
      }
    },
    contextFor: (viewer, signal) => {
      const now = () => (typeof viewer === 'function' ? viewer() : viewer)
      const eyes: Eyes = {
        get key() {
          return now().user.groups.join('+')
        },
        scope: () => 'all',
      }
      const context = { ...zooContext(state), signal, eyes, viewer: now(), ...(hub && { hub }) }
      contexts.push(context)
      return context
    },
  }
}

function viewerOfToken(token: string): Viewer {
  const [, name = '', groups, expiresAt] = /^([^/@]*)(?:\/([^@]*))?(?:@(.*))?$/.exec(token) ?? []
  return viewerOf(
    { name, groups: groups?.split('+') ?? [] },
    { method: 'TOKEN', issuer: 'zoo', token, expiresAt: expiresAt === undefined ? null : Number(expiresAt) },
  )
}
