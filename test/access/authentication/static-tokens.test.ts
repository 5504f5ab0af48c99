import { mkdtemp, rename, rm, symlink, writeFile, mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parse, stringify } from 'yaml'
import {
  createToken,
  printTokenEntry,
  type StaticTokenEntry,
  StaticTokens,
} from '../../../src/access/authentication/static-tokens.ts'
import { type Clock, systemClock } from '../../../src/fleet/clock.ts'
import { refusal } from './support.ts'

let directory: string
let file: string
const open: StaticTokens[] = []

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'fleetgraph-tokens-'))
  file = join(directory, 'tokens.yaml')
})

afterEach(async () => {
  for (const tokens of open.splice(0)) tokens.close()
  await rm(directory, { recursive: true })
})

const entry = (name: string, hash: string, more: Partial<StaticTokenEntry> = {}): StaticTokenEntry => ({
  name,
  hash,
  user: name,
  groups: ['bots'],
  ...more,
})

const write = (...tokens: readonly StaticTokenEntry[]) => writeFile(file, stringify({ tokens }))

/** The tokens of the file, and what it tells, in order. */
function watch(clock: Clock = systemClock) {
  const told: string[] = []
  const waiting: (() => void)[] = []
  const tell = (what: string) => {
    told.push(what)
    for (const resume of waiting.splice(0)) resume()
  }
  const tokens = new StaticTokens({
    file,
    clock,
    onChange: () => tell('changed'),
    onProblems: (problems) => tell(problems.length === 0 ? 'good' : problems.join('\n')),
  })
  open.push(tokens)
  const until = async (what: string | RegExp) => {
    for (;;) {
      const index = told.findIndex((one) => (typeof what === 'string' ? one === what : what.test(one)))
      if (index >= 0) return told.splice(0, index + 1).at(-1)!
      await new Promise<void>((resolve) => waiting.push(resolve))
    }
  }
  return { tokens, until }
}

describe('a token of ours', () => {
  it('signs in the user of its entry', async () => {
    const { token, hash } = createToken({ name: 'ci' })
    const operation = 'a'.repeat(64)
    await write(entry('ci', hash, { uid: 'u1', expiresAt: '2099-01-31T00:00:00Z', operations: [operation] }))
    expect(watch().tokens.signIn(token)).toMatchObject({
      user: { name: 'ci', groups: ['bots', 'system:authenticated'], uid: 'u1' },
      method: 'TOKEN',
      issuer: 'ci',
      expiresAt: Date.parse('2099-01-31T00:00:00Z'),
      // It is nothing to a cluster.
      token: null,
      clusters: null,
      operations: new Set([operation]),
    })
  })

  it('may be one of Kubernetes’ own, since whoever writes the file says so', async () => {
    const { token, hash } = createToken({ name: 'admin' })
    await write(entry('admin', hash, { user: 'system:admin', groups: ['system:masters'] }))
    expect(watch().tokens.signIn(token).user).toEqual({
      name: 'system:admin',
      groups: ['system:masters', 'system:authenticated'],
    })
  })

  it('has 256 random bits, an id, a checksum, and is unlike any other', () => {
    const tokens = Array.from({ length: 100 }, () => createToken({ name: 'ci' }))
    for (const { token, hash } of tokens) {
      expect(token).toMatch(/^fg_[0-9a-f]{12}_[0-9a-f]{72}$/)
      expect(hash).toMatch(/^[0-9a-f]{12}:[0-9a-f]{64}$/)
      expect(hash).toContain(token.slice(3, 15))
      expect(hash).not.toContain(token.slice(16, 40))
    }
    expect(new Set(tokens.map(({ token }) => token)).size).toBe(100)
    expect(() => createToken({ name: '' })).toThrow('A name has 1 to 200 characters.')
  })

  it('is refused where it was cut off or mistyped, and that is said', async () => {
    const { token, hash } = createToken({ name: 'ci' })
    await write(entry('ci', hash))
    const { tokens } = watch()
    const flipped = token.slice(0, 30) + (token[30] === '0' ? '1' : '0') + token.slice(31)
    for (const wrong of [token.slice(0, -1), `${token}0`, token.toUpperCase(), flipped, 'fg_', 'fg_a_b']) {
      expect(await refusal(() => tokens.signIn(wrong), wrong)).toEqual({
        code: 'UNAUTHENTICATED',
        message: 'The token is incomplete or was mistyped. Send it as it was printed.',
      })
    }
  })

  it('is refused in the same words where its id is known and where it is not', async () => {
    const { hash } = createToken({ name: 'ci' })
    const stranger = createToken({ name: 'stranger' })
    await write(entry('ci', `${stranger.hash.slice(0, 12)}:${hash.slice(13)}`))
    const { tokens } = watch()
    const unknown = createToken({ name: 'unknown' }).token
    const known = await refusal(() => tokens.signIn(stranger.token), stranger.token)
    expect(known).toMatchObject({ code: 'UNAUTHENTICATED', message: expect.stringContaining('not known') })
    expect(await refusal(() => tokens.signIn(unknown), unknown)).toEqual(known)
  })
})

