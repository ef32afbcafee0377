/**
 * Damage to protobuf messages that knows their encoding: https://protobuf.dev/programming-guides/encoding/
 * @module
 */

import { bytesOf, concat } from "../support/zip_writer.ts";
import { ODD_TEXTS } from "./json_values.ts";
import { EDGES } from "./mutate.ts";
import type { Random } from "./random.ts";

/** One field: its number, its wire type, and what follows the tag, the length of a LEN field excluded. */
interface Field {
  readonly number: number;
  readonly type: number;
  readonly body: Uint8Array;
}

const VARINT = 0;
const FIXED64 = 1;
const LEN = 2;
const START_GROUP = 3;
const END_GROUP = 4;
const FIXED32 = 5;

/** Varints that end too late, never, or beyond 64 bits. */
const HUGE_VARINTS = [10, 11, 20, 200].map((length) => {
  const bytes = new Uint8Array(length).fill(0xff);
  bytes[length - 1] = 0x7f;
  return bytes;
});

/** Damages a message in one place, perhaps deep inside. What cannot be taken apart comes back as it is. */
export function damageMessage(bytes: Uint8Array, random: Random): Uint8Array {
  const fields = tryFields(bytes) ?? [];
  const at = random.below(fields.length);
  const field = fields[at];
  if (field === undefined) return concat(bytes, oddField(random));
  const replaced = (...others: readonly Field[]) => write(fields.toSpliced(at, 1, ...others));
  switch (random.below(9)) {
    case 0:
      return replaced({ ...field, number: random.pick([1, 2, 15, 16, 100, 2 ** 29 - 1]) });
    case 1:
      return replaced({ ...field, type: random.below(8) });
    case 2:
      return replaced();
    case 3:
      return replaced(...Array.from({ length: random.skewed(3_000) + 2 }, () => field));
    case 4: // an odd field before, between or after
      return concat(write(fields.slice(0, at)), oddField(random), write(fields.slice(at)));
    case 5: // a length that is a lie
      return concat(write(fields.slice(0, at)), tag(field.number, LEN), varint(random.pick(EDGES)), field.body);
    case 6:
      return replaced({ ...field, type: LEN, body: bytesOf(random.pick(ODD_TEXTS)) });
    case 7:
      return replaced({ ...field, type: LEN, body: Uint8Array.of(0xff, 0xc0, 0x80, random.below(256)) });
    default: // deeper
      return replaced({ ...field, body: field.type === LEN ? damageMessage(field.body, random) : field.body });
  }
}

/** A field that no honest writer makes. */
function oddField(random: Random): Uint8Array {
  const number = random.pick([0, 1, 2, 3, 4, 5, 6, 19_000, 2 ** 29 - 1]);
  switch (random.below(5)) {
    case 0: { // groups in groups, closed or not
      const depth = random.skewed(20_000) + 1;
      const open = concat(...Array.from({ length: depth }, () => tag(number, START_GROUP)));
      return random.chance(0.5) ? open : concat(open, ...Array.from({ length: depth }, () => tag(number, END_GROUP)));
    }
    case 1:
      return tag(number, END_GROUP);
    case 2:
      return concat(tag(number, VARINT), random.pick(HUGE_VARINTS));
    case 3: { // messages in messages
      let body: Uint8Array = new Uint8Array();
      for (let depth = random.skewed(300); depth > 0; depth--) body = write([{ number: 5, type: LEN, body }]);
      return body;
    }
    default:
      return write([{ number, type: LEN, body: random.bytes(random.skewed(40)) }]);
  }
}

function tryFields(bytes: Uint8Array): Field[] | undefined {
  const fields: Field[] = [];
  for (let at = 0; at < bytes.length;) {
    const [key, start] = readVarint(bytes, at);
    const type = key % 8;
    let from = start;
    let end = start;
    if (type === VARINT) end = readVarint(bytes, start)[1];
    else if (type === FIXED64) end = start + 8;
    else if (type === FIXED32) end = start + 4;
    else if (type === LEN) {
      const [length, next] = readVarint(bytes, start);
      from = next;
      end = next + length;
    } else return undefined;
    if (end > bytes.length) return undefined;
    fields.push({ number: Math.floor(key / 8), type, body: bytes.subarray(from, end) });
    at = end;
  }
  return fields;
}

function readVarint(bytes: Uint8Array, at: number): [value: number, next: number] {
  let value = 0;
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = bytes[at++] ?? 0;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) break;
  }
  return [value, at];
}

function write(fields: readonly Field[]): Uint8Array {
  return concat(
    ...fields.flatMap(({ number, type, body }) =>
      type === LEN ? [tag(number, type), varint(body.length), body] : [tag(number, type), body]
    ),
  );
}

function tag(number: number, type: number): Uint8Array {
  return varint(number * 8 + type);
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (; value >= 0x80; value = Math.floor(value / 128)) bytes.push(value % 128 | 0x80);
  return Uint8Array.of(...bytes, value);
}
