/**
 * Reads Python pickles, protocols 0 to 5: the stack machine.
 *
 * Source: CPython's Lib/pickletools.py for the opcodes, Modules/_pickle.c for what they do to stack and marks;
 * PEP 3154 (protocol 4), PEP 574 (protocol 5).
 *
 * What a `Map` and a `Set` cannot keep apart or together: Python holds `1`, `1.0` and `True` for one key, here they
 * are three; equal tuples, bytes and frozensets are two keys here; two NaN are one, and a key `-0.0` becomes `0.0`. No
 * pickle that CPython made of a dict or set without NaN has such keys twice, and what Python loads of our answer to a
 * pickle that has is what it would have loaded of the question.
 *
 * @module
 */

import { TaskError } from "../task_error.ts";
import { ByteArray, FrozenSet, GlobalRef, Reduced, Tuple, type Value } from "../values.ts";
import { type CodecLimits, DEFAULT_LIMITS } from "./codec.ts";
import { allowedGlobal, findGlobal } from "./pickle_globals.ts";
import { COST, malformed, MalformedPickle, nestsDeeper, PickleHeap } from "./pickle_heap.ts";
import { PickleReader } from "./pickle_reader.ts";
import { callGlobal, setState } from "./pickle_reconstruct.ts";
import * as text from "./pickle_text.ts";
import { pythonTypeName } from "./type_name.ts";

const HIGHEST_PROTOCOL = 5;
const SMALL_INTS = Array.from({ length: 256 }, (_, value) => BigInt(value));

/** Reads one pickle. What follows its STOP is ignored, as Python does. */
export function decodePickle(bytes: Uint8Array, limits: Partial<CodecLimits> = {}): Value {
  return new PickleDecoder(bytes, { ...DEFAULT_LIMITS, ...limits }).run();
}

class PickleDecoder {
  readonly #in: PickleReader;
  readonly #limits: CodecLimits;
  readonly #heap: PickleHeap;
  #stack: Value[] = [];
  /** Heights of the stack at each open MARK. Opcodes that are not about marks see nothing below the last, the fence. */
  readonly #marks: number[] = [];
  #fence = 0;
  readonly #memo: Value[] = [];
  /** Memo entries that leave a gap: an index of 2^31 must not make an array of that size. */
  readonly #farMemo = new Map<number, Value>();

  constructor(bytes: Uint8Array, limits: CodecLimits) {
    this.#in = new PickleReader(bytes);
    this.#limits = limits;
    this.#heap = new PickleHeap(limits.memoryLimitBytes);
  }

  run(): Value {
    let opcodeAt = 0;
    try {
      do opcodeAt = this.#in.at; while (this.#step(this.#in.byte()));
      const value = this.#pop();
      if (this.#heap.containers > this.#limits.maxDepth && nestsDeeper(value, this.#limits.maxDepth)) {
        throw new TaskError("RESOURCE_LIMIT", `Cannot unpickle: nested deeper than ${this.#limits.maxDepth} levels`);
      }
      return value;
    } catch (error) {
      if (!(error instanceof MalformedPickle)) throw error;
      throw new TaskError("INVALID_TASK", `Cannot unpickle: ${error.message} at byte ${opcodeAt}`, { cause: error });
    }
  }

