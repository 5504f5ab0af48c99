/** What `@atLeast` on a query asks for (`graph/at-least.ts`), found out once for each document. */
import { getDirectiveValues, visit, type ASTNode, type OperationDefinitionNode } from 'graphql'
import { AT_LEAST, DEFAULT_AT_LEAST_MS, MAX_AT_LEAST_MS } from '../graph/at-least.ts'
import { within } from '../graph/changes.ts'
import type { VariableValues } from './compiled-query.ts'

export interface AtLeast {
  /** Variables that stand for nothing else: the same answer is right whatever they are. */
  readonly variables: ReadonlySet<string>
  /** `undefined`: nothing is waited for. Throws BAD_USER_INPUT. */
  wanted(variables: VariableValues): { readonly cursor: string; readonly timeoutMs: number } | undefined
}

/** Of a valid document. */
export function atLeastOf(node: OperationDefinitionNode, fragments: Iterable<ASTNode>): AtLeast | undefined {
  const directive = node.directives?.find(({ name }) => name.value === AT_LEAST.name)
  if (!directive) return undefined
  const own = variablesIn([directive])
  const { directives = [], selectionSet } = node
  const others = variablesIn([
    selectionSet,
    ...fragments,
    ...directives.filter((other) => other !== directive),
  ])
  return {
    variables: own.difference(others),
    wanted: (variables) => {
      const values = getDirectiveValues(AT_LEAST, node, variables)
      const { cursor, timeoutMs } = values as { cursor?: string | null; timeoutMs?: number | null }
      const bound = within('timeoutMs', timeoutMs ?? DEFAULT_AT_LEAST_MS, 0, MAX_AT_LEAST_MS)
      return cursor == null ? undefined : { cursor, timeoutMs: bound }
    },
  }
}

function variablesIn(nodes: readonly ASTNode[]): Set<string> {
  const names = new Set<string>()
  for (const node of nodes) visit(node, { Variable: ({ name }) => void names.add(name.value) })
  return names
}
