import { describe, expect, it } from 'vitest'
import type { Failure } from '../../src/fleet/reflector-failure.ts'
import { failureOfStatus } from '../../src/fleet/reflector-failure.ts'
import {
  deadline,
  type Inheritance,
  type Input,
  type Output,
  type ReflectorConfig,
  startReflector,
} from '../../src/fleet/reflector-state.ts'
import { reflect } from '../../src/fleet/reflector.ts'
import type { ConfigMapRow } from '../../src/kubernetes/rows.ts'

type K = 'ConfigMap'
type Event = Extract<Input<K>, { type: 'Event' }>

const SECOND = 1000
const MINUTE = 60 * SECOND

function row(name: string, resourceVersion: string): ConfigMapRow {
  return {
    kind: 'ConfigMap',
    cluster: 'test',
    id: name,
    uid: `uid-${name}`,
    namespace: 'default',
    name,
    resourceVersion,
    generation: 0,
    creationTimestamp: 0,
    deletionTimestamp: null,
    labels: {},
    owner: null,
    keys: [],
    immutable: false,
  }
}

/** A reflector with a clock by hand; says what came out of each input, in few words. */
class Subject {
  state
  now = 1_800_000_000_000
  random = 0.5
  outputs: readonly Output<K>[] = []

  constructor(config: Partial<ReflectorConfig> = {}, inheritance?: Inheritance) {
    this.state = startReflector<K>(
      { resource: 'configmaps', versions: 1, streamingLists: true, ...config },
      inheritance,
    )
  }

  put(input: Input<K>): string[] {
    ;[this.state, this.outputs] = reflect(this.state, input, { now: this.now, random: this.random })
    return this.outputs.map(words)
  }

  up = () => this.put({ type: 'ClusterUp' })
  down = () => this.put({ type: 'ClusterDown', problem: { code: 'UNREACHABLE', message: 'gone' } })
  open = () => this.put({ type: 'Opened' })
  end = () => this.put({ type: 'Ended' })
  fail = (failure: Failure) => this.put({ type: 'Failed', failure })
  event = (event: Event['event'], name: string, resourceVersion: string) =>
    this.put({ type: 'Event', event, resourceVersion, row: row(name, resourceVersion) })
  item = (name: string, resourceVersion: string) =>
    this.put({ type: 'Item', row: row(name, resourceVersion) })
  page = (resourceVersion: string, continueToken = '') =>
    this.put({ type: 'PageEnd', resourceVersion, continueToken })
  bookmark = (resourceVersion: string, initialEventsEnd = false) =>
    this.put({ type: 'Bookmark', resourceVersion, initialEventsEnd })

  /** Milliseconds until it wants to be woken. */
  get wakesIn(): number | null {
    const due = deadline(this.state)
    return due === null ? null : due - this.now
  }

  after(ms: number): string[] {
    this.now += ms
    return this.put({ type: 'Wake' })
  }

  /** Moves to the deadline. */
  wake(): string[] {
    return this.after(Math.max(0, this.wakesIn ?? 0))
  }

  /** The query of the request that came out. */
  get query() {
    const request = this.outputs.find((output) => output.type === 'Request')
    return request?.type === 'Request' ? request.query : undefined
  }

  /** To a healthy watch at version 10, by a streaming list of nothing. */
  watching(): this {
    this.up()
    this.open()
    this.bookmark('10', true)
    return this
  }
}

function words(output: Output<K>): string {
  switch (output.type) {
    case 'Abort':
      return 'abort'
    case 'Request': {
      const { query, verb } = output
      const version = query.resourceVersion === undefined ? 'none' : `"${query.resourceVersion}"`
      const how = query.sendInitialEvents ? 'stream' : verb
      const more = query.continue ? ` continue ${query.continue}` : ''
      return `${how} from ${version}${query.limit ? ` limit ${query.limit}` : ''}${more}`
    }
    case 'Step': {
      const { step } = output
      if ('row' in step) return `${step.type} ${step.row.name}@${step.row.resourceVersion}`
      if ('resourceVersion' in step) return `${step.type} ${step.resourceVersion}`
      return step.type === 'Down' ? `Down ${step.problem.code}` : step.type
    }
  }
}

const status = (statusCode: number, reason = '', retryAfterMs?: number): Failure =>
  failureOfStatus({ reason, message: reason, code: statusCode }, statusCode, retryAfterMs)
