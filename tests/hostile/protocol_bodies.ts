/**
 * The corpus' messages that break decoders (`proto-bad-…`).
 * @module
 */

import { seededRandom } from "../support/random.ts";
import { concat } from "../support/zip_writer.ts";
import type { ProtocolCase, ProtocolCases } from "./target.ts";

const NESTED_MESSAGES = 50_000;
const MAX_NESTED_BYTES = 3_000_000;
const SEEDS = 500;
const TASK_SEEDS = 100;

/** Bytes of a text whose characters stand for one byte each, as in Python's `b'…'`. */
export function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** Base 128, the lowest digits first (https://protobuf.dev/programming-guides/encoding/#varints). */
export function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  do {
    const digit = Number(rest & 127n);
    rest >>= 7n;
    bytes.push(rest === 0n ? digit : digit | 128);
  } while (rest !== 0n);
  return Uint8Array.from(bytes);
}

export const BODIES: ProtocolCases = {
  "proto-bad-truncated": body(() => latin1("\x0a\x7fabc")),
  "proto-bad-varint-overflow": body(() => latin1("\x08" + "\xff".repeat(11))),
  "proto-bad-field0": body(() => latin1("\x00\x01")),
  "proto-bad-groups": body(() => new Uint8Array(100_000).fill(0x0b)),
  "proto-bad-nested": body(nestedMessages),
  "proto-bad-packed": {
    ...body(() => concat(latin1("\x0a\xc0\x8d\xb7\x01"), new Uint8Array(3_000_000).fill(1))),
    instead: { status: "RESOURCE_LIMIT", why: "a node type of 3 MB is over the limit of texts" },
  },
  "proto-bad-random": {
    async attack(target) {
      return await Promise.all(Array.from({ length: SEEDS }, (_, seed) => {
        const random = seededRandom(seed);
        const bytes = Uint8Array.from({ length: 4_096 }, () => Math.floor(random() * 256));
        // Some can be read, and then a task takes a sandbox of its own.
        return seed < TASK_SEEDS ? target.sendTask(bytes, `seed ${seed}`) : target.sendNode(bytes, `seed ${seed}`);
      }));
    },
  },
  "proto-bad-badutf8": body(() => latin1("\x0a\x06\xff\xfe\xc0\x80\xed\xa0" + "\x12\x03\xed\xa0\x80")),
};

function body(make: () => Uint8Array): ProtocolCase {
  return { attack: (target) => target.sendRaw(make()) };
}

/** Written from the end, since each header has the length of all that follows. */
function nestedMessages(): Uint8Array {
  const bytes = new Uint8Array(MAX_NESTED_BYTES);
  let start = bytes.length;
  for (let depth = 0; depth < NESTED_MESSAGES; depth++) {
    const header = concat(Uint8Array.of(0x0a), varint(BigInt(bytes.length - start)));
    if (header.length > start) break;
    start -= header.length;
    bytes.set(header, start);
  }
  return bytes.subarray(start);
}
