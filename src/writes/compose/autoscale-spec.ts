/** What `autoscale` is asked for: a HorizontalPodAutoscaler. Source: API reference, `autoscaling/v2`. */
import type { Maybe } from './compose-error.ts'

export interface AutoscaleSpec {
  /** Default: the target's name. */
  readonly name?: Maybe<string>
  readonly namespace: string
  readonly target: {
    /** Default: `apps/v1`. */
    readonly apiVersion?: Maybe<string>
    /** A kind with the subresource `scale`: `Deployment`, `StatefulSet`, or a custom resource. */
    readonly kind: string
    readonly name: string
  }
  /** Default 1. */
  readonly minReplicas?: Maybe<number>
  readonly maxReplicas: number
  /** Average, in percent of what the containers request. Default, without any metric: 80. */
  readonly cpuUtilization?: Maybe<number>
  readonly memoryUtilization?: Maybe<number>
  /** For so long nothing is scaled down after a peak: 0 to 3600. Default of the cluster: 300. */
  readonly scaleDownStabilizationSeconds?: Maybe<number>
  readonly scaleUpStabilizationSeconds?: Maybe<number>
  readonly labels?: Maybe<Readonly<Record<string, string>>>
  readonly annotations?: Maybe<Readonly<Record<string, string>>>
}
