/** A Job of a CronJob out of its turn, as `kubectl create job --from=cronjob/…` makes one. */
import { createHash } from 'node:crypto'
import { isObject, type KubernetesJson } from '../../kubernetes/json.ts'
import { fields, refuse } from './checks.ts'

/** No vowels and nothing that looks like them, so that no word comes of it. */
const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789'
const SUFFIX = 10
/** Pods have the name of their Job as a label. */
const NAME = 63

/**
 * `cronJob` as it is in the cluster. The same `seed` – of the request, not of the attempt – is the same Job: made
 * anew, it is there already. To be created, and not applied.
 */
export function composeTriggeredJob(cronJob: KubernetesJson, seed: string): KubernetesJson {
  const { name, namespace, uid } = cronJob.metadata ?? {}
  const spec = cronJob['spec']
  const template = isObject(spec) ? spec['jobTemplate'] : undefined
  if (!name || !namespace || !uid || !isObject(template) || !isObject(template['spec'])) {
    return refuse('cronJob', 'it is no CronJob of a cluster: it lacks its uid or its template.')
  }
  const base = name.slice(0, NAME - SUFFIX - 1).replace(/[-.]+$/, '')
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: fields({
      name: `${base}-${suffixOf(`${namespace}/${name}/${uid}/${seed}`)}`,
      namespace,
      labels: template.metadata?.labels,
      annotations: {
        'cronjob.kubernetes.io/instantiate': 'manual',
        ...template.metadata?.annotations,
      },
      // Without `blockOwnerDeletion`, which would need the right to change the CronJob's finalizers.
      ownerReferences: [
        { apiVersion: cronJob.apiVersion ?? 'batch/v1', kind: 'CronJob', name, uid, controller: true },
      ],
    }),
    spec: template['spec'],
  }
}

function suffixOf(seed: string): string {
  const digest = createHash('sha256').update(seed).digest()
  return Array.from(digest.subarray(0, SUFFIX), (byte) => ALPHABET[byte % ALPHABET.length]).join('')
}
