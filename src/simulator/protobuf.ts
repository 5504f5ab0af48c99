/**
 * Reads objects in Kubernetes' protobuf encoding (`application/vnd.kubernetes.protobuf`), which typed
 * client-go clients send unasked; answers are always JSON, which all of them accept.
 */
import { trusted, type JsonObject, type MutableJson } from './json.ts'
import { protobufFields } from './protobuf-fields.ts'
import { fieldsOf, type Field, type FieldType } from './schema.ts'
import { badRequest } from './status-error.ts'

interface WireField {
  readonly name: string
  /** A zero value is there on purpose. */
  readonly pointer: boolean
  /** The fields of a message that stands inline. */
  readonly inline: Message | undefined
}

type Message = ReadonlyMap<number, WireField>

const messages = new Map<string, Message>()

function messageOf(model: string): Message | undefined {
  if (messages.size === 0) {
    for (const line of protobufFields.trim().split('\n')) {
      const [model = '', , ...fields] = line.split(' ')
      messages.set(model, parseMessage(fields.join(' ')).message)
    }
  }
  return messages.get(model)
}

function parseMessage(text: string): { message: Message; rest: string } {
  const message = new Map<number, WireField>()
  let left = text
  while (left !== '' && !left.startsWith(')')) {
    const match = /^\s*(\d+)([:*(])/.exec(left)
    if (match === null) break
    left = left.slice(match[0].length)
    const number = Number(match[1])
    if (match[2] === '(') {
      const { message: inline, rest } = parseMessage(left)
      left = rest.slice(1).trimStart()
      message.set(number, { name: '', pointer: false, inline })
    } else {
      const [name = ''] = /^\w+/.exec(left) ?? []
      left = left.slice(name.length).trimStart()
      message.set(number, { name, pointer: match[2] === '*', inline: undefined })
    }
  }
  return { message, rest: left }
}

/** Fields that are quantities: a message around a string. */
const quantities = new Set([
  'V2MetricTarget.averageValue',
  'V2MetricTarget.value',
  'V2MetricValueStatus.averageValue',
  'V2MetricValueStatus.value',
  'V1EmptyDirVolumeSource.sizeLimit',
  'V1ResourceFieldSelector.divisor',
])

class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get more(): boolean {
    return this.#at < this.#bytes.length
  }

  varint(): bigint {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw badRequest('proto: unexpected end of input')
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asIntN(64, value)
    }
  }

  /** The next field's number and payload. */
  next(): { number: number; value: bigint | Buffer } {
    const tag = Number(this.varint())
    const number = tag >> 3
    switch (tag & 7) {
      case 0:
        return { number, value: this.varint() }
      case 1:
        return { number, value: this.#take(8) }
      case 2:
        return { number, value: this.#take(Number(this.varint())) }
      case 5:
        return { number, value: this.#take(4) }
      default:
        throw badRequest(`proto: illegal wireType ${tag & 7}`)
    }
  }

  #take(length: number): Buffer {
    const end = this.#at + length
    if (length < 0 || end > this.#bytes.length) throw badRequest('proto: unexpected end of input')
    const part = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return part
  }
}

const magic = Buffer.from('k8s\0')

/** An object from its envelope: `model` of what is expected. Throws 400 for anything else. */
export function decodeProtobuf(bytes: Buffer, model: string | undefined): JsonObject {
  if (!bytes.subarray(0, 4).equals(magic)) {
    throw badRequest('provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]')
  }
  let raw: Buffer = Buffer.alloc(0)
  const type = { apiVersion: '', kind: '' }
  const reader = new Reader(bytes.subarray(4))
  while (reader.more) {
    const { number, value } = reader.next()
    if (!Buffer.isBuffer(value)) continue
    if (number === 2) raw = value
    if (number !== 1) continue
    const meta = new Reader(value)
    while (meta.more) {
      const field = meta.next()
      if (field.number === 1) type.apiVersion = String(field.value)
      if (field.number === 2) type.kind = String(field.value)
    }
  }
  // Options of a delete come of a kind of their own, wherever they are sent.
  const own = type.kind === 'DeleteOptions' ? 'V1DeleteOptions' : model
  if (own === undefined) throw badRequest('no protobuf schema for this resource')
  return { ...type, ...decodeMessage(own, raw) }
}

function decodeMessage(model: string, bytes: Buffer): JsonObject {
  const message = messageOf(model)
  const fields = fieldsOf(model)
  if (message === undefined || fields === undefined) throw badRequest(`no protobuf schema for ${model}`)
  const result: MutableJson = {}
  readInto(result, message, fields, model, bytes)
  return result
}

function readInto(
  result: MutableJson,
  message: Message,
  fields: ReadonlyMap<string, Field>,
  model: string,
  bytes: Buffer,
): void {
  const reader = new Reader(bytes)
  while (reader.more) {
    const { number, value } = reader.next()
    const wire = message.get(number)
    if (wire === undefined) continue
    if (wire.inline !== undefined) {
      if (Buffer.isBuffer(value)) readInto(result, wire.inline, fields, model, value)
      continue
    }
    const field = fields.get(wire.name)
    if (field === undefined) continue
    const id = `${model}.${wire.name}`
    if (field.type.is === 'list') {
      const list = trusted<unknown[]>((result[wire.name] ??= []))
      const item = decodeField(field.type.items, field, id, value)
      list.push(item ?? (field.type.items.is === 'object' ? {} : ''))
    } else if (field.type.is === 'map' && Buffer.isBuffer(value)) {
      const [key, inner] = decodeEntry(field.type.values, field, value)
      trusted<MutableJson>((result[wire.name] ??= {}))[key] = inner
    } else {
      const decoded = decodeField(field.type, field, id, value)
      if (wire.pointer ? decoded !== undefined : !isZero(decoded)) result[wire.name] = decoded
    }
  }
}

function isZero(value: unknown): boolean {
  if (value === undefined || value === '' || value === 0 || value === false) return true
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0
  )
}

function decodeField(type: FieldType, field: Field, id: string, value: bigint | Buffer): unknown {
  if (typeof value === 'bigint') return type.is === 'boolean' ? value !== 0n : Number(value)
  switch (type.is) {
    case 'string':
      return quantities.has(id) ? stringIn(value) : value.toString('utf8')
    case 'bytes':
      return value.toString('base64')
    case 'time':
      return timeOf(value, field.format)
    case 'int-or-string':
      return intOrString(value)
    case 'object':
      return decodeMessage(type.model, value)
    case 'any':
      return rawJson(value)
    default:
      return undefined
  }
}

/** Number 1 of a message, as text: quantities. */
function stringIn(bytes: Buffer): string {
  const reader = new Reader(bytes)
  while (reader.more) {
    const { number, value } = reader.next()
    if (number === 1 && Buffer.isBuffer(value)) return value.toString('utf8')
  }
  return ''
}

function decodeEntry(values: FieldType, field: Field, bytes: Buffer): readonly [string, unknown] {
  const reader = new Reader(bytes)
  let key = ''
  let inner: unknown = ''
  while (reader.more) {
    const { number, value } = reader.next()
    if (number === 1) key = String(value)
    else if (number === 2 && Buffer.isBuffer(value)) {
      if (values.is === 'any') inner = stringIn(value)
      else if (values.is === 'list') inner = allStrings(value)
      else inner = decodeField(values, field, '', value)
    }
  }
  return [key, inner]
}

function allStrings(bytes: Buffer): readonly string[] {
  const reader = new Reader(bytes)
  const found: string[] = []
  while (reader.more) found.push(String(reader.next().value))
  return found
}

function timeOf(bytes: Buffer, format: string): string | undefined {
  const reader = new Reader(bytes)
  let seconds = 0
  let nanos = 0
  while (reader.more) {
    const { number, value } = reader.next()
    if (number === 1) seconds = Number(value)
    if (number === 2) nanos = Number(value)
  }
  // The zero time of Go is year 1; an empty message is no time.
  if (seconds <= 0) return undefined
  const text = new Date(seconds * 1000).toISOString().slice(0, 19)
  return format === 'date-time-micro'
    ? `${text}.${String(Math.floor(nanos / 1000)).padStart(6, '0')}Z`
    : `${text}Z`
}

function intOrString(bytes: Buffer): number | string | undefined {
  const reader = new Reader(bytes)
  let isText = false
  let integer = 0
  let text = ''
  while (reader.more) {
    const { number, value } = reader.next()
    if (number === 1) isText = value === 1n
    if (number === 2) integer = Number(value)
    if (number === 3) text = String(value)
  }
  return isText ? text : integer
}

function rawJson(bytes: Buffer): unknown {
  const text = stringIn(bytes)
  if (text === '') return undefined
  try {
    return JSON.parse(text)
  } catch (error) {
    throw badRequest(`a raw field is not JSON: ${error instanceof Error ? error.message : ''}`)
  }
}
