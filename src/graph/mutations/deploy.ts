/** `deploy`: a workload in one or many clusters. */
import { setImmediate } from 'node:timers/promises'
import type { Cluster } from '../../fleet/fleet.ts'
import type { KubernetesJson } from '../../kubernetes/json.ts'
import { composeWorkload } from '../../writes/compose/deploy.ts'
import type {
  DEPLOYABLE_KINDS,
  DeployableKind,
  DeployOverrides,
  DeploySpec,
  EnvironmentOverride,
  StrategySpec,
} from '../../writes/compose/deploy-spec.ts'
import { dnsLabel } from '../../writes/names.ts'
import { builder } from '../builder.ts'
import { badUserInput } from '../errors.ts'
import { clusterTest, requireKnownClusters } from '../filters.ts'
import { changeField, type StepSpec } from './change-field.ts'
import { applied, composed } from './composed.ts'
import { KeyValue, keyValueRecord, type KeyValueInput } from './metadata-values.ts'
import {
  ContainerInputRef,
  containerOf,
  environmentFields,
  TolerationInputRef,
  VolumeInputRef,
  type ContainerInput,
} from './pod-template-input.ts'
import { ClusterTargets, clusterTargetsOf, requireNamed, type ClusterTargetsInput } from './targets.ts'

const DeployableKindEnum = builder.enumType('DeployableKind', {
  description: 'The kinds of workloads that can be deployed.',
  values: {
    Deployment: { description: 'Replicas without identity, rolled out revision by revision.' },
    StatefulSet: { description: 'Replicas with a stable name and storage.' },
    DaemonSet: { description: 'One pod on each node that fits.' },
    Job: { description: 'Pods that run to completion.' },
    CronJob: { description: 'Jobs by a schedule.' },
  } satisfies Record<(typeof DEPLOYABLE_KINDS)[number], { description: string }>,
})

const StrategyType = builder.enumType('RolloutStrategyType', {
  description: 'How pods are replaced by those of a new revision.',
  values: {
    RollingUpdate: { description: 'A few at a time.' },
    Recreate: { description: 'All go before new ones come. Of a Deployment.' },
    OnDelete: { description: 'When somebody deletes them. Of a StatefulSet or DaemonSet.' },
  },
})

const RolloutStrategy = builder.inputRef<StrategySpec>('RolloutStrategyInput').implement({
  description: 'How pods are replaced by those of a new revision.',
  fields: (t) => ({
    type: t.field({ type: StrategyType, description: 'Absent: RollingUpdate.' }),
    maxSurge: t.field({
      type: 'IntOrString',
      description: 'Pods beyond the desired ones: a number, or a percentage as `"25%"`.',
    }),
    maxUnavailable: t.field({
      type: 'IntOrString',
      description: 'Pods that may be missing: a number, or a percentage as `"25%"`.',
    }),
  }),
})

const ConcurrencyPolicy = builder.enumType('ConcurrencyPolicy', {
  description: 'What a CronJob does while the Job before still runs.',
  values: {
    Allow: { description: 'It begins another one.' },
    Forbid: { description: 'It leaves this one out.' },
    Replace: { description: 'It ends the one that runs.' },
  },
})

const RestartPolicy = builder.enumType('JobRestartPolicy', {
  description: 'What becomes of a failed pod of a Job.',
  values: {
    Never: { description: 'It stays, with its log, and another one is made.' },
    OnFailure: { description: 'Its containers are started again.' },
  },
})

const EnvironmentOverrideInput = builder.inputRef<EnvironmentOverride>('EnvironmentOverrideInput').implement({
  description: 'An environment variable that is another one in some clusters.',
  fields: (t) => ({
    ...environmentFields(t),
    container: t.string({ description: 'Name of the container; absent: all but init containers.' }),
  }),
})

interface OverrideInput extends DeployOverrides {
  readonly clusters?: readonly string[] | null | undefined
  readonly clusterSelector?: string | null | undefined
}

const DeployOverrideInput = builder.inputRef<OverrideInput>('DeployOverrideInput').implement({
  description:
    'What is different in some clusters. Where several are for one cluster, later ones stand above earlier ones.',
  fields: (t) => ({
    clusters: t.stringList({ description: 'In these clusters, by name.' }),
    clusterSelector: t.string({
      description: "In clusters whose labels match, in Kubernetes' syntax: `region=eu`.",
    }),
    imageRegistry: t.string({
      description: 'Stands in each image in the place of its registry: `registry.eu.example.com`.',
    }),
    replicas: t.int({ description: 'So many replicas.' }),
    env: t.field({
      type: [EnvironmentOverrideInput],
      description: 'Variables that take the place of those of their names, or are added.',
    }),
  }),
})

