/**
 * Serves what CustomResourceDefinitions define, while they are there.
 */
import { asArray, asString, at, isObject } from './json.ts'
import type { KubeObject } from './registry.ts'
import type { ResourceDefinition } from './resources.ts'
import type { Storage } from './storage.ts'

/** Keeps the storage's resource table in step with its definitions, for as long as the storage lives. */
export function followDefinitions(storage: Storage): void {
  storage.onCommit(({ key, type, object }) => {
    if (key.resource !== 'customresourcedefinitions') return
    const definition = definitionOf(object)
    storage.resources.removeCustom(definition)
    if (type !== 'DELETED') {
      const served = asArray(at(object, 'spec', 'versions')).filter(
        (version) => at(version, 'served') === true,
      )
      storage.resources.addCustom(
        definition,
        served.map((version) => asString(at(version, 'name'))),
      )
    }
    storage.forgetDefinition(definition)
  })
}

function definitionOf(custom: KubeObject): ResourceDefinition {
  const text = (...path: readonly string[]): string => asString(at(custom, 'spec', ...path))
  const versions = asArray(at(custom, 'spec', 'versions'))
  const stored = versions.find((version) => at(version, 'storage') === true) ?? versions[0]
  const subresources = at(stored, 'subresources')
  return {
    group: text('group'),
    resource: text('names', 'plural'),
    version: asString(at(stored, 'name')),
    kind: text('names', 'kind'),
    listKind: text('names', 'listKind'),
    singular: text('names', 'singular'),
    namespaced: text('scope') === 'Namespaced',
    shortNames: asArray(at(custom, 'spec', 'names', 'shortNames')).map(asString),
    categories: asArray(at(custom, 'spec', 'names', 'categories')).map(asString),
    generation: true,
    status: isObject(at(subresources, 'status')),
    scale: isObject(at(subresources, 'scale')),
    model: undefined,
    custom,
  }
}
