/** What the API server refuses, as `Status` causes. */
import type { KubeObject } from './registry.ts'
import type { ResourceDefinition } from './resources.ts'
import type { StatusCause } from './status-error.ts'

export function validate(
  _definition: ResourceDefinition,
  _object: KubeObject,
  _previous: KubeObject | undefined,
  _subresource: string,
): readonly StatusCause[] {
  return []
}