const tooLarge = failureOfStatus({
  code: 504,
  reason: 'Timeout',
  details: { causes: [{ reason: 'ResourceVersionTooLarge' }] },
})
const refused: Failure = { kind: 'TRANSPORT', code: 'UNREACHABLE', message: 'ECONNREFUSED' }
const reset: Failure = { kind: 'TRANSPORT', code: 'RESET', message: 'ECONNRESET' }

describe('the streaming list', () => {
  it('asks nothing before the cluster answers', () => {
    const subject = new Subject()
    expect(subject.wakesIn).toBe(null)
    expect(subject.wake()).toEqual([])
    expect(subject.up()).toEqual(['stream from ""'])
  })

  it('asks for the initial events as the API wants it, for five to ten minutes', () => {
    const subject = new Subject()
    subject.random = 0
    subject.up()
    expect(subject.query).toEqual({
      watch: 1,
      sendInitialEvents: true,
      resourceVersionMatch: 'NotOlderThan',
      resourceVersion: '',
      allowWatchBookmarks: true,
      timeoutSeconds: 300,
    })
    const other = new Subject()
    other.random = 0.999
    other.up()
    expect(other.query?.timeoutSeconds).toBe(599)
  })

  it('holds the initial state aside until its bookmark, then goes on with the same stream', () => {
    const subject = new Subject()
    subject.up()
    expect(subject.open()).toEqual(['Init'])
    expect(subject.event('ADDED', 'a', '7')).toEqual(['InitApply a@7'])
    expect(subject.event('MODIFIED', 'a', '9')).toEqual(['InitApply a@9'])
    expect(subject.bookmark('8')).toEqual([])
    expect(subject.state.resourceVersion).toBe(null)
    expect(subject.bookmark('9', true)).toEqual(['InitDone 9'])
    expect(subject.event('MODIFIED', 'a', '12')).toEqual(['Apply a@12'])
    expect(subject.event('DELETED', 'a', '13')).toEqual(['Delete a@13'])
    expect(subject.state.resourceVersion).toBe('13')
  })

  it('deletes what was deleted before the initial state was complete', () => {
    const subject = new Subject()
    subject.up()
    subject.open()
    subject.event('ADDED', 'a', '1')
    subject.event('ADDED', 'b', '2')
    expect(subject.event('DELETED', 'a', '3')).toEqual([])
    expect(subject.event('DELETED', 'b', '4')).toEqual([])
    expect(subject.event('ADDED', 'b', '5')).toEqual(['InitApply b@5'])
    expect(subject.bookmark('6', true)).toEqual(['InitDone 6', 'Delete a@3'])
    expect(subject.state.resourceVersion).toBe('6')
  })

  it('tells such deletes as part of the state that it has come to, and not as of before', () => {
    const subject = new Subject()
    subject.up()
    subject.open()
    for (const name of ['a', 'b']) subject.event('ADDED', name, '1')
    for (const name of ['a', 'b']) subject.event('DELETED', name, '3')
    subject.bookmark('6', true)
    expect(subject.outputs.slice(1)).toMatchObject([
      { step: { type: 'Delete', resourceVersion: '6', partial: true } },
      { step: { type: 'Delete', resourceVersion: '6', partial: false } },
    ])
  })

  it.each([
    ['400', status(400)],
    ['422 Invalid', status(422, 'Invalid')],
    ['405', status(405)],
  ])('lists where the server answers %s, and remembers it for half an hour', (_, failure) => {
    const subject = new Subject()
    subject.up()
    expect(subject.fail(failure)).toEqual(['list from "0" limit 500'])
    subject.open()
    expect(subject.page('10')).toEqual(['InitDone 10', 'watch from "10"'])
    subject.open()
    expect(subject.fail(status(410, 'Expired'))).toEqual(['list from none limit 500'])
    subject.open()
    subject.page('20')
    subject.open()
    subject.now += 31 * MINUTE
    expect(subject.fail(status(410, 'Expired'))).toEqual(['stream from ""'])
  })

  it('lists where the stream goes quiet for ten seconds without the bookmark', () => {
    const subject = new Subject()
    subject.up()
    expect(subject.wakesIn).toBe(null)
    subject.open()
    expect(subject.after(9 * SECOND)).toEqual([])
    subject.event('ADDED', 'a', '1')
    expect(subject.after(9 * SECOND)).toEqual([])
    expect(subject.wakesIn).toBe(SECOND)
    expect(subject.wake()).toEqual(['abort', 'list from "0" limit 500'])
  })

  it('lists where the stream ends without the bookmark', () => {
    const subject = new Subject()
    subject.up()
    subject.open()
    subject.event('ADDED', 'a', '1')
    expect(subject.end()).toEqual(['list from "0" limit 500'])
  })

  it('lists after three failures in a row that may have had another reason', () => {
    const subject = new Subject()
    subject.up()
    expect(subject.fail(reset)).toEqual(['Down UNREACHABLE'])
    expect(subject.wake()).toEqual(['stream from ""'])
    expect(subject.fail(status(500))).toEqual(['Down ERROR'])
    expect(subject.wake()).toEqual(['stream from ""'])
    subject.fail(reset)
    expect(subject.wake()).toEqual(['list from "0" limit 500'])
  })

  it('is never tried where it is known not to work', () => {
    const subject = new Subject({ streamingLists: false })
    expect(subject.up()).toEqual(['list from "0" limit 500'])
    expect(subject.now + 1000 * MINUTE).toBeLessThan(subject.state.streamAfter)
  })

  it('asks again for the most recent state where the version is too large', () => {
    const subject = new Subject().watching()
    expect(subject.fail(tooLarge)).toEqual(['stream from ""'])
  })
})

