/**
 * Stands before access control: from where too many sign-ins have failed, or too much has come that is no request,
 * no credentials are looked at that are not known to be good already, and every failure is counted and recorded.
 * Whoever guesses tokens learns nothing more, and costs nothing more, after the first of them.
 *
 * Invariant: nobody who has signed in is locked out by what others send from the same address, nor by what they
 * send from everywhere: addresses are shared, and a flood of them has one allowance.
 */
import { GraphQLError } from 'graphql'
import { AuthenticationError, type Credentials } from '../access/authentication/authenticator.ts'
import type { Viewer } from '../access/viewer.ts'
import { tooManyRequests, tooOften } from './admission.ts'
import type { Access } from './exchange.ts'
import type { RateLimits } from './rate-limits.ts'
import { NO_DOCUMENT, type Records } from './records.ts'
import { callerOf, type Caller } from './request.ts'

export interface SignInGuardOptions {
  readonly rates: RateLimits
  readonly records: Records | undefined
}

interface AccessGuardOptions extends SignInGuardOptions {
  /** Nobody has to sign in: then nobody is told from others by their address either. Default false. */
  readonly anonymous?: boolean
}

/** Where the credentials come from, where the transport knows it. */
export type CalledCredentials = Credentials & { readonly caller?: Caller }

/** The same, but throws, or rejects with, RATE_LIMITED, before anything of the credentials is looked at. */
export function guardSignIns(
  access: Access,
  { rates, records, anonymous = false }: AccessGuardOptions,
): Access {
  const failed = (error: unknown, caller: Caller): never => {
    if (isUnauthenticated(error)) {
      rates.signInFailed(caller.remoteAddress ?? '')
      records?.signInFailed(error.message, caller)
    }
    throw error
  }
  const refused = (error: GraphQLError, viewer: Viewer | null, caller: Caller): GraphQLError => {
    records?.refused([error], () => ({ viewer, caller, ...NO_DOCUMENT, startedAt: null }))
    return error
  }
  /** What whoever is not known is told who comes from there; `undefined`: to come in. */
  const refusalOf = ({ remoteAddress }: Caller): GraphQLError | undefined => {
    const signInMs = rates.signInWaitMs(remoteAddress ?? '')
    const refusedMs = rates.refusedWaitMs(remoteAddress ?? '')
    if (signInMs === 0 && refusedMs === 0) return undefined
    return signInMs >= refusedMs ? tooManyFailures(signInMs) : tooManyRefused(refusedMs)
  }
  return {
    refusal(credentials: CalledCredentials) {
      const caller = credentials.caller ?? callerOf(credentials.remoteAddress)
      const refusal = refusalOf(caller)
      if (!refusal && !rates.isAnyoneWaiting) return undefined
      const viewer = access.known?.(credentials)
      if (!viewer) return refusal && refused(refusal, null, caller)
      const ownMs = rates.requestWaitMs(viewer)
      return ownMs > 0 ? refused(tooManyRequests(ownMs), viewer, caller) : undefined
    },
    refused(credentials: CalledCredentials) {
      const viewer = access.known?.(credentials)
      if (viewer) {
        if (rates.request(viewer) === 0) rates.refused(viewer)
      } else if (!anonymous) {
        const caller = credentials.caller ?? callerOf(credentials.remoteAddress)
        rates.refusedFrom(caller.remoteAddress ?? '')
      }
    },
    authenticate(credentials: CalledCredentials) {
      const caller = credentials.caller ?? callerOf(credentials.remoteAddress)
      const refusal = refusalOf(caller)
      if (refusal && !access.known?.(credentials)) throw refused(refusal, null, caller)
      try {
        const viewer = access.authenticate(credentials)
        return 'then' in viewer ? viewer.catch((error: unknown) => failed(error, caller)) : viewer
      } catch (error) {
        return failed(error, caller)
      }
    },
    onEnd: (viewer, listener) => access.onEnd(viewer, listener),
    contextFor: (viewer, signal) => access.contextFor(viewer, signal),
    eyesChanged: () => access.eyesChanged?.(),
  }
}

function isUnauthenticated(error: unknown): error is Error {
  return (
    (error instanceof AuthenticationError && error.code === 'UNAUTHENTICATED') ||
    (error instanceof GraphQLError && error.extensions['code'] === 'UNAUTHENTICATED')
  )
}

function tooManyFailures(waitMs: number): GraphQLError {
  return tooOften('signInFailuresPerMinute', 'Too many sign-ins from this address have failed', waitMs)
}

function tooManyRefused(waitMs: number): GraphQLError {
  return tooOften('requestsPerMinute', 'Too many requests from this address were refused', waitMs)
}
