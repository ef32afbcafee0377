import assert from "node:assert/strict";
import { encode } from "fast-png";
import { decodePng, encodePng } from "../../workers/media/png.ts";

for (const channels of [1, 3, 4]) {
  Deno.test(`encodePng() writes ${channels} channels that read back the same`, () => {
    const pixels = Uint8Array.from({ length: 3 * 2 * channels }, (_, index) => index * 10);
    const picture = { pixels, width: 3, height: 2, channels };
    assert.deepEqual(decodePng(encodePng(picture)), picture);
  });
}

const readable = [
  {
    name: "16 bits a channel as the upper 8",
    file: encode({ width: 2, height: 1, depth: 16, channels: 1, data: Uint16Array.of(0xff01, 0x1280) }),
    picture: { pixels: Uint8Array.of(0xff, 0x12), width: 2, height: 1, channels: 1 },
  },
  {
    name: "gray with alpha as RGBA",
    file: encode({ width: 1, height: 1, channels: 2, data: Uint8Array.of(7, 100) }),
    picture: { pixels: Uint8Array.of(7, 7, 7, 100), width: 1, height: 1, channels: 4 },
  },
  {
    name: "one bit of gray as 0 and 255, each row from a byte of its own",
    file: encode({ width: 3, height: 2, depth: 1, channels: 1, data: Uint8Array.of(0b1010_0000, 0b0110_0000) }),
    picture: { pixels: Uint8Array.of(255, 0, 255, 0, 255, 255), width: 3, height: 2, channels: 1 },
  },
  {
    name: "a palette as RGB",
    file: encode({
      width: 2,
      height: 1,
      depth: 8,
      channels: 1,
      palette: [[1, 2, 3], [4, 5, 6]],
      data: Uint8Array.of(1, 0),
    }),
    picture: { pixels: Uint8Array.of(4, 5, 6, 1, 2, 3), width: 2, height: 1, channels: 3 },
  },
];

for (const { name, file, picture } of readable) {
  Deno.test(`decodePng() reads ${name}`, () => assert.deepEqual(decodePng(file), picture));
}

const whole = encodePng({ pixels: new Uint8Array(12), width: 2, height: 2, channels: 3 });
const huge = whole.slice();
new DataView(huge.buffer).setUint32(16, 1_000_000);
const empty = whole.slice();
new DataView(empty.buffer).setUint32(20, 0);
const damaged = whole.slice();
damaged[25] = 9; // The colour type, after which the checksum is wrong.

const malformed = [
  { name: "an empty file", file: new Uint8Array(), message: /Not a PNG file/ },
  { name: "a JPEG", file: Uint8Array.of(0xff, 0xd8, 0xff, 0xe0), message: /Not a PNG file/ },
  { name: "a header that ends", file: whole.slice(0, 20), message: /ends within its header/ },
  { name: "a file that ends", file: whole.slice(0, 45), message: /Malformed PNG file/ },
  { name: "no rows", file: empty, message: /2 × 0 pixels/ },
  { name: "more pixels than memory may hold", file: huge.with(4 + 16, 1), message: /too large/ },
  { name: "damaged bytes", file: damaged, message: /Malformed PNG file/ },
];

for (const { name, file, message } of malformed) {
  Deno.test(`decodePng() refuses ${name}`, () => {
    assert.throws(() => decodePng(file), { name: "MediaError", message });
  });
}

Deno.test("encodePng() refuses pictures that a PNG cannot hold", () => {
  const picture = { pixels: new Uint8Array(0), width: 1, height: 1, channels: 2 };
  assert.throws(() => encodePng(picture), { name: "MediaError", message: /channels, not 2/ });
  assert.throws(() => encodePng({ ...picture, channels: 3, width: 0 }), { message: /0 × 1/ });
  assert.throws(() => encodePng({ ...picture, channels: 3 }), RangeError);
});
