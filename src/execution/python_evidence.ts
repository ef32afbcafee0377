/**
 * Which version of CPython a pickle was made by. Classes and functions that cloudpickle takes along by value are code
 * objects, and their bytecode is that of one version alone. It is read here as bytes; nothing is unpickled, and nothing
 * but the choice of a sandbox depends on it.
 *
 * @module
 */

import { Buffer } from "node:buffer";

/** A version by its name, `3.11`, or what is none that we know the bytecode of. */
export type PythonEvidence = "3.11" | "3.12" | "3.13" | "3.14" | "another";

/** Versions whose functions begin with the same instruction. */
interface Dialect {
  readonly versions: readonly PythonEvidence[];
  /** `RESUME`, the first instruction since 3.11 but for those of `before`. */
  readonly resume: number;
  /** `MAKE_CELL`, `COPY_FREE_VARS`, `RETURN_GENERATOR`, `POP_TOP`. */
  readonly before: readonly number[];
}

/** Numbers of instructions, from CPython's Lib/opcode.py (3.11, 3.12) and Lib/_opcode_metadata.py (3.13, 3.14). */
const DIALECTS: readonly Dialect[] = [
  { versions: ["3.11", "3.12"], resume: 151, before: [135, 149, 75, 1] },
  { versions: ["3.13"], resume: 149, before: [94, 62, 35, 32] },
  { versions: ["3.14"], resume: 128, before: [97, 60, 34, 31] },
];
/** Instructions that 3.11 has and 3.12 has not, `PRECALL` (166) and `LOAD_METHOD` (160) above all. */
const ONLY_IN_311: ReadonlySet<number> = new Set([10, 70, 82, 84, 86, 88, 111, 112, 148, 160, 166]);
/** Instructions that 3.12 has and 3.11 has not, `RETURN_CONST` (121) above all. */
const ONLY_IN_312: ReadonlySet<number> = new Set([3, 4, 5, 26, 27, 55, 121, 127, 141, 143, 150]);

const PICKLE_KEY = "serialized_object";
/** Base64 of opcode PROTO and the numbers 0 to 3, or 4 to 7; `gA` is what both begin with. */
const PICKLE_START = "gA";
const MAX_SEARCHED_BYTES = 1024 * 1024;
const MAX_PICKLE_BYTES = 1024 * 1024;
const MAX_GAP_BYTES = 100;

/** Numbers that `code` is called with before its bytecode: argument counts, locals, stack size, flags. */
const NUMBERS_BEFORE_CODE = 6;
const CODE_TYPE = new TextEncoder().encode("CodeType");
/** Code objects that are looked at: one tells, and the others make sure. */
const MAX_CODE_OBJECTS = 200;

/**
 * Reads which version made a pickle that is given as base64 text, or the beginning of one.
 * @returns `undefined` where nothing tells: all of its code is named, and lies elsewhere
 */
export function evidenceInBase64(text: Uint8Array): PythonEvidence | undefined {
  const whole = new TextDecoder().decode(text).replace(/\s+/g, "");
  const clean = whole.slice(0, whole.search(/[^A-Za-z0-9+/]|$/));
  try {
    return evidenceInPickle(Uint8Array.fromBase64(clean.slice(0, clean.length - clean.length % 4)));
  } catch {
    return undefined;
  }
}

/**
 * Finds the base64 text of a pickle in the input of a node, whatever the input is written in: after the key that it
 * stands under, where a pickle of protocol 2 or later begins. Only the beginning of the input is looked at.
 * @returns the text and whatever follows it; `undefined` where there is none
 */
export function findPickle(input: Uint8Array): Uint8Array | undefined {
  const { buffer, byteOffset, byteLength } = input;
  const head = Buffer.from(buffer, byteOffset, Math.min(byteLength, MAX_SEARCHED_BYTES));
  const key = head.indexOf(PICKLE_KEY);
  if (key === -1) return undefined;
  const start = head.indexOf(PICKLE_START, key);
  // A quote, a length and opcodes stand between a key and its value, and white space may.
  if (start === -1 || start - key > MAX_GAP_BYTES) return undefined;
  return head.subarray(start, start + MAX_PICKLE_BYTES);
}

/** Reads which version made a pickle, or the beginning of one. */
export function evidenceInPickle(pickle: Uint8Array): PythonEvidence | undefined {
  let candidates: readonly PythonEvidence[] = [];
  let seen = 0;
  for (const code of bytecodes(pickle)) {
    const versions = versionsOf(code);
    const both = candidates.filter((version) => versions.includes(version));
    if (candidates.length === 0) candidates = versions;
    else if (both.length > 0) candidates = both;
    if (++seen === MAX_CODE_OBJECTS) break;
  }
  if (seen === 0) return undefined;
  // Where 3.11 and 3.12 have said the same all along, they mean the same by it.
  return candidates[0] ?? "another";
}

