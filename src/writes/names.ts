/**
 * Which names Kubernetes takes, and for a person what is wrong with those it does not.
 * https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
 */
export { quoted } from '../kubernetes/quoted.ts'

const LABEL = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/
const SUBDOMAIN = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/
const QUALIFIED = /^[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?$/

/** Each says what is wrong, as the end of a sentence that begins with the name; `null`: nothing. */
export type NameRule = (name: string) => string | null

/** RFC 1123 label: namespaces, containers, volumes. */
export function dnsLabel(name: string): string | null {
  return (
    lengthOf(name, 63) ??
    (LABEL.test(name)
      ? null
      : 'is no DNS label: use lower case letters, digits and `-`, with a letter or digit at both ends')
  )
}

/** RFC 1035 label, which begins with a letter: Services. */
export function dnsLabel1035(name: string): string | null {
  return dnsLabel(name) ?? (/^[a-z]/.test(name) ? null : 'has to begin with a letter')
}

/** RFC 1123 subdomain: most objects. */
export function dnsSubdomain(name: string): string | null {
  return (
    lengthOf(name, 253) ??
    (SUBDOMAIN.test(name)
      ? null
      : 'is no DNS name: use lower case letters, digits, `-` and `.`, with a letter or digit at both ends of each part')
  )
}

/** One part of a path, as the names of RBAC's objects (`system:node`): printable ASCII without `/` and `%`. */
export function pathSegment(name: string): string | null {
  return (
    lengthOf(name, 253) ??
    (name === '.' || name === '..' || !/^[\u0020-\u007e]+$/.test(name) || /[/%]/.test(name)
      ? 'cannot be a part of a path: use ASCII letters, digits and signs but `/` and `%`'
      : null)
  )
}

/** Keys of labels, annotations and node selectors: `app`, `example.com/app`. */
export function qualifiedName(key: string): string | null {
  const [prefix, name, ...rest] = key.includes('/') ? key.split('/') : ['x', key]
  if (rest.length > 0) return 'has more than one `/`'
  if (dnsSubdomain(prefix!) !== null) return 'has a prefix before its `/` that is no DNS name'
  if (name === '' || name!.length > 63 || !QUALIFIED.test(name!)) {
    return 'is no key: use at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends'
  }
  return null
}

export function labelValue(value: string): string | null {
  if (value.length > 63) return 'is longer than 63 characters'
  return value === '' || QUALIFIED.test(value)
    ? null
    : 'is no value of a label: use letters, digits, `-`, `_` and `.`, with a letter or digit at both ends'
}

/** UIDs and resource versions, which mean something to the API server alone. */
export function opaque(text: string): string | null {
  return /^[!-~]{1,128}$/.test(text) ? null : 'is not what an API server has given: use it as it was read'
}

/** `v1`, `apps/v1`. */
export function apiVersion(text: string): string | null {
  const [version, group, ...rest] = text.split('/').toReversed()
  const isOne =
    rest.length === 0 &&
    /^[a-z][a-z0-9]{0,62}$/.test(version!) &&
    (group === undefined || dnsSubdomain(group) === null)
  return isOne ? null : 'is no API version: write it as `v1` or `apps/v1`'
}

export function kindName(text: string): string | null {
  return /^[A-Za-z][A-Za-z0-9]{0,62}$/.test(text) ? null : 'is no kind: write it as `Deployment`'
}

function lengthOf(name: string, most: number): string | null {
  if (name === '') return 'is empty'
  return name.length > most ? `is longer than ${most} characters` : null
}
