import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import voiceActivityDetector from "../../workers/nodes/voice_activity_detector.ts";
import { toArray } from "../../workers/nodes/arrays.ts";
import { Tuple, type Value } from "../../workers/values.ts";
import { joined, pairOf, readSpeech } from "../support/audio.ts";
import { streamThrough, TestContext } from "../support/nodes.ts";

const { samples: SPEECH, rate: RATE } = readSpeech();
const CHUNK = RATE * 20 / 1000;

function speechChunks(): Tuple[] {
  const count = Math.ceil(SPEECH.length / CHUNK);
  return Array.from({ length: count }, (_, i) => pairOf([SPEECH.subarray(i * CHUNK, (i + 1) * CHUNK)], RATE));
}

/** The pair and the metadata of an output. */
function parts(output: Value): { pair: Tuple; metadata: Map<Value, Value> } {
  ok(output instanceof Tuple);
  const [pair, metadata] = output.items;
  ok(pair instanceof Tuple && metadata instanceof Map);
  return { pair, metadata };
}

/** A chunk of constant samples, whose RMS is their value. */
function constant(value: number, length = 160, rate = 8000): Tuple {
  return pairOf([new Float32Array(length).fill(value)], rate);
}

const METADATA_KEYS = ["is_speech", "speech_ratio", "avg_energy", "frame_duration_ms"];

Deno.test("VoiceActivityDetector says of speech what numpy computes in float64", async () => {
  const text = Deno.readTextFileSync(new URL("../data/vad-speech-48k.json", import.meta.url));
  const expected = JSON.parse(text) as [boolean, number, number][];
  const outputs = await streamThrough(voiceActivityDetector, speechChunks(), { parameters: { frame_duration_ms: 10 } });
  strictEqual(outputs.length, expected.length + 1);
  for (const [index, [isSpeech, ratio, energy]] of expected.entries()) {
    const { metadata } = parts(outputs[index]![0]!);
    deepStrictEqual([...metadata.keys()], METADATA_KEYS);
    strictEqual(metadata.get("is_speech"), isSpeech, `chunk ${index}`);
    strictEqual(metadata.get("speech_ratio"), ratio);
    const actual = metadata.get("avg_energy");
    // numpy sums in pairs, so the last digits differ.
    ok(typeof actual === "number" && Math.abs(actual - energy) <= 1e-12 * energy, `chunk ${index}`);
    strictEqual(metadata.get("frame_duration_ms"), 10n);
  }
});

Deno.test("VoiceActivityDetector finds the two sentences of the recording", async () => {
  const outputs = await streamThrough(voiceActivityDetector, speechChunks(), { parameters: { frame_duration_ms: 10 } });
  const segments: [start: number, end: number][] = [];
  for (const [index, [output]] of outputs.slice(0, -1).entries()) {
    if (parts(output!).metadata.get("is_speech") !== true) continue;
    const start = index * CHUNK / RATE;
    const last = segments.at(-1);
    // Pauses within a sentence are bridged.
    if (last !== undefined && start - last[1] < 0.3) last[1] = start + CHUNK / RATE;
    else segments.push([start, start + CHUNK / RATE]);
  }
  const expected = [[1.20, 4.58], [6.36, 8.5]];
  const near = (a: number, b: number) => Math.abs(a - b) <= 0.25;
  ok(
    segments.length === 2 &&
      segments.every(([start, end], i) => near(start, expected[i]![0]!) && near(end, expected[i]![1]!)),
    JSON.stringify(segments),
  );
});

Deno.test("VoiceActivityDetector in filter mode gives the speech chunks alone, untouched", async () => {
  const chunks = speechChunks();
  const parameters = { frame_duration_ms: 10 };
  const all = await streamThrough(voiceActivityDetector, chunks, { parameters });
  const speech = chunks.filter((_, i) => parts(all[i]![0]!).metadata.get("is_speech") === true);
  const filtered = await streamThrough(voiceActivityDetector, chunks, {
    parameters: { ...parameters, filter_mode: true },
  });
  deepStrictEqual(joined(filtered.flat()), joined(speech));
  ok(speech.length > 100 && speech.length < chunks.length);
});

