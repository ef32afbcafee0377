import assert from "node:assert/strict";
import { status as GrpcStatus } from "@grpc/grpc-js";
import { codecFor } from "../../workers/codecs/mod.ts";
import { openPackage } from "../../workers/package/mod.ts";
import { type ExecuteCustomTaskRequest, ExecuteCustomTaskResponse } from "../../protos/generated/execution.ts";
import { ExecutionOptions, ExecutionStatus, FailureReason } from "../../protos/generated/types.ts";
import { rexec } from "../fakes/cli.ts";
import { type FakeBehaviour, FakeService, rpcFailure } from "../fakes/fake_service.ts";
import { TestFolder } from "../fakes/folder.ts";

const MODULE = "export default (n: number) => 2 * n;";

/** Runs `rexec` against a fake. */
async function against(
  executeCustomTask: FakeBehaviour["executeCustomTask"],
  args: readonly string[],
  stdin?: string,
) {
  using fake = await FakeService.start(executeCustomTask === undefined ? {} : { executeCustomTask });
  return await rexec(["--address", fake.address, ...args], stdin === undefined ? {} : { stdin });
}

/** Answers with the input, some console and metrics. */
function talkative(request: ExecuteCustomTaskRequest): ExecuteCustomTaskResponse {
  return ExecuteCustomTaskResponse.fromPartial({
    status: ExecutionStatus.SUCCESS,
    outputData: request.inputData,
    stdout: "a\n\x1b[31mb\n",
    stderr: "c",
    metrics: { durationMs: 12, queueTimeMs: 3, cpuTimeMs: 7, memoryPeakMb: 40, sandboxId: "host-1" },
  });
}

Deno.test("rexec run packages a folder and sends entry point, limits, input and all that it asks for", async () => {
  await using folder = await TestFolder.make({ "main.ts": MODULE, "lib/a.ts": "export {};", ".env": "secret" });
  let seen: ExecuteCustomTaskRequest | undefined;
  const answer = (request: ExecuteCustomTaskRequest) => (seen = request, talkative(request));
  const options = ["--entry", "main.ts:default", "--timeout", "9", "--memory", "64", "--input", "-"];
  const more = ["--dependency", "npm:zod@4", "--allow-net", "a.example,[::1]:80", "--allow-net", "10.0.0.0/8"];
  const limits = ["--cpu", "50", "--cpu-time", "7", "--output-limit", "3"];
  const rights = ["--allow-files", "--workdir", "in/here", "--env", "B=2", "--env", "A="];
  const args = ["run", folder.path, ...options, ...more, ...limits, ...rights];
  const result = await against(answer, args, '{"n": [1, 1.0]}');
  assert.equal(result.code, 0, result.stderr);
  assert.equal(result.stdout, '{"n":[1,1.0]}\n');
  assert.ok(seen !== undefined);
  assert.deepEqual([seen.entryPoint, seen.serializationFormat], ["main.ts:default", "pickle"]);
  assert.deepEqual(seen.dependencies, ["npm:zod@4"]);
  const networkHosts = ["a.example", "[::1]:80", "10.0.0.0/8"];
  assert.deepEqual(seen.options, {
    timeoutSeconds: 9,
    memoryLimitMb: 64,
    cpuLimitPercent: 50,
    cpuTimeSeconds: 7,
    maxOutputSizeMb: 3,
    enableNetworking: true,
    networkHosts,
    enableFilesystem: true,
    workingDirectory: "in/here",
    environment: { A: "", B: "2" },
  });
  const { files, manifest } = openPackage(Uint8Array.from(seen.codePackage), { entryPoint: seen.entryPoint });
  assert.deepEqual([...files.keys()], ["lib/a.ts", "main.ts"]);
  assert.deepEqual(manifest?.permissions, { net: networkHosts, files: true, env: ["A", "B"] });
});

Deno.test("rexec run asks for nothing that it is not told to ask for", async () => {
  await using folder = await TestFolder.make({ "task.ts": MODULE });
  let seen: ExecuteCustomTaskRequest | undefined;
  const answer = (request: ExecuteCustomTaskRequest) => (seen = request, talkative(request));
  const { code, stdout } = await against(answer, ["run", folder.file("task.ts")]);
  assert.deepEqual([code, stdout], [0, "null\n"]);
  assert.ok(seen !== undefined);
  assert.deepEqual([seen.entryPoint, seen.dependencies], ["", []]);
  assert.deepEqual(seen.options, ExecutionOptions.fromPartial({}));
  assert.equal(codecFor("pickle").decode(Uint8Array.from(seen.inputData)), null);
  assert.equal(openPackage(Uint8Array.from(seen.codePackage)).manifest?.permissions, undefined);
});