describe('the list', () => {
  const listing = () => new Subject({ streamingLists: false })

  it('hands on page by page, and is complete with the last', () => {
    const subject = listing()
    expect(subject.up()).toEqual(['list from "0" limit 500'])
    expect(subject.open()).toEqual(['Init'])
    expect(subject.item('a', '1')).toEqual(['InitApply a@1'])
    expect(subject.page('10', 'token-1')).toEqual(['list from none limit 500 continue token-1'])
    expect(subject.query).toEqual({ limit: 500, continue: 'token-1' })
    expect(subject.open()).toEqual([])
    expect(subject.item('b', '2')).toEqual(['InitApply b@2'])
    expect(subject.page('11')).toEqual(['InitDone 10', 'watch from "10"'])
  })

  it('is asked for whole once, where its pages outlive the history of etcd', () => {
    const subject = listing()
    subject.up()
    subject.open()
    subject.page('10', 'token-1')
    expect(subject.fail(status(410, 'Expired'))).toEqual(['list from none'])
    expect(subject.query).toEqual({ limit: undefined, resourceVersion: undefined })
    expect(subject.open()).toEqual(['Init'])
    subject.item('a', '12')
    expect(subject.page('12')).toEqual(['InitDone 12', 'watch from "12"'])
  })

  it('never asks for a version with a limit, which would mean exactly that version', () => {
    const subject = listing()
    subject.up()
    subject.open()
    subject.page('10')
    subject.open()
    expect(subject.fail(status(403))).toEqual(['list from none limit 500'])
    const again = listing()
    again.up()
    again.open()
    again.page('10')
    again.fail(status(404))
    expect(again.wake()).toEqual(['list from "10"'])
  })

  it('is asked for the most recent state where its version is too large, by cause or by message', () => {
    const subject = listing()
    subject.up()
    expect(subject.fail(tooLarge)).toEqual(['list from none limit 500'])
    const old = listing()
    old.up()
    const failure = failureOfStatus({ code: 504, message: 'Too large resource version: 12, current: 9' })
    expect(old.fail(failure)).toEqual(['list from none limit 500'])
  })

  it.each([400, 422])('is asked for the most recent state where its version is rejected with %s', (code) => {
    const subject = listing()
    subject.up()
    subject.open()
    subject.page('10')
    subject.open()
    subject.fail(status(404))
    expect(subject.wake()).toEqual(['list from "10"'])
    subject.fail(status(code))
    expect(subject.wake()).toEqual(['list from none limit 500'])
  })

  it('is given up when its body stops coming, but not while it waits for its turn', () => {
    const subject = listing()
    subject.up()
    expect(subject.wakesIn).toBe(null)
    subject.open()
    subject.after(20 * SECOND)
    subject.item('a', '1')
    expect(subject.wakesIn).toBe(30 * SECOND)
    expect(subject.wake()).toEqual(['abort', 'Down UNREACHABLE'])
  })

  it('passes over an object that is no row', () => {
    const subject = listing()
    subject.up()
    subject.open()
    expect(subject.put({ type: 'Item', row: undefined })).toEqual([])
    expect(subject.page('1')).toEqual(['InitDone 1', 'watch from "1"'])
  })
})

