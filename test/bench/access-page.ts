/**
 * What access control costs: the page of `page.ts`, while rows change, for a viewer who may list pods in 200 of
 * 5,000 namespaces of each cluster – by the RBAC of the clusters – against the same page of the same fleet without
 * any access control. Both are a hundred pods.
 */
import type { Bench } from './figure.ts'
import { compareServers } from './support/page-load.ts'

export const bench: Bench = () => compareServers('access-page', 'namespaces', 'open', 0.9)
