import { afterEach, describe, expect, test } from 'vitest'
import { CRON_JOBS, JOBS, type CronJob } from '../../../src/simulator/controllers/objects.ts'
import { cronSchedule } from '../../../src/simulator/controllers/cron-schedule.ts'
import { SmallCluster, START } from './small-cluster.ts'

let cluster = new SmallCluster()
afterEach(() => {
  cluster.close()
  cluster = new SmallCluster()
})

function cronJob(script: string, spec: Partial<CronJob['spec']> = {}): void {
  const container = { name: 'tick', image: 'busybox:1.37', command: ['sh', '-c', script] }
  const jobSpec = { backoffLimit: 0, template: { spec: { restartPolicy: 'Never', containers: [container] } } }
  cluster.create(CRON_JOBS, 'tick', {
    spec: { schedule: '*/10 * * * *', jobTemplate: { spec: jobSpec }, ...spec },
  })
}

function jobs(): readonly string[] {
  return cluster.all(JOBS).map(({ metadata }) => metadata.name)
}

/** The name that the Job of a time has: the time in minutes. */
function jobAt(minutes: number): string {
  return `tick-${START / 60_000 + minutes}`
}

describe('a CronJob', () => {
  test('starts a Job at each time of its schedule and keeps the last three', () => {
    cronJob('true')
    cluster.after(10 * 60 + 1)
    expect(jobs()).toEqual([jobAt(10)])
    expect(cluster.get(CRON_JOBS, 'tick').status).toMatchObject({
      lastScheduleTime: '2026-03-02T10:10:00Z',
      active: [{ kind: 'Job', name: jobAt(10) }],
    })
    cluster.after(50 * 60)
    expect(jobs()).toEqual([jobAt(40), jobAt(50), jobAt(60)].sort())
    cluster.after(60)
    const { status } = cluster.get(CRON_JOBS, 'tick')
    expect(status?.active).toBeUndefined()
    expect(status?.lastSuccessfulTime).toMatch(/^2026-03-02T11:00:/)
    expect(cluster.eventsOf('tick')).toContain(
      `SawCompletedJob: Saw completed job: ${jobAt(50)}, condition: Complete`,
    )
  })

  test('keeps one failed Job by default', () => {
    cronJob('exit 1')
    cluster.after(45 * 60)
    expect(jobs()).toEqual([jobAt(40)])
  })

  test('with Forbid skips a time while the last Job runs', () => {
    cronJob('sleep 900', { concurrencyPolicy: 'Forbid' })
    cluster.after(21 * 60)
    expect(jobs()).toEqual([jobAt(10)])
    expect(cluster.eventsOf('tick').join()).toContain('JobAlreadyActive')
    cluster.after(12 * 60)
    expect(jobs()).toHaveLength(2)
  })

  test('with Replace ends the running Job for the next', () => {
    cronJob('sleep 900', { concurrencyPolicy: 'Replace' })
    cluster.after(21 * 60)
    expect(jobs()).toEqual([jobAt(20)])
  })

  test('with Allow lets Jobs run side by side', () => {
    cronJob('sleep 1500')
    cluster.after(21 * 60)
    expect(jobs()).toEqual([jobAt(10), jobAt(20)])
    expect(cluster.get(CRON_JOBS, 'tick').status?.active).toHaveLength(2)
  })

  test('suspended starts nothing, and resumed catches up with the last time only', () => {
    cronJob('true', { suspend: true })
    cluster.after(35 * 60)
    expect(jobs()).toEqual([])
    cluster.change(CRON_JOBS, 'tick', { suspend: false })
    cluster.after(1)
    expect(jobs()).toEqual([jobAt(30)])
  })

  test('resumed too late for its startingDeadlineSeconds waits for the next time', () => {
    cronJob('true', { suspend: true, startingDeadlineSeconds: 60 })
    cluster.after(35 * 60)
    cluster.change(CRON_JOBS, 'tick', { suspend: false })
    cluster.after(1)
    expect(jobs()).toEqual([])
    cluster.after(5 * 60)
    expect(jobs()).toEqual([jobAt(40)])
  })

  test('takes its Jobs and their pods with it', () => {
    cronJob('sleep 60')
    cluster.after(10 * 60 + 10)
    expect(cluster.pods()).toHaveLength(1)
    cluster.delete(CRON_JOBS, 'tick')
    cluster.after(60)
    expect(jobs()).toEqual([])
    expect(cluster.pods()).toEqual([])
  })
})

describe('a schedule', () => {
  const next = (text: string, from: string, zone?: string) => {
    const at = cronSchedule(text, zone).next(Date.parse(from))
    return at === undefined ? undefined : new Date(at).toISOString()
  }

  test('follows its time zone through the change of the clocks', () => {
    expect(next('0 9 * * *', '2026-03-27T12:00:00Z', 'Europe/Berlin')).toBe('2026-03-28T08:00:00.000Z')
    expect(next('0 9 * * *', '2026-03-28T12:00:00Z', 'Europe/Berlin')).toBe('2026-03-29T07:00:00.000Z')
  })

  test('leaves out a time that the clocks skip', () => {
    expect(next('30 2 * * *', '2026-03-28T12:00:00Z', 'Europe/Berlin')).toBe('2026-03-30T00:30:00.000Z')
  })

  test('takes a day of the month or of the week when both are given', () => {
    expect(next('0 0 13 * 5', '2026-03-02T00:00:00Z')).toBe('2026-03-06T00:00:00.000Z')
    expect(next('0 0 13 * 5', '2026-03-07T00:00:00Z')).toBe('2026-03-13T00:00:00.000Z')
  })

  test('knows the words and durations', () => {
    expect(next('@hourly', '2026-03-02T10:15:00Z')).toBe('2026-03-02T11:00:00.000Z')
    expect(next('@every 1h30m', '2026-03-02T10:15:00Z')).toBe('2026-03-02T11:45:00.000Z')
  })

  test('finds the latest of many missed times', () => {
    const schedule = cronSchedule('* * * * *')
    const until = Date.parse('2026-03-02T10:15:30Z')
    expect(schedule.latest(until - 5 * 60_000, until)).toEqual({ at: until - 30_000, missed: 5 })
    expect(schedule.latest(until - 30 * 86_400_000, until)).toEqual({ at: until - 30_000, missed: 101 })
  })

  test('refuses what is no schedule', () => {
    expect(() => cronSchedule('every day')).toThrow()
    expect(() => cronSchedule('@every soon')).toThrow(/expected a duration/)
  })
})
