/**
 * Installs what `npm test` needs beyond Node: Chromium, to open the GraphiQL page as a user would, and
 * openssl, to make the certificates of test servers. On Debian and Ubuntu as root they are installed by
 * apt; elsewhere one line says what to install.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chromiumPath } from './chromium.ts'

const missing = [
  ...(chromiumPath() === undefined ? ['chromium'] : []),
  ...(spawnSync('openssl', ['version']).status === 0 ? [] : ['openssl']),
]

if (missing.length > 0) {
  const canInstall = existsSync('/usr/bin/apt-get') && process.getuid?.() === 0
  if (!canInstall) {
    console.error(
      `Missing: ${missing.join(' and ')}. Install the Debian packages of these names, or what your system calls them (a Chromium elsewhere: set CHROMIUM_PATH).`,
    )
    process.exit(1)
  }
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  spawnSync('apt-get', ['update', '-qq'], { env, stdio: 'inherit' })
  execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}
