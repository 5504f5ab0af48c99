/**
 * What the viewer may do, asked for one request: many objects of a namespace are one question. It is put for the
 * namespace first, and by the name of an object only where the answer to that is no, since a role may still
 * name the object.
 *
 * Where rights are known here everything is answered at once, object by object. Where a cluster has to be asked
 * the questions by name are bounded: see `MOST_NAMES`.
 */
import DataLoader from 'dataloader'
import type { AuthorizedFleet } from '../access/authorized-fleet.ts'
import type { Action, Verdict } from '../access/policy.ts'

type Answer = Verdict | Promise<Verdict>

/** One thing to be done to one object, or to all of a namespace, or of a cluster. */
interface Question {
  readonly cluster: string
  readonly action: Action
}

/**
 * Objects of one namespace that a cluster is asked about by name. For more than these – a long list – a right
 * to a single name counts as none: a review for each object would be hundreds for every page.
 */
const MOST_NAMES = 20

/** Questions that one request may put to clusters. */
const MOST_REVIEWS = 500

const TOO_MANY: Verdict = {
  allowed: null,
  reason: `A request may ask clusters at most ${MOST_REVIEWS} times what you may do: ask for less at once.`,
}

export class Permissions {
  readonly #fleet: AuthorizedFleet
  readonly #answers = new Map<string, Answer>()
  /** Questions without their names that a cluster has to be asked. */
  readonly #remote = new Set<string>()
  readonly #named: DataLoader<Question, Verdict, string>
  #reviews = 0

  constructor(fleet: AuthorizedFleet) {
    this.#fleet = fleet
    this.#named = new DataLoader((questions) => this.#byName(questions), { cacheKeyFn: keyOf })
  }

  /** Once, whoever asks it again. A promise only where the cluster has to be asked; never rejects. */
  ask(cluster: string, action: Action): Answer {
    const key = keyOf({ cluster, action })
    let answer = this.#answers.get(key)
    if (answer === undefined) {
      if (this.#reviews >= MOST_REVIEWS) return TOO_MANY
      answer = this.#fleet.can(cluster, action)
      if (answer instanceof Promise) this.#reviews++
      this.#answers.set(key, answer)
    }
    return answer
  }

  /** The same, with `action.name` asked for only where it matters. */
  may(cluster: string, action: Action): Answer {
    if (action.name === undefined) return this.ask(cluster, action)
    const wide = wideOf(action)
    const answer = this.ask(cluster, wide)
    if (answer instanceof Promise) {
      return answer.then((verdict) => this.#narrow(verdict, { cluster, action }, wide, true))
    }
    return this.#narrow(answer, { cluster, action }, wide, false)
  }

  #narrow(verdict: Verdict, question: Question, wide: Action, remote: boolean): Answer {
    if (verdict.allowed !== false) return verdict
    const key = keyOf({ cluster: question.cluster, action: wide })
    if (remote) this.#remote.add(key)
    if (this.#remote.has(key)) return this.#named.load(question)
    const answer = this.ask(question.cluster, question.action)
    // Its answer to the wider question was still known: the next names are asked together.
    if (answer instanceof Promise) this.#remote.add(key)
    return answer
  }

  async #byName(questions: readonly Question[]): Promise<readonly Verdict[]> {
    const groups = Map.groupBy(questions, ({ cluster, action }) => keyOf({ cluster, action: wideOf(action) }))
    const verdicts = new Map<Question, Answer>()
    for (const group of groups.values()) {
      for (const question of group) {
        const { cluster, action } = question
        verdicts.set(question, group.length > MOST_NAMES ? NOT_IN_GENERAL : this.ask(cluster, action))
      }
    }
    return Promise.all(questions.map(async (question) => verdicts.get(question)!))
  }
}

/** The same, done to any object beside it: a namespace is in itself, and beside all others. */
function wideOf({ name: _name, namespace, ...action }: Action): Action {
  const isOfNamespace = action.group === '' && action.resource === 'namespaces'
  return namespace === undefined || isOfNamespace ? action : { ...action, namespace }
}

const NOT_IN_GENERAL: Verdict = { allowed: false, reason: null }

function keyOf({ cluster, action }: Question): string {
  const { verb, group, resource, subresource = '', namespace = '', name = '' } = action
  return JSON.stringify([cluster, verb, group, resource, subresource, namespace, name])
}