describe('the file of tokens', () => {
  it('takes the entries that are printed for it', async () => {
    const { token, hash } = createToken({ name: 'ci' })
    const whole = entry('ci: "bot"', hash, { uid: 'u', operations: ['b'.repeat(64)] })
    await writeFile(
      file,
      `tokens:\n${printTokenEntry(whole)}${printTokenEntry(entry('b', createToken({ name: 'b' }).hash))}`,
    )
    expect(watch().tokens.signIn(token).issuer).toBe('ci: "bot"')
    expect(parse(printTokenEntry(whole))).toEqual([whole])
  })

  it('may hold no tokens', async () => {
    for (const text of ['', 'tokens: []', 'tokens:\n', '# none yet\n']) {
      await writeFile(file, text)
      const { token } = createToken({ name: 'x' })
      expect(await refusal(() => watch().tokens.signIn(token))).toMatchObject({ code: 'UNAUTHENTICATED' })
    }
  })

  it('takes effect when it changes: tokens come, go, and are given to others', async () => {
    const [one, two] = [createToken({ name: 'one' }), createToken({ name: 'two' })]
    await write(entry('one', one.hash), entry('kept', two.hash))
    const { tokens, until } = watch()
    const signIn = tokens.signIn(one.token)
    const kept = tokens.signIn(two.token)
    expect([signIn.revoked?.(), kept.revoked?.()]).toEqual([false, false])

    const started = performance.now()
    await write(entry('kept', two.hash))
    await until('changed')
    expect(performance.now() - started).toBeLessThan(1_000)
    expect([signIn.revoked?.(), kept.revoked?.()]).toEqual([true, false])
    expect(await refusal(() => tokens.signIn(one.token))).toMatchObject({ code: 'UNAUTHENTICATED' })

    await write(entry('one', one.hash), entry('kept', two.hash, { groups: ['others'] }))
    await until('changed')
    expect([signIn.revoked?.(), kept.revoked?.()]).toEqual([true, true])
    expect(tokens.signIn(two.token).user.groups).toContain('others')
    expect(tokens.signIn(one.token).revoked?.()).toBe(false)
  })

  it('ends no sign-in while it is emptied to be written anew', async () => {
    const [one, two] = [createToken({ name: 'one' }), createToken({ name: 'two' })]
    await write(entry('one', one.hash))
    const emptied = Promise.withResolvers<() => void>()
    const { tokens, until } = watch({
      now: () => systemClock.now(),
      after(ms, look) {
        // As long is waited only for what is empty.
        if (ms !== 500) return systemClock.after(ms, look)
        emptied.resolve(look)
        return () => {}
      },
    })
    const { revoked } = tokens.signIn(one.token)
    await writeFile(file, '')
    const lookAgain = await emptied.promise
    expect(revoked?.()).toBe(false)
    await write(entry('one', one.hash), entry('two', two.hash))
    lookAgain()
    await until('changed')
    expect(revoked?.()).toBe(false)
    expect(tokens.signIn(two.token).issuer).toBe('two')
  })

  it('is followed where it is replaced as Kubernetes replaces a mounted Secret', async () => {
    const { token, hash } = createToken({ name: 'ci' })
    for (const [name, tokens] of [
      ['..1', []],
      ['..2', [entry('ci', hash)]],
    ] as const) {
      await mkdir(join(directory, name))
      await writeFile(join(directory, name, 'tokens.yaml'), stringify({ tokens }))
    }
    await symlink('..1', join(directory, '..data'))
    await symlink(join('..data', 'tokens.yaml'), file)
    const { tokens, until } = watch()
    await symlink('..2', join(directory, '..tmp'))
    await rename(join(directory, '..tmp'), join(directory, '..data'))
    await until('changed')
    expect(tokens.signIn(token).issuer).toBe('ci')
  })

  it('keeps what was good while it is broken or gone, and says so once', async () => {
    const { token, hash } = createToken({ name: 'ci' })
    await write(entry('ci', hash))
    const { tokens, until } = watch()
    await writeFile(file, `tokens:\n  - name: ci\n    hash: ${token}\n    user: ci\n`)
    const problem = await until(/hash/)
    expect(problem).toBe(
      `${file}:3:11: tokens[0].hash: expected a hash as fleetgraph token create prints it.`,
    )
    // Somebody has taken the token for its hash: it must not be in the log as well.
    expect(problem).not.toContain(token.slice(16))
    expect(tokens.signIn(token).revoked?.()).toBe(false)
    await rm(file)
    await until(/cannot be read \(ENOENT\)/)
    expect(tokens.signIn(token).revoked?.()).toBe(false)
    await write(entry('ci', hash))
    await until('good')
  })

  it('is told what is wrong with it, line by line', async () => {
    const good = createToken({ name: 'x' }).hash
    const problemsOf = async (text: string) => {
      await writeFile(file, text)
      try {
        watch()
      } catch (error) {
        return (error as Error).message.replaceAll(file, 'F').split('\n')
      }
      return []
    }
    expect(
      await problemsOf(`tokens:\n  - name: a\n    user: u\n    hash: ${good}\n    gruops: []\n`),
    ).toEqual(['F:2:5: tokens[0]: Unrecognized key: "gruops".'])
    expect(await problemsOf(`tokens:\n  - name: a\n    hash: ${good}\n    expiresAt: tomorrow\n`)).toEqual([
      'F:2:5: tokens[0].user: expected string, received undefined.',
      'F:4:16: tokens[0].expiresAt: expected a time as 2027-01-31T00:00:00Z.',
    ])
    const twice = `  - { name: a, user: u, hash: '${good}' }\n`
    expect(await problemsOf(`tokens:\n${twice}${twice}`)).toEqual([
      'F:3:31: tokens[1].hash: stands there twice.',
      'F:3:13: tokens[1].name: stands there twice.',
    ])
    expect(await problemsOf(`tokens:\n  - name: a\n   user: fg_secret\n`)).toEqual([
      expect.stringMatching(/^F:\d+:\d+: not valid YAML \([A-Z_]+\)\.$/),
    ])
    expect(await problemsOf('tokens: [*nobody]')).toEqual([expect.stringMatching(/^F.*: not valid YAML/)])
    expect(await problemsOf('- a\n')).toEqual(['F:1:1: (the whole file): expected object, received array.'])
    await rm(file)
    expect(() => watch()).toThrow('Create it, or correct authentication.tokensFile.')
  })
})
