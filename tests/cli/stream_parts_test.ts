import assert from "node:assert/strict";
import { encodeWav, encodeWavHead, type WavEncoding } from "../../workers/media/wav.ts";
import { UsageError } from "../../src/cli/errors.ts";
import { ByteReader } from "../../src/cli/stream/byte_reader.ts";
import { LatencyMeter } from "../../src/cli/stream/latency.ts";
import { type Clock, paced } from "../../src/cli/stream/pace.ts";
import { type Chunk, SoundSource } from "../../src/cli/stream/sound_source.ts";
import { type Segment, SpeechSegments } from "../../src/cli/stream/speech.ts";
import { chunk, fmt, wav } from "../fakes/wav_file.ts";

const NEVER = new AbortController().signal;

/** The bytes in pieces of so many. */
async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += size) {
    yield await Promise.resolve(bytes.slice(start, start + size));
  }
}

async function readSound(bytes: Uint8Array, { size = 7, length = 2 } = {}) {
  await using reader = new ByteReader(pieces(bytes, size), NEVER);
  const source = await SoundSource.wav(reader, "in.wav");
  const warnings: string[] = [];
  const chunks = await Array.fromAsync(source.chunks(length, (text) => warnings.push(text)));
  return { format: source.format, chunks, warnings };
}

const SAMPLES = Float32Array.of(0.5, -0.5, 0.25, 0, 0.75);

for (const size of [1, 7, 1_000]) {
  Deno.test(`SoundSource.wav() cuts a file that comes in pieces of ${size} bytes into chunks`, async () => {
    const { bytes } = encodeWav({ samples: SAMPLES, channels: 1, sampleRate: 8 });
    const { format, chunks, warnings } = await readSound(bytes, { size });
    assert.deepEqual([format.sampleRate, format.channels, format.encoding], [8, 1, "pcm16"]);
    assert.deepEqual(chunks.map(({ samples }) => [...samples]), [[0.5, -0.5], [0.25, 0], [0.75]]);
    assert.deepEqual(chunks.map(({ start, end }) => [start, end]), [[0, 0.25], [0.25, 0.5], [0.5, 0.625]]);
    assert.deepEqual(warnings, []);
  });
}

Deno.test("SoundSource.wav() reads to the end where the size is unknown, and no further than it where it is known", async () => {
  const head = encodeWavHead({ channels: 1, sampleRate: 8 }, "float32", undefined);
  const { chunks } = await readSound(Uint8Array.from([...head, ...new Uint8Array(SAMPLES.buffer)]));
  assert.deepEqual(chunks.flatMap(({ samples }) => [...samples]), [...SAMPLES]);
  const followed = wav(fmt({ bits: 16 }), chunk("data", [0, 0x40, 0, 0x40]), chunk("LIST", [1, 2, 3, 4]));
  assert.deepEqual((await readSound(followed)).chunks.map(({ samples }) => [...samples]), [[0.5, 0.5]]);
});

const odd = [
  {
    name: "less sound than it says",
    file: wav(fmt({ bits: 16 }), chunk("data", [0, 0x40], 8)),
    message: /6 bytes of sound less/,
  },
  {
    name: "half a sample",
    file: wav(fmt({ bits: 16 }), chunk("data", [0, 0x40, 9], 0xffffffff)),
    message: /within a sample/,
  },
];

for (const { name, file, message } of odd) {
  Deno.test(`SoundSource.chunks() warns of a file with ${name}, and gives what there is`, async () => {
    const { chunks, warnings } = await readSound(file.slice(0, name === "half a sample" ? -1 : undefined));
    assert.deepEqual(chunks.map(({ samples }) => [...samples]), [[0.5]]);
    assert.match(warnings.join("\n"), message);
  });
}

const broken = [
  { name: "nothing", bytes: new Uint8Array(), message: /does not start with RIFF/ },
  { name: "text", bytes: new TextEncoder().encode("no sound, but many words"), message: /does not start with RIFF/ },
  { name: "a head that is cut off", bytes: wav(fmt({ bits: 16 })).slice(0, 30), message: /"fmt " is cut off/ },
  { name: "no sound", bytes: wav(fmt({ bits: 16 })), message: /has no data chunk/ },
  {
    name: "a chunk of 2 GB before the sound",
    bytes: wav(chunk("JUNK", [0], 2 ** 31)),
    message: /does not begin within/,
  },
];

for (const { name, bytes, message } of broken) {
  Deno.test(`SoundSource.wav() refuses ${name}`, async () => {
    await assert.rejects(
      readSound(bytes),
      (error: Error) => error instanceof UsageError && message.test(error.message),
    );
  });
}

Deno.test("SoundSource.raw() reads interleaved samples as channels, until it is stopped", async () => {
  const stop = new AbortController();
  const endless = (async function* () {
    yield new Uint8Array(Int16Array.of(16_384, -16_384, 8_192, 0).buffer);
    stop.abort();
    await new Promise(() => {});
  })();
  const format = { encoding: "pcm16" as WavEncoding, channels: 2, sampleRate: 4 };
  const source = SoundSource.raw(new ByteReader(endless, stop.signal), format, "in.pcm");
  const chunks = await Array.fromAsync(source.chunks(3, assert.fail));
  assert.deepEqual(chunks.map(({ samples }) => [...samples]), [[0.5, 0.25, -0.5, 0]]);
});

