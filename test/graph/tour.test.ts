import { readdirSync, readFileSync } from 'node:fs'
import { parse, validate } from 'graphql'
import { describe, expect, it } from 'vitest'
import { createSchema } from '../../src/graph/schema.ts'
import { shopFleet } from '../support/shop.ts'
import { ask } from './ask.ts'

const folder = new URL('../../examples/portal/tour/', import.meta.url)
const files = readdirSync(folder).filter((name) => name.endsWith('.graphql'))

describe('the tour', () => {
  it('has several stops', () => {
    expect(files.length).toBeGreaterThan(3)
  })

  it.each(files)('%s is a valid document, and a query is answered without errors', async (file) => {
    const text = readFileSync(new URL(file, folder), 'utf8')
    expect(validate(createSchema(), parse(text))).toEqual([])
    // Mutations are carried out by the README's own test.
    if (/^(subscription|mutation) /m.test(text)) return
    const { data, errors } = await ask(shopFleet().fleet, text)
    expect(errors).toEqual([])
    expect(data).toBeTruthy()
  })
})
