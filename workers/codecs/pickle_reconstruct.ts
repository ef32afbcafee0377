/**
 * The calls and states of a pickle. Nothing is executed: each allowed global has a rule here that makes the value.
 * @module
 */

import { ByteArray, Complex, DType, FrozenSet, GlobalRef, NDArray, Reduced, Tuple, type Value } from "../values.ts";
import { type AllowedGlobal, allowedGlobal } from "./pickle_globals.ts";
import { COST, malformed, type PickleHeap } from "./pickle_heap.ts";
import {
  arrayFromBuffer,
  makeArray,
  makeDType,
  makeScalar,
  reconstructArray,
  setArrayState,
  setDTypeState,
} from "./pickle_numpy.ts";
import { pythonTypeName } from "./type_name.ts";

/** `callable(*args)`, or `callable.__new__(callable, *args)`. */
export function callGlobal(heap: PickleHeap, callable: Value, args: Value, call: "reduce" | "newobj"): Value {
  if (!(callable instanceof GlobalRef)) return malformed(`a ${pythonTypeName(callable)} is not callable`);
  if (!(args instanceof Tuple)) return malformed("the arguments of a call are no tuple");
  const allowed = allowedGlobal(callable);
  if (allowed.use === "carry") return carry(heap, allowed, args, call);
  if (allowed.use === "name" || call === "newobj") {
    return malformed(`${callable.module}.${callable.name} is allowed as a name only`);
  }
  return build(heap, callable, args);
}

/** `target.__setstate__(state)`. */
export function setState(heap: PickleHeap, target: Value, state: Value): void {
  if (target instanceof NDArray) setArrayState(heap, target, state);
  else if (target instanceof DType) setDTypeState(target, state);
  else if (target instanceof Reduced) target.state = state;
  else malformed(`BUILD on a ${pythonTypeName(target)}`);
}

function carry(heap: PickleHeap, { ref }: AllowedGlobal, args: Tuple, call: "reduce" | "newobj"): Reduced {
  if (ref.name === "defaultdict") {
    const [factory = null] = args.items;
    const isClass = factory instanceof GlobalRef && allowedGlobal(factory).isClass;
    if (args.items.length > 1 || factory !== null && !isClass) {
      malformed("the factory of a defaultdict is neither None nor an allowed class");
    }
  }
  heap.chargeContainer(COST.object);
  return new Reduced(ref, args, call);
}

function build(heap: PickleHeap, ref: GlobalRef, args: Tuple): Value {
  const [first, second] = args.items;
  const count = args.items.length;
  switch (ref.name) {
    case "_reconstruct":
      return reconstructArray(heap, args);
    case "_frombuffer":
      return arrayFromBuffer(heap, args);
    case "scalar":
      return makeScalar(heap, args);
    case "ndarray":
      return makeArray(heap, args);
    case "dtype":
      return makeDType(heap, args);
    case "encode":
      return encodeLatin1(heap, first, second);
    case "_reconstructor":
      return reconstructObject(heap, args);
    case "complex":
      if (count !== 2 || typeof first !== "number" || typeof second !== "number") break;
      heap.charge(COST.object);
      return new Complex(first, second);
    case "bytes":
      if (count === 0) return new Uint8Array();
      if (count === 1 && first instanceof Uint8Array) return first;
      break;
    case "bytearray":
      heap.charge(COST.view);
      if (count === 0) return new ByteArray(new Uint8Array());
      if (count === 1 && first instanceof Uint8Array) return new ByteArray(first);
      if (count === 2) return new ByteArray(encodeLatin1(heap, first, second));
      break;
    case "dict":
      heap.chargeContainer(COST.dict);
      if (count === 0) return new Map();
      if (count === 1 && first instanceof Map) {
        heap.charge(COST.entry * first.size);
        return new Map(first);
      }
      break;
    default: {
      const items = count === 0 ? [] : count === 1 ? sequenceItems(first) : undefined;
      if (items !== undefined) return buildSequence(heap, ref.name, items);
    }
  }
  return malformed(`the arguments of ${ref.module}.${ref.name} are not those that pickle writes`);
}

function sequenceItems(value: Value | undefined): Value[] | undefined {
  return value instanceof Tuple ? value.items : Array.isArray(value) ? value : undefined;
}

function buildSequence(heap: PickleHeap, type: string, items: Value[]): Value {
  if (type === "set") return heap.newSet(items);
  if (type === "frozenset") return new FrozenSet(heap.newSet(items));
  heap.chargeContainer(COST.tuple + COST.slot * items.length);
  return type === "list" ? items.slice() : new Tuple(items.slice());
}

/** `_codecs.encode(text, "latin1")`, which is how protocols below 3 write bytes. */
function encodeLatin1(heap: PickleHeap, text: Value | undefined, encoding: Value | undefined): Uint8Array {
  if (typeof text !== "string" || encoding !== "latin1" && encoding !== "latin-1") {
    return malformed("bytes are written as text that is not Latin-1");
  }
  heap.charge(COST.view + text.length);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit > 0xff) malformed("bytes are written as text with characters beyond Latin-1");
    bytes[at] = unit;
  }
  return bytes;
}

/** `copyreg._reconstructor(cls, object, None)`, which is `object.__new__(cls)`: protocols 0 and 1 write it. */
function reconstructObject(heap: PickleHeap, args: Tuple): Value {
  const [type, base, state] = args.items;
  const isPlain = base instanceof GlobalRef && base.module === "builtins" && base.name === "object" && state === null;
  if (args.items.length !== 3 || !isPlain) malformed("_reconstructor of something that is no plain object");
  return callGlobal(heap, type ?? null, new Tuple([]), "newobj");
}
