/**
 * JSON values, any and damaged.
 * @module
 */

import type { Random } from "./random.ts";

/** What `JSON.parse` gives. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Strings that readers stumble over. */
export const ODD_TEXTS: readonly string[] = [
  "",
  " ",
  "\0",
  "\ud800",
  "\udfff\ud800",
  "é🎧",
  "\u202e",
  "__proto__",
  "constructor",
  "toString",
  "null",
  "../..",
  "x".repeat(2_000),
  '"\\\b\f\n\r\t/',
  "\u2028\u2029\ufeff",
];

const ODD_NUMBERS = [
  0,
  -0,
  1,
  -1,
  0.1,
  1e21,
  1e-7,
  1e308,
  5e-324,
  2 ** 31,
  2 ** 53,
  -(2 ** 63),
  1e22,
  123456789012345680,
];

/** Any value, at most `depth` deep. */
export function anyJson(random: Random, depth = 4): Json {
  switch (random.below(depth > 0 ? 8 : 5)) {
    case 0:
      return random.pick([null, true, false]);
    case 1:
      return random.pick(ODD_NUMBERS);
    case 2:
      return random.between(-1_000, 1_000) / random.pick([1, 1, 8, 10, 1_000]);
    case 3:
    case 4:
      return random.chance(0.4) ? random.pick(ODD_TEXTS) : `t${random.below(1_000)}`;
    case 5:
    case 6:
      return Array.from({ length: random.skewed(12) }, () => anyJson(random, depth - 1));
    default: {
      const entries = Array.from({ length: random.skewed(12) }, () => [anyKey(random), anyJson(random, depth - 1)]);
      return Object.fromEntries(entries);
    }
  }
}

/** The same value with one place in it damaged. */
export function damageJson(value: Json, random: Random): Json {
  if (random.chance(0.25) || typeof value !== "object" || value === null) return replacement(value, random);
  if (Array.isArray(value)) {
    if (value.length === 0) return [anyJson(random)];
    const at = random.below(value.length);
    const item = value[at] ?? null;
    switch (random.below(4)) {
      case 0:
        return value.toSpliced(at, 1);
      case 1:
        return value.toSpliced(at, 0, ...Array.from({ length: random.skewed(2_000) }, () => item));
      default:
        return value.with(at, damageJson(item, random));
    }
  }
  const entries = Object.entries(value);
  const at = random.below(entries.length);
  const entry = entries[at];
  if (entry === undefined || random.chance(0.15)) {
    return Object.fromEntries([...entries, [anyKey(random), anyJson(random)]]);
  }
  const [key, inner] = entry;
  switch (random.below(5)) {
    case 0:
      return Object.fromEntries(entries.toSpliced(at, 1));
    case 1:
      return Object.fromEntries(entries.with(at, [anyKey(random), inner]));
    default:
      return Object.fromEntries(entries.with(at, [key, damageJson(inner, random)]));
  }
}

function replacement(value: Json, random: Random): Json {
  switch (random.below(4)) {
    case 0: { // deeper than anyone expects
      let nested = value;
      for (let depth = random.skewed(400); depth > 0; depth--) nested = random.chance(0.5) ? [nested] : { a: nested };
      return nested;
    }
    case 1:
      return typeof value === "string" ? value + random.pick(ODD_TEXTS) : JSON.stringify(value);
    default:
      return anyJson(random, 2);
  }
}

function anyKey(random: Random): string {
  return random.chance(0.5) ? random.pick(ODD_TEXTS) : `k${random.below(8)}`;
}
