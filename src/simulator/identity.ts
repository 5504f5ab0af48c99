/**
 * Who asks: bearer tokens (a static list, and those that TokenRequest issues), anonymous requests, and
 * impersonation, which needs the right to it (Kubernetes documentation, "User impersonation").
 */
import { createHmac } from 'node:crypto'
import { serviceAccountUser, type Authorizer, type UserInfo } from './authorization.ts'
import type { KubeObject } from './registry.ts'
import { StatusError, unauthorized } from './status-error.ts'
import type { Storage } from './storage.ts'

/** Whom a token is for that does not say: the API server itself. */
export const apiAudience = 'https://kubernetes.default.svc.cluster.local'

interface Issued {
  readonly user: UserInfo
  /** Whom it is for. */
  readonly audiences: readonly string[]
  /** Epoch milliseconds; undefined for tokens that do not end. */
  readonly expires: number | undefined
  /** The service account must still be the same one. */
  readonly account: { readonly namespace: string; readonly name: string; readonly uid: string } | undefined
}

const anonymous: UserInfo = { username: 'system:anonymous', groups: ['system:unauthenticated'] }
const serviceAccounts = { group: '', resource: 'serviceaccounts' }

export class Identities {
  readonly #tokens = new Map<string, Issued>()
  readonly #storage: Storage
  readonly #authorizer: Authorizer
  readonly #issuerKey: string
  #serial = 0

  constructor(storage: Storage, authorizer: Authorizer) {
    this.#storage = storage
    this.#authorizer = authorizer
    this.#issuerKey = String(storage.random())
  }

  /** Lets a token stand for a user. */
  add(token: string, user: UserInfo): void {
    const groups = user.groups.includes('system:authenticated')
      ? user.groups
      : [...user.groups, 'system:authenticated']
    this.#tokens.set(token, {
      user: { ...user, groups },
      audiences: [apiAudience],
      expires: undefined,
      account: undefined,
    })
  }

  revoke(token: string): void {
    this.#tokens.delete(token)
  }

  /** A token for a service account, shaped as a JWT. */
  issue(
    account: KubeObject,
    lifetimeSeconds: number,
    audiences: readonly string[],
  ): { token: string; expires: number } {
    const { name, namespace = '', uid } = account.metadata
    const now = this.#storage.now()
    const expires = now + lifetimeSeconds * 1000
    const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    const claims = {
      aud: audiences,
      exp: Math.floor(expires / 1000),
      iat: Math.floor(now / 1000),
      iss: apiAudience,
      jti: String(++this.#serial),
      'kubernetes.io': { namespace, serviceaccount: { name, uid } },
      nbf: Math.floor(now / 1000),
      sub: `system:serviceaccount:${namespace}:${name}`,
    }
    const body = `${part({ alg: 'HS256', kid: 'simulator' })}.${part(claims)}`
    const token = `${body}.${createHmac('sha256', this.#issuerKey).update(body).digest('base64url')}`
    this.#tokens.set(token, {
      user: serviceAccountUser(namespace, name, uid),
      audiences,
      expires,
      account: { namespace, name, uid },
    })
    return { token, expires }
  }

  /**
   * The user of a token, and which of the audiences it is for; undefined for one that is unknown, for none of
   * them, has ended, or whose account is gone.
   */
  ofToken(
    token: string,
    audiences: readonly string[] = [apiAudience],
  ): { readonly user: UserInfo; readonly audiences: readonly string[] } | undefined {
    const issued = this.#tokens.get(token)
    if (issued === undefined) return undefined
    if (issued.expires !== undefined && issued.expires <= this.#storage.now()) {
      this.#tokens.delete(token)
      return undefined
    }
    const { account } = issued
    if (account !== undefined) {
      const current = this.#storage.get(serviceAccounts, account.namespace, account.name)
      if (current?.metadata.uid !== account.uid) return undefined
    }
    const common = audiences.filter((audience) => issued.audiences.includes(audience))
    return common.length === 0 ? undefined : { user: issued.user, audiences: common }
  }

  /**
   * Throws 401 for a bad token, 403 for impersonation without the right. Takes `headersDistinct`: joined
   * headers cannot tell the groups `a` and `b` from the one group `a, b`.
   */
  authenticate(headers: NodeJS.Dict<string[]>): UserInfo {
    const authorization = headers['authorization']?.[0]
    let user = anonymous
    if (authorization !== undefined) {
      const match = /^bearer\s+(\S+)$/i.exec(authorization)
      const known = match === null ? undefined : this.ofToken(match[1]!)
      if (known === undefined) throw unauthorized()
      user = known.user
    }
    return this.#impersonate(user, headers)
  }

  /** As `endpoints/filters/impersonation.go` of the API server does: each part needs a right of its own. */
  #impersonate(user: UserInfo, headers: NodeJS.Dict<string[]>): UserInfo {
    const name = valuesOf(headers['impersonate-user'])[0] ?? ''
    const groups = valuesOf(headers['impersonate-group'])
    const uid = valuesOf(headers['impersonate-uid'])[0] ?? ''
    const extra: Record<string, readonly string[]> = {}
    for (const [header, value] of Object.entries(headers)) {
      if (header.startsWith('impersonate-extra-')) {
        extra[unescapedKey(header.slice('impersonate-extra-'.length))] = valuesOf(value)
      }
    }
    if (name === '') {
      if (groups.length > 0 || uid !== '' || Object.keys(extra).length > 0) {
        throw new StatusError(
          500,
          'InternalError',
          `Internal error occurred: requested ${JSON.stringify(groups)} without impersonating a user`,
        )
      }
      return user
    }
    const account = accountOf(name)
    if (account === undefined) this.#need(user, 'users', name)
    else this.#need(user, 'serviceaccounts', account.name, account.namespace)
    for (const one of groups) this.#need(user, 'groups', one)
    for (const [key, values] of Object.entries(extra)) {
      for (const value of values) this.#need(user, 'userextras', value, undefined, key)
    }
    if (uid !== '') this.#need(user, 'uids', uid)
    const implied =
      account === undefined || groups.length > 0
        ? groups
        : ['system:serviceaccounts', `system:serviceaccounts:${account.namespace}`]
    // Whoever says that they are not authenticated is taken at their word.
    const said = implied.some(
      (one) =>
        one === 'system:unauthenticated' || (one === 'system:authenticated' && name !== anonymous.username),
    )
    const everyone = name === anonymous.username ? 'system:unauthenticated' : 'system:authenticated'
    return {
      username: name,
      groups: said ? implied : [...implied, everyone],
      ...(uid !== '' ? { uid } : {}),
      ...(Object.keys(extra).length > 0 ? { extra } : {}),
    }
  }

  #need(user: UserInfo, resource: string, name: string, namespace?: string, subresource?: string): void {
    const isCore = resource === 'users' || resource === 'groups' || resource === 'serviceaccounts'
    const group = isCore ? '' : 'authentication.k8s.io'
    const attributes = {
      verb: 'impersonate',
      group,
      resource,
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(subresource === undefined ? {} : { subresource }),
    }
    const { allowed, reason } = this.#authorizer.authorize(user, attributes)
    if (!allowed) throw accessDenied(user, attributes, reason)
  }
}

