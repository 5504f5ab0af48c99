/**
 * The groups of a hub: which of them somebody joins who asks for something with some rights. A group that gets
 * rights for which there is one already has no name until its followers have gone over to that one.
 */
import type { Counters, Group } from './group.ts'
import type { TableChannel } from './table-channel.ts'

export class Directory {
  readonly #all = new Set<Group<unknown>>()
  readonly #named = new Map<string, Group<unknown>>()
  /** Those that look at whole tables. */
  readonly #touched = new Set<Group<unknown>>()
  readonly #counters: Counters

  constructor(counters: Counters) {
    this.#counters = counters
  }

  /** As they are now: they may come and go meanwhile. */
  get all(): readonly Group<unknown>[] {
    return Array.from(this.#all)
  }

  /** Whoever joins for the same with the same rights is given it from now on, if there is none yet. */
  add(group: Group<unknown>): boolean {
    this.#all.add(group)
    if (group.touch) this.#touched.add(group)
    this.#counters.groups = this.#all.size
    return this.#claim(group)
  }

  /** Its rights were others; returns whether it has the name of those that it has now. */
  rename(group: Group<unknown>, rights: string): boolean {
    this.#unname(group)
    group.rights = rights
    return this.#claim(group)
  }

  delete(group: Group<unknown>): void {
    this.#unname(group)
    this.#all.delete(group)
    this.#touched.delete(group)
    this.#counters.groups = this.#all.size
  }

  /** What groups of one name render for their sinks is of one type. */
  find<P>(name: string, rights: string): Group<P> | undefined {
    return this.#named.get(full(name, rights)) as Group<P> | undefined
  }

  touch(channel: TableChannel): void {
    for (const group of this.#touched) group.touch?.(channel)
  }

  #claim(group: Group<unknown>): boolean {
    const name = full(group.name, group.rights)
    const named = this.#named.get(name)
    if (!named) this.#named.set(name, group)
    return !named || named === group
  }

  #unname(group: Group<unknown>): void {
    const name = full(group.name, group.rights)
    if (this.#named.get(name) === group) this.#named.delete(name)
  }
}

/** Names hold no line break. */
function full(name: string, rights: string): string {
  return `${name}\n${rights}`
}
