import assert from "node:assert/strict";
import { decodeWav, encodeWav, outputEncodingFor } from "../../workers/media/wav.ts";
import { chunk, fmt, wav } from "../fakes/wav_file.ts";

const EXTENSIBLE_PCM = [0x01, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];

interface Readable {
  readonly name: string;
  readonly file: Uint8Array;
  readonly samples: number[];
  readonly channels?: number;
}

const float64 = new Uint8Array(new Float64Array([0.5, -2]).buffer);
const readable: Readable[] = [
  { name: "pcm8", file: wav(fmt({ bits: 8 }), chunk("data", [0, 128, 255])), samples: [-1, 0, 127 / 128] },
  {
    name: "pcm16",
    file: wav(fmt({ bits: 16 }), chunk("data", [0, 0x80, 0xff, 0xff, 0, 0x40])),
    samples: [-1, -1 / 32768, 0.5],
  },
  {
    name: "pcm24",
    file: wav(fmt({ bits: 24 }), chunk("data", [0, 0, 0x80, 0xff, 0xff, 0xff, 1, 0, 0x40])),
    samples: [-1, -1 / 2 ** 23, 0.5 + 1 / 2 ** 23],
  },
  {
    name: "pcm32",
    file: wav(fmt({ bits: 32 }), chunk("data", [0, 0, 0, 0x80, 0, 0, 0, 0x40])),
    samples: [-1, 0.5],
  },
  {
    name: "float32",
    file: wav(fmt({ code: 3, bits: 32 }), chunk("data", new Uint8Array(new Float32Array([0.25, 1.5]).buffer))),
    samples: [0.25, 1.5],
  },
  { name: "float64", file: wav(fmt({ code: 3, bits: 64 }), chunk("data", float64)), samples: [0.5, -2] },
  {
    name: "two channels, which become planar",
    file: wav(fmt({ bits: 8, channels: 2 }), chunk("data", [0, 128, 64, 192])),
    samples: [-1, -0.5, 0, 0.5],
    channels: 2,
  },
  {
    name: "an extensible header with 20 bits in 3 bytes",
    file: wav(
      fmt({ code: 0xfffe, bits: 20, blockBytes: 3, extension: [22, 0, 20, 0, 4, 0, 0, 0, ...EXTENSIBLE_PCM] }),
      chunk("data", [0, 0, 0x40]),
    ),
    samples: [0.5],
  },
  {
    name: "other chunks of odd length before the data",
    file: wav(chunk("LIST", [1, 2, 3]), fmt({ bits: 8 }), chunk("junk", [9]), chunk("data", [128])),
    samples: [0],
  },
  {
    name: "a data chunk of unknown size, without the sample that ends too early",
    file: wav(fmt({ bits: 32 }), chunk("data", [0, 0, 0, 0x40, 7, 7], 0xffffffff)),
    samples: [0.5],
  },
  { name: "no samples", file: wav(fmt({ bits: 16 }), chunk("data", [])), samples: [] },
];

for (const { name, file, samples, channels = 1 } of readable) {
  Deno.test(`decodeWav() reads ${name}`, () => {
    const audio = decodeWav(file);
    assert.deepEqual([...audio.samples], samples);
    assert.equal(audio.channels, channels);
    assert.equal(audio.sampleRate, 8000);
  });
}