describe('the watch', () => {
  it('is resumed at once from the last version when the server ends it', () => {
    const subject = new Subject().watching()
    subject.event('MODIFIED', 'a', '11')
    expect(subject.end()).toEqual(['watch from "11"'])
    expect(subject.query).toEqual({
      watch: 1,
      resourceVersion: '11',
      allowWatchBookmarks: true,
      timeoutSeconds: 450,
    })
  })

  it('advances with bookmarks, which are not objects', () => {
    const subject = new Subject().watching()
    expect(subject.bookmark('15')).toEqual(['Bookmark 15'])
    expect(subject.end()).toEqual(['watch from "15"'])
  })

  it('advances past an object that is no row', () => {
    const subject = new Subject().watching()
    expect(subject.put({ type: 'Event', event: 'ADDED', resourceVersion: '11', row: undefined })).toEqual([])
    expect(subject.state.resourceVersion).toBe('11')
  })

  it('does not believe the versions of the events that a watch from "" begins with', () => {
    const subject = new Subject({ streamingLists: false })
    subject.up()
    subject.open()
    expect(subject.page('')).toEqual(['InitDone ', 'watch from ""'])
    subject.open()
    subject.event('ADDED', 'a', '900')
    expect(subject.event('ADDED', 'b', '20')).toEqual(['Apply b@20'])
    expect(subject.outputs).toMatchObject([{ step: { partial: true } }])
    expect(subject.state.resourceVersion).toBe('')
    subject.event('MODIFIED', 'a', '901')
    expect(subject.outputs).not.toMatchObject([{ step: { partial: true } }])
    expect(subject.state.resourceVersion).toBe('901')
    subject.event('ADDED', 'c', '902')
    expect(subject.state.resourceVersion).toBe('902')
  })

  it.each([
    ['410', status(410, 'Gone')],
    ['an Expired of any code', status(200, 'Expired')],
    ['a version too large', tooLarge],
  ])('relists from the most recent state after %s', (_, failure) => {
    expect(new Subject().watching().fail(failure)).toEqual(['stream from ""'])
  })

  it('gives a server time that forgets again as soon as it has listed', () => {
    const subject = new Subject().watching()
    subject.fail(status(410, 'Expired'))
    subject.open()
    subject.bookmark('20', true)
    expect(subject.fail(status(410, 'Expired'))).toEqual(['Down ERROR'])
    expect(subject.wakesIn).toBe(800)
    expect(subject.wake()).toEqual(['stream from ""'])
  })

  it('retries any other error of the server without relisting', () => {
    const subject = new Subject().watching()
    expect(subject.fail(status(500, 'InternalError'))).toEqual(['Down ERROR'])
    expect(subject.wake()).toEqual(['watch from "10"'])
    subject.open()
    expect(subject.event('MODIFIED', 'a', '11')).toEqual(['Up', 'Apply a@11'])
  })

  it('keeps its version while the server refuses connections', () => {
    const subject = new Subject().watching()
    subject.end()
    expect(subject.fail(refused)).toEqual(['Down UNREACHABLE'])
    expect(subject.wake()).toEqual(['watch from "10"'])
    expect(subject.fail(refused)).toEqual([])
    expect(subject.wake()).toEqual(['watch from "10"'])
  })

  it('waits as long as Retry-After says, and a little more', () => {
    const subject = new Subject().watching()
    expect(subject.fail(status(429, 'TooManyRequests', 7000))).toEqual(['Down ERROR'])
    expect(subject.wakesIn).toBe(7400)
    expect(subject.wake()).toEqual(['watch from "10"'])
  })

  it('waits five minutes at most, whatever Retry-After says', () => {
    const subject = new Subject().watching()
    subject.fail(status(503, 'ServiceUnavailable', 6 * 60 * MINUTE))
    expect(subject.wakesIn).toBe(5 * MINUTE + 400)
  })

  it('resumes a connection that breaks, at once and silently; a second time it says so', () => {
    const subject = new Subject().watching()
    expect(subject.fail(reset)).toEqual(['watch from "10"'])
    subject.open()
    subject.bookmark('11')
    expect(subject.fail(reset)).toEqual(['Down UNREACHABLE'])
    for (let i = 0; i < 5; i++) {
      expect(subject.wakesIn).toBe(800)
      expect(subject.wake()).toEqual(['watch from "11"'])
      subject.open()
      expect(subject.bookmark('11')).toEqual(['Up', 'Bookmark 11'])
      expect(subject.fail(reset)).toEqual(['Down UNREACHABLE'])
    }
  })

  it('counts a watch as failed that ends within a second without an event', () => {
    const subject = new Subject().watching()
    subject.end()
    subject.open()
    subject.now += 900
    expect(subject.end()).toEqual(['Down UNREACHABLE'])
    subject.wake()
    subject.open()
    subject.now += SECOND
    expect(subject.end()).toEqual(['watch from "10"'])
  })

  it('says Up only when the server has shown that it still knows the version', () => {
    const subject = new Subject().watching()
    subject.end()
    subject.fail(refused)
    subject.wake()
    expect(subject.open()).toEqual([])
    expect(subject.wakesIn).toBe(SECOND)
    expect(subject.after(SECOND)).toEqual(['Up'])
    expect(subject.wakesIn).toBeGreaterThan(MINUTE)
  })

  it('ends a watch that the server does not end in time, and resumes it', () => {
    const subject = new Subject().watching()
    subject.end()
    subject.open()
    for (let seconds = 0; seconds < 454; seconds++) {
      expect(subject.after(SECOND)).toEqual([])
      subject.event('MODIFIED', 'a', String(100 + seconds))
    }
    expect(subject.after(SECOND)).toEqual(['abort', 'watch from "553"'])
  })

  it('resumes a watch that has been silent for longer than bookmarks take', () => {
    const subject = new Subject().watching()
    expect(subject.after(89 * SECOND)).toEqual([])
    subject.bookmark('11')
    expect(subject.after(89 * SECOND)).toEqual([])
    expect(subject.after(SECOND)).toEqual(['abort', 'watch from "11"'])
  })
})

