import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startSimulator, type Simulator } from '../../src/simulator/simulator.ts'

let simulator: Simulator

beforeAll(async () => {
  simulator = await startSimulator({ name: 'custom' })
  simulator.registry.create(
    { group: 'apiextensions.k8s.io', resource: 'customresourcedefinitions' },
    {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'gadgets.example.com' },
      spec: {
        group: 'example.com',
        scope: 'Namespaced',
        names: { plural: 'gadgets', kind: 'Gadget', shortNames: ['gd'] },
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            subresources: { status: {} },
            additionalPrinterColumns: [{ name: 'Size', type: 'integer', jsonPath: '.spec.size' }],
            schema: {
              openAPIV3Schema: {
                type: 'object',
                properties: {
                  spec: {
                    type: 'object',
                    required: ['color'],
                    properties: {
                      color: { type: 'string', enum: ['red', 'blue'] },
                      size: { type: 'integer', minimum: 1, default: 3 },
                    },
                  },
                  status: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
                },
              },
            },
          },
        ],
      },
    },
  )
})

afterAll(async () => {
  await simulator.close()
})

async function call(
  method: string,
  path: string,
  body?: unknown,
  type = 'application/json',
  accept = '*/*',
): Promise<{ status: number; body: Record<string, unknown>; warning: string | null }> {
  const response = await fetch(`${simulator.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${simulator.token}`, 'content-type': type, accept },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return {
    status: response.status,
    body: (await response.json()) as Record<string, unknown>,
    warning: response.headers.get('warning'),
  }
}

const path = '/apis/example.com/v1/namespaces/default/gadgets'

function gadget(name: string, spec: object): object {
  return { apiVersion: 'example.com/v1', kind: 'Gadget', metadata: { name }, spec }
}

describe('a custom resource', () => {
  it('is discovered with its short name', async () => {
    const { body } = await call('GET', '/apis/example.com/v1')
    expect(body['resources']).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ name: 'gadgets', kind: 'Gadget', shortNames: ['gd'], namespaced: true }),
        expect.objectContaining({ name: 'gadgets/status' }),
      ]),
    )
  })

  it('is defaulted, pruned with a warning, and validated by its schema', async () => {
    const made = await call('POST', path, gadget('a', { color: 'red', shape: 'round' }))
    expect(made.status).toBe(201)
    expect(made.body['spec']).toEqual({ color: 'red', size: 3 })
    expect(made.warning).toContain('unknown field \\"spec.shape\\"')
    const strict = await call(
      'POST',
      `${path}?fieldValidation=Strict`,
      gadget('b', { color: 'red', shape: 'round' }),
    )
    expect(strict.status).toBe(400)
    const wrong = await call('POST', path, gadget('c', { color: 'green', size: 0 }))
    expect(wrong.body).toMatchObject({
      code: 422,
      details: { causes: [{ field: 'spec.color' }, { field: 'spec.size' }] },
    })
    const bare = await call('POST', path, gadget('d', {}))
    expect(bare.body).toMatchObject({
      code: 422,
      details: { causes: [{ field: 'spec.color', reason: 'FieldValueRequired' }] },
    })
  })

  it('takes merge patches, not strategic ones, and prints its columns', async () => {
    await call('POST', path, gadget('p', { color: 'blue' }))
    const merged = await call('PATCH', `${path}/p`, { spec: { size: 9 } }, 'application/merge-patch+json')
    expect(merged.body).toMatchObject({ spec: { size: 9 }, metadata: { generation: 2 } })
    const strategic = await call('PATCH', `${path}/p`, {}, 'application/strategic-merge-patch+json')
    expect(strategic.status).toBe(415)
    const table = await call(
      'GET',
      `${path}/p`,
      undefined,
      undefined,
      'application/json;as=Table;v=v1;g=meta.k8s.io',
    )
    expect(table.body).toMatchObject({ kind: 'Table', rows: [{ cells: ['p', 9] }] })
  })

  it('goes with its definition', async () => {
    const other = await startSimulator()
    try {
      const key = { group: 'apiextensions.k8s.io', resource: 'customresourcedefinitions' }
      const definition = simulator.registry.get(key, '', 'gadgets.example.com')!
      other.registry.create(key, { ...definition, metadata: { name: 'gadgets.example.com' } })
      const key2 = { group: 'example.com', resource: 'gadgets' }
      other.registry.create(key2, {
        apiVersion: 'example.com/v1',
        kind: 'Gadget',
        metadata: { name: 'x' },
        spec: { color: 'red' },
      })
      other.registry.delete(key, '', 'gadgets.example.com')
      expect(other.registry.list(key2)).toEqual([])
    } finally {
      await other.close()
    }
  })
})