const malformed: { name: string; file: Uint8Array; message: RegExp }[] = [
  { name: "an empty file", file: new Uint8Array(), message: /Not a WAV file/ },
  { name: "another RIFF file", file: new TextEncoder().encode("RIFF....AVI LIST"), message: /Not a WAV file/ },
  { name: "a file over 4 GiB", file: new TextEncoder().encode("RF64....WAVEds64"), message: /RF64/ },
  { name: "a file without a format", file: wav(chunk("junk", [1, 2])), message: /no fmt chunk/ },
  { name: "a file without data", file: wav(fmt({ bits: 16 })), message: /no data chunk/ },
  { name: "data before the format", file: wav(chunk("data", []), fmt({ bits: 16 })), message: /before the fmt/ },
  { name: "a format of 4 bytes", file: wav(chunk("fmt ", [1, 0, 1, 0])), message: /4 bytes instead of 16/ },
  { name: "no channels", file: wav(fmt({ bits: 16, channels: 0 }), chunk("data", [])), message: /0 channels/ },
  { name: "a rate of 0 Hz", file: wav(fmt({ bits: 16, rate: 0 }), chunk("data", [])), message: /0 Hz/ },
  { name: "µ-law", file: wav(fmt({ code: 7, bits: 8 }), chunk("data", [])), message: /µ-law/ },
  { name: "12-byte samples", file: wav(fmt({ bits: 96 }), chunk("data", [])), message: /96 bits/ },
  { name: "16-bit floats", file: wav(fmt({ code: 3, bits: 16 }), chunk("data", [])), message: /float samples of 16/ },
  { name: "0 bits", file: wav(fmt({ bits: 0, blockBytes: 2 }), chunk("data", [])), message: /0 bits/ },
  { name: "cut-off data", file: wav(fmt({ bits: 16 }), chunk("data", [1, 2], 100)), message: /says 100 bytes/ },
  { name: "a cut-off chunk", file: wav(fmt({ bits: 16 }), chunk("junk", [1], 100)), message: /"junk" is cut off/ },
  { name: "half a sample", file: wav(fmt({ bits: 16 }), chunk("data", [1, 2, 3])), message: /no whole number/ },
  {
    name: "an unknown sub-format",
    file: wav(fmt({ code: 0xfffe, bits: 16, extension: new Array(24).fill(1) }), chunk("data", [])),
    message: /sub-format/,
  },
];

for (const { name, file, message } of malformed) {
  Deno.test(`decodeWav() refuses ${name}`, () => {
    assert.throws(() => decodeWav(file), { name: "MediaError", message });
  });
}

for (const encoding of ["pcm16", "pcm24", "float32"] as const) {
  Deno.test(`encodeWav() writes ${encoding} that reads back bit by bit`, () => {
    const samples = Float32Array.of(-1, -0.5, 0, 1 / 32768, 0.25, 32767 / 32768);
    const { bytes, clipped } = encodeWav({ samples, channels: 2, sampleRate: 44_100 }, encoding);
    assert.equal(clipped, 0);
    assert.deepEqual(decodeWav(bytes), { samples, channels: 2, sampleRate: 44_100, encoding });
    assert.equal(new DataView(bytes.buffer).getUint32(4, true), bytes.length - 8);
  });
}

Deno.test("encodeWav() pads data of odd length", () => {
  const { bytes } = encodeWav({ samples: Float32Array.of(0.5), channels: 1, sampleRate: 8000 }, "pcm24");
  assert.equal(bytes.length, 48);
  assert.deepEqual([...decodeWav(bytes).samples], [0.5]);
});

Deno.test("encodeWav() clips and counts samples beyond full scale, and not full scale itself", () => {
  const samples = Float32Array.of(1, -1, 1.5, -7, NaN, Infinity);
  const { bytes, clipped } = encodeWav({ samples, channels: 1, sampleRate: 8000 });
  assert.equal(clipped, 4);
  const highest = 32767 / 32768;
  assert.deepEqual([...decodeWav(bytes).samples], [highest, -1, highest, -1, 0, highest]);
});

for (const audio of [{ channels: 0, sampleRate: 8000 }, { channels: 1, sampleRate: 0.5 }]) {
  Deno.test(`encodeWav() refuses ${JSON.stringify(audio)}`, () => {
    assert.throws(() => encodeWav({ samples: new Float32Array(0), ...audio }), { name: "MediaError" });
  });
}

Deno.test("outputEncodingFor() keeps what the file held", () => {
  const encodings = ["pcm8", "pcm16", "pcm24", "pcm32", "float64"] as const;
  assert.deepEqual(encodings.map(outputEncodingFor), ["pcm16", "pcm16", "pcm24", "float32", "float32"]);
});
