import { describe, expect, it } from 'vitest'
import { decodeProtobuf } from '../../src/simulator/protobuf.ts'

/** The body of `kubectl create deployment web --image=nginx`, as kubectl 1.32 sends it. */
const deployment = Buffer.from(
  [
    '6b3873000a150a07617070732f7631120a4465706c6f796d656e7412ab010a1f0a0377656212001a0022002a0032003800',
    '42005a0a0a03617070120377656212',
    '7a0801120c0a0a0a036170701203776562',
    '1a600a1c0a0012001a0022002a003200380042005a0a0a0361707012037765621240',
    '12220a056e67696e7812056e67696e782a0042006a007200800100880100900100a201001a00320042004a005200580060006800',
    '8201008a01009a0100c2010022020a00280038001a0c08001000180020002800',
    '38001a002200',
  ].join(''),
  'hex',
)

describe('a body in protobuf', () => {
  it('reads what kubectl create sends, without the zeroes that Go writes along', () => {
    expect(decodeProtobuf(deployment, 'V1Deployment')).toEqual({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web', labels: { app: 'web' } },
      spec: {
        replicas: 1,
        selector: { matchLabels: { app: 'web' } },
        template: {
          metadata: { labels: { app: 'web' } },
          spec: { containers: [{ name: 'nginx', image: 'nginx' }] },
        },
      },
    })
  })

  it('is refused when it is something else', () => {
    expect(() => decodeProtobuf(Buffer.from('{"kind":"Pod"}'), 'V1Pod')).toThrow(/expected prefix/)
    expect(() => decodeProtobuf(deployment.subarray(0, 60), 'V1Deployment')).toThrow(/unexpected end/)
  })
})