Deno.test("rexec run packages Python, and asks for the version that it is told", async () => {
  await using folder = await TestFolder.make({ "task.py": "def main(x): return x" });
  const manifests: unknown[] = [];
  const answer = (request: ExecuteCustomTaskRequest) => {
    const { runtime, python_version } = openPackage(Uint8Array.from(request.codePackage)).manifest ?? {};
    manifests.push([runtime, python_version]);
    return talkative(request);
  };
  for (const version of [[], ["--python", "3.11"]]) {
    const { code, stderr } = await against(answer, ["run", folder.file("task.py"), ...version]);
    assert.equal(code, 0, stderr);
  }
  assert.deepEqual(manifests, [["python", undefined], ["python", "3.11"]]);
  const wrong = await against(answer, ["run", folder.file("task.py"), "--python", "three"]);
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /It must be a version such as 3\.11/);
});

for (const form of [["--allow-net"], ["--allow-net=*"], ["--allow-net=a.example", "--allow-net"]]) {
  Deno.test(`rexec run ${form.join(" ")} asks for all hosts that the policy grants`, async () => {
    await using folder = await TestFolder.make({ "task.ts": MODULE });
    let seen: ExecuteCustomTaskRequest | undefined;
    const answer = (request: ExecuteCustomTaskRequest) => (seen = request, talkative(request));
    const { code } = await against(answer, ["run", folder.file("task.ts"), ...form]);
    assert.equal(code, 0);
    assert.deepEqual([seen?.options?.enableNetworking, seen?.options?.networkHosts], [true, []]);
    assert.deepEqual(openPackage(Uint8Array.from(seen!.codePackage)).manifest?.permissions, { net: true });
  });
}

Deno.test("rexec run prints the console to standard error, the result alone to standard output", async () => {
  await using folder = await TestFolder.make({ "task.ts": MODULE });
  const args = ["run", folder.file("task.ts"), "--data", "5"];
  const plain = await against(talkative, args);
  assert.deepEqual([plain.stdout, plain.stderr], ["5\n", "stdout | a\nstdout | \ufffd[31mb\nstderr | c\n"]);
  const quiet = await against(talkative, ["--quiet", ...args]);
  assert.deepEqual([quiet.stdout, quiet.stderr], ["5\n", ""]);
  const verbose = await against(talkative, ["--verbose", ...args]);
  assert.match(verbose.stderr, /^Packaged 1 file, \d+ bytes\nstdout \| a\n/);
  assert.match(verbose.stderr, /\nTook 12 ms in host-1: waited 3 ms, 7 ms of CPU time, 40 MB of memory at most\n$/);
});

