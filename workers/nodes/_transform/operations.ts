/**
 * The operations of DataTransform, as they are written.
 * @module
 */

import * as z from "zod";

const FIELD_NAMES = z.array(z.string()).min(1);

/** Types that `cast` makes. */
export const CAST_TYPES = ["int", "float", "str", "bool"] as const;
export type CastType = (typeof CAST_TYPES)[number];

/** One operation; `op` says which. */
export const Operation = z.discriminatedUnion("op", [
  /** Keeps these fields, in this order; those that a record lacks are left out. */
  z.strictObject({ op: z.literal("pick"), fields: FIELD_NAMES }),
  /** Leaves these fields out. */
  z.strictObject({ op: z.literal("drop"), fields: FIELD_NAMES }),
  /** Renames fields, old name to new; they keep their place. */
  z.strictObject({ op: z.literal("rename"), fields: z.record(z.string(), z.string()) }),
  /** Sets fields to what expressions give, all computed from the record as it was; or replaces each record as a whole. */
  z.strictObject({
    op: z.literal("map"),
    fields: z.record(z.string(), z.string()).optional(),
    expression: z.string().optional(),
  }).refine(({ fields, expression }) => (fields === undefined) !== (expression === undefined), {
    error: "needs either fields or expression",
  }),
  /** Keeps the records for which the expression is true. */
  z.strictObject({ op: z.literal("filter"), expression: z.string() }),
  /**
   * Nested dicts become fields with joined names, lists of lists one level flatter; with `field`, a record becomes one
   * record for each item of that field's list.
   */
  z.strictObject({
    op: z.literal("flatten"),
    separator: z.string().default("."),
    field: z.string().optional(),
  }),
  /** Converts fields. */
  z.strictObject({ op: z.literal("cast"), fields: z.record(z.string(), z.enum(CAST_TYPES)) }),
]);
export type Operation = z.output<typeof Operation>;
