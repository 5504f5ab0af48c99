/**
 * What `expose` is asked for: a Service in front of a workload's pods and, where asked for, an Ingress in front of the
 * Service. Source: API reference, `ServiceSpec` and `IngressSpec`.
 */
import type { ContainerPort, LabelSelector } from '../../kubernetes/rows.ts'
import type { Maybe } from './compose-error.ts'

export interface ExposeSpec {
  /** Of the Service: a DNS label that begins with a letter. */
  readonly name: string
  readonly namespace: string
  /** Default `ClusterIP`. */
  readonly type?: Maybe<'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName'>
  /** Of a ClusterIP: no address of its own, its name resolves to those of the pods. */
  readonly headless?: Maybe<boolean>
  /** Default: the ports that the workload's containers declare. */
  readonly ports?: Maybe<readonly ServicePortSpec[]>
  /** Of an ExternalName: the DNS name that it stands for. */
  readonly externalName?: Maybe<string>
  /** Of a LoadBalancer. */
  readonly loadBalancerClass?: Maybe<string>
  /** Of a LoadBalancer: who may come in, as CIDRs. */
  readonly loadBalancerSourceRanges?: Maybe<readonly string[]>
  /** Of a NodePort or LoadBalancer: `Local` keeps the address of the client. */
  readonly externalTrafficPolicy?: Maybe<'Cluster' | 'Local'>
  /** `ClientIP`: one client comes to one pod. */
  readonly sessionAffinity?: Maybe<'None' | 'ClientIP'>
  readonly labels?: Maybe<Readonly<Record<string, string>>>
  /** Of the Service; clouds read some of them. */
  readonly annotations?: Maybe<Readonly<Record<string, string>>>
  readonly ingress?: Maybe<IngressSpec>
}

export interface ServicePortSpec {
  /** Needed where there are several. */
  readonly name?: Maybe<string>
  readonly port: number
  /** A number, or the name of a container's port. Default: `port`. */
  readonly targetPort?: Maybe<number | string>
  /** Default `TCP`. */
  readonly protocol?: Maybe<'TCP' | 'UDP' | 'SCTP'>
  /** Of a NodePort or LoadBalancer. Default: one that is free. */
  readonly nodePort?: Maybe<number>
  /** `http`, `https`, `kubernetes.io/h2c`… */
  readonly appProtocol?: Maybe<string>
}

export interface IngressSpec {
  /** Default: the Service's. */
  readonly name?: Maybe<string>
  /** Left out: every host. One `*.` may stand at its beginning. */
  readonly host?: Maybe<string>
  /** Default `/`. */
  readonly path?: Maybe<string>
  /** Default `Prefix`. */
  readonly pathType?: Maybe<'Prefix' | 'Exact' | 'ImplementationSpecific'>
  /** Default: the cluster's default class. */
  readonly className?: Maybe<string>
  /** Secret with the certificate. */
  readonly tlsSecret?: Maybe<string>
  /** A port of the Service, by number or name. Default: its first. */
  readonly servicePort?: Maybe<number | string>
  readonly annotations?: Maybe<Readonly<Record<string, string>>>
}

/** The workload behind it; `null` for an ExternalName. */
export interface ExposeTarget {
  readonly selector: LabelSelector | null
  readonly ports: readonly Pick<ContainerPort, 'name' | 'containerPort' | 'protocol'>[]
}
