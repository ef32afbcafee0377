import assert from "node:assert/strict";
import { codecFor } from "../../workers/codecs/mod.ts";
import { tryArray } from "../../workers/media/arrays.ts";
import { decodeWav, encodeWav } from "../../workers/media/wav.ts";
import { Tuple, type Value } from "../../workers/values.ts";
import { Interrupts } from "../../src/cli/interrupts.ts";
import { run } from "../../src/cli/program.ts";
import type { StreamInitRequest } from "../../protos/generated/execution.ts";
import { FailureReason } from "../../protos/generated/types.ts";
import { rexec } from "../fakes/cli.ts";
import { FakeService } from "../fakes/fake_service.ts";
import { type ExecuteCall, type FakeStream, serveStream } from "../fakes/fake_stream.ts";
import { TestFolder } from "../fakes/folder.ts";
import { FakeTerminal } from "../fakes/terminal.ts";

const RATE = 1_000;
const { decode, encode } = codecFor("pickle");
const text = (value: string) => new TextEncoder().encode(value);

/** Samples that differ from each other, a step of s16 apart. */
const ramp = (length: number) => Float32Array.from({ length }, (_, index) => index / 32_768);
const sound = (length: number, channels = 1) =>
  encodeWav({ samples: ramp(length * channels), channels, sampleRate: RATE }).bytes;

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}

/** Runs `rexec stream` against a fake, in this process. */
async function stream(
  fake: FakeStream,
  args: readonly string[],
  { input = once(sound(50)), ...options }: { input?: AsyncIterable<Uint8Array>; stderrIsTerminal?: boolean } = {},
) {
  using service = await FakeService.start({ streamExecute: (call: ExecuteCall) => serveStream(call, fake) });
  const terminal = new FakeTerminal({ input, ...options });
  const code = await run(["--address", service.address, ...args], terminal, new Interrupts());
  return { code, stdout: terminal.stdout, stderr: terminal.stderr, lines: terminal.stdout.split("\n").slice(0, -1) };
}

/** The shape and rate of an input. */
function shapeOf(input: Uint8Array): [number[], bigint] {
  const value = decode(new Uint8Array(input));
  assert.ok(value instanceof Tuple);
  return [[...tryArray(value.items[0]!)!.shape], value.items[1] as bigint]; // Which the test then compares.
}

/** What VoiceActivityDetector answers. */
function heard(input: Uint8Array, isSpeech: boolean): Uint8Array {
  return encode(new Tuple([decode(new Uint8Array(input)), new Map<Value, Value>([["is_speech", isSpeech]])]));
}

Deno.test("rexec stream cuts a WAV file into chunks and writes back what comes, bit by bit", async () => {
  await using folder = await TestFolder.make({});
  const [input, output] = [folder.file("in.wav"), folder.file("out.wav")];
  await Deno.writeFile(input, sound(50, 2));
  let init: StreamInitRequest | undefined;
  const shapes: unknown[] = [];
  const fake: FakeStream = {
    onInit: (given) => init = given,
    process: (outputData) => (shapes.push(shapeOf(outputData)), [{ outputData }]),
  };
  const args = ["stream", "Any", "--config", "a=1", "--timeout", "3", "--input", input, "--output", output];
  const { code, stdout, stderr } = await stream(fake, args);
  assert.equal(code, 0, stderr);
  assert.deepEqual(shapes, [[[2, 20], 1_000n], [[2, 20], 1_000n], [[2, 10], 1_000n]]);
  assert.deepEqual([init?.nodeType, init?.config, init?.options?.timeoutSeconds], ["Any", { a: "1" }, 3]);
  assert.equal(stdout, "");
  assert.match(stderr, /^stdout \| closed\nWrote .*out\.wav: 2 channels, 50 samples at 1000 Hz \(0\.050 s\), pcm16\n$/);
  const [sent, came] = [await Deno.readFile(input), await Deno.readFile(output)].map(decodeWav);
  assert.deepEqual(came?.samples.slice(0, 20), sent?.samples.slice(0, 20));
  assert.deepEqual(await Deno.readFile(output), await Deno.readFile(input));
});

