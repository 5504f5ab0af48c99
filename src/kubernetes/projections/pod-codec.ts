/**
 * A pod's row as text and back: four JSON lists with tabs between them, of what is its own, of the state that
 * it shares with siblings, of its containers and of its volumes. So what is shared, by far the most, is
 * written once for all of them and read once: a text that was seen before is its value.
 */
import { Interner, type Interned } from '../interner.ts'
import type { ContainerSpec, ContainerStatus, PodRow, Seconds, Volume } from '../rows.ts'
import { emptyTimes, Pod, podState, type ConditionShape, type PodState, type StatusShape } from './pod.ts'
import {
  containers,
  flag,
  labels,
  number,
  numberOrNull,
  oneOf,
  orNull,
  owner,
  readArray,
  readTuple,
  RowFormatError,
  type Shape,
  text,
  textOrNull,
  volumes,
  word,
  wordOrNull,
} from './shapes.ts'

/** JSON writes it as an escape, so it is in none of the lists. */
const SEPARATOR = '\t'

/** By their text, and those of their containers and volumes. One that a projection made is another, and equal. */
const states = new Interner<PodState>(1 << 15)
const containerLists = new Interner<readonly ContainerSpec[]>(1 << 14)
const volumeLists = new Interner<readonly Volume[]>(1 << 14)
/** Of states and of those lists. */
const texts = new WeakMap<object, string>()

const ownerOrNull = orNull(owner)
const phase = oneOf('Pending', 'Running', 'Succeeded', 'Failed', 'Unknown')
const containerState = oneOf('WAITING', 'RUNNING', 'TERMINATED')
const conditionStatus = oneOf('True', 'False', 'Unknown')

export function encodePod(row: PodRow): string {
  if (!(row instanceof Pod)) throw new TypeError('Only rows that a projection made can be encoded.')
  const { creationTimestamp, times, state } = row
  const own = [
    row.uid,
    row.namespace,
    row.name,
    row.resourceVersion,
    number.write(row.generation),
    creationTimestamp,
    row.deletionTimestamp,
    row.labels,
    ownerOrNull.write(row.owner),
    row.nodeName,
    row.podIP,
    row.hostIP,
    row.startTime,
    row.lastRestartAt,
    // Of few digits: most of it happened soon after the pod was made.
    times.map((time) => (time === null ? null : time - creationTimestamp)),
  ]
  return (
    JSON.stringify(own) +
    SEPARATOR +
    textOf(state, writeState) +
    SEPARATOR +
    textOf(state.specs, containers.write) +
    SEPARATOR +
    textOf(state.volumes, volumes.write)
  )
}

function textOf<T extends object>(shared: T, write: (value: T) => unknown): string {
  let known = texts.get(shared)
  if (known === undefined) {
    known = JSON.stringify(write(shared))
    texts.set(shared, known)
  }
  return known
}

/** Throws `RowFormatError`, or JSON's SyntaxError. */
export function decodePod(encoded: string, cluster: string): PodRow {
  const parts = encoded.split(SEPARATOR)
  const [ownText, stateText, containersText, volumesText] = parts
  if (parts.length !== 4 || !ownText || !stateText || !containersText || !volumesText) {
    throw new RowFormatError('a part of it is missing')
  }
  const own = readTuple(JSON.parse(ownText), 15)
  const state = stateOf(stateText, containersText, volumesText)
  const creationTimestamp = number.read(own[5])
  return new Pod({
    cluster,
    uid: text.read(own[0]),
    namespace: word.read(own[1]),
    name: text.read(own[2]),
    resourceVersion: text.read(own[3]),
    generation: number.read(own[4]),
    creationTimestamp,
    deletionTimestamp: numberOrNull.read(own[6]),
    labels: labels.read(own[7]),
    owner: ownerOrNull.read(own[8]),
    nodeName: word.read(own[9]),
    podIP: textOrNull.read(own[10]),
    hostIP: wordOrNull.read(own[11]),
    startTime: numberOrNull.read(own[12]),
    lastRestartAt: numberOrNull.read(own[13]),
    state,
    times: readTimes(own[14], state, creationTimestamp),
  })
}

