/** The page of `page.ts` while nothing changes: answers are kept as bytes. */
import type { Bench } from './figure.ts'
import { comparePages } from './support/page-load.ts'

export const bench: Bench = () => comparePages('page-hot', 'still', 2)
