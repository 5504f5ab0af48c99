/**
 * The channels that one connection listens to, and who gets what comes: one listener on the connection,
 * however many clusters are followed.
 *
 * Deliberately absent: any promise that a message arrives. Pub/sub sends it once, to whoever is subscribed
 * at that moment; followers number what they get.
 */
import type { Cluster, Redis } from 'ioredis'
import type { RedisLink } from './keys.ts'

type Listener = (message: string) => void

const channelsOf = new WeakMap<Redis | Cluster, Channels>()

/** The channels of a link, shared by all who ask. */
export function channelsOfLink(link: RedisLink): Channels {
  const known = channelsOf.get(link.subscriber)
  if (known) return known
  const channels = new Channels(link)
  channelsOf.set(link.subscriber, channels)
  return channels
}

class Channels {
  readonly #link: RedisLink
  readonly #listeners = new Map<string, Set<Listener>>()

  constructor(link: RedisLink) {
    this.#link = link
  }

  /** Resolves when Redis has confirmed it; rejects with the connection's error. Asked again, it asks again. */
  async listen(channel: string, listener: Listener): Promise<void> {
    const { subscriber, sharded } = this.#link
    if (this.#listeners.size === 0) subscriber.on(sharded ? 'smessage' : 'message', this.#onMessage)
    const listeners = this.#listeners.get(channel) ?? new Set()
    this.#listeners.set(channel, listeners.add(listener))
    await (sharded ? subscriber.ssubscribe(channel) : subscriber.subscribe(channel))
  }

  /** From now on nothing is called; Redis learns of it when it can. */
  forget(channel: string, listener: Listener): void {
    const listeners = this.#listeners.get(channel)
    if (!listeners?.delete(listener) || listeners.size > 0) return
    this.#listeners.delete(channel)
    const { subscriber, sharded } = this.#link
    if (this.#listeners.size === 0) subscriber.off(sharded ? 'smessage' : 'message', this.#onMessage)
    // A connection that is gone has no subscriptions.
    const ending = sharded ? subscriber.sunsubscribe(channel) : subscriber.unsubscribe(channel)
    ending.catch(() => {})
  }

  readonly #onMessage = (channel: string, message: string): void => {
    for (const listener of this.#listeners.get(channel) ?? []) listener(message)
  }
}
