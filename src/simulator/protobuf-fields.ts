/**
 * Wire numbers of the built-in types' fields in Kubernetes' protobuf encoding (the published
 * `generated.proto` of each API group), by the client library's names of the types, each with the group
 * that it belongs to: kubectl sends some bodies in no other form. `1:name`; `1*name` where the Go type is a
 * pointer, so that a zero means something; `1(…)` where the fields of another message stand inline.
 *
 * Data, not code, hence its length; made from the struct tags of k8s.io/api 0.36.
 */
export const protobufFields = `
AuthenticationV1TokenRequest authentication 1:metadata 2:spec 3:status
CoreV1EndpointPort core 1:name 2:port 3:protocol 4*appProtocol
CoreV1Event core 1:metadata 2:involvedObject 3:reason 4:message 5:source 6:firstTimestamp 7:lastTimestamp 8:count 9:type 10:eventTime 11*series 12:action 13*related 14:reportingComponent 15:reportingInstance
CoreV1EventSeries core 1:count 2:lastObservedTime
CoreV1ResourceClaim core 1:name 2:request
DiscoveryV1EndpointPort discovery 1*name 2*protocol 3*port 4*appProtocol
EventsV1Event events 1:metadata 2:eventTime 3*series 4:reportingController 5:reportingInstance 6:action 7:reason 8:regarding 9*related 10:note 11:type 12:deprecatedSource 13:deprecatedFirstTimestamp 14:deprecatedLastTimestamp 15:deprecatedCount
EventsV1EventSeries events 1:count 2:lastObservedTime
RbacV1Subject rbac 1:kind 2:apiGroup 3:name 4:namespace
V1AWSElasticBlockStoreVolumeSource core 1:volumeID 2:fsType 3:partition 4:readOnly
V1Affinity core 1*nodeAffinity 2*podAffinity 3*podAntiAffinity
V1AggregationRule rbac 1:clusterRoleSelectors
V1AppArmorProfile core 1:type 2*localhostProfile
V1AttachedVolume core 1:name 2:devicePath
V1AzureDiskVolumeSource core 1:diskName 2:diskURI 3*cachingMode 4*fsType 5*readOnly 6*kind
V1AzureFilePersistentVolumeSource core 1:secretName 2:shareName 3:readOnly 4*secretNamespace
V1AzureFileVolumeSource core 1:secretName 2:shareName 3:readOnly
V1Binding core 1:metadata 2:target
V1BoundObjectReference authentication 1:kind 2:apiVersion 3:name 4:uid
V1CSIPersistentVolumeSource core 1:driver 2:volumeHandle 3:readOnly 4:fsType 5:volumeAttributes 6*controllerPublishSecretRef 7*nodeStageSecretRef 8*nodePublishSecretRef 9*controllerExpandSecretRef 10*nodeExpandSecretRef
V1CSIVolumeSource core 1:driver 2*readOnly 3*fsType 4:volumeAttributes 5*nodePublishSecretRef
V1Capabilities core 1:add 2:drop
V1CephFSPersistentVolumeSource core 1:monitors 2:path 3:user 4:secretFile 5*secretRef 6:readOnly
V1CephFSVolumeSource core 1:monitors 2:path 3:user 4:secretFile 5*secretRef 6:readOnly
V1CinderPersistentVolumeSource core 1:volumeID 2:fsType 3:readOnly 4*secretRef
V1CinderVolumeSource core 1:volumeID 2:fsType 3:readOnly 4*secretRef
V1ClientIPConfig core 1*timeoutSeconds
V1ClusterRole rbac 1:metadata 2:rules 3*aggregationRule
V1ClusterRoleBinding rbac 1:metadata 2:subjects 3:roleRef
V1ClusterTrustBundleProjection core 1*name 2*signerName 3*labelSelector 5*optional 4:path
V1Condition meta 1:type 2:status 3:observedGeneration 4:lastTransitionTime 5:reason 6:message
V1ConfigMap core 1:metadata 4*immutable 2:data 3:binaryData
V1ConfigMapEnvSource core 1(1:name) 2*optional
V1ConfigMapKeySelector core 1(1:name) 2:key 3*optional
V1ConfigMapNodeConfigSource core 1:namespace 2:name 3:uid 4:resourceVersion 5:kubeletConfigKey
V1ConfigMapProjection core 1(1:name) 2:items 4*optional
V1ConfigMapVolumeSource core 1(1:name) 2:items 3*defaultMode 4*optional
V1Container core 1:name 2:image 3:command 4:args 5:workingDir 6:ports 19:envFrom 7:env 8:resources 23:resizePolicy 24*restartPolicy 25:restartPolicyRules 9:volumeMounts 21:volumeDevices 10*livenessProbe 11*readinessProbe 22*startupProbe 12*lifecycle 13:terminationMessagePath 20:terminationMessagePolicy 14:imagePullPolicy 15*securityContext 16:stdin 17:stdinOnce 18:tty
V1ContainerExtendedResourceRequest core 1:containerName 2:resourceName 3:requestName
V1ContainerImage core 1:names 2:sizeBytes
V1ContainerPort core 1:name 2:hostPort 3:containerPort 4:protocol 5:hostIP
V1ContainerResizePolicy core 1:resourceName 2:restartPolicy
V1ContainerRestartRule core 1:action 2*exitCodes
V1ContainerRestartRuleOnExitCodes core 1:operator 2:values
V1ContainerState core 1*waiting 2*running 3*terminated
V1ContainerStateRunning core 1:startedAt
V1ContainerStateTerminated core 1:exitCode 2:signal 3:reason 4:message 5:startedAt 6:finishedAt 7:containerID
V1ContainerStateWaiting core 1:reason 2:message
V1ContainerStatus core 1:name 2:state 3:lastState 4:ready 5:restartCount 6:image 7:imageID 8:containerID 9*started 10:allocatedResources 11*resources 12:volumeMounts 13*user 14:allocatedResourcesStatus 15*stopSignal
V1ContainerUser core 1*linux
V1ControllerRevision apps 1:metadata 2:data 3:revision
V1CronJob batch 1:metadata 2:spec 3:status
V1CronJobSpec batch 1:schedule 8*timeZone 2*startingDeadlineSeconds 3:concurrencyPolicy 4*suspend 5:jobTemplate 6*successfulJobsHistoryLimit 7*failedJobsHistoryLimit
V1CronJobStatus batch 1:active 4*lastScheduleTime 5*lastSuccessfulTime
V1CrossVersionObjectReference autoscaling 1:kind 2:name 3:apiVersion
V1DaemonEndpoint core 1:Port
V1DaemonSet apps 1:metadata 2:spec 3:status
V1DaemonSetCondition apps 1:type 2:status 3:lastTransitionTime 4:reason 5:message
V1DaemonSetSpec apps 1*selector 2:template 3:updateStrategy 4:minReadySeconds 6*revisionHistoryLimit
V1DaemonSetStatus apps 1:currentNumberScheduled 2:numberMisscheduled 3:desiredNumberScheduled 4:numberReady 5:observedGeneration 6:updatedNumberScheduled 7:numberAvailable 8:numberUnavailable 9*collisionCount 10:conditions
V1DaemonSetUpdateStrategy apps 1:type 2*rollingUpdate
V1DeleteOptions meta 1*gracePeriodSeconds 2*preconditions 3*orphanDependents 4*propagationPolicy 5:dryRun 6*ignoreStoreReadErrorWithClusterBreakingPotential
V1Deployment apps 1:metadata 2:spec 3:status
V1DeploymentCondition apps 1:type 2:status 6:lastUpdateTime 7:lastTransitionTime 4:reason 5:message
V1DeploymentSpec apps 1*replicas 2*selector 3:template 4:strategy 5:minReadySeconds 6*revisionHistoryLimit 7:paused 9*progressDeadlineSeconds
V1DeploymentStatus apps 1:observedGeneration 2:replicas 3:updatedReplicas 7:readyReplicas 4:availableReplicas 5:unavailableReplicas 9*terminatingReplicas 6:conditions 8*collisionCount
V1DeploymentStrategy apps 1:type 2*rollingUpdate
V1DownwardAPIProjection core 1:items
V1DownwardAPIVolumeFile core 1:path 2*fieldRef 3*resourceFieldRef 4*mode
V1DownwardAPIVolumeSource core 1:items 2*defaultMode
V1EmptyDirVolumeSource core 1:medium 2*sizeLimit
V1Endpoint discovery 1:addresses 2:conditions 3*hostname 4*targetRef 5:deprecatedTopology 6*nodeName 7*zone 8*hints
V1EndpointAddress core 1:ip 3:hostname 4*nodeName 2*targetRef
V1EndpointConditions discovery 1*ready 2*serving 3*terminating
V1EndpointHints discovery 1:forZones 2:forNodes
V1EndpointSlice discovery 1:metadata 4:addressType 2:endpoints 3:ports
V1EndpointSubset core 1:addresses 2:notReadyAddresses 3:ports
V1Endpoints core 1:metadata 2:subsets
V1EnvFromSource core 1:prefix 2*configMapRef 3*secretRef
V1EnvVar core 1:name 2:value 3*valueFrom
V1EnvVarSource core 1*fieldRef 2*resourceFieldRef 3*configMapKeyRef 4*secretKeyRef 5*fileKeyRef
V1EphemeralContainer core 1(1:name 2:image 3:command 4:args 5:workingDir 6:ports 19:envFrom 7:env 8:resources 23:resizePolicy 24*restartPolicy 25:restartPolicyRules 9:volumeMounts 21:volumeDevices 10*livenessProbe 11*readinessProbe 22*startupProbe 12*lifecycle 13:terminationMessagePath 20:terminationMessagePolicy 14:imagePullPolicy 15*securityContext 16:stdin 17:stdinOnce 18:tty) 2:targetContainerName
V1EphemeralVolumeSource core 1*volumeClaimTemplate
V1EventSource core 1:component 2:host
V1Eviction policy 1:metadata 2*deleteOptions
V1ExecAction core 1:command
V1FCVolumeSource core 1:targetWWNs 2*lun 3:fsType 4:readOnly 5:wwids
V1FieldSelectorAttributes authorization 1:rawSelector 2:requirements
V1FieldSelectorRequirement meta 1:key 2:operator 3:values
V1FileKeySelector core 1:volumeName 2:path 3:key 4*optional
V1FlexPersistentVolumeSource core 1:driver 2:fsType 3*secretRef 4:readOnly 5:options
V1FlexVolumeSource core 1:driver 2:fsType 3*secretRef 4:readOnly 5:options
V1FlockerVolumeSource core 1:datasetName 2:datasetUUID
V1ForNode discovery 1:name
V1ForZone discovery 1:name
V1GCEPersistentDiskVolumeSource core 1:pdName 2:fsType 3:partition 4:readOnly
V1GRPCAction core 1:port 2*service
V1GitRepoVolumeSource core 1:repository 2:revision 3:directory
V1GlusterfsPersistentVolumeSource core 1:endpoints 2:path 3:readOnly 4*endpointsNamespace
V1GlusterfsVolumeSource core 1:endpoints 2:path 3:readOnly
V1HTTPGetAction core 1:path 2:port 3:host 4:scheme 5:httpHeaders
V1HTTPHeader core 1:name 2:value
V1HTTPIngressPath networking 1:path 3*pathType 2:backend
V1HTTPIngressRuleValue networking 1:paths
V1HorizontalPodAutoscaler autoscaling 1:metadata 2:spec 3:status
V1HorizontalPodAutoscalerSpec autoscaling 1:scaleTargetRef 2*minReplicas 3:maxReplicas 4*targetCPUUtilizationPercentage
V1HorizontalPodAutoscalerStatus autoscaling 1*observedGeneration 2*lastScaleTime 3:currentReplicas 4:desiredReplicas 5*currentCPUUtilizationPercentage
V1HostAlias core 1:ip 2:hostnames
V1HostIP core 1:ip
V1HostPathVolumeSource core 1:path 2*type
V1IPBlock networking 1:cidr 2:except
V1ISCSIPersistentVolumeSource core 1:targetPortal 2:iqn 3:lun 4:iscsiInterface 5:fsType 6:readOnly 7:portals 8:chapAuthDiscovery 11:chapAuthSession 10*secretRef 12*initiatorName
V1ISCSIVolumeSource core 1:targetPortal 2:iqn 3:lun 4:iscsiInterface 5:fsType 6:readOnly 7:portals 8:chapAuthDiscovery 11:chapAuthSession 10*secretRef 12*initiatorName
V1ImageVolumeSource core 1:reference 2:pullPolicy
V1ImageVolumeStatus core 1:imageRef
V1Ingress networking 1:metadata 2:spec 3:status
V1IngressBackend networking 4*service 3*resource
V1IngressClass networking 1:metadata 2:spec
V1IngressClassParametersReference networking 1*apiGroup 2:kind 3:name 4*scope 5*namespace
V1IngressClassSpec networking 1:controller 2*parameters
V1IngressLoadBalancerIngress networking 1:ip 2:hostname 4:ports
V1IngressLoadBalancerStatus networking 1:ingress
V1IngressPortStatus networking 1:port 2:protocol 3*error
V1IngressRule networking 1:host 2(1*http)
V1IngressServiceBackend networking 1:name 2:port
V1IngressSpec networking 4*ingressClassName 1*defaultBackend 2:tls 3:rules
V1IngressStatus networking 1:loadBalancer
V1IngressTLS networking 1:hosts 2:secretName
V1Job batch 1:metadata 2:spec 3:status
V1JobCondition batch 1:type 2:status 3:lastProbeTime 4:lastTransitionTime 5:reason 6:message
V1JobSpec batch 1*parallelism 2*completions 3*activeDeadlineSeconds 11*podFailurePolicy 16*successPolicy 7*backoffLimit 12*backoffLimitPerIndex 13*maxFailedIndexes 4*selector 5*manualSelector 6:template 8*ttlSecondsAfterFinished 9*completionMode 10*suspend 14*podReplacementPolicy 15*managedBy
V1JobStatus batch 1:conditions 2*startTime 3*completionTime 4:active 5:succeeded 6:failed 11*terminating 7:completedIndexes 10*failedIndexes 8*uncountedTerminatedPods 9*ready
V1JobTemplateSpec batch 1:metadata 2:spec
V1KeyToPath core 1:key 2:path 3*mode
V1LabelSelector meta 1:matchLabels 2:matchExpressions
V1LabelSelectorAttributes authorization 1:rawSelector 2:requirements
V1LabelSelectorRequirement meta 1:key 2:operator 3:values
V1Lease coordination 1:metadata 2:spec
V1LeaseSpec coordination 1*holderIdentity 2*leaseDurationSeconds 3*acquireTime 4*renewTime 5*leaseTransitions 6*strategy 7*preferredHolder
V1Lifecycle core 1*postStart 2*preStop 3*stopSignal
V1LifecycleHandler core 1*exec 2*httpGet 3*tcpSocket 4*sleep
V1LimitRange core 1:metadata 2:spec
V1LimitRangeItem core 1:type 2:max 3:min 4:default 5:defaultRequest 6:maxLimitRequestRatio
V1LimitRangeSpec core 1:limits
V1LinuxContainerUser core 1:uid 2:gid 3:supplementalGroups
V1LoadBalancerIngress core 1:ip 2:hostname 3*ipMode 4:ports
V1LoadBalancerStatus core 1:ingress
V1LocalObjectReference core 1:name
V1LocalSubjectAccessReview authorization 1:metadata 2:spec 3:status
V1LocalVolumeSource core 1:path 2*fsType
V1ManagedFieldsEntry meta 1:manager 2:operation 3:apiVersion 4*time 6:fieldsType 7*fieldsV1 8:subresource
V1ModifyVolumeStatus core 1:targetVolumeAttributesClassName 2:status
V1NFSVolumeSource core 1:server 2:path 3:readOnly
V1Namespace core 1:metadata 2:spec 3:status
V1NamespaceCondition core 1:type 2:status 4:lastTransitionTime 5:reason 6:message
V1NamespaceSpec core 1:finalizers
V1NamespaceStatus core 1:phase 2:conditions
V1NetworkPolicy networking 1:metadata 2:spec
V1NetworkPolicyEgressRule networking 1:ports 2:to
V1NetworkPolicyIngressRule networking 1:ports 2:from
V1NetworkPolicyPeer networking 1*podSelector 2*namespaceSelector 3*ipBlock
V1NetworkPolicyPort networking 1*protocol 2*port 3*endPort
V1NetworkPolicySpec networking 1:podSelector 2:ingress 3:egress 4:policyTypes
V1Node core 1:metadata 2:spec 3:status
V1NodeAddress core 1:type 2:address
V1NodeAffinity core 1*requiredDuringSchedulingIgnoredDuringExecution 2:preferredDuringSchedulingIgnoredDuringExecution
V1NodeAllocatableResourceClaimStatus core 1:resourceClaimName 2:containers 3:resources
V1NodeCondition core 1:type 2:status 3:lastHeartbeatTime 4:lastTransitionTime 5:reason 6:message
V1NodeConfigSource core 2*configMap
V1NodeConfigStatus core 1*assigned 2*active 3*lastKnownGood 4:error
V1NodeDaemonEndpoints core 1:kubeletEndpoint
V1NodeFeatures core 1*supplementalGroupsPolicy
V1NodeRuntimeHandler core 1:name 2*features
V1NodeRuntimeHandlerFeatures core 1*recursiveReadOnlyMounts 2*userNamespaces
V1NodeSelector core 1:nodeSelectorTerms
V1NodeSelectorRequirement core 1:key 2:operator 3:values
V1NodeSelectorTerm core 1:matchExpressions 2:matchFields
V1NodeSpec core 1:podCIDR 7:podCIDRs 3:providerID 4:unschedulable 5:taints 6*configSource 2:externalID
V1NodeStatus core 1:capacity 2:allocatable 3:phase 4:conditions 5:addresses 6:daemonEndpoints 7:nodeInfo 8:images 9:volumesInUse 10:volumesAttached 11*config 12:runtimeHandlers 13*features 14:declaredFeatures
V1NodeSwapStatus core 1*capacity
V1NodeSystemInfo core 1:machineID 2:systemUUID 3:bootID 4:kernelVersion 5:osImage 6:containerRuntimeVersion 7:kubeletVersion 8:kubeProxyVersion 9:operatingSystem 10:architecture 11*swap
V1NonResourceAttributes authorization 1:path 2:verb
V1NonResourceRule authorization 1:verbs 2:nonResourceURLs
V1ObjectFieldSelector core 1:apiVersion 2:fieldPath
V1ObjectMeta meta 1:name 2:generateName 3:namespace 4:selfLink 5:uid 6:resourceVersion 7:generation 8:creationTimestamp 9*deletionTimestamp 10*deletionGracePeriodSeconds 11:labels 12:annotations 13:ownerReferences 14:finalizers 17:managedFields
V1ObjectReference core 1:kind 2:namespace 3:name 4:uid 5:apiVersion 6:resourceVersion 7:fieldPath
V1OwnerReference meta 5:apiVersion 1:kind 3:name 4:uid 6*controller 7*blockOwnerDeletion
V1PersistentVolume core 1:metadata 2:spec 3:status
V1PersistentVolumeClaim core 1:metadata 2:spec 3:status
V1PersistentVolumeClaimCondition core 1:type 2:status 3:lastProbeTime 4:lastTransitionTime 5:reason 6:message
V1PersistentVolumeClaimSpec core 1:accessModes 4*selector 2:resources 3:volumeName 5*storageClassName 6*volumeMode 7*dataSource 8*dataSourceRef 9*volumeAttributesClassName
V1PersistentVolumeClaimStatus core 1:phase 2:accessModes 3:capacity 4:conditions 5:allocatedResources 7:allocatedResourceStatuses 8*currentVolumeAttributesClassName 9*modifyVolumeStatus
V1PersistentVolumeClaimTemplate core 1:metadata 2:spec
V1PersistentVolumeClaimVolumeSource core 1:claimName 2:readOnly
V1PersistentVolumeSpec core 1:capacity 2(1*gcePersistentDisk 2*awsElasticBlockStore 3*hostPath 4*glusterfs 5*nfs 6*rbd 7*iscsi 8*cinder 9*cephfs 10*fc 11*flocker 12*flexVolume 13*azureFile 14*vsphereVolume 15*quobyte 16*azureDisk 17*photonPersistentDisk 18*portworxVolume 19*scaleIO 20*local 21*storageos 22*csi) 3:accessModes 4*claimRef 5:persistentVolumeReclaimPolicy 6:storageClassName 7:mountOptions 8*volumeMode 9*nodeAffinity 10*volumeAttributesClassName
V1PersistentVolumeStatus core 1:phase 2:message 3:reason 4*lastPhaseTransitionTime
V1PhotonPersistentDiskVolumeSource core 1:pdID 2:fsType
V1Pod core 1:metadata 2:spec 3:status
V1PodAffinity core 1:requiredDuringSchedulingIgnoredDuringExecution 2:preferredDuringSchedulingIgnoredDuringExecution
V1PodAffinityTerm core 1*labelSelector 2:namespaces 3:topologyKey 4*namespaceSelector 5:matchLabelKeys 6:mismatchLabelKeys
V1PodAntiAffinity core 1:requiredDuringSchedulingIgnoredDuringExecution 2:preferredDuringSchedulingIgnoredDuringExecution
V1PodCertificateProjection core 1:signerName 2:keyType 3*maxExpirationSeconds 4:credentialBundlePath 5:keyPath 6:certificateChainPath 7:userAnnotations
V1PodCondition core 1:type 7:observedGeneration 2:status 3:lastProbeTime 4:lastTransitionTime 5:reason 6:message
V1PodDNSConfig core 1:nameservers 2:searches 3:options
V1PodDNSConfigOption core 1:name 2*value
V1PodDisruptionBudget policy 1:metadata 2:spec 3:status
V1PodDisruptionBudgetSpec policy 1*minAvailable 2*selector 3*maxUnavailable 4*unhealthyPodEvictionPolicy
V1PodDisruptionBudgetStatus policy 1:observedGeneration 2:disruptedPods 3:disruptionsAllowed 4:currentHealthy 5:desiredHealthy 6:expectedPods 7:conditions
V1PodExtendedResourceClaimStatus core 1:requestMappings 2:resourceClaimName
V1PodFailurePolicy batch 1:rules
V1PodFailurePolicyOnExitCodesRequirement batch 1*containerName 2:operator 3:values
V1PodFailurePolicyOnPodConditionsPattern batch 1:type 2:status
V1PodFailurePolicyRule batch 1:action 2*onExitCodes 3:onPodConditions
V1PodIP core 1:ip
V1PodOS core 1:name
V1PodReadinessGate core 1:conditionType
V1PodResourceClaim core 1:name 3*resourceClaimName 4*resourceClaimTemplateName
V1PodResourceClaimStatus core 1:name 2*resourceClaimName
V1PodSchedulingGate core 1:name
V1PodSchedulingGroup core 1*podGroupName
V1PodSecurityContext core 1*seLinuxOptions 8*windowsOptions 2*runAsUser 6*runAsGroup 3*runAsNonRoot 4:supplementalGroups 12*supplementalGroupsPolicy 5*fsGroup 7:sysctls 9*fsGroupChangePolicy 10*seccompProfile 11*appArmorProfile 13*seLinuxChangePolicy
V1PodSpec core 1:volumes 20:initContainers 2:containers 34:ephemeralContainers 3:restartPolicy 4*terminationGracePeriodSeconds 5*activeDeadlineSeconds 6:dnsPolicy 7:nodeSelector 8:serviceAccountName 9:serviceAccount 21*automountServiceAccountToken 10:nodeName 11:hostNetwork 12:hostPID 13:hostIPC 27*shareProcessNamespace 14*securityContext 15:imagePullSecrets 16:hostname 17:subdomain 18*affinity 19:schedulerName 22:tolerations 23:hostAliases 24:priorityClassName 25*priority 26*dnsConfig 28:readinessGates 29*runtimeClassName 30*enableServiceLinks 31*preemptionPolicy 32:overhead 33:topologySpreadConstraints 35*setHostnameAsFQDN 36*os 37*hostUsers 38:schedulingGates 39:resourceClaims 40*resources 41*hostnameOverride 43*schedulingGroup
V1PodStatus core 17:observedGeneration 1:phase 2:conditions 3:message 4:reason 11:nominatedNodeName 5:hostIP 16:hostIPs 6:podIP 12:podIPs 7*startTime 10:initContainerStatuses 8:containerStatuses 9:qosClass 13:ephemeralContainerStatuses 14:resize 15:resourceClaimStatuses 18*extendedResourceClaimStatus 19:allocatedResources 20*resources 21:nodeAllocatableResourceClaimStatuses
V1PodTemplateSpec core 1:metadata 2:spec
V1PolicyRule rbac 1:verbs 2:apiGroups 3:resources 4:resourceNames 5:nonResourceURLs
V1PortStatus core 1:port 2:protocol 3*error
V1PortworxVolumeSource core 1:volumeID 2:fsType 3:readOnly
V1Preconditions meta 1*uid 2*resourceVersion
V1PreferredSchedulingTerm core 1:weight 2:preference
V1PriorityClass scheduling 1:metadata 2:value 3:globalDefault 4:description 5*preemptionPolicy
V1Probe core 1(1*exec 2*httpGet 3*tcpSocket 4*grpc) 2:initialDelaySeconds 3:timeoutSeconds 4:periodSeconds 5:successThreshold 6:failureThreshold 7*terminationGracePeriodSeconds
V1ProjectedVolumeSource core 1:sources 2*defaultMode
V1QuobyteVolumeSource core 1:registry 2:volume 3:readOnly 4:user 5:group 6:tenant
V1RBDPersistentVolumeSource core 1:monitors 2:image 3:fsType 4:pool 5:user 6:keyring 7*secretRef 8:readOnly
V1RBDVolumeSource core 1:monitors 2:image 3:fsType 4:pool 5:user 6:keyring 7*secretRef 8:readOnly
V1ReplicaSet apps 1:metadata 2:spec 3:status
V1ReplicaSetCondition apps 1:type 2:status 3:lastTransitionTime 4:reason 5:message
V1ReplicaSetSpec apps 1*replicas 4:minReadySeconds 2*selector 3:template
V1ReplicaSetStatus apps 1:replicas 2:fullyLabeledReplicas 4:readyReplicas 5:availableReplicas 7*terminatingReplicas 3:observedGeneration 6:conditions
V1ResourceAttributes authorization 1:namespace 2:verb 3:group 4:version 5:resource 6:subresource 7:name 8*fieldSelector 9*labelSelector
V1ResourceFieldSelector core 1:containerName 2:resource 3:divisor
V1ResourceHealth core 1:resourceID 2:health 6*message
V1ResourceQuota core 1:metadata 2:spec 3:status
V1ResourceQuotaSpec core 1:hard 2:scopes 3*scopeSelector
V1ResourceQuotaStatus core 1:hard 2:used
V1ResourceRequirements core 1:limits 2:requests 3:claims
V1ResourceRule authorization 1:verbs 2:apiGroups 3:resources 4:resourceNames
V1ResourceStatus core 1:name 2:resources
V1Role rbac 1:metadata 2:rules
V1RoleBinding rbac 1:metadata 2:subjects 3:roleRef
V1RoleRef rbac 1:apiGroup 2:kind 3:name
V1RollingUpdateDaemonSet apps 1*maxUnavailable 2*maxSurge
V1RollingUpdateDeployment apps 1*maxUnavailable 2*maxSurge
V1RollingUpdateStatefulSetStrategy apps 1*partition 2*maxUnavailable
V1SELinuxOptions core 1:user 2:role 3:type 4:level
V1Scale autoscaling 1:metadata 2:spec 3:status
V1ScaleIOPersistentVolumeSource core 1:gateway 2:system 3*secretRef 4:sslEnabled 5:protectionDomain 6:storagePool 7:storageMode 8:volumeName 9:fsType 10:readOnly
V1ScaleIOVolumeSource core 1:gateway 2:system 3*secretRef 4:sslEnabled 5:protectionDomain 6:storagePool 7:storageMode 8:volumeName 9:fsType 10:readOnly
V1ScaleSpec autoscaling 1:replicas
V1ScaleStatus autoscaling 1:replicas 2:selector
V1ScopeSelector core 1:matchExpressions
V1ScopedResourceSelectorRequirement core 1:scopeName 2:operator 3:values
V1SeccompProfile core 1:type 2*localhostProfile
V1Secret core 1:metadata 5*immutable 2:data 4:stringData 3:type
V1SecretEnvSource core 1(1:name) 2*optional
V1SecretKeySelector core 1(1:name) 2:key 3*optional
V1SecretProjection core 1(1:name) 2:items 4*optional
V1SecretReference core 1:name 2:namespace
V1SecretVolumeSource core 1:secretName 2:items 3*defaultMode 4*optional
V1SecurityContext core 1*capabilities 2*privileged 3*seLinuxOptions 10*windowsOptions 4*runAsUser 8*runAsGroup 5*runAsNonRoot 6*readOnlyRootFilesystem 7*allowPrivilegeEscalation 9*procMount 11*seccompProfile 12*appArmorProfile
V1SelfSubjectAccessReview authorization 1:metadata 2:spec 3:status
V1SelfSubjectAccessReviewSpec authorization 1*resourceAttributes 2*nonResourceAttributes
V1SelfSubjectReview authentication 1:metadata 2:status
V1SelfSubjectReviewStatus authentication 1:userInfo
V1SelfSubjectRulesReview authorization 1:metadata 2:spec 3:status
V1SelfSubjectRulesReviewSpec authorization 1:namespace
V1Service core 1:metadata 2:spec 3:status
V1ServiceAccount core 1:metadata 2:secrets 3:imagePullSecrets 4*automountServiceAccountToken
V1ServiceAccountTokenProjection core 1:audience 2*expirationSeconds 3:path
V1ServiceBackendPort networking 1:name 2:number
V1ServicePort core 1:name 2:protocol 6*appProtocol 3:port 4:targetPort 5:nodePort
V1ServiceSpec core 1:ports 2:selector 3:clusterIP 18:clusterIPs 4:type 5:externalIPs 7:sessionAffinity 8:loadBalancerIP 9:loadBalancerSourceRanges 10:externalName 11:externalTrafficPolicy 12:healthCheckNodePort 13:publishNotReadyAddresses 14*sessionAffinityConfig 19:ipFamilies 17*ipFamilyPolicy 20*allocateLoadBalancerNodePorts 21*loadBalancerClass 22*internalTrafficPolicy 23*trafficDistribution
V1ServiceStatus core 1:loadBalancer 2:conditions
V1SessionAffinityConfig core 1*clientIP
V1SleepAction core 1:seconds
V1StatefulSet apps 1:metadata 2:spec 3:status
V1StatefulSetCondition apps 1:type 2:status 3:lastTransitionTime 4:reason 5:message
V1StatefulSetOrdinals apps 1:start
V1StatefulSetPersistentVolumeClaimRetentionPolicy apps 1:whenDeleted 2:whenScaled
V1StatefulSetSpec apps 1*replicas 2*selector 3:template 4:volumeClaimTemplates 5:serviceName 6:podManagementPolicy 7:updateStrategy 8*revisionHistoryLimit 9:minReadySeconds 10*persistentVolumeClaimRetentionPolicy 11*ordinals
V1StatefulSetStatus apps 1:observedGeneration 2:replicas 3:readyReplicas 4:currentReplicas 5:updatedReplicas 6:currentRevision 7:updateRevision 9*collisionCount 10:conditions 11:availableReplicas
V1StatefulSetUpdateStrategy apps 1:type 2*rollingUpdate
V1StorageClass storage 1:metadata 2:provisioner 3:parameters 4*reclaimPolicy 5:mountOptions 6*allowVolumeExpansion 7*volumeBindingMode 8:allowedTopologies
V1StorageOSPersistentVolumeSource core 1:volumeName 2:volumeNamespace 3:fsType 4:readOnly 5*secretRef
V1StorageOSVolumeSource core 1:volumeName 2:volumeNamespace 3:fsType 4:readOnly 5*secretRef
V1SubjectAccessReview authorization 1:metadata 2:spec 3:status
V1SubjectAccessReviewSpec authorization 1*resourceAttributes 2*nonResourceAttributes 3:user 4:groups 5:extra 6:uid
V1SubjectAccessReviewStatus authorization 1:allowed 4:denied 2:reason 3:evaluationError
V1SubjectRulesReviewStatus authorization 1:resourceRules 2:nonResourceRules 3:incomplete 4:evaluationError
V1SuccessPolicy batch 1:rules
V1SuccessPolicyRule batch 1*succeededIndexes 2*succeededCount
V1Sysctl core 1:name 2:value
V1TCPSocketAction core 1:port 2:host
V1Taint core 1:key 2:value 3:effect 4*timeAdded
V1TokenRequestSpec authentication 1:audiences 4*expirationSeconds 3*boundObjectRef
V1TokenRequestStatus authentication 1:token 2:expirationTimestamp
V1TokenReview authentication 1:metadata 2:spec 3:status
V1TokenReviewSpec authentication 1:token 2:audiences
V1TokenReviewStatus authentication 1:authenticated 2:user 4:audiences 3:error
V1Toleration core 1:key 2:operator 3:value 4:effect 5*tolerationSeconds
V1TopologySelectorLabelRequirement core 1:key 2:values
V1TopologySelectorTerm core 1:matchLabelExpressions
V1TopologySpreadConstraint core 1:maxSkew 2:topologyKey 3:whenUnsatisfiable 4*labelSelector 5*minDomains 6*nodeAffinityPolicy 7*nodeTaintsPolicy 8:matchLabelKeys
V1TypedLocalObjectReference core 1*apiGroup 2:kind 3:name
V1TypedObjectReference core 1*apiGroup 2:kind 3:name 4*namespace
V1UncountedTerminatedPods batch 1:succeeded 2:failed
V1UserInfo authentication 1:username 2:uid 3:groups 4:extra
V1Volume core 1:name 2(1*hostPath 2*emptyDir 3*gcePersistentDisk 4*awsElasticBlockStore 5*gitRepo 6*secret 7*nfs 8*iscsi 9*glusterfs 10*persistentVolumeClaim 11*rbd 12*flexVolume 13*cinder 14*cephfs 15*flocker 16*downwardAPI 17*fc 18*azureFile 19*configMap 20*vsphereVolume 21*quobyte 22*azureDisk 23*photonPersistentDisk 26*projected 24*portworxVolume 25*scaleIO 27*storageos 28*csi 29*ephemeral 30*image)
V1VolumeDevice core 1:name 2:devicePath
V1VolumeMount core 1:name 2:readOnly 7*recursiveReadOnly 3:mountPath 4:subPath 5*mountPropagation 6:subPathExpr
V1VolumeMountStatus core 1:name 2:mountPath 3:readOnly 4*recursiveReadOnly 5*volumeStatus
V1VolumeNodeAffinity core 1*required
V1VolumeProjection core 1*secret 2*downwardAPI 3*configMap 4*serviceAccountToken 5*clusterTrustBundle 6*podCertificate
V1VolumeResourceRequirements core 1:limits 2:requests
V1VolumeStatus core 1*image
V1VsphereVirtualDiskVolumeSource core 1:volumePath 2:fsType 3:storagePolicyName 4:storagePolicyID
V1WeightedPodAffinityTerm core 1:weight 2:podAffinityTerm
V1WindowsSecurityContextOptions core 1*gmsaCredentialSpecName 2*gmsaCredentialSpec 3*runAsUserName 4*hostProcess
V2ContainerResourceMetricSource autoscaling 1:name 2:target 3:container
V2ContainerResourceMetricStatus autoscaling 1:name 2:current 3:container
V2CrossVersionObjectReference autoscaling 1:kind 2:name 3:apiVersion
V2ExternalMetricSource autoscaling 1:metric 2:target
V2ExternalMetricStatus autoscaling 1:metric 2:current
V2HPAScalingPolicy autoscaling 1:type 2:value 3:periodSeconds
V2HPAScalingRules autoscaling 3*stabilizationWindowSeconds 1*selectPolicy 2:policies 4*tolerance
V2HorizontalPodAutoscaler autoscaling 1:metadata 2:spec 3:status
V2HorizontalPodAutoscalerBehavior autoscaling 1*scaleUp 2*scaleDown
V2HorizontalPodAutoscalerCondition autoscaling 1:type 2:status 3:lastTransitionTime 4:reason 5:message
V2HorizontalPodAutoscalerSpec autoscaling 1:scaleTargetRef 2*minReplicas 3:maxReplicas 4:metrics 5*behavior
V2HorizontalPodAutoscalerStatus autoscaling 1*observedGeneration 2*lastScaleTime 3:currentReplicas 4:desiredReplicas 5:currentMetrics 6:conditions
V2MetricIdentifier autoscaling 1:name 2*selector
V2MetricSpec autoscaling 1:type 2*object 3*pods 4*resource 7*containerResource 5*external
V2MetricStatus autoscaling 1:type 2*object 3*pods 4*resource 7*containerResource 5*external
V2MetricTarget autoscaling 1:type 2*value 3*averageValue 4*averageUtilization
V2MetricValueStatus autoscaling 1*value 2*averageValue 3*averageUtilization
V2ObjectMetricSource autoscaling 1:describedObject 2:target 3:metric
V2ObjectMetricStatus autoscaling 1:metric 2:current 3:describedObject
V2PodsMetricSource autoscaling 1:metric 2:target
V2PodsMetricStatus autoscaling 1:metric 2:current
V2ResourceMetricSource autoscaling 1:name 2:target
V2ResourceMetricStatus autoscaling 1:name 2:current
`