type Pairs = readonly KeyValueInput[] | null | undefined

type DeployInput = Omit<
  DeploySpec,
  | 'kind'
  | 'containers'
  | 'initContainers'
  | 'sidecars'
  | 'labels'
  | 'annotations'
  | 'podAnnotations'
  | 'nodeSelector'
  | 'strategy'
> & {
  readonly targets: ClusterTargetsInput
  readonly kind?: DeployableKind | null | undefined
  readonly overrides?: readonly OverrideInput[] | null | undefined
  readonly containers: readonly ContainerInput[]
  readonly initContainers?: readonly ContainerInput[] | null | undefined
  readonly sidecars?: readonly ContainerInput[] | null | undefined
  readonly rollout?: StrategySpec | null | undefined
  readonly labels?: Pairs
  readonly annotations?: Pairs
  readonly podAnnotations?: Pairs
  readonly nodeSelector?: Pairs
  readonly force?: boolean | null | undefined
}

changeField<DeployInput>('deploy', {
  description:
    'Deploys a workload to clusters, by server-side apply with the field manager `fleetgraph`: what is there already is brought to what is asked for, fields that others own are a CONFLICT, and fields that are left out here are left to whoever sets them. It is selected by the label `app.kubernetes.io/name`.',
  fields: (t) => ({
    targets: t.field({ type: ClusterTargets, required: true, description: 'To which clusters.' }),
    overrides: t.field({ type: [DeployOverrideInput], description: 'What is different in some clusters.' }),
    force: t.boolean({
      defaultValue: false,
      description: 'Whether to take over fields that other managers own.',
    }),
    name: t.string({
      required: true,
      description: 'Name of the workload: up to 63 of a-z, 0-9 and "-"; 52 for a CronJob.',
    }),
    namespace: t.string({ required: true, description: 'Its namespace.' }),
    createNamespace: t.boolean({
      defaultValue: false,
      description: 'Whether the namespace is made where it is not there.',
    }),
    kind: t.field({
      type: DeployableKindEnum,
      defaultValue: 'Deployment',
      description: 'What kind of workload.',
    }),
    containers: t.field({
      type: [ContainerInputRef],
      required: true,
      description: 'Containers of its pods: at least one.',
    }),
    initContainers: t.field({
      type: [ContainerInputRef],
      description: 'Run before them, one after the other, each to its end.',
    }),
    sidecars: t.field({
      type: [ContainerInputRef],
      description: 'Started before them, and run beside them: init containers that go on (KEP-753).',
    }),
    volumes: t.field({ type: [VolumeInputRef], description: 'Volumes of its pods.' }),
    replicas: t.int({
      description:
        'So many replicas of a Deployment or StatefulSet. Absent: 1 at first, and then what an autoscaler or a person sets.',
    }),
    rollout: t.field({
      type: RolloutStrategy,
      description: 'How pods are replaced by those of a new revision.',
    }),
    schedule: t.string({
      description: 'When a CronJob begins a Job: `"*/5 * * * *"`, `"@hourly"`. Needed for one.',
    }),
    timeZone: t.string({ description: 'Of the schedule: `Europe/Berlin`; absent: that of the cluster.' }),
    concurrencyPolicy: t.field({
      type: ConcurrencyPolicy,
      description: 'Of a CronJob; absent: Allow.',
    }),
    suspend: t.boolean({ description: 'Of a CronJob: whether it begins no Jobs.' }),
    completions: t.int({ description: 'Of a Job or CronJob: pods that have to succeed.' }),
    parallelism: t.int({ description: 'Of a Job or CronJob: pods that run at a time.' }),
    backoffLimit: t.int({ description: 'Of a Job or CronJob: failures before it counts as failed.' }),
    activeDeadlineSeconds: t.int({
      description: 'Of a Job or CronJob: it fails when it has run for so many seconds.',
    }),
    ttlSecondsAfterFinished: t.int({
      description: 'Of a Job or CronJob: a finished Job is deleted after so many seconds.',
    }),
    restartPolicy: t.field({ type: RestartPolicy, description: 'Of a Job or CronJob; absent: Never.' }),
    serviceName: t.string({
      description:
        'Of a StatefulSet: an existing headless Service. Absent: one of its own name is made with it.',
    }),
    serviceAccountName: t.string({ description: 'Service account that its pods run as.' }),
    imagePullSecrets: t.stringList({ description: 'Names of Secrets to fetch images with.' }),
    labels: t.field({ type: [KeyValue], description: 'Labels of it and of its pods.' }),
    annotations: t.field({ type: [KeyValue], description: 'Annotations of it.' }),
    podAnnotations: t.field({
      type: [KeyValue],
      description: 'Annotations of its pods: a change of them replaces the pods.',
    }),
    nodeSelector: t.field({ type: [KeyValue], description: 'Labels that nodes must have.' }),
    tolerations: t.field({ type: [TolerationInputRef], description: 'Taints that it puts up with.' }),
    terminationGracePeriodSeconds: t.int({ description: 'Seconds that its pods have to end.' }),
    fsGroup: t.int({ description: 'Number of the group that owns its volumes.' }),
  }),
  compose: async (input, context, path) => {
    requireNamed(input.namespace, dnsLabel, `${path}.namespace`)
    const clusters = clusterTargetsOf(input.targets, context, `${path}.targets`)
    const overrides = (input.overrides ?? []).map((override, i) => {
      const at = `${path}.overrides[${i}]`
      requireKnownClusters(override, context, at)
      if (!override.clusters && override.clusterSelector == null) {
        throw badUserInput('Say in which clusters: "clusters" or "clusterSelector".', at)
      }
      return { ...override, isFor: clusterTest(override, at) }
    })
    const spec = specOf(input, path)
    // Clusters without a difference are deployed the same objects.
    const workloads = new Map<string, readonly KubernetesJson[]>()
    const steps: StepSpec[] = []
    for (const cluster of clusters) {
      const own = overridesFor(cluster, overrides)
      const key = JSON.stringify(own)
      let objects = workloads.get(key)
      if (!objects) {
        // A large one takes milliseconds for each cluster: others may have a turn between.
        if (workloads.size > 0) await setImmediate()
        // Whether it may be is for the policies to say.
        objects = composed(() => composeWorkload(spec, own, { allowHostPath: true }).objects, path)
        workloads.set(key, objects)
      }
      steps.push(
        ...applied(objects, cluster.name, {
          force: input.force ?? false,
          createNamespace: input.createNamespace ? input.namespace : null,
          purpose: 'deploy',
        }),
      )
    }
    const names =
      clusters.length <= 3 ? clusters.map(({ name }) => name).join(', ') : `${clusters.length} clusters`
    return { title: `deploy ${spec.kind} ${input.namespace}/${input.name} to ${names}`, steps }
  },
})

