import { describe, expect, it } from 'vitest'
import { viewerOf } from '../../src/access/viewer.ts'
import type { LiveEvent } from '../../src/events/live.ts'
import { createContext } from '../../src/graph/context.ts'
import { createSchema } from '../../src/graph/schema.ts'
import { Executor } from '../../src/server/execution.ts'
import { silent } from '../../src/server/logger.ts'
import { shopFleet } from '../support/shop.ts'
import { ask } from './ask.ts'
import { follow, liveView } from './follow.ts'

const viewer = viewerOf({ name: 'alice', groups: [] })

const METADATA =
  'id kind uid name namespace resourceVersion generation creationTimestamp deletionTimestamp labels { key value } label(key: "app") cluster { name } owner { apiVersion kind name uid object { id } } ownerChain { id } events { totalCount nodes { id } }'

const DOCUMENTS: Readonly<Record<string, string>> = {
  page: '{ pods(first: 100) { cursor nodes { id uid name namespace phase status ready restarts podIP qosClass serviceAccountName creationTimestamp node { name } } pageInfo { hasNextPage endCursor } totalCount coverage { cluster state reason } } }',
  edges:
    '{ deployments(orderBy: [{ field: READY, direction: DESC }]) { edges { cursor node { id rollout { status reason message desired } replicaSets { revision } pods { nodes { name } } services { links { kind url port { name port } ingress { name } } } conditions { type status lastTransitionTime } containers { name requests { cpu { text value } all { name } } } horizontalPodAutoscaler { metrics { name target } target { id } } } } pageInfo { startCursor endCursor hasPreviousPage hasNextPage } } }',
  objects: `{ nodes { nodes { ${METADATA} roles taints { key value effect } requested { cpu memory pods } capacity { all { name quantity { text value } } } pods(first: 2) { nodes { name } } } } pods { nodes { ${METADATA} containers { name state reason restarts since lastFinishedAt } volumes { name type source configMap { keys } } workload { __typename id } services { id } } } }`,
  workloads: `{ workloads { nodes { __typename ... on KubernetesObject { ${METADATA} } rollout { status } ... on Deployment { paused revision } ... on CronJob { schedule jobs { completions } } ... on Job { succeeded completionTime } pods(first: 1) { totalCount } } } }`,
  storage:
    '{ persistentVolumeClaims { nodes { phase requested { text } volume { phase capacity { value } claim { name } } pods { nodes { name } } } } storageClasses { nodes { name isDefault } } resourceQuotas { nodes { usage hard { get(name: "pods") { text } } } } }',
  network:
    '{ services { nodes { type clusterIP ports { port targetPort nodePort } loadBalancer { ip hostname } selector { key } workloads { __typename name } endpointSlices { endpoints { addresses pod { name } } } } } ingresses { nodes { paths { host path service { name } } links { url } } } endpointSlices { nodes { service { name } ports { port } } } }',
  summary:
    '{ summary { kinds { kind count byStatus { name count } byCluster { cluster { name } count } } capacity { cpu memory } requested { cpu pods } images { name count } clusters { cluster { name } summary { pods { count } } } kubeletVersions { name count } } }',
  clusters:
    '{ clusters { nodes { id name state since version labels { key value } kinds { kind count coverage { state } } namespaces { nodes { name pods(first: 1) { totalCount } summary { pods { count } } } } } totalCount } }',
  node: '{ node(id: "UG9kL3Byb2QtZXUvc2hvcC9kYi0w") { __typename id ... on Pod { name phase } ... on KubernetesObject { uid } } none: node(id: "UG9kL3Byb2QtZXUvc2hvcC94") { id } }',
  search: '{ search(text: "web") { totalCount hits { match matched object { __typename id name } } } }',
  filtered:
    'query ($filter: PodFilter) { pods(filter: $filter, orderBy: [{ field: RESTARTS, direction: DESC }, { field: NAME }]) { nodes { name restarts } } }',
}

const VARIABLES = { filter: { labelSelector: 'app', phases: ['Running'], createdAfter: '2026-10-01' } }

describe('a compiled query', () => {
  it.each(Object.entries(DOCUMENTS))('answers %s as graphql-js does', async (name, query) => {
    const { fleet } = shopFleet()
    const expected = await ask(fleet, query, VARIABLES)
    expect(expected.errors).toEqual([])
    const executor = new Executor({ schema: createSchema(), logger: silent, rightsKey: () => '' })
    // It is compiled on its second use.
    for (const use of [1, 2, 3]) {
      const context = () => createContext(liveView(fleet))
      const answer = executor.execute(
        { query, variables: VARIABLES },
        { viewer, context, sharedContext: context },
      )
      // Only a search, which gives way to others, and live reads wait for anything.
      expect(answer instanceof Promise).toBe(name === 'search')
      const result = await answer
      expect({ use, errors: result.errors }).toEqual({ use, errors: undefined })
      expect(JSON.parse(JSON.stringify(result.data))).toEqual(expected.data)
    }
  })
})

const OBJECT = `${METADATA} ... on Pod { containers { name state since } node { name } workload { id rollout { status } } services { links { url } } } ... on Deployment { pods { cursor nodes { name } } }`

const SUBSCRIPTIONS: Readonly<Record<string, string>> = {
  objects: `subscription ($snapshot: Boolean) { objectChanges(snapshot: $snapshot) { type object { ${OBJECT} } previous { id } deletedReason cluster { name state } message cursor coverage { cluster state reason } } }`,
  pods: 'subscription ($filter: PodFilter, $snapshot: Boolean) { podChanges(filter: $filter, snapshot: $snapshot, throttle: 10) { type object { id status cluster { name } } coverage { state } } }',
  clusters:
    'subscription ($snapshot: Boolean) { clusterChanges(snapshot: $snapshot) { type cluster { id name state summary { pods { count } } } deletedReason message } }',
  summary:
    'subscription { summaryChanges { kinds { kind count byStatus { name count } } images { name count } coverage { cluster state } } }',
}

describe('an event that is made once for many', () => {
  it.each(Object.entries(SUBSCRIPTIONS))('of %s is as graphql-js makes it, at once', async (_name, query) => {
    const { fleet } = shopFleet()
    const variables = { ...VARIABLES, snapshot: true }
    const context = () => createContext(liveView(fleet))
    const executor = new Executor({ schema: createSchema(), logger: silent, rightsKey: () => '' })
    const subscription = await executor.subscribe(
      { query, variables },
      { viewer, context, sharedContext: context },
    )
    if (subscription.type !== 'live') throw new Error(JSON.stringify(subscription))
    const stream = subscription.source[Symbol.asyncIterator]()
    const events: LiveEvent[] = []
    while (events.at(-1)?.type !== 'SYNCED') {
      const { value, done } = await stream.next()
      if (done) throw new Error('The stream ended.')
      events.push(value)
    }
    const expected = await follow(fleet, query, { variables })
    // It is compiled after a few events: each is made several times.
    const renders = Array.from({ length: 6 }, () => subscription.render(events))
    for (let index = 0; index < events.length; index++) {
      const [text, ...others] = renders.map((payloads) => payloads[index]!.toString())
      expect(new Set(others)).toEqual(new Set([text]))
      const { data, errors } = JSON.parse(text!) as { data: Record<string, unknown>; errors?: unknown }
      expect({ errors, event: Object.values(data)[0] }).toEqual({
        errors: undefined,
        event: await expected.next(),
      })
    }
    await expected.leave()
    await stream.return?.()
  })
})
