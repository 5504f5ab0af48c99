import { describe, expect, it } from 'vitest'
import { shopFleet } from '../support/shop.ts'
import { ask, data } from './ask.ts'

async function found(text: string, rest = ''): Promise<string[]> {
  const { search } = await data(
    shopFleet().fleet,
    `query ($text: String!) { search(text: $text ${rest}) { hits { match matched object { type: __typename name cluster { name } } } } }`,
    { text },
  )
  return search.hits.map(
    ({ match, object }: { match: string; object: { type: string; name: string } }) =>
      `${match} ${object.type}/${object.name}`,
  )
}

describe('a search', () => {
  it('ranks exact names before prefixes before labels before parts, and what owns before what is owned', async () => {
    expect(await found('web', ', first: 8')).toEqual([
      'NAME Deployment/web',
      'NAME Service/web',
      'NAME Ingress/web',
      'NAME HorizontalPodAutoscaler/web',
      'NAME_PREFIX Pod/web-1-a',
      'NAME_PREFIX Pod/web-2-a',
      'NAME_PREFIX Pod/web-2-b',
      'NAME_PREFIX Pod/web-2-c',
    ])
    const all = await found('WEB', ', first: 100')
    expect(all).toContain('LABEL Pod/stray')
    expect(all.indexOf('LABEL Pod/stray')).toBeGreaterThan(all.indexOf('NAME_PREFIX ReplicaSet/web-1'))
    expect(await found('b-0')).toEqual([
      'NAME_CONTAINS PersistentVolumeClaim/data-db-0',
      'NAME_CONTAINS Pod/db-0',
    ])
  })

  it('finds by label, image and address', async () => {
    expect(await found('region=eu')).toEqual([])
    expect(await found('job-name=backup-2')).toEqual(['LABEL Pod/backup-2-x'])
    expect(await found('postgres')).toEqual(['IMAGE StatefulSet/db', 'IMAGE Pod/db-0'])
    expect(await found('10.9.1.1')).toEqual(['ADDRESS Pod/web-9', 'ADDRESS_PREFIX Pod/other'])
    expect(await found('10.96.0.10')).toEqual(['ADDRESS Service/web'])
    expect(await found('2001:db8::7')).toEqual(['ADDRESS Service/web'])
    expect(await found('203.0.113.1')).toEqual(['ADDRESS ClusterNode/node-a'])
  })

  it('is narrowed by kinds, clusters and namespaces', async () => {
    expect(await found('web', ', kinds: [Ingress, Service]')).toEqual([
      'NAME Service/web',
      'NAME Ingress/web',
    ])
    expect(await found('web', ', filter: { clusters: ["prod-us"] }')).toEqual(['NAME_PREFIX Pod/web-9'])
    expect(await found('web', ', filter: { namespaces: ["kube-system"] }')).toEqual([])
    expect(await found('shop', ', kinds: [Namespace]')).toContain('NAME Namespace/shop')
    expect(await found('shop', ', kinds: [Namespace], filter: { namespaces: ["shop"] }')).toEqual([])
    expect(await found('back-off', ', kinds: [Event]')).toEqual(['NAME Event/back-off'])
    expect(await found('back-off')).toEqual([])
  })

  it('says how many there are beyond what it shows, and how far it looked', async () => {
    const { search } = await data(
      shopFleet().fleet,
      '{ search(text: "web", first: 1) { totalCount hits { matched } coverage { cluster state } } }',
    )
    expect(search.hits).toEqual([{ matched: 'web' }])
    expect(search.totalCount).toBeGreaterThan(9)
    expect(search.coverage).toContainEqual({ cluster: 'staging', state: 'SYNCING' })
  })

  it('refuses an empty text and more than a hundred hits', async () => {
    const { fleet } = shopFleet()
    const empty = await ask(fleet, '{ search(text: "  ") { totalCount } }')
    expect(empty.errors[0]!.extensions).toEqual({ code: 'BAD_USER_INPUT', argument: 'text' })
    const many = await ask(fleet, '{ search(text: "a", first: 101) { totalCount } }')
    expect(many.errors[0]!.extensions).toEqual({ code: 'BAD_USER_INPUT', argument: 'first' })
  })
})
