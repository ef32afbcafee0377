import assert from "node:assert/strict";
import { status as GrpcStatus } from "@grpc/grpc-js";
import { codecFor } from "../../workers/codecs/mod.ts";
import { decodePng, encodePng } from "../../workers/media/png.ts";
import { decodeWav, encodeWav } from "../../workers/media/wav.ts";
import { DTYPES, NDArray, Tuple } from "../../workers/values.ts";
import type { ExecuteNodeRequest } from "../../protos/generated/execution.ts";
import { ExecutionStatus } from "../../protos/generated/types.ts";
import { rexec } from "../fakes/cli.ts";
import { type FakeBehaviour, FakeService, rpcFailure } from "../fakes/fake_service.ts";
import { closedAddress } from "../fakes/network.ts";

/** Runs `rexec` against a fake. */
async function against(behaviour: FakeBehaviour, args: readonly string[], stdin?: string) {
  using fake = await FakeService.start(behaviour);
  return await rexec(["--address", fake.address, ...args], stdin === undefined ? {} : { stdin });
}

async function withFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const statuses = [
  { status: ExecutionStatus.ERROR, code: 1 },
  { status: ExecutionStatus.CANCELLED, code: 1 },
  { status: ExecutionStatus.SECURITY_VIOLATION, code: 4 },
  { status: ExecutionStatus.RESOURCE_LIMIT, code: 5 },
  { status: ExecutionStatus.TIMEOUT, code: 5 },
];

for (const { status, code } of statuses) {
  Deno.test(`rexec call exits with ${code} when the task ends with ${ExecutionStatus[status]}`, async () => {
    const executeNode = () => ({ status, errorMessage: "it \x1b[31mbroke", errorTraceback: "at line 7" });
    const result = await against({ executeNode }, ["call", "Any"]);
    assert.equal(result.code, code, result.stderr);
    assert.match(result.stderr, new RegExp(`^Error \\(${ExecutionStatus[status]}\\): it \ufffd\\[31mbroke\n`));
    assert.doesNotMatch(result.stderr, /at line 7|\.ts:/);
    assert.equal(result.stdout, "");
  });
}

const rpcCodes = [
  { rpc: GrpcStatus.INVALID_ARGUMENT, code: 2 },
  { rpc: GrpcStatus.UNAUTHENTICATED, code: 4 },
  { rpc: GrpcStatus.PERMISSION_DENIED, code: 4 },
  { rpc: GrpcStatus.DEADLINE_EXCEEDED, code: 5 },
  { rpc: GrpcStatus.INTERNAL, code: 70 },
];

for (const { rpc, code } of rpcCodes) {
  Deno.test(`rexec call exits with ${code} when the call fails with ${GrpcStatus[rpc]}`, async () => {
    const executeNode = () => {
      throw rpcFailure(rpc, "because");
    };
    const result = await against({ executeNode }, ["--json", "call", "Any"]);
    assert.equal(result.code, code, result.stderr);
    const { error } = JSON.parse(result.stderr);
    assert.equal(error.status, GrpcStatus[rpc]);
    assert.equal(error.exitCode, code);
  });
}

Deno.test("rexec exits with 3 and says what to do when nobody listens", async () => {
  const address = closedAddress();
  const result = await rexec(["nodes"], { env: { REXEC_ADDRESS: address } });
  assert.equal(result.code, 3, result.stderr);
  assert.match(result.stderr, new RegExp(`Is the service running at ${address}`));
  assert.doesNotMatch(result.stderr, /\.ts:/);
});

const usageErrors = [
  { args: ["fly"], message: /unknown command 'fly'/ },
  { args: ["call"], message: /missing required argument 'node'/ },
  { args: ["call", "Any", "--config", "x"], message: /must be name=value/ },
  { args: ["call", "Any", "--timeout", "1.5"], message: /whole number above 0/ },
  { args: ["call", "Any", "--format", "xml"], message: /Allowed choices are json, pickle, raw/ },
  { args: ["call", "Any", "--input", "no/such/file.wav"], message: /Cannot read no\/such\/file\.wav .*no such file/ },
  { args: ["call", "Any", "--input", "deno.lock"], message: /Cannot tell what deno\.lock is[\s\S]*--input-type/ },
  { args: ["call", "Any", "--input", "LICENSE", "--input-type", "wav"], message: /LICENSE as wav: Not a WAV file/ },
  { args: ["call", "Any", "--data", "{"], message: /Cannot read --data as json/ },
  { args: ["call", "Any", "--data", "1", "--input", "-"], message: /exclude each other/ },
  { args: ["--address", "a b", "nodes"], message: /Address must be[\s\S]*--address/ },
  { args: ["config", "--set", "server.prot=1"], message: /server\.prot/ },
];

for (const { args, message } of usageErrors) {
  Deno.test(`rexec ${args.join(" ")} exits with 2 and says why`, async () => {
    const { code, stdout, stderr } = await rexec(args);
    assert.equal(code, 2, stderr);
    assert.match(stderr, message);
    assert.doesNotMatch(stderr, /\.ts:\d/);
    assert.equal(stdout, "");
  });
}

for (const command of [[], ["serve"], ["nodes"], ["status"], ["call"], ["config"]]) {
  Deno.test(`rexec ${[...command, "--help"].join(" ")} shows examples`, async () => {
    const { code, stdout } = await rexec([...command, "--help"]);
    assert.equal(code, 0);
    assert.match(stdout, /Examples:\n {2}rexec/);
    if (command.length === 0) assert.match(stdout, /Exit codes:/);
    assert.ok(!stdout.includes("\x1b"));
  });
}

Deno.test("rexec nodes lists nodes, one in detail, and for programs", async () => {
  const list = await against({}, ["nodes"]);
  assert.match(list.stdout, /^NODE +CATEGORY +DESCRIPTION\nAudioTransform +audio +Resamples and mixes audio\n/);
  const filtered = await against({}, ["--json", "nodes", "--category", "base"]);
  assert.deepEqual(JSON.parse(filtered.stdout).map((node: { nodeType: string }) => node.nodeType), ["PassThroughNode"]);
  const one = await against({}, ["nodes", "audiotransform"]);
  assert.match(one.stdout, /output_sample_rate +int +44100 +Rate in Hz\n {2}quality +str +required/);
  const none = await against({}, ["nodes", "Nope"]);
  assert.equal(none.code, 2);
  assert.match(none.stderr, /no node "Nope"\nAvailable: AudioTransform, PassThroughNode/);
});

Deno.test("rexec status tells health, and sessions when asked", async () => {
  const { stdout } = await against({}, ["status", "--sessions"]);
  assert.match(stdout, /Status +HEALTHY\n/);
  assert.match(stdout, /Uptime +1 h 2 min\n/);
  assert.match(stdout, /s-1 +AudioBuffer/);
  const json = await against({}, ["status", "--json"]);
  assert.equal(JSON.parse(json.stdout).status, "HEALTHY");
});

Deno.test("rexec call sends parameters, limits and input, and prints JSON", async () => {
  let seen: ExecuteNodeRequest | undefined;
  const executeNode = (request: ExecuteNodeRequest) => {
    seen = request;
    return { status: ExecutionStatus.SUCCESS, outputData: request.inputData };
  };
  const args = [
    "call",
    "Any",
    "--config",
    "a=1",
    "--config",
    "b=x=y",
    "--timeout",
    "9",
    "--memory",
    "64",
    "--output-limit",
    "3",
    "--cpu-time",
    "5",
    "--input",
    "-",
  ];
  const { code, stdout, stderr } = await against({ executeNode }, args, '{"n": [1, 1.0]}');
  assert.equal(code, 0, stderr);
  assert.equal(stdout, '{"n":[1,1.0]}\n');
  assert.deepEqual(seen?.config, { a: "1", b: "x=y" });
  assert.equal(seen.options?.timeoutSeconds, 9);
  assert.equal(seen.options.memoryLimitMb, 64);
  assert.deepEqual([seen.options.maxOutputSizeMb, seen.options.cpuTimeSeconds], [3, 5]);
  assert.equal(seen.serializationFormat, "pickle");
});

Deno.test("rexec --json call prints ints that JavaScript has not", async () => {
  const { stdout } = await against({}, ["--json", "call", "Any", "--data", "123456789012345678901234567890"]);
  assert.equal(stdout, '{"output": 123456789012345678901234567890, "metrics": null}\n');
});

