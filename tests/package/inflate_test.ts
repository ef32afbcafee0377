import assert from "node:assert/strict";
import { constants, deflateRawSync, inflateRawSync } from "node:zlib";
import { inflateExactly } from "../../workers/package/_inflate.ts";
import { seededRandom } from "../support/random.ts";

const SOURCE = Deno.readFileSync(new URL(import.meta.url));

const CONTENTS: Record<string, Uint8Array> = {
  "nothing": new Uint8Array(),
  "one byte": Uint8Array.of(7),
  "text": SOURCE,
  "a long run": new Uint8Array(300_000).fill(65),
  "random bytes": randomBytes(70_000, 256),
  "few symbols": randomBytes(40_000, 3),
  "symbols of very different frequency, whose codes are long": skewedBytes(200_000),
};

const STRATEGIES = {
  default: constants.Z_DEFAULT_STRATEGY,
  filtered: constants.Z_FILTERED,
  "Huffman only": constants.Z_HUFFMAN_ONLY,
  "runs only": constants.Z_RLE,
  "fixed codes": constants.Z_FIXED,
};

function randomBytes(length: number, symbols: number): Uint8Array {
  const random = seededRandom(length);
  return Uint8Array.from({ length }, () => random() * symbols);
}

function skewedBytes(length: number): Uint8Array {
  const random = seededRandom(length);
  return Uint8Array.from({ length }, () => Math.min(255, Math.floor(-Math.log2(1 - random()) * 1.5)));
}

for (const [name, content] of Object.entries(CONTENTS)) {
  Deno.test(`inflateExactly() unpacks what zlib packed: ${name}`, () => {
    for (const [label, strategy] of Object.entries(STRATEGIES)) {
      for (const level of [0, 1, 6, 9]) {
        const packed = deflateRawSync(content, { strategy, level });
        assert.deepEqual(inflateExactly(packed, content.length), content, `${label}, level ${level}`);
      }
    }
  });
}

Deno.test("inflateExactly() stops at one byte more than was declared, and misses one that is not there", () => {
  for (const content of [SOURCE, new Uint8Array(100_000)]) {
    for (const level of [0, 9]) {
      const packed = deflateRawSync(content, { level });
      assert.equal(inflateExactly(packed, content.length - 1), "too long");
      assert.equal(inflateExactly(packed, content.length + 1), "too short");
    }
  }
});

Deno.test("inflateExactly() ignores what follows the end, and refuses data that is cut off anywhere", () => {
  for (const level of [0, 9]) {
    const packed = deflateRawSync(SOURCE.subarray(0, 500), { level });
    const longer = new Uint8Array([...packed, 1, 2, 3]);
    assert.deepEqual(inflateExactly(longer, 500), SOURCE.subarray(0, 500));
    for (let end = 0; end < packed.length; end++) {
      assert.equal(inflateExactly(packed.subarray(0, end), 500), "damaged", `${end} of ${packed.length} bytes`);
    }
  }
});

for (
  const [what, bytes] of Object.entries<readonly number[]>({
    "a block of the reserved type": [0b111],
    "a stored block whose lengths disagree": [1, 1, 0, 0, 0, 9],
    "a distance before the beginning": [0x03, 0x02, 0x00],
    "more codes than there are symbols": [0b11111101, 0xff, 0xff, 0xff],
  })
) {
  Deno.test(`inflateExactly() refuses ${what}`, () => {
    assert.equal(inflateExactly(Uint8Array.from(bytes), 100), "damaged");
    assert.throws(() => inflateRawSync(Uint8Array.from(bytes)));
  });
}

Deno.test("inflateExactly() takes of damaged data what zlib takes, and nothing else", () => {
  const random = seededRandom(1951);
  const taken = { yes: 0, no: 0 };
  for (let round = 0; round < 6_000; round++) {
    const content = SOURCE.subarray(0, 20 + Math.floor(random() * 400));
    const packed = new Uint8Array(deflateRawSync(content, { level: round % 10, strategy: round % 5 }));
    for (let faults = 1 + Math.floor(random() * 3); faults > 0; faults--) {
      packed[Math.floor(random() * packed.length)]! ^= 1 << Math.floor(random() * 8);
    }
    const expected = inflatedByZlib(packed);
    if (expected === undefined) {
      // What zlib refuses may already be too long before the damage.
      assert.notEqual(typeof inflateExactly(packed, content.length), "object", packed.toHex());
      assert.equal(inflateExactly(packed, 100_000), "damaged", packed.toHex());
    } else {
      assert.deepEqual(inflateExactly(packed, expected.length), expected, packed.toHex());
    }
    taken[expected === undefined ? "no" : "yes"]++;
  }
  assert(taken.yes > 300 && taken.no > 300, JSON.stringify(taken));
});

function inflatedByZlib(packed: Uint8Array): Uint8Array | undefined {
  try {
    return new Uint8Array(inflateRawSync(packed));
  } catch {
    return undefined;
  }
}
