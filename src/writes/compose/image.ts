/**
 * References to images: `[registry/]repository[:tag][@digest]`, with Docker Hub's short forms.
 * https://github.com/opencontainers/distribution-spec, https://kubernetes.io/docs/concepts/containers/images/
 */

/** A host with an optional port: it has a dot or a port, or is `localhost`. */
const HOST =
  /^(?:[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])(?::\d{1,5})?$/
const COMPONENT = /^[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*$/
const TAG = /^\w[\w.-]{0,127}$/
const DIGEST = /^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,}$/
const DOCKER_HUB: ReadonlySet<string> = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io'])

interface ImageReference {
  /** `''`: none is named, which means Docker Hub. */
  readonly registry: string
  readonly repository: string
  /** `:tag`, `@digest`, both, or nothing. */
  readonly version: string
}

export function parseImage(image: string): ImageReference | undefined {
  if (image.length > 1024) return undefined
  const at = image.indexOf('@')
  const digest = at < 0 ? '' : image.slice(at)
  const named = at < 0 ? image : image.slice(0, at)
  if (digest !== '' && !DIGEST.test(digest.slice(1))) return undefined
  const slash = named.indexOf('/')
  const first = slash < 0 ? '' : named.slice(0, slash)
  const isHost = first === 'localhost' || /[.:]/.test(first)
  const path = isHost ? named.slice(slash + 1) : named
  const colon = path.indexOf(':')
  const tag = colon < 0 ? '' : path.slice(colon)
  const repository = colon < 0 ? path : path.slice(0, colon)
  if (isHost && !HOST.test(first)) return undefined
  if (tag !== '' && !TAG.test(tag.slice(1))) return undefined
  if (repository.length > 255 || !repository.split('/').every((part) => COMPONENT.test(part)))
    return undefined
  return { registry: isHost ? first : '', repository, version: tag + digest }
}

/** A registry as it stands before repositories: `registry.example.com:5000`, or with a path after it. */
export function isRegistry(text: string): boolean {
  const [host = '', ...path] = text.split('/')
  return (
    text.length <= 512 &&
    HOST.test(host) &&
    (host === 'localhost' || /[.:]/.test(host)) &&
    path.every((part) => COMPONENT.test(part))
  )
}

/** The same image in another registry. `nginx` is Docker Hub's `library/nginx`, and is called so in its mirrors. */
export function inRegistry({ registry, repository, version }: ImageReference, other: string): string {
  const isShort = (registry === '' || DOCKER_HUB.has(registry)) && !repository.includes('/')
  return `${other}/${isShort ? 'library/' : ''}${repository}${version}`
}