function readTimes(json: unknown, { specs, conditions }: PodState, since: Seconds) {
  const length = specs.length * 2 + conditions.length
  const written = readTuple(json, length)
  const times = emptyTimes(length)
  for (let i = 0; i < length; i++) {
    const time = written[i]
    if (time !== null) times[i] = number.read(time) + since
  }
  return Object.freeze(times)
}

function stateOf(encoded: string, containersText: string, volumesText: string): PodState {
  const specs = listOf(containerLists, containers, containersText)
  const mounted = listOf(volumeLists, volumes, volumesText)
  const key = `${specs.id}|${mounted.id}|${encoded}`
  const found = states.find(key)
  if (found) return found.value
  return states.add(key, readState(JSON.parse(encoded), specs.value, mounted.value)).value
}

function listOf<T>(
  lists: Interner<readonly T[]>,
  { read }: Shape<readonly T[]>,
  encoded: string,
): Interned<readonly T[]> {
  const found = lists.find(encoded)
  if (found) return found
  const list = read(JSON.parse(encoded))
  // A copy, as the slice would keep all of its pod's text.
  return lists.add(Buffer.from(encoded).toString(), list)
}

function writeState(state: PodState): readonly unknown[] {
  return [
    state.phase,
    state.status,
    state.reason,
    state.message,
    flag.write(state.ready),
    number.write(state.readyContainers),
    number.write(state.restarts),
    state.qosClass,
    state.serviceAccountName,
    state.priorityClassName,
    number.write(state.cpuRequest),
    number.write(state.memoryRequest),
    number.write(state.cpuLimit),
    number.write(state.memoryLimit),
    state.statuses.map((shape) => shape && writeStatus(shape)),
    state.conditions.map(({ type, status, reason, message }) => [type, status, reason, message]),
  ]
}

function readState(json: unknown, specs: PodState['specs'], mounted: PodState['volumes']): PodState {
  const values = readTuple(json, 16)
  return podState({
    phase: phase.read(values[0]),
    status: word.read(values[1]),
    reason: wordOrNull.read(values[2]),
    message: textOrNull.read(values[3]),
    ready: flag.read(values[4]),
    readyContainers: number.read(values[5]),
    restarts: number.read(values[6]),
    qosClass: wordOrNull.read(values[7]),
    serviceAccountName: word.read(values[8]),
    priorityClassName: wordOrNull.read(values[9]),
    cpuRequest: number.read(values[10]),
    memoryRequest: number.read(values[11]),
    cpuLimit: number.read(values[12]),
    memoryLimit: number.read(values[13]),
    specs,
    statuses: Object.freeze(readTuple(values[14], specs.length).map(readStatus)),
    volumes: mounted,
    conditions: Object.freeze(readArray(values[15]).map(readCondition)),
  })
}

function writeStatus(shape: StatusShape): readonly unknown[] {
  return [
    shape.state,
    flag.write(shape.ready),
    flag.write(shape.started),
    number.write(shape.restartCount),
    shape.reason,
    shape.message,
    numberOrNull.write(shape.exitCode),
    shape.lastReason,
    numberOrNull.write(shape.lastExitCode),
  ]
}

function readStatus(json: unknown): StatusShape | null {
  if (json === null) return null
  const values = readTuple(json, 9)
  const state: ContainerStatus['state'] = containerState.read(values[0])
  return Object.freeze({
    ready: flag.read(values[1]),
    started: flag.read(values[2]),
    restartCount: number.read(values[3]),
    state,
    reason: wordOrNull.read(values[4]),
    message: textOrNull.read(values[5]),
    exitCode: numberOrNull.read(values[6]),
    lastReason: wordOrNull.read(values[7]),
    lastExitCode: numberOrNull.read(values[8]),
  })
}

function readCondition(json: unknown): ConditionShape {
  const values = readTuple(json, 4)
  return Object.freeze({
    type: word.read(values[0]),
    status: conditionStatus.read(values[1]),
    reason: wordOrNull.read(values[2]),
    message: textOrNull.read(values[3]),
  })
}
