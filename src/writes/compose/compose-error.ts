/** What every composer says of input that it cannot make an object of. */

/** Fields of inputs that may be left out: GraphQL gives `null` for what is left out on purpose. */
export type Maybe<T> = T | null | undefined

export class ComposeError extends Error {
  override readonly name = 'ComposeError'
  /** The argument at fault, from the root of the input: `containers[1].env[0].name`. */
  readonly argument: string

  /** `sentence` says what is wrong and what to do; the message has the argument before it. */
  constructor(argument: string, sentence: string) {
    super(`${argument}: ${sentence}`)
    this.argument = argument
  }
}
