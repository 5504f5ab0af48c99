/**
 * Installs what `npm test` needs beyond Node: Chromium, to open the GraphiQL page as a user would, openssl,
 * to make the certificates of test servers, and redis-server, which several replicas share. On Debian and
 * Ubuntu as root they are installed by apt; elsewhere one line says what to install.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chromiumPath } from './chromium.ts'

const missing = [
  ...(chromiumPath() === undefined ? ['chromium'] : []),
  ...(spawnSync('openssl', ['version']).status === 0 ? [] : ['openssl']),
  ...(spawnSync('redis-server', ['--version']).status === 0 ? [] : ['redis-server']),
]

if (missing.length > 0) {
  const canInstall = existsSync('/usr/bin/apt-get') && process.getuid?.() === 0
  if (!canInstall) {
    console.error(
      `Missing: ${missing.join(', ')}. Install the Debian packages of these names, or what your system calls them (a Chromium elsewhere: set CHROMIUM_PATH).`,
    )
    process.exit(1)
  }
  // Of run level 1 no service is started: tests start their own Redis, and none on the usual port.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
  spawnSync('apt-get', ['update', '-qq'], { env, stdio: 'inherit' })
  execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}
