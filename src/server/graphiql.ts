/**
 * The GraphiQL page: whole in one document, so that it works without any network but ours, opened on the
 * operations of the tour (`examples/portal/tour/*.graphql`, in order of their names).
 */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { GraphiQLOptions } from 'graphql-yoga'
import { renderGraphiQL } from '@graphql-yoga/render-graphiql'

const TOUR = fileURLToPath(new URL('../../examples/portal/tour/', import.meta.url))

/** The documents of a folder; none where there is no such folder. */
export function exampleOperations(folder = TOUR): readonly string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith('.graphql'))
      .sort()
      .map((name) => readFileSync(`${folder}/${name}`, 'utf8').trim())
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** Options of a page that opens one tab for each operation. */
export function graphiqlOptions(operations: readonly string[], path: string): GraphiQLOptions {
  return {
    title: 'fleetgraph',
    endpoint: path,
    // Its event streams would else be asked for by GET, which any site could make a browser send.
    method: 'POST',
    defaultTabs: operations.map((query) => ({ query })),
  }
}

const pages = new WeakMap<GraphiQLOptions, string>()

/** Nine megabytes of HTML, put together once. */
export function graphiqlPage(options: GraphiQLOptions): string {
  let page = pages.get(options)
  if (page === undefined) {
    page = renderGraphiQL(options)
    pages.set(options, page)
  }
  return page
}
