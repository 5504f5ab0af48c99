/**
 * The one schema builder. It owns the Pothos type parameters (context, scalars, nullability) and knows
 * no type of the schema: `refs.ts` names them, `interfaces.ts` and `kinds/` fill them in.
 *
 * Of plugins there is none: the Relay parts are a page of code here (`connection.ts`, `kinds/node.ts`),
 * since the plugin makes an asynchronous resolver of every id and claims the root field `nodes`.
 */
import SchemaBuilder from '@pothos/core'
import type { Seconds } from '../kubernetes/rows.ts'
import type { GraphContext } from './context.ts'

interface GraphTypes {
  Context: GraphContext
  /** Fields are non-null unless they say otherwise. */
  DefaultFieldNullability: false
  Scalars: {
    ID: { Input: string; Output: string }
    /** Rows hold whole seconds since 1970; measured times, in milliseconds, go out as `Date`. */
    DateTime: { Input: Seconds; Output: Seconds | Date }
    IntOrString: { Input: number | string; Output: number | string }
    JSON: { Input: unknown; Output: unknown }
  }
}

type Builder = PothosSchemaTypes.SchemaBuilder<PothosSchemaTypes.ExtendDefaultTypes<GraphTypes>>

/** The builder's types with Pothos' defaults filled in: the parameter of refs and field builders. */
export type Types = PothosSchemaTypes.ExtendDefaultTypes<GraphTypes>

export const builder: Builder = new SchemaBuilder<GraphTypes>({ defaultFieldNullability: false })
