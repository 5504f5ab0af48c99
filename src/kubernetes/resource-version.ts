/**
 * The order of resource versions of one resource. Since Kubernetes 1.35 they are promised to be decimal
 * numbers that may be compared (KEP-5504, https://github.com/kubernetes/enhancements/issues/5504); every
 * etcd-backed server before it keeps to that as well. Numbers past 2^53 are compared exactly.
 */

const DECIMAL = /^[1-9][0-9]*$/

/** Negative, 0 or positive as `a` is older than, the same as, or newer than `b`; `undefined`: they have no order. */
export function compareResourceVersions(a: string, b: string): number | undefined {
  if (a === b) return 0
  if (!DECIMAL.test(a) || !DECIMAL.test(b)) return undefined
  // Without leading zeros the longer one is the larger.
  return a.length - b.length || (a < b ? -1 : 1)
}
