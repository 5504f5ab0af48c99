/** What the server asks of a logger: pino's methods, passed in, so that tests are silent. */
export interface Logger {
  isLevelEnabled?(level: string): boolean
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

const nothing = () => undefined

export const silent: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing }
