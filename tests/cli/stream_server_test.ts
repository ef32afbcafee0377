import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { decodeWav } from "../../workers/media/wav.ts";
import { rexec } from "../fakes/cli.ts";
import { TestFolder } from "../fakes/folder.ts";
import { startTestServer } from "../support/server.ts";

const SPEECH = fileURLToPath(new URL("../data/speech-48k.wav", import.meta.url));
/** Where somebody speaks in it, in seconds. */
const SPOKEN = [[1.2, 4.58], [6.36, 8.5]];
const TOLERANCE_SECONDS = 0.25;

const CODE = `export class Gain {
  #gain: number;
  constructor({ gain }: { gain: number }) {
    this.#gain = gain;
    console.log("gain is", gain);
  }
  process([samples, rate]: [{ data: Float32Array; shape: number[] }, number]) {
    return { gain: this.#gain, rate };
  }
  flush() {
    console.error("no more");
    return "flushed";
  }
}
export async function* count(inputs: AsyncIterable<unknown>) {
  let n = 0;
  for await (const _ of inputs) n++;
  yield n;
}
export function fail(): never {
  throw new Error("boom");
}
`;

Deno.test("rexec stream against the service", async (test) => {
  await using server = await startTestServer({ settings: { "pool.maxWorkers": 1 } });
  await using folder = await TestFolder.make({ "code.ts": CODE });
  const service = (...args: string[]) => rexec(["--address", server.address, ...args]);
  const vad = ["stream", "VoiceActivityDetector", "--config", "frame_duration_ms=10", "--input", SPEECH];

  await test.step("finds who speaks when", async () => {
    const { code, stdout, stderr } = await service("--json", ...vad);
    assert.equal(code, 0, stderr);
    const records = stdout.split("\n").slice(0, -1).map((line) => JSON.parse(line));
    const { summary } = records.pop();
    const found = records.map(({ segment }) => [segment.start, segment.end]);
    assert.equal(found.length, SPOKEN.length, stdout);
    SPOKEN.flat().forEach((seconds, index) => {
      assert.ok(Math.abs(found.flat()[index] - seconds) <= TOLERANCE_SECONDS, stdout);
    });
    assert.deepEqual([summary.chunks, summary.outputs, summary.segments], [516, 516, 2]);
    assert.ok(summary.metrics.cpuTimeMs >= 0 && summary.latencyMs.p50 > 0);
  });

  await test.step("resamples to the bit as a call with the whole file does", async () => {
    const args = ["AudioResampler", "--config", "target_sample_rate=16000", "--input", SPEECH, "--wav-encoding"];
    for (const encoding of ["float32", "pcm16"]) {
      const [whole, streamed] = [folder.file(`whole-${encoding}.wav`), folder.file(`streamed-${encoding}.wav`)];
      const [call, stream] = [
        await service("call", ...args, encoding, "--output", whole),
        await service("stream", ...args, encoding, "--output", streamed),
      ];
      assert.deepEqual([call.code, stream.code], [0, 0], call.stderr + stream.stderr);
      const bytes = await Deno.readFile(streamed);
      assert.ok(decodeWav(bytes).samples.length > 100_000);
      assert.deepEqual(bytes, await Deno.readFile(whole));
    }
  });

  await test.step("streams through a class, with its console", async () => {
    const code = ["--package", folder.file("code.ts"), "--entry", "Gain", "--config", "gain=3"];
    const result = await service("stream", ...code, "--chunk-ms", "5000", "--input", SPEECH);
    assert.equal(result.code, 0, result.stderr);
    const processed = '{"gain":3,"rate":48000}\n';
    assert.equal(result.stdout, `${processed.repeat(3)}"flushed"\n`);
    assert.equal(result.stderr, "stdout | gain is 3\nstderr | no more\n");
  });

  await test.step("streams through a generator, as JSON too", async () => {
    const code = ["--package", folder.file("code.ts"), "--entry", "count", "--format", "json"];
    const result = await service("stream", ...code, "--input", SPEECH, "--chunk-ms", "1000");
    assert.deepEqual([result.code, result.stdout, result.stderr], [0, "11\n", ""]);
  });

  const failures = [
    { name: "an unknown node", args: ["NoSuchNode"], code: 1, message: /Unknown node type: NoSuchNode/ },
    { name: "a bad parameter", args: ["AudioBuffer"], code: 1, message: /buffer_size_samples: required/ },
    {
      name: "code that throws",
      args: ["--package", folder.file("code.ts"), "--entry", "fail"],
      code: 1,
      message: /^Error \(ERROR, EXCEPTION\): .*boom\n/,
    },
    {
      name: "files that the policy does not grant",
      args: ["--package", folder.file("code.ts"), "--entry", "count", "--allow-files"],
      code: 4,
      message: /filesystem\.allowed/,
    },
  ];
  for (const { name, args, code, message } of failures) {
    await test.step(`exits with ${code} at ${name}`, async () => {
      const result = await service("stream", ...args, "--input", SPEECH);
      assert.equal(result.code, code, result.stderr);
      assert.match(result.stderr, message);
      assert.equal(result.stdout, "");
    });
  }
});
