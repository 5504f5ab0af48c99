/** `setImage`: other images for containers of workloads. */
import { dnsLabel, quoted } from '../../writes/names.ts'
import { builder } from '../builder.ts'
import { badUserInput } from '../errors.ts'
import { changeField } from './change-field.ts'
import { describeTargets, requireNamed, Targets, targetsOf, type TargetsInput } from './targets.ts'

interface ContainerImageInput {
  readonly container?: string | null | undefined
  readonly image: string
}

const ContainerImage = builder.inputRef<ContainerImageInput>('ContainerImageInput').implement({
  description: 'An image for a container.',
  fields: (t) => ({
    container: t.string({
      description:
        'Name of the container, init containers too; may be left out where the workload has only one container.',
    }),
    image: t.string({ required: true, description: 'Image reference: `registry.example.com/web:1.4.2`.' }),
  }),
})

/** As `docker/distribution` has it, roughly; the container runtime decides. */
const IMAGE = /^[a-zA-Z0-9][\w.\-/:@]{0,1023}$/

interface SetImageInput {
  readonly targets: TargetsInput
  readonly images: readonly ContainerImageInput[]
}

changeField<SetImageInput>('setImage', {
  description: 'Gives containers of workloads other images: a rollout begins.',
  fields: (t) => ({
    targets: t.field({
      type: Targets,
      required: true,
      description: 'Deployments, unless another kind is named; also StatefulSets, DaemonSets and CronJobs.',
    }),
    images: t.field({ type: [ContainerImage], required: true, description: 'Images by container.' }),
  }),
  compose: ({ targets, images }, context, path) => {
    const { objects, known } = targetsOf(
      targets,
      { kinds: ['Deployment', 'StatefulSet', 'DaemonSet', 'CronJob'] },
      context,
      `${path}.targets`,
    )
    if (images.length === 0) throw badUserInput('Give at least one image.', `${path}.images`)
    const byContainer: Record<string, string> = {}
    for (const [i, { container, image }] of images.entries()) {
      if (!IMAGE.test(image)) {
        throw badUserInput(`${quoted(image)} is no image reference.`, `${path}.images[${i}].image`)
      }
      const name = container ?? ''
      if (name !== '') requireNamed(name, dnsLabel, `${path}.images[${i}].container`)
      if (Object.hasOwn(byContainer, name) || (name === '' && images.length > 1)) {
        throw badUserInput('Name each container once.', `${path}.images[${i}].container`)
      }
      byContainer[name] = image
    }
    return {
      title: `set image ${images.map(({ image }) => image).join(', ')}: ${describeTargets(objects)}`,
      known,
      steps: objects.map((object) => ({
        object,
        purpose: 'set image',
        action: { type: 'EDIT', edit: { type: 'IMAGES', images: byContainer } },
      })),
    }
  },
})