describe('backing off', () => {
  const delays = (subject: Subject, times: number) =>
    Array.from({ length: times }, () => {
      subject.fail(refused)
      const delay = subject.wakesIn
      subject.wake()
      return delay
    })

  it('doubles from 0.8 s to 30 s, drawn from the whole range', () => {
    const subject = new Subject().watching()
    subject.end()
    subject.random = 0.999_999
    expect(delays(subject, 8).map((ms) => Math.round((ms ?? 0) / 100))).toEqual([
      8, 16, 32, 64, 128, 256, 300, 300,
    ])
    subject.random = 0
    expect(delays(subject, 1)).toEqual([0])
  })

  it('begins anew after two healthy minutes', () => {
    const subject = new Subject().watching()
    subject.end()
    delays(subject, 6)
    subject.open()
    subject.now += MINUTE
    subject.bookmark('11')
    subject.now += MINUTE
    subject.bookmark('12')
    subject.end()
    expect(delays(subject, 1)).toEqual([400])
  })
})

describe('rights and credentials', () => {
  it('makes the request once more after a 401, and then says so and backs off', () => {
    const subject = new Subject().watching()
    subject.end()
    expect(subject.fail(status(401))).toEqual(['watch from "10"'])
    expect(subject.fail(status(401))).toEqual(['Down UNAUTHORIZED'])
    expect(subject.wake()).toEqual(['watch from "10"'])
    subject.open()
    expect(subject.event('MODIFIED', 'a', '11')).toEqual(['Up', 'Apply a@11'])
  })

  it('polls what may be listed but not watched, and says that it is stale in between', () => {
    const subject = new Subject()
    subject.up()
    expect(subject.fail(status(403))).toEqual(['list from "0" limit 500'])
    subject.open()
    expect(subject.page('10')).toEqual(['InitDone 10', 'watch from "10"'])
    expect(subject.fail(status(403))).toEqual(['list from none limit 500'])
    subject.open()
    subject.item('a', '11')
    expect(subject.page('11')).toEqual(['InitDone 11', 'Down NOT_WATCHED'])
    expect(subject.wakesIn).toBe(30 * SECOND)
    expect(subject.wake()).toEqual(['list from none limit 500'])
    subject.open()
    expect(subject.page('12')).toEqual(['InitDone 12', 'Up', 'Down NOT_WATCHED'])
    subject.now += 10 * MINUTE
    subject.wake()
    expect(subject.fail(status(403))).toEqual(['list from "12"'])
    subject.open()
    expect(subject.page('13')).toEqual(['InitDone 13', 'Up', 'watch from "13"'])
  })

  it('says what is forbidden, and tries again ever more slowly', () => {
    const subject = new Subject()
    subject.up()
    subject.fail(status(403))
    expect(subject.fail(status(403))).toEqual(['Down FORBIDDEN'])
    const waits = Array.from({ length: 7 }, () => {
      const wait = subject.wakesIn
      subject.wake()
      subject.fail(status(403))
      expect(subject.fail(status(403))).toEqual([])
      return (wait ?? 0) / SECOND
    })
    expect(waits).toEqual([2, 4, 8, 16, 32, 60, 60])
    subject.wake()
    expect(subject.open()).toEqual(['Up', 'Init'])
    expect(subject.bookmark('5', true)).toEqual(['InitDone 5'])
  })

  it.each([404, 405])(
    'tries the older versions of a resource on %s, then says that it is not served',
    (code) => {
      const subject = new Subject({ versions: 2, streamingLists: false })
      const version = () =>
        subject.outputs.flatMap((output) => (output.type === 'Request' ? output.version : []))
      subject.up()
      expect(version()).toEqual([0])
      expect(subject.fail(status(code))).toEqual(['list from "0" limit 500'])
      expect(version()).toEqual([1])
      expect(subject.fail(status(code))).toEqual(['Down NOT_SERVED'])
      subject.wake()
      expect(version()).toEqual([0])
      for (let i = 0; i < 12; i++) {
        subject.fail(status(code))
        subject.fail(status(code))
        if (i < 11) subject.wake()
      }
      expect(subject.wakesIn).toBe(5 * MINUTE)
    },
  )

  it('begins with the newest version again when an upgrade removes the one that was watched', () => {
    const subject = new Subject({ versions: 3, streamingLists: false })
    const version = () =>
      subject.outputs.flatMap((output) => (output.type === 'Request' ? output.version : []))
    subject.up()
    subject.fail(status(404))
    subject.open()
    subject.page('10')
    expect(version()).toEqual([1])
    subject.open()
    subject.fail(status(404))
    subject.wake()
    expect(version()).toEqual([0])
  })

  it('names no address in what it says', () => {
    const subject = new Subject().watching()
    subject.fail(status(500, 'dial tcp 10.0.0.1:2379: connect refused at https://etcd.internal:2379/x'))
    const [output] = subject.outputs
    const step = output?.type === 'Step' ? output.step : undefined
    expect(step?.type === 'Down' ? step.problem.message : '').toBe(
      'The API server refused to list or watch configmaps (500). dial tcp …: connect refused at …',
    )
  })
})

