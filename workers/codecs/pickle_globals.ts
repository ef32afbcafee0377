/**
 * The classes and functions that a pickle may name. Everything else is refused the moment it is seen.
 *
 * Nothing here is ever called: a name stands for a rule in `pickle_reconstruct.ts`, which builds the value itself.
 * @module
 */

import { TaskError } from "../task_error.ts";
import { GlobalRef } from "../values.ts";

/** What a pickle may do with a global. */
export type GlobalUse =
  /** A rule of our own makes a value of it. */
  | "build"
  /** Instances are carried as they are, see `Reduced`. */
  | "carry"
  /** It may only be named, as a defaultdict's factory or a column's type, say. */
  | "name";

/** An allowed global. */
export interface AllowedGlobal {
  /** The reference, one object per global: its name is the one of Python 3 and numpy 1. */
  readonly ref: GlobalRef;
  readonly use: GlobalUse;
  /** Whether it is a class; a defaultdict's factory must be one. */
  readonly isClass: boolean;
  /** How instances may be filled after they are made. */
  readonly fill: "append" | "setitem" | undefined;
  /** Whether instances may be keys of a dict. */
  readonly hashable: boolean;
}

const NUMPY_SCALAR_TYPES = "bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 intc uintc longlong ulonglong " +
  "float16 float32 float64 longdouble complex64 complex128 clongdouble str_ bytes_ object_ void datetime64 timedelta64";

const TABLE = new Map<string, AllowedGlobal>();
const BY_REF = new Map<GlobalRef, AllowedGlobal>();

allow("build", "builtins", "list dict set frozenset tuple bytes bytearray complex");
allow("carry", "builtins", "range slice object");
allow("name", "builtins", "int float str bool");
allow("build", "_codecs", "encode", { isClass: false });
allow("build", "copyreg", "_reconstructor", { isClass: false });
allow("carry", "collections", "OrderedDict defaultdict Counter", { fill: "setitem", hashable: false });
allow("carry", "collections", "deque", { fill: "append", hashable: false });
allow("carry", "datetime", "datetime date time timedelta timezone");
allow("carry", "decimal", "Decimal");
allow("carry", "uuid", "UUID");
allow("name", "numpy", NUMPY_SCALAR_TYPES);
allow("build", "numpy", "dtype ndarray");
allow("build", "numpy.core.multiarray", "_reconstruct scalar", { isClass: false });
allow("build", "numpy.core.numeric", "_frombuffer", { isClass: false });
// numpy 2 moved its core.
alias("numpy._core.multiarray", "_reconstruct", "numpy.core.multiarray");
alias("numpy._core.multiarray", "scalar", "numpy.core.multiarray");
alias("numpy._core.numeric", "_frombuffer", "numpy.core.numeric");
// Python 2's names, which protocols below 3 use: `_compat_pickle` of CPython.
for (const name of "list dict set frozenset tuple bytes bytearray complex slice object int float str bool".split(" ")) {
  alias("__builtin__", name, "builtins");
}
alias("__builtin__", "xrange", "builtins", "range");
alias("__builtin__", "unicode", "builtins", "str");
alias("__builtin__", "long", "builtins", "int");
alias("copy_reg", "_reconstructor", "copyreg");

/**
 * Finds an allowed global.
 * @throws {TaskError} `SECURITY_VIOLATION` with the global's full name where it is not allowed.
 */
export function findGlobal(module: string, name: string): AllowedGlobal {
  const allowed = TABLE.get(keyOf(module, name));
  if (allowed === undefined) throw notAllowed("unpickle", module, name);
  return allowed;
}

/**
 * What is known of a reference that {@linkcode findGlobal} gave, or of an equal one.
 * @throws {TaskError} `SECURITY_VIOLATION` where it is not allowed: user code can make a GlobalRef of anything.
 */
export function allowedGlobal(ref: GlobalRef): AllowedGlobal {
  const allowed = BY_REF.get(ref) ?? TABLE.get(keyOf(ref.module, ref.name));
  if (allowed === undefined) throw notAllowed("pickle", ref.module, ref.name);
  return allowed;
}

function keyOf(module: string, name: string): string {
  return module + "\n" + name;
}

function notAllowed(action: string, module: string, name: string): TaskError {
  const fullName = `${module}.${name}`;
  const shown = fullName.length > 200 ? `${fullName.slice(0, 200)}…` : fullName;
  return new TaskError("SECURITY_VIOLATION", `Cannot ${action}: global ${JSON.stringify(shown)} is not allowed`);
}

function allow(
  use: GlobalUse,
  module: string,
  names: string,
  options: { isClass?: boolean; fill?: "append" | "setitem"; hashable?: boolean } = {},
): void {
  for (const name of names.split(" ")) {
    const { isClass = true, fill, hashable = true } = options;
    const allowed = { ref: new GlobalRef(module, name), use, isClass, fill, hashable };
    TABLE.set(keyOf(module, name), allowed);
    BY_REF.set(allowed.ref, allowed);
  }
}

function alias(module: string, name: string, realModule: string, realName = name): void {
  TABLE.set(keyOf(module, name), findGlobal(realModule, realName));
}
