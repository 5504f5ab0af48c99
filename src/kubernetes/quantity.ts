/**
 * Kubernetes quantities: `250m`, `1.5Gi`, `3e6`. Parses the text to the double that is closest to the
 * exact value; keeps the text as it was written. Knows nothing of what a quantity measures.
 *
 * Source: API reference, "Quantity" (k8s.io/apimachinery/pkg/api/resource).
 */
import type { Quantity } from './rows.ts'

const SYNTAX = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:([KMGTPE]i)|([numkMGTPE])|[eE]([+-]?\d+))?$/

const DECIMAL_EXPONENT: Readonly<Record<string, number>> = {
  n: -9,
  u: -6,
  m: -3,
  k: 3,
  M: 6,
  G: 9,
  T: 12,
  P: 15,
  E: 18,
}

const BINARY_FACTOR: Readonly<Record<string, number>> = {
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
}

/**
 * The value in base units (cores, bytes, counts), or `undefined` for text that is no quantity. Rounded
 * once: the decimal exponent is applied before the text becomes a double, and a power of two is exact.
 */
export function quantityValue(text: string): number | undefined {
  const match = SYNTAX.exec(text)
  if (!match) return undefined
  const [, number, binary, decimal, exponent] = match
  if (binary !== undefined) return Number(number) * BINARY_FACTOR[binary]!
  if (decimal !== undefined) return Number(`${number}e${DECIMAL_EXPONENT[decimal]}`)
  if (exponent !== undefined) return Number(`${number}e${exponent}`)
  return Number(number)
}

/** From the API's JSON: a string, or the bare number that YAML authors write. `null` for anything else. */
export function parseQuantity(raw: unknown): Quantity | null {
  if (typeof raw !== 'string' && typeof raw !== 'number') return null
  const text = String(raw)
  const value = quantityValue(text)
  return value === undefined ? null : { text, value }
}
