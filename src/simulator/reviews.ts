/**
 * Questions that are asked by POST and stored nowhere: who a token is, what a user may do
 * (authentication.k8s.io and authorization.k8s.io).
 */
import type { Attributes, Authorizer, UserInfo } from './authorization.ts'
import type { Identities } from './identity.ts'
import { asArray, asObject, asString, at, isObject, type JsonObject } from './json.ts'
import { badRequest, invalid } from './status-error.ts'

export interface ReviewContext {
  readonly user: UserInfo
  readonly authorizer: Authorizer
  readonly identities: Identities
  /** From the URL, for local reviews. */
  readonly namespace: string | undefined
}

/** Answers a review, by the kind of resource it was posted to; undefined for an unknown one. */
export function review(resource: string, body: JsonObject, context: ReviewContext): unknown {
  const status = statusOf(resource, asObject(body['spec']), context)
  if (status === undefined) return undefined
  return { ...body, metadata: { ...asObject(body['metadata']), creationTimestamp: null }, status }
}

function statusOf(resource: string, spec: JsonObject, context: ReviewContext): unknown {
  const { user, authorizer, identities } = context
  switch (resource) {
    case 'selfsubjectreviews':
      return { userInfo: userInfo(user) }
    case 'tokenreviews': {
      const token = asString(spec['token'])
      if (token === '') throw badRequest('token is required for TokenReview in authentication')
      const asked = asArray(spec['audiences']).map(asString)
      const known = identities.ofToken(token, asked.length > 0 ? asked : undefined)
      if (known === undefined) return { user: {}, error: '[invalid bearer token, unknown]' }
      return { authenticated: true, user: userInfo(known.user), audiences: known.audiences }
    }
    case 'selfsubjectaccessreviews':
      return decide(authorizer, user, attributesOf(spec, 'SelfSubjectAccessReview'))
    case 'subjectaccessreviews':
      return decide(
        authorizer,
        userOf(spec, 'SubjectAccessReview'),
        attributesOf(spec, 'SubjectAccessReview'),
      )
    case 'localsubjectaccessreviews': {
      const attributes = attributesOf(spec, 'LocalSubjectAccessReview')
      if (attributes.namespace !== context.namespace) {
        throw invalid('authorization.k8s.io', 'LocalSubjectAccessReview', '', [
          {
            reason: 'FieldValueInvalid',
            message: `Invalid value: "${attributes.namespace ?? ''}": must match metadata.namespace`,
            field: 'spec.resourceAttributes.namespace',
          },
        ])
      }
      return decide(authorizer, userOf(spec, 'LocalSubjectAccessReview'), attributes)
    }
    case 'selfsubjectrulesreviews':
      return rulesStatus(authorizer, user, asString(spec['namespace']))
    default:
      return undefined
  }
}

function userInfo({ username, uid, groups, extra }: UserInfo): unknown {
  return {
    username,
    ...(uid === undefined || uid === '' ? {} : { uid }),
    groups,
    ...(extra === undefined ? {} : { extra }),
  }
}

function decide(authorizer: Authorizer, user: UserInfo, attributes: Attributes): unknown {
  const { allowed, reason } = authorizer.authorize(user, attributes)
  return { allowed, ...(reason === '' ? {} : { reason }) }
}

function attributesOf(spec: JsonObject, kind: string): Attributes {
  const resource = spec['resourceAttributes']
  const path = spec['nonResourceAttributes']
  if (isObject(resource) === isObject(path)) {
    throw invalid('authorization.k8s.io', kind, '', [
      {
        reason: 'FieldValueInvalid',
        message: `Invalid value: "null": exactly one of nonResourceAttributes or resourceAttributes must be specified`,
        field: 'spec.resourceAttributes',
      },
    ])
  }
  if (isObject(path)) return { verb: asString(path['verb']), path: asString(path['path']) }
  const text = (key: string): string => asString(at(resource, key))
  return {
    verb: text('verb'),
    group: text('group'),
    version: text('version'),
    resource: text('resource'),
    subresource: text('subresource'),
    name: text('name'),
    namespace: text('namespace'),
  }
}

function userOf(spec: JsonObject, kind: string): UserInfo {
  const username = asString(spec['user'])
  const groups = asArray(spec['groups']).map(asString)
  if (username === '' && groups.length === 0) {
    throw invalid('authorization.k8s.io', kind, '', [
      {
        reason: 'FieldValueInvalid',
        message: 'Invalid value: "": at least one of user or group must be specified',
        field: 'spec.user',
      },
    ])
  }
  return { username, groups }
}

function rulesStatus(authorizer: Authorizer, user: UserInfo, namespace: string): unknown {
  if (namespace === '') throw badRequest('no namespace on request')
  const rules = authorizer.rules(user, namespace)
  return {
    incomplete: false,
    resourceRules: rules
      .filter(({ resources }) => resources.length > 0)
      .map(({ verbs, apiGroups, resources, resourceNames }) => ({
        verbs,
        apiGroups,
        resources,
        ...(resourceNames.length > 0 ? { resourceNames } : {}),
      })),
    nonResourceRules: rules
      .filter(({ nonResourceURLs }) => nonResourceURLs.length > 0)
      .map(({ verbs, nonResourceURLs }) => ({ verbs, nonResourceURLs })),
  }
}
