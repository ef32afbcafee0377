/**
 * What is wrong with a config, in the words of those who wrote it.
 * @module
 */

import type { z } from "zod";

const TYPE_NAMES: ReadonlyMap<string, string> = new Map([
  ["number", "a number"],
  ["int", "an int"],
  ["string", "a str"],
  ["boolean", "a bool"],
  ["array", "a list"],
  ["tuple", "a tuple or list"],
  ["object", "a dict"],
  ["record", "a dict"],
]);

/** One fault: `resolution[0]: must be at least 1, is 0`. Needs issues made with `reportInput`. */
export function describeIssue(issue: z.core.$ZodIssue): string {
  const found = deepest(issue);
  return `${pathText(found.path)}: ${faultText(found)}`;
}

/** Of a union's alternatives the one that came farthest says best what is wrong. */
function deepest(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code !== "invalid_union") return issue;
  const candidates = issue.errors.flatMap((errors) => errors.slice(0, 1)).map(deepest);
  const best = candidates.reduce<z.core.$ZodIssue | undefined>(
    (best, next) => best === undefined || next.path.length > best.path.length ? next : best,
    undefined,
  );
  return best === undefined || best.path.length === 0 ? issue : { ...best, path: [...issue.path, ...best.path] };
}

function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, part) =>
      typeof part === "number" ? `${text}[${part}]` : text === "" ? String(part) : `${text}.${String(part)}`,
    "",
  );
}

function faultText(issue: z.core.$ZodIssue): string {
  const { input } = issue;
  switch (issue.code) {
    case "invalid_type":
      if (input === undefined) return "required";
      return `must be ${TYPE_NAMES.get(issue.expected) ?? issue.expected}, is ${show(input)}`;
    case "invalid_value": {
      const values = issue.values.map(show).join(", ");
      if (input === undefined) return `required: ${values}`;
      return `must be ${issue.values.length > 1 ? "one of " : ""}${values}, is ${show(input)}`;
    }
    case "too_small":
      return `must ${
        bound(issue.origin, `${issue.inclusive === false ? "more than" : "at least"} ${issue.minimum}`)
      }, is ${show(input)}`;
    case "too_big":
      return `must ${
        bound(issue.origin, `${issue.inclusive === false ? "less than" : "at most"} ${issue.maximum}`)
      }, is ${show(input)}`;
    case "not_multiple_of":
      return `must be a multiple of ${issue.divisor}, is ${show(input)}`;
    case "unrecognized_keys":
      return `does not know ${issue.keys.map(show).join(", ")}`;
    case "invalid_union": {
      if (input === undefined) return "required";
      if (issue.discriminator !== undefined && "options" in issue && issue.options !== undefined) {
        // The input is the whole object here; what of it is wrong is at the path.
        const found = (input as Record<string, unknown> | null)?.[issue.discriminator];
        const options = `one of ${issue.options.map(show).join(", ")}`;
        return found === undefined ? `required: ${options}` : `must be ${options}, is ${show(found)}`;
      }
      return `${issue.message === "Invalid input" ? "is of no form that it may have" : issue.message}: ${show(input)}`;
    }
    default:
      return issue.message;
  }
}

function bound(origin: string, limit: string): string {
  if (origin === "string") return `have ${limit} characters`;
  return origin === "array" || origin === "tuple" || origin === "set" ? `have ${limit} items` : `be ${limit}`;
}

function show(value: unknown): string {
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  let text: string | undefined;
  try {
    text = JSON.stringify(value, (_key, item: unknown) => typeof item === "bigint" ? `${item}` : item);
  } catch {
    text = undefined;
  }
  text ??= String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