describe('the cluster', () => {
  it('going down makes the table stale and keeps the watch, and coming back resumes it', () => {
    const subject = new Subject().watching()
    expect(subject.down()).toEqual(['Down UNREACHABLE'])
    expect(subject.event('MODIFIED', 'a', '11')).toEqual(['Apply a@11'])
    expect(subject.down()).toEqual([])
    expect(subject.up()).toEqual(['abort', 'watch from "11"'])
    subject.open()
    expect(subject.bookmark('12')).toEqual(['Up', 'Bookmark 12'])
  })

  it('going down ends an initial state that is under way, and it begins anew', () => {
    const subject = new Subject()
    subject.up()
    subject.open()
    subject.event('ADDED', 'a', '1')
    expect(subject.down()).toEqual(['abort', 'Down UNREACHABLE'])
    expect(subject.wakesIn).toBe(null)
    expect(subject.up()).toEqual(['stream from ""'])
    expect(subject.open()).toEqual(['Up', 'Init'])
  })

  it('being down, nothing is tried: neither after a failure nor after silence', () => {
    const subject = new Subject().watching()
    subject.down()
    expect(subject.after(90 * SECOND)).toEqual(['abort'])
    expect(subject.wakesIn).toBe(null)
    const other = new Subject().watching()
    other.down()
    expect(other.fail(reset)).toEqual(['Down UNREACHABLE'])
    expect(other.wakesIn).toBe(null)
    expect(other.up()).toEqual(['watch from "10"'])
  })

  it('coming back ends every wait at once', () => {
    const subject = new Subject()
    subject.up()
    subject.fail(status(403))
    subject.fail(status(403))
    expect(subject.up()).toEqual(['stream from ""'])
  })

  it('is not down for a table that was not synced before it was first up', () => {
    const subject = new Subject()
    expect(subject.down()).toEqual(['Down UNREACHABLE'])
    expect(subject.up()).toEqual(['stream from ""'])
    subject.open()
    expect(subject.bookmark('3', true)).toEqual(['InitDone 3'])
  })
})

