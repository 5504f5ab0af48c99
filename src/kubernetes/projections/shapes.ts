/**
 * The shapes of what rows are made of, and how each is written as JSON and read back: as short as may be,
 * and on reading checked, frozen, and shared with what the projections made. Knows no kind.
 *
 * Invariant: `read(JSON.parse(JSON.stringify(write(value))))` equals `value`; whatever else is given to `read`
 * either is such a value or throws `RowFormatError`.
 */
import type {
  Condition,
  ContainerSpec,
  LabelSelector,
  LabelSet,
  OwnerReference,
  Quantity,
  ResourceAmounts,
  Volume,
} from '../rows.ts'
import { type Json, isRecord } from './fields.ts'
import {
  ownerReference,
  shareAmounts,
  shareConditionList,
  shareContainers,
  shareLabels,
  shareList,
  shareQuantity,
  shareSelector,
  shareText,
  shareVolumeList,
} from './shared.ts'

export interface Shape<T> {
  /** To what `JSON.stringify` keeps. */
  readonly write: (value: T) => unknown
  /** Throws `RowFormatError`. */
  readonly read: (json: unknown) => T
}

/** A text that should be a row is none: of another format, or cut. */
export class RowFormatError extends Error {
  override readonly name = 'RowFormatError'
  readonly code = 'ROW_FORMAT'
}

function unexpected(expected: string, json: unknown): RowFormatError {
  return new RowFormatError(`expected ${expected}, not ${JSON.stringify(json)?.slice(0, 40)}`)
}

function same<T>(value: T): T {
  return value
}

function readText(json: unknown): string {
  if (typeof json !== 'string') throw unexpected('a text', json)
  return json
}

const WORDLESS: Readonly<Record<string, number>> = { '-0': -0, NaN, Infinity, '-Infinity': -Infinity }

/** JSON has no words for some numbers. They come of odd quantities only, and must come back all the same. */
function writeNumber(value: number): unknown {
  if (value === 0) return Object.is(value, -0) ? '-0' : 0
  return Number.isFinite(value) ? value : String(value)
}

function readNumber(json: unknown): number {
  if (typeof json === 'number') return json
  const value = typeof json === 'string' ? WORDLESS[json] : undefined
  if (value === undefined) throw unexpected('a number', json)
  return value
}

export function readArray(json: unknown): readonly unknown[] {
  if (!Array.isArray(json)) throw unexpected('a list', json)
  return json
}

/** A list of so many items. */
export function readTuple(json: unknown, length: number): readonly unknown[] {
  const items = readArray(json)
  if (items.length !== length) throw unexpected(`${length} items`, json)
  return items
}

function readRecord(json: unknown): Json {
  if (!isRecord(json)) throw unexpected('an object', json)
  return json
}

function readTexts(json: unknown): Json {
  const fields = readRecord(json)
  for (const name in fields) readText(fields[name])
  return fields
}

export function orNull<T>({ write, read }: Shape<T>): Shape<T | null> {
  return {
    write: (value) => (value === null ? null : write(value)),
    read: (json) => (json === null ? null : read(json)),
  }
}

export function listOf<T>({ write, read }: Shape<T>): Shape<readonly T[]> {
  return { write: (values) => values.map(write), read: (json) => readArray(json).map(read) }
}

/** A text of an object's own. */
export const text: Shape<string> = { write: same, read: readText }
export const textOrNull = orNull(text)
/** A text of low cardinality. */
export const word: Shape<string> = { write: same, read: (json) => shareText(readText(json)) }
export const wordOrNull = orNull(word)
/** Texts of low cardinality, the list shared too. */
export const words: Shape<readonly string[]> = {
  write: same,
  read: (json) => shareList(readArray(json).map(readText)),
}
export const number: Shape<number> = { write: writeNumber, read: readNumber }
export const numberOrNull = orNull(number)
export const flag: Shape<boolean> = {
  write: (value) => (value ? 1 : 0),
  read(json) {
    if (json !== 0 && json !== 1) throw unexpected('0 or 1', json)
    return json === 1
  },
}

/** One of these. */
export function oneOf<const T extends string>(...values: readonly T[]): Shape<T> {
  const known = new Map<unknown, T>(values.map((value) => [value, value]))
  return {
    write: same,
    read(json) {
      const value = known.get(json)
      if (value === undefined) throw unexpected(`one of ${values.join(', ')}`, json)
      return value
    },
  }
}

export const labels: Shape<LabelSet> = { write: same, read: (json) => shareLabels(readTexts(json)) }