  /** Executes one opcode; false after STOP. The numbers stand here, not in constants: V8 makes a jump table of them. */
  #step(opcode: number): boolean {
    switch (opcode) {
      case 0x28: // MARK (
        this.#heap.charge(COST.slot);
        this.#marks.push(this.#fence = this.#stack.length);
        return true;
      case 0x2e: // STOP .
        return false;
      case 0x30: // POP 0
        if (this.#marks.length > 0 && this.#stack.length === this.#fence) this.#popMark();
        else this.#pop();
        return true;
      case 0x31: // POP_MARK 1
        this.#stack.length = this.#popMark();
        return true;
      case 0x32: // DUP 2
        return this.#push(this.#top());

      case 0x4e: // NONE N
        return this.#push(null);
      case 0x88: // NEWTRUE
        return this.#push(true);
      case 0x89: // NEWFALSE
        return this.#push(false);
      case 0x49: // INT I
        return this.#push(text.parseIntText(this.#line(), "INT"), COST.int);
      case 0x4c: // LONG L
        return this.#push(text.parseIntText(this.#line(), "LONG"), COST.int);
      case 0x4a: // BININT J
        return this.#push(BigInt(this.#in.uint(4) | 0), COST.int);
      case 0x4b: // BININT1 K
        return this.#push(SMALL_INTS[this.#in.byte()]!);
      case 0x4d: // BININT2 M
        return this.#push(BigInt(this.#in.uint(2)), COST.int);
      case 0x8a: // LONG1
        return this.#pushInt(this.#in.byte());
      case 0x8b: // LONG4
        return this.#pushInt(this.#in.signedLength());
      case 0x46: // FLOAT F
        return this.#push(text.parseFloatText(this.#line()), COST.float);
      case 0x47: // BINFLOAT G
        return this.#push(this.#in.float(), COST.float);

      case 0x53: // STRING S
        return this.#push(text.parseStringText(this.#line()), COST.string);
      case 0x54: // BINSTRING T
        return this.#pushAscii(this.#in.signedLength());
      case 0x55: // SHORT_BINSTRING U
        return this.#pushAscii(this.#in.byte());
      case 0x56: // UNICODE V
        return this.#push(text.parseUnicodeText(this.#line()), COST.string);
      case 0x58: // BINUNICODE X
        return this.#pushText(this.#in.uint(4));
      case 0x8c: // SHORT_BINUNICODE
        return this.#pushText(this.#in.byte());
      case 0x8d: // BINUNICODE8
        return this.#pushText(this.#in.uint64());
      case 0x42: // BINBYTES B
        return this.#push(this.#in.take(this.#in.uint(4)), COST.view);
      case 0x43: // SHORT_BINBYTES C
        return this.#push(this.#in.take(this.#in.byte()), COST.view);
      case 0x8e: // BINBYTES8
        return this.#push(this.#in.take(this.#in.uint64()), COST.view);
      case 0x96: // BYTEARRAY8
        return this.#push(new ByteArray(this.#in.take(this.#in.uint64())), COST.view + COST.object);

      case 0x5d: // EMPTY_LIST ]
        return this.#pushContainer([], COST.list);
      case 0x6c: // LIST l
        return this.#pushContainer(this.#popItems(), COST.list);
      case 0x61: { // APPEND a
        const item = this.#pop();
        return this.#extend(this.#top(), [item]);
      }
      case 0x65: { // APPENDS e
        const items = this.#popItems();
        return this.#extend(this.#top(), items);
      }
      case 0x29: // EMPTY_TUPLE )
        return this.#pushContainer(new Tuple([]), COST.tuple);
      case 0x85: // TUPLE1
        return this.#pushContainer(new Tuple([this.#pop()]), COST.tuple);
      case 0x86: { // TUPLE2
        const second = this.#pop();
        return this.#pushContainer(new Tuple([this.#pop(), second]), COST.tuple);
      }
      case 0x87: { // TUPLE3
        const third = this.#pop();
        const second = this.#pop();
        return this.#pushContainer(new Tuple([this.#pop(), second, third]), COST.tuple);
      }
      case 0x74: // TUPLE t
        return this.#pushContainer(new Tuple(this.#popItems()), COST.tuple);
      case 0x7d: // EMPTY_DICT }
        return this.#pushContainer(new Map(), COST.dict);
      case 0x64: { // DICT d
        const dict = new Map<Value, Value>();
        this.#setItems(dict, this.#popItems());
        return this.#pushContainer(dict, COST.dict);
      }
      case 0x73: { // SETITEM s
        const value = this.#pop();
        const key = this.#pop();
        return this.#setItems(this.#top(), [key, value]);
      }
      case 0x75: { // SETITEMS u
        const items = this.#popItems();
        return this.#setItems(this.#top(), items);
      }
      case 0x8f: // EMPTY_SET
        return this.#pushContainer(new Set(), COST.set);
      case 0x90: { // ADDITEMS
        const items = this.#popItems();
        const set = this.#top();
        if (!(set instanceof Set)) return malformed(`ADDITEMS on a ${pythonTypeName(set)}`);
        for (const item of items) this.#heap.addItem(set, item);
        return true;
      }
      case 0x91: // FROZENSET
        return this.#pushContainer(new FrozenSet(this.#heap.newSet(this.#popItems())), COST.object);

      case 0x67: // GET g
        return this.#push(this.#recall(this.#index()));
      case 0x68: // BINGET h
        return this.#push(this.#recall(this.#in.byte()));
      case 0x6a: // LONG_BINGET j
        return this.#push(this.#recall(this.#in.uint(4)));
      case 0x70: // PUT p
        return this.#memoize(this.#index());
      case 0x71: // BINPUT q
        return this.#memoize(this.#in.byte());
      case 0x72: // LONG_BINPUT r
        return this.#memoize(this.#in.uint(4));
      case 0x94: // MEMOIZE
        return this.#memoize(this.#memo.length + this.#farMemo.size);

      case 0x63: { // GLOBAL c
        const module = this.#line();
        return this.#push(findGlobal(module, this.#line()).ref);
      }
      case 0x93: { // STACK_GLOBAL
        const name = this.#pop();
        const module = this.#pop();
        if (typeof name !== "string" || typeof module !== "string") return malformed("STACK_GLOBAL without names");
        return this.#push(findGlobal(module, name).ref);
      }
      case 0x52: { // REDUCE R
        const args = this.#pop();
        return this.#push(callGlobal(this.#heap, this.#pop(), args, "reduce"));
      }
      case 0x81: { // NEWOBJ
        const args = this.#pop();
        return this.#push(callGlobal(this.#heap, this.#pop(), args, "newobj"));
      }
      case 0x92: { // NEWOBJ_EX
        const named = this.#pop();
        const args = this.#pop();
        if (!(named instanceof Map) || named.size > 0) malformed("NEWOBJ_EX with named arguments");
        return this.#push(callGlobal(this.#heap, this.#pop(), args, "newobj"));
      }
      case 0x69: { // INST i
        const module = this.#line();
        const { ref } = findGlobal(module, this.#line());
        return this.#instantiate(ref, this.#popItems());
      }
      case 0x6f: { // OBJ o
        const [type, ...args] = this.#popItems();
        return this.#instantiate(type ?? null, args);
      }
      case 0x62: { // BUILD b
        const state = this.#pop();
        setState(this.#heap, this.#top(), state);
        return true;
      }

      case 0x80: { // PROTO
        const protocol = this.#in.byte();
        if (protocol > HIGHEST_PROTOCOL) malformed(`unsupported pickle protocol ${protocol}`);
        return true;
      }
      case 0x95: // FRAME
        this.#in.requireBytes(this.#in.uint64()); // what it is good for, reading ahead, is done: the input is in memory
        return true;
      case 0x50: // PERSID P
      case 0x51: // BINPERSID Q
        return refused("persistent ids are");
      case 0x82: // EXT1
        return refusedExtension(this.#in.byte());
      case 0x83: // EXT2
        return refusedExtension(this.#in.uint(2));
      case 0x84: // EXT4
        return refusedExtension(this.#in.uint(4));
      case 0x97: // NEXT_BUFFER
      case 0x98: // READONLY_BUFFER
        return malformed("out-of-band buffers are not supported,");
      default:
        return malformed(`unknown opcode 0x${opcode.toString(16).padStart(2, "0")}`);
    }
  }

  // Stack. All that push give true, "go on", so that a case can end with them.

  #push(value: Value, cost: number = COST.slot): true {
    this.#heap.charge(cost);
    this.#stack.push(value);
    return true;
  }

  #pushContainer(value: Value, cost: number): true {
    this.#heap.chargeContainer(cost);
    this.#stack.push(value);
    return true;
  }

  #pop(): Value {
    const value = this.#top();
    this.#stack.length--;
    return value;
  }

  #top(): Value {
    const value = this.#stack.at(-1);
    if (value === undefined || this.#stack.length <= this.#fence) return malformed("stack underflow");
    return value;
  }

  /** Closes the last MARK and gives the height of the stack at it. */
  #popMark(): number {
    const mark = this.#marks.pop();
    if (mark === undefined) return malformed("no MARK on the stack");
    this.#fence = this.#marks.at(-1) ?? 0;
    return mark;
  }

  #popItems(): Value[] {
    const mark = this.#popMark();
    if (mark === 0) { // nothing is under the mark: the stack itself becomes the list
      const items = this.#stack;
      this.#stack = [];
      return items;
    }
    const items = this.#stack.slice(mark);
    this.#heap.charge(COST.slot * items.length);
    this.#stack.length = mark;
    return items;
  }

