/** OpenAPI documents. */
import type { ResourceTable } from './resources.ts'

export function openApiV2(_table: ResourceTable, version: string): unknown {
  return { swagger: '2.0', info: { title: 'Kubernetes', version }, paths: {}, definitions: {} }
}

export function openApiV3Index(_table: ResourceTable): unknown {
  return { paths: {} }
}

export function openApiV3Document(_table: ResourceTable, _path: string, _version: string): unknown {
  return undefined
}
