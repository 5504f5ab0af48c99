/**
 * A page of 100 pods, 12 fields each and the name of their node, while rows change: every answer is
 * computed. Requests per second over real sockets, against plain node:http doing `JSON.stringify` of the
 * same answer.
 */
import type { Bench } from './figure.ts'
import { comparePages } from './support/page-load.ts'

export const bench: Bench = () => comparePages('page', 'changing', 0.35)