  // Filling.

  #extend(target: Value, items: Value[]): true {
    this.#heap.charge(COST.slot * items.length);
    let list: Value[];
    if (Array.isArray(target)) list = target;
    else if (target instanceof Reduced && allowedGlobal(target.callable).fill === "append") {
      list = target.listItems ??= [];
    } else return malformed(`APPENDS on a ${pythonTypeName(target)}`);
    for (const item of items) list.push(item);
    return true;
  }

  #setItems(target: Value, items: Value[]): true {
    let dict: Map<Value, Value>;
    if (target instanceof Map) dict = target;
    else if (target instanceof Reduced && allowedGlobal(target.callable).fill === "setitem") {
      dict = target.dictItems ??= new Map();
    } else return malformed(`SETITEMS on a ${pythonTypeName(target)}`);
    if (items.length % 2 !== 0) malformed("a key without a value");
    for (let at = 0; at < items.length; at += 2) this.#heap.setItem(dict, items[at]!, items[at + 1]!);
    return true;
  }

  #instantiate(type: Value, args: Value[]): true {
    this.#heap.chargeContainer(COST.tuple);
    // Without arguments a class is not called, only made: `_instantiate` of Lib/pickle.py.
    const carried = type instanceof GlobalRef && allowedGlobal(type).use === "carry";
    const call = args.length === 0 && carried ? "newobj" : "reduce";
    return this.#push(callGlobal(this.#heap, type, new Tuple(args), call));
  }

  // Memo.

  #memoize(index: number): true {
    const value = this.#top();
    this.#heap.charge(COST.slot);
    if (index < this.#memo.length) this.#memo[index] = value;
    else if (index === this.#memo.length) this.#memo.push(value);
    else {
      this.#heap.charge(COST.entry);
      this.#farMemo.set(index, value);
    }
    return true;
  }

  #recall(index: number): Value {
    const value = this.#memo[index] ?? this.#farMemo.get(index);
    if (value === undefined && this.#memo[index] !== null) return malformed(`memo has no entry ${index}`);
    return value ?? null;
  }

  // Arguments.

  #line(): string {
    const line = this.#in.line();
    this.#heap.charge(COST.string + 2 * line.length);
    return line;
  }

  #index(): number {
    const index = text.parseIntText(this.#line(), "LONG");
    if (typeof index !== "bigint" || index < 0n || index > Number.MAX_SAFE_INTEGER) return malformed("bad memo index");
    return Number(index);
  }

  #pushInt(length: number): true {
    this.#heap.charge(length);
    return this.#push(text.intFromBytes(this.#in.take(length)), COST.int);
  }

  #pushAscii(length: number): true {
    return this.#push(text.requireAscii(this.#in.latin1(length)), COST.string + length);
  }

  #pushText(length: number): true {
    const value = this.#in.utf8(length);
    return this.#push(value, COST.string + 2 * value.length);
  }
}

/** What Python leaves to whoever loads the pickle, to call whatever they like. */
function refused(what: string): never {
  throw new TaskError("SECURITY_VIOLATION", `Cannot unpickle: ${what} not allowed`);
}

function refusedExtension(code: number): never {
  return refused(`the global with copyreg extension code ${code} is`);
}