Deno.test("rexec --json run prints result, metrics and console for programs", async () => {
  await using folder = await TestFolder.make({ "task.ts": MODULE });
  const args = ["--json", "run", folder.file("task.ts"), "--data", "123456789012345678901234567890"];
  const { stdout, stderr } = await against(talkative, args);
  assert.match(stdout, /^{"output": 123456789012345678901234567890, /);
  const { metrics, ...rest } = JSON.parse(stdout);
  assert.equal(metrics.durationMs, 12);
  delete rest.output;
  assert.deepEqual(rest, { stdout: "a\n\x1b[31mb\n", stderr: "c", installedDependencies: [] });
  assert.equal(stderr, "");
  const filed = await against(talkative, [...args, "--output", folder.file("out.json")]);
  assert.equal(filed.stdout, "");
  assert.match(filed.stderr, /^stdout \| a\n/);
  assert.equal(await Deno.readTextFile(folder.file("out.json")), "123456789012345678901234567890");
});

const failures = [
  { status: ExecutionStatus.ERROR, reason: FailureReason.EXCEPTION, kind: "ERROR, EXCEPTION", code: 1 },
  { status: ExecutionStatus.ERROR, reason: FailureReason.INVALID_TASK, kind: "ERROR, INVALID_TASK", code: 1 },
  { status: ExecutionStatus.ERROR, reason: FailureReason.UNSPECIFIED, kind: "ERROR", code: 1 },
  {
    status: ExecutionStatus.SECURITY_VIOLATION,
    reason: FailureReason.SECURITY_VIOLATION,
    kind: "SECURITY_VIOLATION",
    code: 4,
  },
  { status: ExecutionStatus.TIMEOUT, reason: FailureReason.TIME_LIMIT, kind: "TIMEOUT, TIME_LIMIT", code: 5 },
  {
    status: ExecutionStatus.RESOURCE_LIMIT,
    reason: FailureReason.MEMORY_LIMIT,
    kind: "RESOURCE_LIMIT, MEMORY_LIMIT",
    code: 5,
  },
];

for (const { status, reason, kind, code } of failures) {
  Deno.test(`rexec run exits with ${code} when the task ends with ${kind}, after its console`, async () => {
    await using folder = await TestFolder.make({ "task.ts": MODULE });
    const answer = () => ({ status, failureReason: reason, errorMessage: "broke", stdout: "so far\n" });
    const result = await against(answer, ["run", folder.file("task.ts")]);
    assert.equal(result.code, code, result.stderr);
    assert.equal(result.stdout, "");
    assert.ok(result.stderr.startsWith(`stdout | so far\nError (${kind}): broke\n`), result.stderr);
  });
}

Deno.test("rexec --json run tells programs all that is known of a failure", async () => {
  await using folder = await TestFolder.make({ "task.ts": MODULE });
  const answer = () =>
    ExecuteCustomTaskResponse.fromPartial({
      status: ExecutionStatus.ERROR,
      failureReason: FailureReason.EXCEPTION,
      errorMessage: "broke",
      errorTraceback: "at main.ts:1",
      stderr: "warned\n",
      metrics: { durationMs: 12 },
    });
  const { code, stderr } = await against(answer, ["--json", "run", folder.file("task.ts")]);
  const { error: { metrics, hint: _, ...error } } = JSON.parse(stderr);
  assert.equal(code, 1);
  assert.equal(metrics.durationMs, 12);
  assert.deepEqual(error, {
    message: "broke",
    status: "ERROR",
    failureReason: "EXCEPTION",
    traceback: "at main.ts:1",
    stderr: "warned\n",
    exitCode: 1,
  });
});

Deno.test("rexec run --allow-net exits with 4 and says whose decision it is when the policy refuses", async () => {
  await using folder = await TestFolder.make({ "task.ts": MODULE });
  const refuse = () => {
    throw rpcFailure(GrpcStatus.PERMISSION_DENIED, "options.enable_networking is not granted");
  };
  const { code, stderr } = await against(refuse, ["run", folder.file("task.ts"), "--allow-net", "a.example"]);
  assert.equal(code, 4);
  assert.match(stderr, /^Error: .*options\.enable_networking is not granted\nThe service's policy decides/);
});

const usageErrors = [
  { args: ["run"], message: /missing required argument 'path'/ },
  { args: ["run", "no/such/folder"], message: /Cannot package code: cannot read "no\/such\/folder": there is no such/ },
  { args: ["run", "/dev/null"], message: /"null" is neither a file nor a folder/ },
  { args: ["run", "deno.json", "--timeout", "0"], message: /whole number above 0/ },
  { args: ["run", "deno.json", "--cpu", "0.5"], message: /whole number above 0/ },
  { args: ["run", "deno.json", "--allow-net", "https://a.example/"], message: /must be host or host:port/ },
  { args: ["run", "deno.json", "--allow-net", "*.example"], message: /must be host or host:port/ },
  { args: ["run", "deno.json", "--allow-net="], message: /must be host or host:port/ },
  {
    args: ["run", "--allow-net", "task.ts"],
    message: /missing required argument 'path'\n--allow-net took task\.ts for a host: put the path before it/,
  },
  { args: ["run", "deno.json", "--workdir", "a"], message: /--workdir needs --allow-files/ },
  { args: ["run", "deno.json", "--env", "NO_SUCH"], message: /variable NO_SUCH: it is not set\n.*--env NO_SUCH=VALUE/ },
  {
    args: ["run", "deno.json", "--env", "=x"],
    message: /^Error: Cannot set a variable without a name: --env takes NA/,
  },
  { args: ["run", "deno.json", "--env-file", "no/such"], message: /Cannot read no\/such for --env-file: there is no/ },
  { args: ["run", "deno.json", "--data", "1", "--input", "-"], message: /exclude each other/ },
  { args: ["run", "no/such/folder", "--watch"], message: /Cannot watch no\/such\/folder: there is no such file/ },
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

Deno.test("rexec run refuses a link that leaves the folder, and calls nobody", async () => {
  await using folder = await TestFolder.make({ "code/main.ts": MODULE, "secret.txt": "" });
  await Deno.symlink(folder.file("secret.txt"), folder.file("code/data.txt"));
  using fake = await FakeService.start();
  const { code, stderr } = await rexec(["--address", fake.address, "run", folder.file("code")]);
  assert.equal(code, 2);
  assert.match(stderr, /^Error: Cannot package code: the link "data\.txt" leaves the folder/);
  assert.deepEqual(fake.calls, []);
});

Deno.test("rexec run never quotes what --env is given", async () => {
  for (const form of ["--verbose", "--json"]) {
    const { code, stderr } = await rexec([form, "run", "deno.json", "--env", "=hidden", "--env", "NO_SUCH"]);
    assert.equal(code, 2);
    assert.match(stderr, /without a name/);
    assert.doesNotMatch(stderr, /hidden/);
  }
});

Deno.test("rexec run --help shows examples, and says where the console goes and when", async () => {
  const { code, stdout } = await rexec(["run", "--help"]);
  assert.equal(code, 0);
  assert.match(stdout, /Examples:\n {2}rexec run/);
  assert.match(stdout, /console goes to standard error line by line while\s+it runs/);
});
