/**
 * A trusted document: its text, the types of what it takes and answers, and the hash under which a gateway that has
 * the folder `schema/operations` knows it.
 */
import { parse, type DocumentNode, type TypedQueryDocumentNode } from 'graphql'

/** A document as urql, Apollo Client and the like take one. */
export interface TrustedDocument<Result, Variables> extends DocumentNode {
  /** SHA-256 of the text, in hex. */
  readonly hash: string
  readonly text: string
  /** For the compiler alone: by these clients know the types. */
  readonly __apiType?: (variables: Variables) => Result
  readonly __ensureTypesOfVariablesAndResultMatching?: TypedQueryDocumentNode<
    Result,
    Variables
  >['__ensureTypesOfVariablesAndResultMatching']
}

export function trusted<Result, Variables>(hash: string, text: string): TrustedDocument<Result, Variables> {
  return { ...parse(text), hash, text }
}