Deno.test("rexec stream prints segments of speech as they end, bridging short pauses", async () => {
  const speech = "..##.##.....#";
  const fake: FakeStream = {
    process: (input, index) => [{ outputData: heard(input, speech[index] === "#") }],
  };
  const input = () => once(sound(100 * speech.length));
  const args = ["stream", "VoiceActivityDetector", "--chunk-ms", "100"];
  assert.deepEqual((await stream(fake, args, { input: input() })).lines, ["0.20–0.70 s", "1.20–1.30 s"]);
  const unbridged = await stream(fake, [...args, "--bridge-ms", "50"], { input: input() });
  assert.deepEqual(unbridged.lines, ["0.20–0.40 s", "0.50–0.70 s", "1.20–1.30 s"]);
  const { lines } = await stream(fake, ["--json", ...args], { input: input() });
  const records = lines.map((line) => JSON.parse(line));
  assert.deepEqual(records.slice(0, 3), [
    { segment: { start: 0.2, end: 0.7 } },
    { console: { stdout: "closed\n", stderr: "" } },
    { segment: { start: 1.2, end: 1.3 } },
  ]);
  const { seconds, chunks, outputs, segments, latencyMs, metrics } = records[3].summary;
  assert.deepEqual([seconds, chunks, outputs, segments, metrics.durationMs], [1.3, 13, 13, 2, 42]);
  assert.ok(latencyMs.p50 > 0 && latencyMs.p50 <= latencyMs.p99 && latencyMs.p99 <= latencyMs.max);
});

Deno.test("rexec stream prints a segment before the input has ended, raw samples from a pipe among it", async () => {
  using service = await FakeService.start({
    streamExecute: (call: ExecuteCall) =>
      serveStream(call, { process: (input, index) => [{ outputData: heard(input, index === 0) }] }),
  });
  const printed = Promise.withResolvers<void>();
  const terminal = new FakeTerminal({
    input: (async function* () {
      for (let chunk = 0; chunk < 17; chunk++) yield new Uint8Array(2 * 4 * 20);
      await printed.promise;
    })(),
  });
  const format = ["--rate", "1000", "--channels", "2", "--sample-format", "f32le"];
  const args = ["--address", service.address, "stream", "VoiceActivityDetector", "--realtime", ...format];
  const exit = run(args, terminal, new Interrupts());
  await terminal.printed("out: 0.00–0.02 s\n");
  printed.resolve();
  assert.equal(await exit, 0, terminal.stderr);
});

