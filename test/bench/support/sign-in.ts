/**
 * The token of a benchmark's clients, for processes that the benchmark starts: a gateway of its own asks for one.
 */
const TOKEN = 'BENCH_TOKEN'

/** Before the processes are started. */
export function shareToken(token: string): void {
  process.env[TOKEN] = token
}

/** The payload of `connection_init`. */
export function signIn(): { readonly authorization?: string } {
  const token = process.env[TOKEN]
  return token === undefined ? {} : { authorization: `Bearer ${token}` }
}
