/** What YAML means: kubectl itself is asked, without a cluster, by a command that only reads a file and prints it. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseManifests } from '../../src/writes/manifests.ts'
import { requireAssets } from './build-assets.ts'

async function asKubectl(text: string): Promise<unknown> {
  const { dir } = await requireAssets()
  const printed = await new Promise<string>((resolve, reject) => {
    const command = ['annotate', '--local', '-f', '-', '-o', 'json', 'a=b']
    const child = execFile(join(dir, 'kubectl'), command, { maxBuffer: 64 << 20 }, (error, out) =>
      error ? reject(error) : resolve(out),
    )
    child.stdin!.end(text)
  })
  return (JSON.parse(printed) as { spec: unknown }).spec
}

const HEAD = 'apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}\nspec:\n'

describe('kubectl', () => {
  it('reads scalars without quotes as parseManifests does', async () => {
    const word = fc.oneof(
      fc.stringMatching(/^[-+.0-9_xobeE]{1,7}$/),
      fc.stringMatching(/^[-+]?0[xob][0-9a-f_]{1,20}$/),
      fc.stringMatching(/^[-+]?[0-9_]{1,18}\.?[0-9_]{0,5}([eE][-+]?[0-9]{1,3})?$/),
      fc.stringMatching(/^[0-9]{1,4}[-:][0-9]{1,2}([-:][0-9]{1,2})?$/),
      fc.constantFrom('', 'y', 'Yes', 'yES', 'Off', 'oFF', 'TRUE', '~', 'nULL', '=', '<<'),
    )
    const words = fc.sample(word, { numRuns: 3000 }).filter((one) => {
      // Each alone, so that what is refused here does not hide the others.
      try {
        return parseManifests(`${HEAD}- ${one}\n`).length === 1
      } catch {
        return false
      }
    })
    expect(words.length).toBeGreaterThan(2500)
    const text = HEAD + words.map((one) => `- ${one}\n`).join('')
    const ours = parseManifests(text)[0]!['spec'] as readonly unknown[]
    const theirs = (await asKubectl(text)) as readonly unknown[]
    const differing = words.flatMap((one, index) =>
      JSON.stringify(ours[index]) === JSON.stringify(theirs[index])
        ? []
        : [[one, ours[index], theirs[index]]],
    )
    expect(differing).toEqual([])
  })

  it('reads structures as parseManifests does', async () => {
    const text = `${HEAD}${[
      'anchors: &x {k: 1, l: [yes]}',
      'alias: *x',
      'merged: {<<: *x, k: 2}',
      'merges: {<<: [{k: first}, {k: second, j: 1}]}',
      'quoted: {"<<": {z: 1}}',
      'keys: {1: a, 1.5: b, 0x10: c, 1e3: d, yes: e, 2001-01-01: f}',
      'text: !!str 12',
      'folded: >-\n    a\n    b\n\n    c',
      'kept: |+\n    a\n\n',
      'escaped: "\\u00e4\\x41\\t\\\n    joined"',
      "single: 'it''s'",
      'plain: a\n    b',
      '? complex\n  : value',
    ]
      .map((line) => `  ${line}\n`)
      .join('')}`
    expect(parseManifests(text)[0]!['spec']).toEqual(await asKubectl(text))
  })
})