function specOf(input: DeployInput, path: string): DeploySpec {
  const { targets: _targets, overrides: _overrides, force: _force, rollout, ...rest } = input
  const containers = (list: readonly ContainerInput[], field: string) =>
    list.map((container, i) => containerOf(container, `${path}.${field}[${i}]`))
  const { labels, annotations, podAnnotations, nodeSelector, ...plain } = rest
  return {
    ...plain,
    kind: plain.kind ?? 'Deployment',
    containers: containers(rest.containers, 'containers'),
    ...(rest.initContainers && { initContainers: containers(rest.initContainers, 'initContainers') }),
    ...(rest.sidecars && { sidecars: containers(rest.sidecars, 'sidecars') }),
    ...(rollout && { strategy: rollout }),
    ...(labels && { labels: keyValueRecord(labels, 'label', `${path}.labels`) }),
    ...(annotations && { annotations: keyValueRecord(annotations, 'annotation', `${path}.annotations`) }),
    ...(podAnnotations && {
      podAnnotations: keyValueRecord(podAnnotations, 'annotation', `${path}.podAnnotations`),
    }),
    ...(nodeSelector && { nodeSelector: keyValueRecord(nodeSelector, 'label', `${path}.nodeSelector`) }),
  } as DeploySpec
}

/** Of all that are for this cluster; later ones stand above. */
function overridesFor(
  cluster: Cluster,
  overrides: readonly (OverrideInput & { readonly isFor: (cluster: Cluster) => boolean })[],
): DeployOverrides {
  let merged: DeployOverrides = {}
  for (const { isFor, imageRegistry, replicas, env } of overrides) {
    if (!isFor(cluster)) continue
    merged = {
      ...merged,
      ...(imageRegistry != null && { imageRegistry }),
      ...(replicas != null && { replicas }),
      ...(env && { env: [...(merged.env ?? []), ...env] }),
    }
  }
  return merged
}
