/**
 * The pickle codec: damaged pickles of CPython, and sequences of opcodes that nobody wrote.
 * @module
 */

import assert from "node:assert/strict";
import vectorFile from "../../data/pickle-vectors.json" with { type: "json" };
import { concat } from "../../support/zip_writer.ts";
import { decodePickle } from "../../../workers/codecs/pickle_decode.ts";
import { encodePickle } from "../../../workers/codecs/pickle_encode.ts";
import { pureTarget, type Target } from "../engine.ts";
import { EDGES, mutate } from "../mutate.ts";
import { assertSameValue, heldBytes } from "../python_values.ts";
import type { Random } from "../random.ts";
import { attempt } from "../task_errors.ts";

const LIMITS = { maxDepth: 100, memoryLimitBytes: 200_000, maxOutputBytes: 1_000_000 };

const VECTORS = vectorFile.vectors.map(({ pickle }) => Uint8Array.fromBase64(pickle));

const ALLOWED = [
  ["builtins", "list"],
  ["builtins", "set"],
  ["builtins", "frozenset"],
  ["builtins", "complex"],
  ["builtins", "bytearray"],
  ["builtins", "range"],
  ["builtins", "int"],
  ["builtins", "object"],
  ["_codecs", "encode"],
  ["copyreg", "_reconstructor"],
  ["collections", "OrderedDict"],
  ["collections", "defaultdict"],
  ["collections", "deque"],
  ["datetime", "datetime"],
  ["numpy", "ndarray"],
  ["numpy", "dtype"],
  ["numpy", "float32"],
  ["numpy.core.multiarray", "_reconstruct"],
  ["numpy._core.multiarray", "scalar"],
  ["numpy.core.numeric", "_frombuffer"],
] as const;
const REFUSED = [["os", "system"], ["builtins", "eval"], ["__builtin__", "getattr"], ["", ""]] as const;

/** Opcodes without arguments: https://github.com/python/cpython/blob/3.13/Lib/pickletools.py */
const PLAIN = "(.012N]})aelstdubRoQ\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94\x97\x98";
/** Those that make something; the others need something to be there, so these come more often. */
const MAKERS = "N]})(\x88\x8f2";

/** Pickles of protocols 0 to 5. */
export const pickle: Target = pureTarget({
  name: "pickle",
  description: "the pickle codec",
  iterations: 6_000,
  reaches: ["fine", "INVALID_TASK", "SECURITY_VIOLATION", "RESOURCE_LIMIT"],
  generate(random) {
    if (random.chance(0.4)) {
      return mutate(random.pick(VECTORS), random, { donor: random.pick(VECTORS), maxSteps: random.pick([1, 1, 2, 4]) });
    }
    const made = program(random);
    return random.chance(0.2) ? mutate(made, random, { donor: random.pick(VECTORS) }) : made;
  },
  run(input) {
    const codes = ["INVALID_TASK", "SECURITY_VIOLATION", "RESOURCE_LIMIT"] as const;
    const read = attempt(codes, () => decodePickle(input, LIMITS));
    if ("refused" in read) return read.refused;
    const held = heldBytes(read.value);
    assert(held <= LIMITS.memoryLimitBytes + input.buffer.byteLength, `it holds ${held} bytes`);
    const written = attempt(["TASK_FAILED", "RESOURCE_LIMIT"], () => encodePickle(read.value, LIMITS));
    if ("refused" in written) return `${written.refused} on the way back`;
    const again = decodePickle(written.value, { ...LIMITS, memoryLimitBytes: 50_000_000 });
    assertSameValue(again, read.value);
    return "fine";
  },
});

/** A sequence of opcodes that is well formed more often than not. */
function program(random: Random): Uint8Array {
  const parts: Uint8Array[] = random.chance(0.7) ? [Uint8Array.of(0x80, random.skewed(7))] : [];
  for (let count = random.between(1, random.chance(0.1) ? 300 : 25); count > 0; count--) {
    parts.push(random.chance(0.02) ? repeated(random) : step(random));
  }
  return concat(...parts, latin1("."));
}

/** The same few opcodes again and again: depth, fan-out, growth. */
function repeated(random: Random): Uint8Array {
  const piece = concat(...Array.from({ length: random.between(1, 3) }, () => step(random)));
  return concat(...Array.from({ length: random.skewed(3_000) }, () => piece));
}

