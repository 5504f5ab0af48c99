/**
 * References of container images, as far as it matters where they come from.
 * https://github.com/distribution/reference
 */

/** `registry.example.com:5000/team/app`, and what comes after it. */
const REFERENCE =
  /^(?<name>[a-z0-9][a-z0-9.:_/-]*?)(?::(?<tag>\w[\w.-]{0,127}))?(?:@(?<digest>[a-z0-9+._-]+:[0-9a-f]{32,}))?$/

const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/
const HOST = /^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*(?::\d{1,5})?$/

/** The longest that there is. */
const MOST_CHARACTERS = 512

/**
 * With the registry and the folder that Docker leaves out: `nginx:1` is `docker.io/library/nginx:1`. `undefined` for
 * what is no reference.
 */
export function fullReference(image: string): string | undefined {
  if (image.length > MOST_CHARACTERS) return undefined
  const match = REFERENCE.exec(image)
  const name = repositoryOf(match?.groups?.['name'] ?? '')
  return name === undefined ? undefined : name + image.slice(match!.groups!['name']!.length)
}

/** `registry.example.com`, `ghcr.io/acme`: what may stand in a list of registries. */
export function isRegistry(text: string): boolean {
  const [host = '', ...folders] = text.split('/')
  return isHost(host) && folders.every((folder) => COMPONENT.test(folder))
}

/** Whether it comes from one of these registries, or folders of registries. What is no reference does not. */
export function isFrom(image: string, registries: readonly string[]): boolean {
  const full = fullReference(image)
  return full !== undefined && registries.some((registry) => full.startsWith(`${canonical(registry)}/`))
}

function repositoryOf(name: string): string | undefined {
  const components = name.split('/')
  const host = components.length > 1 && isHost(components[0]!) ? components.shift()! : 'docker.io'
  if (components.length === 0 || !components.every((component) => COMPONENT.test(component))) return undefined
  const registry = canonical(host)
  return registry === 'docker.io' && components.length === 1
    ? `docker.io/library/${components[0]}`
    : `${registry}/${components.join('/')}`
}

/** As Docker tells a registry's name from a folder of its own. */
function isHost(text: string): boolean {
  return (text.includes('.') || text.includes(':') || text === 'localhost') && HOST.test(text)
}

function canonical(registry: string): string {
  return registry.replace(/^index\.docker\.io(?=\/|$)/, 'docker.io')
}
