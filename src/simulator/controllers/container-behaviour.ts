/**
 * What a simulated container does, read from what would make a real one do it: its image, its command, and
 * for tests the pod's annotation `fleetgraph.dev/simulate`.
 *
 * The annotation is a comma-separated list of `key=value`: `exit=3`, `after=10` (seconds until the exit),
 * `reason=OOMKilled`, `pull=fail`, `ready=never`, `stop=20` (seconds to stop). `web:exit=3` speaks of one
 * container only. Pure; deliberately no shell: a script is read for `sleep`, `exit`, `echo`, `true`,
 * `false` and endless loops, everything else in it takes no time.
 */
import type { Container, Pod } from './objects.ts'
import { hashText } from './pod-template.ts'

export const SIMULATE = 'fleetgraph.dev/simulate'

export interface Behaviour {
  /** Undefined: it pulls. Otherwise the waiting reason and the runtime's message. */
  readonly pullError:
    | { readonly reason: 'ErrImagePull' | 'InvalidImageName'; readonly message: string }
    | undefined
  /** Undefined: it runs until it is stopped. */
  readonly exit: { readonly code: number; readonly afterSeconds: number; readonly reason: string } | undefined
  readonly becomesReady: boolean
  /** Seconds from SIGTERM to the end; undefined for the usual one or two. */
  readonly stopSeconds: number | undefined
  /** What it prints at its start. */
  readonly output: readonly string[]
}

const behaviours = new WeakMap<Container, Map<string, Behaviour>>()

export function behaviourOf(pod: Pod, container: Container): Behaviour {
  const { annotations } = pod.metadata
  const policy = container.restartPolicy ?? pod.spec.restartPolicy ?? 'Always'
  const isInit = pod.spec.initContainers?.includes(container) === true && container.restartPolicy !== 'Always'
  const steer = annotations?.[SIMULATE] ?? ''
  const variant = `${isInit ? 'Init' : policy}\n${steer}`
  let known = behaviours.get(container)
  if (known === undefined) behaviours.set(container, (known = new Map()))
  let behaviour = known.get(variant)
  if (behaviour === undefined) {
    behaviour = derive(container, isInit ? 'Never' : policy, steer)
    known.set(variant, behaviour)
  }
  return behaviour
}

function derive(container: Container, policy: string, steer: string): Behaviour {
  const steered = new Map<string, string>()
  for (const part of steer.split(',')) {
    const match = /^\s*(?:([^:=]+):)?([a-z]+)=(.*?)\s*$/.exec(part)
    if (match === null || (match[1] !== undefined && match[1] !== container.name)) continue
    steered.set(match[2] ?? '', match[3] ?? '')
  }
  const run =
    steered.has('exit') || steered.has('reason') ? steeredRun(steered) : programRun(container, policy)
  const stop = steered.get('stop')
  return {
    pullError: pullErrorOf(container.image, steered.get('pull') === 'fail'),
    exit: run.exit,
    output: run.output,
    becomesReady: steered.get('ready') !== 'never',
    stopSeconds: stop === undefined ? undefined : Number(stop),
  }
}

interface Run {
  readonly exit: Behaviour['exit']
  readonly output: readonly string[]
}

function exitWith(
  code: number,
  afterSeconds: number,
  reason = code === 0 ? 'Completed' : 'Error',
): Behaviour['exit'] {
  return { code, afterSeconds, reason }
}

function steeredRun(steered: ReadonlyMap<string, string>): Run {
  const reason = steered.get('reason')
  const code = Number(steered.get('exit') ?? (reason === 'OOMKilled' ? 137 : 1))
  return { exit: exitWith(code, Number(steered.get('after') ?? 1), reason), output: [] }
}

/** Images whose entry point is a shell, which ends at once without a terminal. */
const shells = new Set(['busybox', 'alpine', 'bash', 'ubuntu', 'debian', 'centos', 'fedora', 'hello-world'])
const forever: Run = { exit: undefined, output: [] }

function programRun(container: Container, policy: string): Run {
  const image = imageName(container.image)
  const argv = [...(container.command ?? []), ...(container.args ?? [])]
  if (container.command === undefined && !shells.has(image)) return forever
  if (argv.length === 0) {
    const output = image === 'hello-world' ? ['', 'Hello from Docker!'] : []
    return { exit: exitWith(0, 0.2), output }
  }
  return programOf(argv, policy, container)
}

function programOf(argv: readonly string[], policy: string, container: Container): Run {
  const [program = '', ...rest] = argv
  const name = program.slice(program.lastIndexOf('/') + 1)
  if (/^(sh|bash|ash|dash)$/.test(name)) {
    const at = rest.findIndex((each) => /^-[a-z]*c$/.test(each))
    if (at >= 0) return scriptRun(rest[at + 1] ?? '', policy, container, /e/.test(rest[at] ?? ''))
    return rest.length === 0 ? { exit: exitWith(0, 0.2), output: [] } : forever
  }
  return scriptRun([name, ...rest].join(' '), policy, container, true)
}

const instant = new Set(
  'cat cd chmod chown cp date echo env export hostname id ls ln mkdir mv printf pwd rm set test touch trap uname wait whoami [ :'.split(
    ' ',
  ),
)