function step(random: Random): Uint8Array {
  switch (random.below(10)) {
    case 0:
    case 1:
      return latin1(random.pick(PLAIN));
    case 2:
    case 3:
      return latin1(random.pick(MAKERS));
    case 4:
      return number(random);
    case 5:
      return sized(random);
    case 6:
      return line(random);
    case 7:
      return memo(random);
    case 8:
      return call(random);
    default:
      return random.pick([
        latin1("\x85R"),
        latin1("ub"),
        latin1("]a"),
        latin1("q\0h\0\x86"),
        latin1("(h\0e"),
        latin1("NNs"),
      ]);
  }
}

function number(random: Random): Uint8Array {
  switch (random.below(5)) {
    case 0:
      return concat(latin1("K"), random.bytes(1));
    case 1:
      return concat(latin1("M"), random.bytes(2));
    case 2:
      return concat(latin1("J"), random.bytes(4));
    case 3:
      return concat(latin1("G"), random.chance(0.3) ? Uint8Array.of(0x7f, 0xf8, 0, 0, 0, 0, 0, 1) : random.bytes(8));
    default: {
      const length = random.skewed(100);
      return concat(latin1("\x8a"), Uint8Array.of(length), random.bytes(length));
    }
  }
}

/** Text and bytes with their length, which is a lie now and then. */
function sized(random: Random): Uint8Array {
  const body = random.chance(0.6) ? new Uint8Array(random.skewed(300)).fill(0x61) : random.bytes(random.skewed(30));
  const [opcode, width] = random.pick(
    [
      ["U", 1],
      ["C", 1],
      ["\x8c", 1],
      ["T", 4],
      ["B", 4],
      ["X", 4],
      ["\x8b", 4],
      [
        "\x8d",
        8,
      ],
      ["\x8e", 8],
      ["\x96", 8],
      ["\x95", 8],
    ] as const,
  );
  const length = new Uint8Array(8);
  const claimed = random.chance(0.05) ? random.pick(EDGES) : body.length;
  new DataView(length.buffer).setBigUint64(0, BigInt(claimed), true);
  return concat(latin1(opcode), length.subarray(0, width), body);
}

const LINES = [
  "I01\n",
  "I-5\n",
  "I1_0\n",
  "L9999999999999999999L\n",
  `L${"9".repeat(5_000)}L\n`,
  "F1e400\n",
  "Fnan\n",
  "F 1\n",
  "S'a\\x00'\n",
  "S'\n",
  "Va\\u00e9\\ud800\n",
  "V\\U00110000\n",
  "g0\n",
  "g-1\n",
  "p1\n",
  "p99999999999\n",
  "P1\n",
  "i__builtin__\nset\n",
];

function line(random: Random): Uint8Array {
  return latin1(random.pick(LINES));
}

function memo(random: Random): Uint8Array {
  const index = random.chance(0.1) ? random.below(256) : random.below(4);
  const wide = Uint8Array.of(index, 0, 0, random.chance(0.1) ? 0xff : 0);
  return random.pick([
    concat(latin1("q"), Uint8Array.of(index)),
    concat(latin1("h"), Uint8Array.of(index)),
    concat(latin1("r"), wide),
    concat(latin1("j"), wide),
    latin1("\x94"),
  ]);
}

/** A global, and often the call of it. */
function call(random: Random): Uint8Array {
  const [module, name] = random.chance(0.02) ? random.pick(REFUSED) : random.pick(ALLOWED);
  const named = random.chance(0.5)
    ? latin1(`c${module}\n${name}\n`)
    : concat(short(module), short(name), latin1("\x93"));
  const args = Array.from({ length: random.below(4) }, () => random.chance(0.5) ? argument(random) : number(random));
  const end = random.pick(["tR", "t\x81", "tRN", "tR}b", "tR(", "t"]);
  return random.chance(0.2) ? named : concat(named, latin1("("), ...args, latin1(end));
}

function argument(random: Random): Uint8Array {
  const dtype = concat(latin1("cnumpy\ndtype\n"), short(random.pick(["f4", "i8", "O8", "V12", ">f4", "U3"])));
  return random.pick([
    latin1("]"),
    latin1(")"),
    latin1("N"),
    short("latin1"),
    short("C"),
    concat(dtype, latin1("\x89\x88\x87R")),
    latin1("K\x02\x85"),
    concat(latin1("C\x08"), random.bytes(8)),
    latin1("cnumpy\nndarray\n"),
    latin1("cbuiltins\nobject\n"),
  ]);
}

function short(text: string): Uint8Array {
  return concat(latin1("\x8c"), Uint8Array.of(text.length), latin1(text));
}

/** A byte for each character. */
function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