export const owner: Shape<OwnerReference> = {
  write: ({ apiVersion, kind, name, uid }) => [apiVersion, kind, name, uid],
  read(json) {
    const [apiVersion, kind, name, uid] = readTuple(json, 4)
    return ownerReference(readText(apiVersion), readText(kind), readText(name), readText(uid))
  },
}

export const quantity: Shape<Quantity> = {
  write: (value) => value.text,
  read(json) {
    const value = shareQuantity(readText(json))
    if (!value) throw unexpected('a quantity', json)
    return value
  },
}

export const amounts: Shape<ResourceAmounts> = {
  write: writeAmounts,
  read: (json) => shareAmounts(readTexts(json)),
}

function writeAmounts(value: ResourceAmounts): Readonly<Record<string, string>> {
  const texts: Record<string, string> = {}
  for (const name in value) texts[name] = value[name]!.text
  return texts
}

/** As in the API, without what is empty: so it has the key of the projection's among the shared ones. */
export const selector: Shape<LabelSelector> = {
  write: ({ matchLabels, matchExpressions }) => ({
    ...(Object.keys(matchLabels).length > 0 && { matchLabels }),
    ...(matchExpressions.length > 0 && {
      matchExpressions: matchExpressions.map(({ key, operator, values }) =>
        values.length === 0 ? { key, operator } : { key, operator, values },
      ),
    }),
  }),
  read: (json) => shareSelector(readRecord(json))!,
}

const conditionStatus = oneOf('True', 'False', 'Unknown')

export const conditions: Shape<readonly Condition[]> = {
  write: (value) =>
    value.map(({ type, status, reason, message, lastTransitionTime }) => [
      type,
      status,
      reason,
      message,
      lastTransitionTime,
    ]),
  read: (json) => shareConditionList(readArray(json).map(readCondition)),
}

function readCondition(json: unknown): Condition {
  const [type, status, reason, message, lastTransitionTime] = readTuple(json, 5)
  return {
    type: readText(type),
    status: conditionStatus.read(status),
    reason: textOrNull.read(reason),
    message: textOrNull.read(message),
    lastTransitionTime: numberOrNull.read(lastTransitionTime),
  }
}

export const volumes: Shape<readonly Volume[]> = {
  write: (value) => value.map(({ name, type, source }) => [name, type, source]),
  read: (json) =>
    shareVolumeList(
      readArray(json).map((item) => {
        const [name, type, source] = readTuple(item, 3)
        return { name: readText(name), type: readText(type), source: textOrNull.read(source) }
      }),
    ).value,
}

const containerType = oneOf('MAIN', 'INIT', 'SIDECAR')

export const containers: Shape<readonly ContainerSpec[]> = {
  write: (value) => value.map(writeContainer),
  read(json) {
    const all = readArray(json).map(readContainer)
    const init = all.filter(({ type }) => type !== 'MAIN')
    const main = all.filter(({ type }) => type === 'MAIN')
    const raw = ({ container }: { container: Json }) => container
    return shareContainers({ initContainers: init.map(raw), containers: main.map(raw) }).value
  },
}

function writeContainer(spec: ContainerSpec): unknown {
  return [
    spec.type,
    spec.name,
    spec.image,
    spec.imagePullPolicy,
    spec.ports.map(({ name, containerPort, protocol, hostPort }) => [
      name,
      writeNumber(containerPort),
      protocol,
      hostPort === null ? null : writeNumber(hostPort),
    ]),
    writeAmounts(spec.requests),
    writeAmounts(spec.limits),
    spec.volumeMounts.map(({ name, mountPath, readOnly }) => [name, mountPath, readOnly ? 1 : 0]),
  ]
}

/** A container as the API has it: what equal ones share is found by that. */
function readContainer(json: unknown): { readonly type: ContainerSpec['type']; readonly container: Json } {
  const [type, name, image, imagePullPolicy, ports, requests, limits, mounts] = readTuple(json, 8)
  const known = containerType.read(type)
  return {
    type: known,
    container: {
      name: readText(name),
      image: readText(image),
      imagePullPolicy: textOrNull.read(imagePullPolicy),
      ...(known === 'SIDECAR' && { restartPolicy: 'Always' }),
      ports: readArray(ports).map((item) => {
        const [name, containerPort, protocol, hostPort] = readTuple(item, 4)
        return {
          name: textOrNull.read(name),
          containerPort: readNumber(containerPort),
          protocol: readText(protocol),
          hostPort: numberOrNull.read(hostPort),
        }
      }),
      resources: { requests: readTexts(requests), limits: readTexts(limits) },
      volumeMounts: readArray(mounts).map((item) => {
        const [name, mountPath, readOnly] = readTuple(item, 3)
        return { name: readText(name), mountPath: readText(mountPath), readOnly: flag.read(readOnly) }
      }),
    },
  }
}