function scriptRun(script: string, policy: string, container: Container, stopsAtError: boolean): Run {
  const output: string[] = []
  let seconds = 0.2
  let code = 0
  const endless = /\b(?:while|until)\s+(?:true|:|sleep\b|\[\s*1|!?\s*false)|for\s*\(\(\s*;\s*;\s*\)\)/.test(
    script,
  )
  // `a || b`: a is taken to succeed, so b never runs.
  const statements = script.replace(/\|\|[^;&\n]*/g, '').split(/\s*(?:;|&&|\n)\s*/)
  for (const statement of statements) {
    const words = statement
      .replace(/^(?:do|then|else|exec|time|nohup)\s+/, '')
      .trim()
      .split(/\s+/)
    const [word = '', argument = ''] = words
    if (word === '' || /^(while|until|for|do|done|if|then|fi|else)$/.test(word)) continue
    if (word === 'echo' || word === 'printf') output.push(plainText(words.slice(1).join(' ')))
    else if (word === 'sleep') {
      if (argument === 'infinity') return { exit: undefined, output }
      seconds += durationSeconds(argument)
    } else if (word === 'exit') {
      return { exit: endless ? undefined : exitWith(Number(argument || code) & 255, seconds), output }
    } else if (word === 'tail' && /\s-[a-z]*[fF]/.test(statement)) return { exit: undefined, output }
    else if (word === 'false') {
      code = 1
      if (stopsAtError) break
    } else if (word === 'true' || instant.has(word) || word.includes('=')) code = 0
    else if (endless) continue
    else if (policy === 'Always') return { exit: undefined, output }
    else {
      // A batch program: a few seconds, always the same for the same container.
      seconds += 2 + (hashText(container.image + statement).charCodeAt(0) % 6)
      code = 0
    }
  }
  return { exit: endless ? undefined : exitWith(code, seconds), output }
}

function plainText(words: string): string {
  return words.replace(/\s*>>?.*$/, '').replace(/^(["'])(.*)\1$/, '$2')
}

function durationSeconds(text: string): number {
  const match = /^([0-9.]+)([smhd]?)$/.exec(text)
  if (match === null) return 1
  const unit = { s: 1, m: 60, h: 3600, d: 86_400 }[match[2] ?? ''] ?? 1
  return Number(match[1]) * unit
}

/** The last part of the repository: `docker.io/library/nginx:1.27` is `nginx`. */
export function imageName(image: string): string {
  const withoutTag = image.replace(/@.*$/, '').replace(/:[^/:]*$/, '')
  return withoutTag.slice(withoutTag.lastIndexOf('/') + 1)
}

const canonicalImages = new Map<string, string>()

/** As containerd names it: `nginx:1.27` is `docker.io/library/nginx:1.27`. Kept: images repeat. */
export function canonicalImage(image: string): string {
  let known = canonicalImages.get(image)
  if (known === undefined) {
    const [first = '', ...rest] = image.split('/')
    const hasHost = rest.length > 0 && /[.:]|^localhost$/.test(first)
    const path = hasHost ? image : rest.length > 0 ? `docker.io/${image}` : `docker.io/library/${image}`
    known = /(:[^/:]+|@sha256:.*)$/.test(path.slice(path.indexOf('/'))) ? path : `${path}:latest`
    if (canonicalImages.size > 10_000) canonicalImages.clear()
    canonicalImages.set(image, known)
  }
  return known
}

const brokenTags = /:(?:does-not-exist|doesnotexist|nosuch|no-such.*|broken|invalid|missing|nonexistent)$/
const brokenNames =
  /(?:^|[/.-])(?:does-not-exist|nosuch|no-such|nonexistent)(?=[/.:-]|$)|\.(?:invalid|example)(?::\d+)?\//

function pullErrorOf(image: string, forced: boolean): Behaviour['pullError'] {
  if (
    !/^[a-z0-9][a-z0-9._:/-]*(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?$/.test(image.replace(/:[\w.-]+$/, ''))
  ) {
    const message = `Failed to apply default image tag "${image}": couldn't parse image name "${image}": invalid reference format`
    return { reason: 'InvalidImageName', message }
  }
  if (!forced && !brokenTags.test(image) && !brokenNames.test(image)) return undefined
  const full = canonicalImage(image)
  const message = `rpc error: code = NotFound desc = failed to pull and unpack image "${full}": failed to resolve reference "${full}": ${full}: not found`
  return { reason: 'ErrImagePull', message }
}

/** Size in bytes and digest as the registry would have them: the same for the same image everywhere. */
export function imageFacts(image: string): { readonly sizeBytes: number; readonly imageId: string } {
  const full = canonicalImage(image)
  const repository = full.replace(/@.*$/, '').replace(/:[^/:]*$/, '')
  return {
    sizeBytes: 8_000_000 + (stableHash(full) % 240_000_000),
    imageId: `${repository}@sha256:${hex64(full)}`,
  }
}

export function stableHash(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

const digits = new Map<string, string>()

/** 64 hexadecimal digits that look like a digest; kept, as images repeat. */
export function hex64(text: string): string {
  let known = digits.get(text)
  if (known === undefined) {
    known = ''
    for (let i = 0; i < 8; i++) known += stableHash(`${i}${text}`).toString(16).padStart(8, '0')
    if (digits.size > 2_000) digits.clear()
    digits.set(text, known)
  }
  return known
}
