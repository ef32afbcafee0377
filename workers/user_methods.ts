/**
 * Finds the methods that a user's object has of its own: in itself and in the user's classes behind it. Looks at
 * descriptors and runs no getter; the traps of a proxy run all the same, so whoever asks guards the question.
 *
 * @module
 */

// Kept, since user code may put something else in their places.
const { apply, getOwnPropertyDescriptor, getPrototypeOf, ownKeys } = Reflect;
const sourceOf = Function.prototype.toString;
const { startsWith, endsWith, slice } = String.prototype;
const { has } = Set.prototype;
const { includes, join, push } = Array.prototype;
const asyncGeneratorFunction = getPrototypeOf(async function* () {});

/** A method of a user's object, or a function. */
export type UserFunction = (...args: unknown[]) => unknown;

/** How deep a chain of prototypes is followed; a proxy can claim an endless one. */
const MAX_PROTOTYPES = 64;

/** Names of one object that a message lists. */
const MAX_LISTED_METHODS = 20;
const MAX_NAME_LENGTH = 80;

/**
 * Prototypes of the platform, as they are before user code runs. Some of its classes are written in JavaScript and
 * show their source like any other, so they cannot be told by it.
 */
const platformPrototypes: ReadonlySet<unknown> = new Set(
  ownKeys(globalThis).map((key) => {
    const global: unknown = getOwnPropertyDescriptor(globalThis, key)?.value;
    return typeof global === "function" ? getOwnPropertyDescriptor(global, "prototype")?.value : undefined;
  }),
);

/** Whether this can be called or constructed. */
export function isFunction(value: unknown): value is UserFunction {
  return typeof value === "function";
}

/** Whether this is a class, by its source. A class behind a proxy shows none. */
export function isClass(value: UserFunction): boolean {
  // Methods and arrow functions may begin like this, but have no prototype.
  return apply(startsWith, apply(sourceOf, value, []), ["class"]) &&
    getOwnPropertyDescriptor(value, "prototype") !== undefined;
}

/** Whether calling this gives an async generator. */
export function isAsyncGeneratorFunction(value: UserFunction): boolean {
  return getPrototypeOf(value) === asyncGeneratorFunction;
}

/** The public method of this name; `undefined` for anything else. */
export function findMethod(object: object, name: string): UserFunction | undefined {
  if (!isPublic(name)) return undefined;
  const holders = holdersOf(object);
  for (let at = 0; at < holders.length; at++) {
    const descriptor = getOwnPropertyDescriptor(holders[at] ?? object, name);
    if (descriptor !== undefined) return isFunction(descriptor.value) ? descriptor.value : undefined;
  }
  return undefined;
}

/** Says which public methods there are, bounded in number and length; the constructor's own step is not among them. */
export function listMethods(object: object): string {
  const names: string[] = [];
  const holders = holdersOf(object);
  for (let at = 0; at < holders.length; at++) {
    const keys = ownKeys(holders[at] ?? object);
    for (let index = 0; index < keys.length; index++) {
      const name = keys[index];
      if (typeof name !== "string" || name === "initialize" || findMethod(object, name) === undefined) continue;
      const shown = apply(slice, name, [0, MAX_NAME_LENGTH]);
      if (apply(includes, names, [shown])) continue;
      if (names.length === MAX_LISTED_METHODS) return `it has ${apply(join, names, [", "])} and more`;
      apply(push, names, [shown]);
    }
  }
  return names.length === 0 ? "it has no public methods" : `it has ${apply(join, names, [", "])}`;
}

/** The object, and the prototypes of the user's own classes behind it. */
function holdersOf(object: object): object[] {
  const holders: object[] = [];
  let holder: object | null = object;
  while (holder !== null && holders.length < MAX_PROTOTYPES) {
    if (holder !== object && !isOfUserClass(holder)) break;
    apply(push, holders, [holder]);
    holder = getPrototypeOf(holder);
  }
  return holders;
}

function isOfUserClass(prototype: object): boolean {
  if (apply(has, platformPrototypes, [prototype])) return false;
  const constructor: unknown = getOwnPropertyDescriptor(prototype, "constructor")?.value;
  // What native code shows as its source is no valid JavaScript, so nobody can write it.
  return isFunction(constructor) && !apply(endsWith, apply(sourceOf, constructor, []), ["{ [native code] }"]);
}

function isPublic(name: string): boolean {
  return name !== "constructor" && name[0] !== "_" && name[0] !== "#";
}
