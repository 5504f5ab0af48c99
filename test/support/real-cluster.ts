/**
 * A whole cluster for tests: a real control plane with the stand-ins that it needs to come to life,
 * nodes (`fake-kubelet.ts`) and a cloud (`fake-cloud.ts`). Everything ends with `close()`.
 */
import { startControlPlane, type ControlPlane, type ControlPlaneOptions } from './control-plane.ts'
import { startFakeCloud, type FakeCloudOptions } from './fake-cloud.ts'
import { startFakeKubelet, type FakeKubeletOptions } from './fake-kubelet.ts'

export interface RealClusterOptions
  extends ControlPlaneOptions, FakeCloudOptions, Pick<FakeKubeletOptions, 'capacity' | 'labels'> {
  /** Default 3. */
  readonly nodes?: number
}

export interface RealCluster {
  readonly plane: ControlPlane
  readonly nodeNames: readonly string[]
  close(): Promise<void>
}

/** Resolves when its nodes are Ready and schedulable. */
export async function startRealCluster(options: RealClusterOptions): Promise<RealCluster> {
  const plane = await startControlPlane(options)
  try {
    const cloud = await startFakeCloud(plane.http, options)
    const kubelet = await startFakeKubelet({
      ...options,
      http: plane.http,
      version: plane.version,
      filesDir: plane.files.dir,
    })
    return {
      plane,
      nodeNames: kubelet.nodeNames,
      async close() {
        await Promise.all([cloud.close(), kubelet.close()])
        await plane.close()
      },
    }
  } catch (error) {
    await plane.close()
    throw error
  }
}
