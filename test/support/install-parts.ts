/**
 * Installs what `npm test` needs beyond Node: Chromium, to open the GraphiQL page as a user would. On
 * Debian and Ubuntu as root it is installed by apt; elsewhere one line says what to install.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chromiumPath } from './chromium.ts'

if (chromiumPath() === undefined) {
  const canInstall = existsSync('/usr/bin/apt-get') && process.getuid?.() === 0
  if (!canInstall) {
    console.error('Chromium is missing: install the package "chromium" (Debian), or set CHROMIUM_PATH.')
    process.exit(1)
  }
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  spawnSync('apt-get', ['update', '-qq'], { env, stdio: 'inherit' })
  execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'chromium'], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}