/** The account that a user's name is of; undefined for a user like others, whatever their name begins with. */
function accountOf(username: string): { readonly namespace: string; readonly name: string } | undefined {
  const [, namespace = '', name = ''] = /^system:serviceaccount:([^:]*):([^:]*)$/.exec(username) ?? []
  const isLabel = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(namespace)
  const isSubdomain =
    name.length <= 253 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(name)
  return isLabel && isSubdomain ? { namespace, name } : undefined
}

/** A key that is not encoded well is taken as it is. */
function unescapedKey(encoded: string): string {
  try {
    return decodeURIComponent(encoded)
  } catch {
    return encoded
  }
}

/** Header values are UTF-8 to Kubernetes; Node reads them byte by byte. */
function valuesOf(header: readonly string[] | undefined): readonly string[] {
  return (header ?? []).map((value) => Buffer.from(value, 'latin1').toString())
}

/** The authorizer's 403, in the API server's words. */
export function accessDenied(
  user: UserInfo,
  {
    verb,
    group = '',
    resource = '',
    subresource = '',
    name = '',
    namespace = '',
    path,
  }: {
    readonly verb: string
    readonly group?: string
    readonly resource?: string
    readonly subresource?: string
    readonly name?: string
    readonly namespace?: string
    readonly path?: string
  },
  /** The authorizer's. */
  reason = '',
): StatusError {
  const because = reason === '' ? '' : `: ${reason}`
  if (path !== undefined) {
    const message = `forbidden: User "${user.username}" cannot ${verb} path "${path}"${because}`
    return new StatusError(403, 'Forbidden', message, {})
  }
  const qualified = group === '' ? resource : `${resource}.${group}`
  const full = subresource === '' ? resource : `${resource}/${subresource}`
  const scope = namespace === '' ? 'at the cluster scope' : `in the namespace "${namespace}"`
  const subject = name === '' ? '' : ` "${name}"`
  return new StatusError(
    403,
    'Forbidden',
    `${qualified}${subject} is forbidden: User "${user.username}" cannot ${verb} resource "${full}" in API group "${group}" ${scope}${because}`,
    { ...(name === '' ? {} : { name }), ...(group === '' ? {} : { group }), kind: resource },
  )
}
