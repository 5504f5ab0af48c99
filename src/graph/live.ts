/**
 * Live reads in the schema: `Manifest`. What comes from an API server now is nullable, and says its
 * failure as data: one cluster that does not answer never spoils the rest of an answer.
 */
import { builder } from './builder.ts'
import { LIVE_ERROR_CODES, type LiveError } from './errors.ts'
import { AnnotationRef, keyValues } from './metadata.ts'
import { yamlOf } from '../kubernetes/json.ts'
import type { Manifest } from './manifest.ts'

/**
 * Marks a field that waits for an API server, as the user, for whoever asked: an event that selects one is
 * not made once for all who follow the same.
 */
export const READ_LIVE = { live: true } as const

const LiveErrorCodeEnum = builder.enumType('LiveErrorCode', {
  description: 'Why a live read of a cluster gave nothing.',
  values: Object.fromEntries(
    Object.entries(LIVE_ERROR_CODES).map(([code, description]) => [code, { description, value: code }]),
  ),
})

export const LiveErrorRef = builder.objectRef<LiveError>('LiveError').implement({
  description: 'Why a live read of a cluster gave nothing.',
  fields: (t) => ({
    code: t.field({
      type: LiveErrorCodeEnum,
      description: 'For a program.',
      resolve: ({ code }) => code as never,
    }),
    message: t.exposeString('message', { description: 'For a person: what failed.' }),
  }),
})

export const ManifestRef = builder.objectRef<Manifest>('Manifest').implement({
  description:
    'A whole object, read from its API server for this request. Without `managedFields`; the values of a Secret are replaced by `<redacted>`, their keys stay.',
  fields: (t) => ({
    yaml: t.string({
      nullable: true,
      description: 'The object as YAML; null where it could not be read.',
      resolve: ({ object }) => object && yamlOf(object),
    }),
    json: t.field({
      type: 'JSON',
      nullable: true,
      description: 'The object as JSON; null where it could not be read.',
      resolve: ({ object }) => object,
    }),
    annotations: t.field({
      type: [AnnotationRef],
      nullable: true,
      description: 'Its annotations in order of their keys; null where it could not be read.',
      resolve: ({ object }) => object && keyValues(object.metadata?.annotations ?? {}),
    }),
    error: t.expose('error', {
      type: LiveErrorRef,
      nullable: true,
      description: 'Why it could not be read; null where it could.',
    }),
  }),
})
