/**
 * The GraphiQL page in a real browser: it loads without any network but the gateway's, opens on the
 * operations of the tour, and runs them.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium, type BrowserContext, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { AuthorizedFleet } from '../../src/access/authorized-fleet.ts'
import { everything } from '../../src/access/policy.ts'
import { viewerOf } from '../../src/access/viewer.ts'
import { Hub } from '../../src/events/hub.ts'
import { systemClock } from '../../src/fleet/clock.ts'
import { createContext } from '../../src/graph/context.ts'
import { createSchema } from '../../src/graph/schema.ts'
import { exampleOperations } from '../../src/server/graphiql.ts'
import { silent } from '../../src/server/logger.ts'
import { startServer, type RunningServer } from '../../src/server/server.ts'
import { chromiumPath } from '../support/chromium.ts'
import { shopFleet } from '../support/shop.ts'

const executablePath = chromiumPath()

// `npm test` installs Chromium where it can (test/support/install-parts.ts): elsewhere there is no browser.
describe.skipIf(executablePath === undefined)('GraphiQL', () => {
  let server: RunningServer
  let hub: Hub
  let browser: BrowserContext
  let page: Page
  let profile: string
  const requests: string[] = []
  const problems: string[] = []

  beforeAll(async () => {
    const { fleet } = shopFleet()
    hub = new Hub({ fleet, clock: systemClock })
    server = await startServer({
      schema: createSchema(),
      policy: everything,
      fleet,
      access: {
        authenticate: () => viewerOf({ name: 'visitor', groups: [] }),
        onEnd: () => () => {},
        contextFor: (user, signal) =>
          createContext(new AuthorizedFleet(fleet, user, everything, hub), signal),
      },
      options: { port: 0 },
      logger: silent,
    })
    profile = mkdtempSync(join(tmpdir(), 'fleetgraph-chromium-'))
    browser = await chromium.launchPersistentContext(profile, {
      executablePath: executablePath!,
      headless: true,
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
      viewport: { width: 1400, height: 900 },
    })
    page = await browser.newPage()
    page.on('request', (request) => requests.push(request.url()))
    page.on('pageerror', (error) => problems.push(String(error)))
    page.on('console', (message) => {
      if (message.type() === 'error') problems.push(message.text())
    })
    await page.goto(`${server.url}/graphql`)
  })

  afterAll(async () => {
    await browser?.close()
    await server?.close({ graceMs: 0 })
    hub?.close()
    if (profile) rmSync(profile, { recursive: true, force: true })
  })

  test('opens on the operations of the tour', async () => {
    const tabs = page.getByRole('tab')
    await tabs.first().waitFor()
    const names = await tabs.allInnerTexts()
    expect(names.map((name) => name.trim())).toEqual([
      'Fleet',
      'Nodes',
      'Workload',
      'Service',
      'Live',
      'Deploy',
      'Expose',
      'Plan',
      'Trouble',
    ])
  })

  test('runs an operation and shows the answer', async () => {
    await page.getByRole('button', { name: /Execute query/ }).click()
    const answer = page.locator('.graphiql-response')
    await answer.getByText('prod-eu').first().waitFor()
    expect(await answer.innerText()).not.toContain('errors')
  })

  test('follows a subscription, and ends it', async () => {
    const live = exampleOperations().find((operation) => operation.includes('subscription'))
    await page.goto(`${server.url}/graphql?query=${encodeURIComponent(live!)}`)
    await page.getByRole('button', { name: /Execute query/ }).click()
    // It shows the last event alone.
    await page.locator('.graphiql-response').getByText('SYNCED').waitFor()
    expect(hub.counters).toMatchObject({ followers: 1, groups: 1 })
    await page.getByRole('button', { name: /Stop query/ }).click()
    await expect.poll(() => hub.counters).toMatchObject({ followers: 0, groups: 0 })
  })

  test('knows the schema', async () => {
    await page.getByRole('button', { name: /Documentation Explorer/ }).click()
    await page.getByRole('link', { name: 'ContainerState', exact: true }).waitFor()
  })

  test('asks nobody but the gateway', () => {
    expect(requests.length).toBeGreaterThan(1)
    const foreign = requests.filter((url) => !url.startsWith(server.url) && !/^(blob|data):/.test(url))
    expect(foreign).toEqual([])
    expect(problems).toEqual([])
  })
})