Deno.test("rexec stream prints other outputs as lines of JSON, ints that JavaScript has not among them", async () => {
  const fake: FakeStream = {
    process: (_, index) => index === 1 ? [] : [{ outputData: encode(2n ** 64n), durationMs: 7 }],
    flush: () => [{ outputData: encode(["rest"]) }],
  };
  const { lines } = await stream(fake, ["stream", "Any"]);
  assert.deepEqual(lines, ["18446744073709551616", "18446744073709551616", '["rest"]']);
  const json = await stream(fake, ["--json", "stream", "Any"]);
  assert.match(json.lines[0] ?? "", /^\{"output": 18446744073709551616, "metrics": \{.*"durationMs":7,/);
});

Deno.test("rexec stream writes sound to standard output, with a head for a length that nobody knows", async () => {
  const fake: FakeStream = {
    process: (outputData, index) => [{ outputData: index === 0 ? encode("hi") : outputData }],
  };
  using service = await FakeService.start({ streamExecute: (call: ExecuteCall) => serveStream(call, fake) });
  await using folder = await TestFolder.make({});
  await Deno.writeFile(folder.file("in.wav"), sound(50));
  const args = ["stream", "Any", "--input", folder.file("in.wav"), "--output", "-"];
  const { code, bytes, stderr } = await rexec(["--address", service.address, ...args]);
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^"hi"\n/);
  assert.deepEqual(decodeWav(bytes).samples, ramp(50).slice(20));
});

Deno.test("rexec stream exits with what ended the stream, after it has written what came before", async () => {
  await using folder = await TestFolder.make({});
  const failure = { errorMessage: "boom", stderr: "careful\n", failureReason: FailureReason.TIME_LIMIT };
  const fake: FakeStream = { process: (outputData, index) => index < 2 ? [{ outputData }] : { failure } };
  const { code, stderr } = await stream(fake, ["stream", "Any", "--output", folder.file("out.wav")]);
  assert.equal(code, 5, stderr);
  assert.match(stderr, /stderr \| careful\nError \(TIMEOUT, TIME_LIMIT\): boom\nGive it more time/);
  assert.equal(decodeWav(await Deno.readFile(folder.file("out.wav"))).samples.length, 40);
});

Deno.test("rexec stream exits with 6 when the sound that comes changes its rate", async () => {
  await using folder = await TestFolder.make({});
  const other = (value: Value) => value instanceof Tuple ? new Tuple([value.items[0]!, 8_000n]) : value;
  const fake: FakeStream = {
    process: (outputData, index) => [
      { outputData: index === 0 ? outputData : encode(other(decode(new Uint8Array(outputData)))) },
    ],
  };
  const { code, stderr } = await stream(fake, ["stream", "Any", "--output", folder.file("out.wav")]);
  assert.equal(code, 6, stderr);
  assert.match(stderr, /the sound changes from 1 × 1000 Hz to 1 × 8000 Hz/);
});

Deno.test("rexec stream packages code, asks for grants, and prints its console as it comes", async () => {
  await using folder = await TestFolder.make({ "gate.ts": "export class Gate { process(x) { return x; } }" });
  let init: StreamInitRequest | undefined;
  const fake: FakeStream = {
    onInit: (given) => init = given,
    process: (_, index) => [{ outputData: encode(BigInt(index)), stdout: `got ${index}\n` }],
  };
  const args = ["stream", "--package", folder.file("gate.ts"), "--entry", "Gate", "--env", "A=b", "--config", "n=2"];
  const { code, lines, stderr } = await stream(fake, args);
  assert.equal(code, 0, stderr);
  assert.deepEqual(lines, ["0", "1", "2"]);
  assert.equal(stderr, "stdout | got 0\nstdout | got 1\nstdout | got 2\nstdout | closed\n");
  assert.deepEqual([init?.nodeType, init?.entryPoint, init?.config], ["custom", "Gate", { n: "2" }]);
  assert.deepEqual(init?.options?.environment, { A: "b" });
  assert.ok((init?.codePackage.length ?? 0) > 0);
});

Deno.test("rexec stream shows on a terminal how far it is, and tells how it went", async () => {
  const shown = await stream({}, ["stream", "Any"], { stderrIsTerminal: true });
  assert.ok(shown.stderr.includes("\r\x1b[K\x1b[2m0.0 s sent · 0 outputs\x1b[0m"), shown.stderr);
  const last = shown.stderr.split("\r\x1b[K").at(-1) ?? "";
  assert.match(last, /\nSent 0\.05 s in 3 chunks, 3 outputs, latency p50 [\d.]+, p99 [\d.]+, max [\d.]+ ms\n$/);
  assert.equal((await stream({}, ["--quiet", "stream", "Any"], { stderrIsTerminal: true })).stderr, "");
  const verbose = await stream({}, ["--verbose", "stream", "Any"]);
  assert.match(verbose.stderr, /Sent 0\.05 s in 3 chunks.*\nTook 42 ms/);
});

Deno.test("rexec stream ends in order at the first interrupt, with what the flush gives", async () => {
  using service = await FakeService.start({
    streamExecute: (call: ExecuteCall) => serveStream(call, { flush: () => [{ outputData: encode("flushed") }] }),
  });
  await using folder = await TestFolder.make({});
  const input = (async function* () {
    yield sound(40).slice(0, -2); // The last chunk is not complete.
    await new Promise(() => {});
  })();
  const terminal = new FakeTerminal({ input, stderrIsTerminal: true });
  const interrupts = new Interrupts();
  const args = ["--address", service.address, "--verbose", "stream", "Any", "--output", folder.file("out.wav")];
  const exit = run(args, terminal, interrupts);
  await terminal.printed("sent · 0 outputs");
  interrupts.interrupt();
  assert.equal(await exit, 0, terminal.stderr);
  assert.match(terminal.text, /out: "flushed"\n/);
  assert.equal(decodeWav(await Deno.readFile(folder.file("out.wav"))).samples.length, 39);
  assert.match(terminal.stderr, /Sent 0\.04 s in 2 chunks, 3 outputs/);
});

Deno.test("rexec stream is cancelled by the second interrupt, and exits with 130", async () => {
  const opened = Promise.withResolvers<void>();
  const cancelled = Promise.withResolvers<void>();
  const ending = Promise.withResolvers<void>();
  using service = await FakeService.start({
    streamExecute: (call: ExecuteCall) => {
      call.on("cancelled", cancelled.resolve);
      serveStream(call, { onInit: () => opened.resolve(), flush: () => (ending.resolve(), []) });
      // The answer to the close never gets out.
      call.end = () => call;
    },
  });
  const interrupts = new Interrupts();
  const terminal = new FakeTerminal({
    input: { [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) },
  });
  const exit = run(["--address", service.address, "stream", "Any", "--rate", "8000"], terminal, interrupts);
  await opened.promise;
  interrupts.interrupt();
  await ending.promise;
  interrupts.interrupt();
  assert.equal(await exit, 130, terminal.stderr);
  await cancelled.promise;
});

Deno.test("rexec stream ends at Ctrl-C though standard input stays open", async () => {
  const interrupted = Promise.withResolvers<void>();
  using service = await FakeService.start({
    streamExecute: (call: ExecuteCall) => serveStream(call, { process: () => (interrupted.resolve(), []) }),
  });
  const args = ["--address", service.address, "--json", "stream", "Any", "--rate", "1000"];
  const input = text("a".repeat(100));
  const { code, stdout, stderr } = await rexec(args, { stdin: input, keepStdin: true, interrupt: interrupted.promise });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /"summary":\{"seconds":0\.0[45],"chunks":[23],"outputs":0,"latencyMs":null/);
});

const wrong = [
  { args: [], message: /missing required argument 'node'/ },
  { args: ["custom"], message: /--package/ },
  { args: ["Any", "--package", "x.ts"], message: /exclude each other/ },
  { args: ["Any", "--entry", "x"], message: /--entry needs --package/ },
  { args: ["Any", "--allow-files"], message: /for code of your own/ },
  { args: ["Any", "--channels", "2"], message: /need --rate/ },
  { args: ["Any", "--output", "out.mp3"], message: /writes WAV files/ },
  { args: ["Any", "--input", "no/such.wav"], message: /Cannot read no\/such\.wav for --input: there is no such file/ },
  { args: ["Any", "--chunk-ms", "0"], message: /above 0/ },
  { args: ["Any", "--realtime"], message: /as wav: Not a WAV file[\s\S]*--rate/ },
];

for (const { args, message } of wrong) {
  Deno.test(`rexec stream ${args.join(" ")} exits with 2`, async () => {
    const { code, stderr } = await stream({}, ["stream", ...args], { input: once(text("this is no sound at all")) });
    assert.equal(code, 2, stderr);
    assert.match(stderr, message);
  });
}
