/** `label`: labels of objects of any kind. */
import { metadataField } from './metadata-values.ts'

metadataField('label')
