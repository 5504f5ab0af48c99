export const DEBIAN_VERSION = '1.20.2'
export async function buildFromDebian(_target: string, _log: (line: string) => void): Promise<void> {
  throw new Error('not yet')
}