describe('a table that was filled before', () => {
  const problem = { code: 'UNREACHABLE', message: 'the owner is gone' } as const
  const inherited = (more: Partial<Inheritance> = {}) =>
    new Subject({}, { resourceVersion: '10', whole: true, problem: null, ...more })

  it('is followed from where it is, without a list, once the cluster answers', () => {
    const subject = inherited()
    expect(subject.wakesIn).toBe(null)
    expect(subject.wake()).toEqual([])
    expect(subject.up()).toEqual(['watch from "10"'])
    expect(subject.open()).toEqual([])
    expect(subject.event('MODIFIED', 'a', '12')).toEqual(['Apply a@12'])
  })

  it('is up again once its watch is settled, where it was down', () => {
    const subject = inherited({ problem })
    subject.up()
    expect(subject.open()).toEqual([])
    expect(subject.after(SECOND)).toEqual(['Up'])
    expect(subject.after(SECOND)).toEqual([])
  })

  it('is up with the first event or bookmark, and says so once', () => {
    const subject = inherited({ problem })
    subject.up()
    subject.open()
    expect(subject.event('ADDED', 'a', '11')).toEqual(['Up', 'Apply a@11'])
    expect(subject.bookmark('12')).toEqual(['Bookmark 12'])
    const quiet = inherited({ problem })
    quiet.up()
    quiet.open()
    expect(quiet.bookmark('12')).toEqual(['Up', 'Bookmark 12'])
  })

  it('is listed anew where the server has lost its version, and is down until then where it was', () => {
    const subject = inherited({ problem })
    subject.up()
    subject.open()
    expect(subject.fail(status(410, 'Expired'))).toEqual(['stream from ""'])
    expect(subject.open()).toEqual(['Init'])
    expect(subject.bookmark('20', true)).toEqual(['InitDone 20', 'Up'])
  })

  it.each(['', '0'])('is listed anew where its version is %j, which names no moment', (resourceVersion) => {
    const subject = inherited({ resourceVersion, problem })
    expect(subject.up()).toEqual([`stream from "${resourceVersion}"`])
    expect(subject.open()).toEqual(['Init'])
    expect(subject.bookmark('20', true)).toEqual(['InitDone 20', 'Up'])
  })

  it('is listed anew, from the most recent state, where it has parts of a later version', () => {
    const subject = inherited({ whole: false, problem })
    expect(subject.up()).toEqual(['stream from ""'])
    expect(subject.open()).toEqual(['Init'])
    expect(subject.bookmark('20', true)).toEqual(['InitDone 20', 'Up'])
    const listed = new Subject({ streamingLists: false }, { resourceVersion: '10', whole: false, problem })
    expect(listed.up()).toEqual(['list from none limit 500'])
  })

  it('does not repeat a problem that it has already', () => {
    const subject = inherited({ problem: { code: 'UNREACHABLE', message: 'gone' } })
    expect(subject.down()).toEqual([])
    expect(subject.up()).toEqual(['watch from "10"'])
  })

  it('is down as soon as the cluster is, and is followed from where it is when that is back', () => {
    const subject = inherited()
    expect(subject.down()).toEqual(['Down UNREACHABLE'])
    expect(subject.wakesIn).toBe(null)
    expect(subject.up()).toEqual(['watch from "10"'])
  })

  it('without content begins as any other, and takes back what was said of it', () => {
    const subject = inherited({ resourceVersion: null, problem })
    expect(subject.up()).toEqual(['stream from ""'])
    expect(subject.open()).toEqual(['Up', 'Init'])
  })
})

describe('inputs that come too late', () => {
  it('do nothing', () => {
    const subject = new Subject().watching()
    subject.fail(status(500))
    expect(subject.open()).toEqual([])
    expect(subject.event('ADDED', 'a', '11')).toEqual([])
    expect(subject.bookmark('12')).toEqual([])
    expect(subject.item('a', '1')).toEqual([])
    expect(subject.page('1')).toEqual([])
    expect(subject.end()).toEqual([])
    expect(subject.fail(reset)).toEqual([])
    expect(subject.state.resourceVersion).toBe('10')
  })
})