Deno.test("rexec call sends a WAV file as a pair and writes it back bit by bit", async () => {
  await withFolder(async (folder) => {
    let seen: ExecuteNodeRequest | undefined;
    const executeNode = (request: ExecuteNodeRequest) => {
      seen = request;
      return { status: ExecutionStatus.SUCCESS, outputData: request.inputData };
    };
    const samples = Float32Array.of(0.5, -0.25, 0.125, 0);
    const { bytes } = encodeWav({ samples, channels: 2, sampleRate: 48_000 });
    await Deno.writeFile(`${folder}/in.wav`, bytes);
    const args = ["call", "Any", "--input", `${folder}/in.wav`, "--output", `${folder}/out.wav`];
    const result = await against({ executeNode }, args);
    assert.equal(result.code, 0, result.stderr);
    assert.match(result.stderr, /^Wrote .*out\.wav: 2 channels, 2 samples at 48000 Hz \(0\.000 s\), pcm16\n$/);
    assert.deepEqual(await Deno.readFile(`${folder}/out.wav`), bytes);
    const value = codecFor("pickle").decode(new Uint8Array(seen!.inputData));
    const pair = new Tuple([new NDArray(DTYPES.float32, [2, 2], new Uint8Array(samples.buffer)), 48_000n]);
    assert.deepEqual(value, pair);
  });
});

Deno.test("rexec call warns when samples are clipped, and not when floats are asked for", async () => {
  await withFolder(async (folder) => {
    const { bytes } = encodeWav({ samples: Float32Array.of(2, 0), channels: 1, sampleRate: 8_000 }, "float32");
    await Deno.writeFile(`${folder}/in.wav`, bytes);
    const args = ["call", "Any", "--input", `${folder}/in.wav`, "--output", `${folder}/out.wav`];
    assert.doesNotMatch((await against({}, args)).stderr, /Warning/);
    assert.equal(decodeWav(await Deno.readFile(`${folder}/out.wav`)).encoding, "float32");
    const clipped = await against({}, [...args, "--wav-encoding", "pcm16"]);
    assert.match(clipped.stderr, /Warning: 1 of 2 samples were beyond full scale/);
  });
});

Deno.test("rexec call sends a PNG file as a frame and writes it back", async () => {
  await withFolder(async (folder) => {
    const picture = { pixels: Uint8Array.of(1, 2, 3, 4, 5, 6), width: 2, height: 1, channels: 3 };
    await Deno.writeFile(`${folder}/in.png`, encodePng(picture));
    const args = ["call", "Any", "--input", `${folder}/in.png`, "--output", `${folder}/out.png`];
    const { code, stderr } = await against({}, args);
    assert.equal(code, 0, stderr);
    assert.deepEqual(decodePng(await Deno.readFile(`${folder}/out.png`)), picture);
  });
});

Deno.test("rexec call carries raw bytes through standard streams", async () => {
  const { code, stdout } = await against({}, ["call", "Any", "--format", "raw", "--input", "-"], "as they are");
  assert.equal(code, 0);
  assert.equal(stdout, "as they are");
});

const impossible = [
  { output: "out.wav", message: /as wav: the output is of type dict, not a pair of samples/ },
  { output: "out.png", message: /as png: the output is of type dict, not a uint8 array/ },
  { output: "out.txt", message: /as text: the output is of type dict, not a str/ },
  { output: "no/folder/out.json", message: /Cannot write .*out\.json: there is no such file or folder/ },
];

for (const { output, message } of impossible) {
  Deno.test(`rexec call exits with 6 when a dict cannot be written to ${output}`, async () => {
    await withFolder(async (folder) => {
      const { code, stderr } = await against({}, ["call", "Any", "--data", "{}", "--output", `${folder}/${output}`]);
      assert.equal(code, 6, stderr);
      assert.match(stderr, message);
    });
  });
}

Deno.test("rexec config shows values and where they come from", async () => {
  const { code, stdout } = await rexec(["config"], { env: { GRPC_PORT: "6000" } });
  assert.equal(code, 0);
  assert.match(stdout, /port: 6000 # from env GRPC_PORT/);
  const json = await rexec(["--json", "config", "--set", "server.port=6001"]);
  assert.deepEqual(JSON.parse(json.stdout)["server.port"], { value: 6001, from: "command line" });
});

Deno.test("rexec call exits with 130 when it is interrupted, and cancels the call", async () => {
  const called = Promise.withResolvers<void>();
  const cancelled = Promise.withResolvers<void>();
  using fake = await FakeService.start({
    executeNode: (_, call) => {
      call.on("cancelled", cancelled.resolve);
      called.resolve();
      return undefined;
    },
  });
  const { code, stderr } = await rexec(["--address", fake.address, "call", "Any"], { interrupt: called.promise });
  assert.equal(code, 130, stderr);
  assert.match(stderr, /^Error: Interrupted\n$/);
  await cancelled.promise;
});
