/**
 * Whole objects as the API server gives them, made fit to show: `managedFields` cut out, and no data of a Secret.
 * It knows JSON and YAML, and nothing of how an object is fetched.
 */
import { Document, Scalar, visit } from 'yaml'

/** An object of the Kubernetes API, as far as the graph looks into it. */
export interface KubernetesJson {
  readonly apiVersion?: string
  readonly kind?: string
  readonly metadata?: {
    readonly name?: string
    readonly namespace?: string
    readonly uid?: string
    readonly creationTimestamp?: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
    readonly [field: string]: unknown
  }
  readonly [field: string]: unknown
}

/** Stands where a Secret's value was. */
const REDACTED = '<redacted>'

export const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration'

/** Without `managedFields`; the values of a Secret's `data` and `stringData` are replaced, their keys stay. */
export function presentable(object: KubernetesJson, secret: boolean): KubernetesJson {
  const { managedFields: _managedFields, ...metadata } = object.metadata ?? {}
  if (!secret && !(object.kind === 'Secret' && object.apiVersion === 'v1')) return { ...object, metadata }
  const { [LAST_APPLIED]: applied, ...annotations } = metadata.annotations ?? {}
  return {
    ...object,
    metadata: { ...metadata, ...(applied !== undefined && { annotations }) },
    ...redacted('data', object['data']),
    ...redacted('stringData', object['stringData']),
  }
}

/**
 * As `kubectl get -o yaml` writes it: no anchors, no folded lines, and texts in quotes that YAML 1.1 takes for
 * something else. kubectl reads YAML 1.1: it would apply the text `yes` as a boolean.
 */
export function yamlOf(object: KubernetesJson): string {
  const document = new Document(object, { aliasDuplicateObjects: false, compat: 'yaml-1.1' })
  visit(document, {
    Scalar(_key, node) {
      if (typeof node.value === 'string' && NUMBER.test(node.value)) node.type = Scalar.QUOTE_DOUBLE
    },
  })
  return document.toString({ lineWidth: 0 })
}

/** What go-yaml 2 reads as a number, underscores and prefixes in capitals included, which YAML 1.1 does not have. */
const NUMBER = /^[-+]?(?:0[xXbBoO][\da-fA-F_]+|[\d_]*(?:\.[\d_]*)?(?:[eE][-+]?[\d_]+)?)$/

export function isObject(value: unknown): value is KubernetesJson {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function redacted(field: string, values: unknown): Record<string, unknown> {
  if (values === undefined || values === null) return {}
  if (!isObject(values)) return { [field]: REDACTED }
  return { [field]: Object.fromEntries(Object.keys(values).map((key) => [key, REDACTED])) }
}