Deno.test("VoiceActivityDetector without metadata gives every pair", async () => {
  const run = { parameters: { include_metadata: false } };
  const chunk = constant(0.5, 320);
  deepStrictEqual((await streamThrough(voiceActivityDetector, [chunk, chunk], run)).flat(), [chunk, chunk]);
});

/** The thresholds that follow from a chunk of frames of a known energy, as energies just beside them tell. */
for (
  const [name, history, energy, isSpeech] of [
    ["is above energy_threshold alone before any history", [], 0.0201, true],
    ["is below energy_threshold before any history", [], 0.0199, false],
    ["is above 0.7 · 2.5 · floor + 0.3 · energy_threshold", [0.01], 0.0236, true],
    ["is below 0.7 · 2.5 · floor + 0.3 · energy_threshold", [0.01], 0.0234, false],
    // ⌊0.3 · 4⌋ = 1: the second smallest is the floor.
    ["is above the threshold of the quantile", [0.04, 0.01, 0.03, 0.02], 0.0411, true],
    ["is below the threshold of the quantile", [0.04, 0.01, 0.03, 0.02], 0.0409, false],
    // Only the last 100 energies count.
    ["is above what the last 100 say", [...Array(50).fill(0.5), ...Array(100).fill(0.01)], 0.0236, true],
    ["is below what the last 100 say", [...Array(50).fill(0), ...Array(100).fill(0.01)], 0.0234, false],
  ] as [string, number[], number, boolean][]
) {
  Deno.test(`VoiceActivityDetector tells a frame that ${name}`, async () => {
    // 64-bit samples: 0.02 is not a float32.
    const chunk = (value: number) => new Tuple([toArray(new Float64Array(80).fill(value), [80], "numpy"), 8000n]);
    const run = { parameters: { frame_duration_ms: 10 } };
    const outputs = await streamThrough(voiceActivityDetector, [...history, energy].map(chunk), run);
    strictEqual(parts(outputs[history.length]![0]!).metadata.get("is_speech"), isSpeech);
  });
}

for (
  const [name, item, expected] of [
    ["mixes the channels to mono", pairOf([new Float32Array(240).fill(0.5), new Float32Array(240).fill(-0.5)], 8000), [
      false,
      0,
      0,
    ]],
    ["looks at whole frames only", pairOf([Float32Array.from({ length: 479 }, (_, i) => i < 240 ? 0.25 : 1)], 8000), [
      true,
      1,
      0.25,
    ]],
    ["takes a chunk without a whole frame for a pause", constant(0.5, 239), [false, 0, 0]],
    ["takes nested lists", [[Array(240).fill(0.25), Array(240).fill(0.75)], 8000n], [true, 1, 0.5]],
    ["counts the share of frames", pairOf([Float32Array.from({ length: 960 }, (_, i) => i < 240 ? 0.5 : 0)], 8000), [
      false,
      0.25,
      0.125,
    ]],
  ] as [string, Value, [boolean, number, number]][]
) {
  Deno.test(`VoiceActivityDetector ${name}`, async () => {
    const [[output]] = await streamThrough(voiceActivityDetector, [item]) as [[Value]];
    const { metadata } = parts(output);
    deepStrictEqual(METADATA_KEYS.slice(0, 3).map((key) => metadata.get(key)), expected);
    strictEqual(metadata.get("frame_duration_ms"), 30n);
  });
}

Deno.test("VoiceActivityDetector asks for more than the threshold, and for the share itself", async () => {
  const [[output]] = await streamThrough(voiceActivityDetector, [constant(0.25, 240)], {
    parameters: { energy_threshold: 0.25 },
  }) as [[Value]];
  strictEqual(parts(output).metadata.get("is_speech"), false);
  const half = pairOf([Float32Array.from({ length: 480 }, (_, i) => i < 240 ? 0.5 : 0)], 8000);
  const [[atShare]] = await streamThrough(voiceActivityDetector, [half], {
    parameters: { speech_threshold: 0.5 },
  }) as [[Value]];
  strictEqual(parts(atShare).metadata.get("is_speech"), true);
});

Deno.test("VoiceActivityDetector skips anything but audio with a warning", async () => {
  const context = new TestContext();
  deepStrictEqual((await streamThrough(voiceActivityDetector, ["text", null], { context })).flat(), []);
  strictEqual(context.warnings.length, 2);
});