function versionsOf(code: Uint8Array): readonly PythonEvidence[] {
  // What has another beginning may be no code at all.
  const dialect = DIALECTS.find(({ resume, before }) => {
    let at = 0;
    while (at < code.length && before.includes(code[at] ?? 0)) at += 2;
    return code[at] === resume;
  });
  if (dialect === undefined) return [];
  if (dialect.versions.length === 1) return dialect.versions;
  // An instruction is two bytes; its inline caches are zeroes.
  for (let at = 0; at < code.length; at += 2) {
    const instruction = code[at] ?? 0;
    if (ONLY_IN_311.has(instruction)) return ["3.11"];
    if (ONLY_IN_312.has(instruction)) return ["3.12"];
  }
  return dialect.versions;
}

/** Every string of bytes that stands where a code object has its bytecode. */
function* bytecodes(pickle: Uint8Array): Generator<Uint8Array> {
  const view = new DataView(pickle.buffer, pickle.byteOffset, pickle.byteLength);
  let numbers = 0;
  let hasCode = false;
  for (let at = 0; at < pickle.length;) {
    const opcode = pickle[at] ?? 0;
    const size = argumentSize(view, at + 1, opcode);
    if (size === undefined) return;
    const isBytes = opcode === OP.SHORT_BINBYTES || opcode === OP.BINBYTES;
    if (hasCode && isBytes && numbers === NUMBERS_BEFORE_CODE) {
      const code = pickle.subarray(at + 1 + (opcode === OP.SHORT_BINBYTES ? 1 : 4), at + 1 + size);
      if (code.length >= 2 && code.length % 2 === 0) yield code;
    }
    // cloudpickle asks for the type by name before it calls it for the first time.
    if (opcode === OP.SHORT_BINUNICODE) hasCode ||= isCodeType(pickle.subarray(at + 2, at + 1 + size));
    if (opcode === OP.BININT || opcode === OP.BININT1 || opcode === OP.BININT2) numbers++;
    // What is remembered is still what it was, and a frame's head is nothing.
    else if (opcode !== OP.MEMOIZE && opcode !== OP.FRAME) numbers = 0;
    at += 1 + size;
  }
}

function isCodeType(text: Uint8Array): boolean {
  return text.length === CODE_TYPE.length && CODE_TYPE.every((byte, at) => byte === text[at]);
}

/** Opcodes of pickles with an argument (Lib/pickletools.py), protocols 2 and up. */
const OP = {
  BININT: 0x4a,
  BININT1: 0x4b,
  BININT2: 0x4d,
  LONG1: 0x8a,
  LONG4: 0x8b,
  BINFLOAT: 0x47,
  BINUNICODE: 0x58,
  SHORT_BINUNICODE: 0x8c,
  BINUNICODE8: 0x8d,
  BINBYTES: 0x42,
  SHORT_BINBYTES: 0x43,
  BINBYTES8: 0x8e,
  BYTEARRAY8: 0x96,
  GLOBAL: 0x63,
  BINGET: 0x68,
  LONG_BINGET: 0x6a,
  BINPUT: 0x71,
  LONG_BINPUT: 0x72,
  PROTO: 0x80,
  EXT1: 0x82,
  EXT2: 0x83,
  EXT4: 0x84,
  MEMOIZE: 0x94,
  FRAME: 0x95,
} as const;

/** Opcodes whose argument is text up to a line's end: protocol 0 wrote them, and nothing of cloudpickle's does. */
const TEXTUAL: ReadonlySet<number> = new Set([...new TextEncoder().encode("FILSVgipP")]);

/** Bytes that follow an opcode; `undefined` where the pickle ends before, or is none of cloudpickle's. */
function argumentSize(view: DataView, at: number, opcode: number): number | undefined {
  const left = view.byteLength - at;
  /** An argument that says its own length in so many bytes. */
  const counted = (lengthBytes: 1 | 4 | 8): number | undefined => {
    if (left < lengthBytes) return undefined;
    const length = lengthBytes === 1
      ? view.getUint8(at)
      : lengthBytes === 4
      ? view.getUint32(at, true)
      : Number(view.getBigUint64(at, true));
    return lengthBytes + length <= left ? lengthBytes + length : undefined;
  };
  switch (opcode) {
    case OP.BININT1:
    case OP.BINGET:
    case OP.BINPUT:
    case OP.PROTO:
    case OP.EXT1:
      return left >= 1 ? 1 : undefined;
    case OP.BININT2:
    case OP.EXT2:
      return left >= 2 ? 2 : undefined;
    case OP.BININT:
    case OP.LONG_BINGET:
    case OP.LONG_BINPUT:
    case OP.EXT4:
      return left >= 4 ? 4 : undefined;
    case OP.BINFLOAT:
    case OP.FRAME:
      return left >= 8 ? 8 : undefined;
    case OP.SHORT_BINUNICODE:
    case OP.SHORT_BINBYTES:
    case OP.LONG1:
      return counted(1);
    case OP.BINUNICODE:
    case OP.BINBYTES:
    case OP.LONG4:
      return counted(4);
    case OP.BINUNICODE8:
    case OP.BINBYTES8:
    case OP.BYTEARRAY8:
      return counted(8);
    case OP.GLOBAL: {
      let lines = 0;
      for (let end = at; end < view.byteLength; end++) {
        if (view.getUint8(end) === 0x0a && ++lines === 2) return end + 1 - at;
      }
      return undefined;
    }
    default:
      return TEXTUAL.has(opcode) ? undefined : 0;
  }
}