/** Time that passes only in pauses, each of which is late by a bit. */
class LateClock implements Clock {
  ms = 1_000;
  readonly #lateMs: number;

  constructor(lateMs: number) {
    this.#lateMs = lateMs;
  }

  now(): number {
    return this.ms;
  }

  pause(delayMs: number): Promise<void> {
    this.ms += delayMs + this.#lateMs;
    return Promise.resolve();
  }
}

async function* tenths(count: number, before: (index: number) => void = () => {}): AsyncGenerator<Chunk> {
  for (let index = 0; index < count; index++) {
    before(index);
    yield await Promise.resolve({ samples: new Float32Array(1), start: index / 10, end: (index + 1) / 10 });
  }
}

Deno.test("paced() gives each chunk at its time, and does not drift where waits end late", async () => {
  const clock = new LateClock(3);
  const times = await Array.fromAsync(paced(tenths(50), { clock, stop: NEVER }), () => clock.ms - 1_000);
  assert.deepEqual(times.map((ms) => Math.round(ms)), times.map((_, index) => index === 0 ? 0 : index * 100 + 3));
});

Deno.test("paced() catches up with what it is behind", async () => {
  const clock = new LateClock(0);
  const chunks = tenths(4, (index) => clock.ms += index === 1 ? 250 : 0);
  const times = await Array.fromAsync(paced(chunks, { clock, stop: NEVER }), () => clock.ms - 1_000);
  assert.deepEqual(times.map((ms) => Math.round(ms)), [0, 250, 250, 300]);
});

Deno.test("paced() ends when it is stopped while it waits", async () => {
  const stop = new AbortController();
  const clock: Clock = { now: () => 0, pause: () => Promise.resolve(stop.abort()) };
  assert.equal((await Array.fromAsync(paced(tenths(3), { clock, stop: stop.signal }))).length, 1);
});

const speech: { name: string; chunks: string; bridge: number; expected: [number, number][] }[] = [
  { name: "nothing", chunks: "", bridge: 0.3, expected: [] },
  { name: "silence", chunks: "....", bridge: 0.3, expected: [] },
  { name: "speech to the end", chunks: ".##", bridge: 0.3, expected: [[0.1, 0.3]] },
  { name: "a pause under the bridge", chunks: "#..#....", bridge: 0.3, expected: [[0, 0.4]] },
  { name: "a pause as long as the bridge", chunks: "#...#...", bridge: 0.3, expected: [[0, 0.1], [0.4, 0.5]] },
  { name: "no bridge to speak of", chunks: "#.#", bridge: 0.001, expected: [[0, 0.1], [0.2, 0.3]] },
];

for (const { name, chunks, bridge, expected } of speech) {
  Deno.test(`SpeechSegments joins ${name}`, () => {
    const segments = new SpeechSegments(bridge);
    const found: (Segment | undefined)[] = [...chunks].map((chunk) => segments.add(chunk === "#", 0.1));
    found.push(segments.end());
    const times = found.filter((segment) => segment !== undefined).map(({ start, end }) => [start, end]);
    assert.deepEqual(times.map((pair) => pair.map((seconds) => Math.round(seconds * 1_000) / 1_000)), expected);
  });
}

Deno.test("SpeechSegments.add() gives a segment as soon as the pause after it is long enough", () => {
  const segments = new SpeechSegments(0.3);
  const found = [..."#...."].map((chunk) => segments.add(chunk === "#", 0.1) !== undefined);
  assert.deepEqual(found, [false, false, false, true, false]);
});

/** Percentiles are as exact as the histogram. */
function about(actual: number | undefined, expected: number): void {
  assert.ok(actual !== undefined && Math.abs(actual - expected) <= expected / 50, `${actual} is not about ${expected}`);
}

Deno.test("LatencyMeter measures outputs that are no sound from the input of the same number", () => {
  const meter = new LatencyMeter();
  for (let index = 0; index < 100; index++) {
    meter.sent((index + 1) / 50, index * 20);
    meter.received(undefined, index * 20 + index + 1);
  }
  const latency = meter.summary(0.03);
  about(latency?.p50, 50);
  about(latency?.p99, 99);
  assert.equal(latency?.max, 100);
});

Deno.test("LatencyMeter measures sound from the input that has the moment with which it ends", () => {
  const meter = new LatencyMeter();
  for (let index = 0; index < 100; index++) {
    meter.sent((index + 1) / 50, index * 20);
    // Half a second comes back after every 25 inputs, 5 ms after the last of them.
    if (index % 25 === 24) meter.received(0.5, index * 20 + 5);
  }
  const latency = meter.summary(0.03);
  assert.equal(latency?.max, 5);
  about(latency.p50, 5);
});

const unrelated = [
  { name: "sound was left out", outputs: (index: number) => index % 2 === 0 ? 0.02 : undefined },
  { name: "nothing came back", outputs: () => undefined },
];

for (const { name, outputs } of unrelated) {
  Deno.test(`LatencyMeter.summary() gives nothing when ${name}`, () => {
    const meter = new LatencyMeter();
    for (let index = 0; index < 100; index++) {
      meter.sent((index + 1) / 50, index * 20);
      const seconds = outputs(index);
      if (seconds !== undefined) meter.received(seconds, index * 20 + 1);
    }
    assert.equal(meter.summary(0.03), undefined);
  });
}
