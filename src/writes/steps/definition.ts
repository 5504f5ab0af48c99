/** Kinds that come with a change: waits for what CustomResourceDefinitions define. */
import type { KubernetesJson } from '../../kubernetes/json.ts'
import { definedBy } from '../manifests.ts'
import { writeFailure } from '../write-errors.ts'
import { pause, type PlacedStep } from './action-step.ts'

const FIRST_MS = 100
const MOST_MS = 2_000
/** An API server takes about a second, and seven where there are several of them. */
const PATIENCE_MS = 10_000

/**
 * After a definition was written: waits until the cluster serves what it defines, so that what comes next finds its
 * kind. The end of a sentence for a person where that takes too long: it is written all the same.
 */
export async function untilServed(
  { context: { client, clock, signal, dryRun } }: Pick<PlacedStep, 'context'>,
  written: KubernetesJson,
): Promise<string | null> {
  const defined = dryRun ? undefined : definedBy(written)
  if (!defined) return null
  const until = clock.now() + PATIENCE_MS
  for (let wait = FIRST_MS; ; wait = Math.min(wait * 2, MOST_MS)) {
    try {
      const found = await Promise.all(
        defined.versions.map((version, i) =>
          // All of them are read at once: only the first has to ask.
          client.resolve(`${defined.group}/${version}`, defined.kind, { signal, fresh: i === 0 }),
        ),
      )
      if (found.every((served) => served !== undefined)) return null
    } catch (error) {
      if (!writeFailure(error, { wrote: false })) throw error
    }
    if (clock.now() + wait > until) return 'The cluster does not serve what it defines yet.'
    await pause(clock, wait, signal)
  }
}
