/**
 * Entry of the Web Worker that installs packages: its host has network to one registry, and it runs nothing of what it gets.
 * It takes one task, like a worker of user code, and is locked like one: what it reads was written by strangers.
 *
 * @module
 */

import "./capture_network.ts";
import { exposeGrants, nowMs, onMessage, onUncaught, post, unremovedGlobals } from "./harden.ts";
import { encodeInstallAnswer, type InstallRequest } from "./install_protocol.ts";
import { installNpm } from "./package/npm/install.ts";
import { installPython } from "./package/python/install.ts";
import { probeTask } from "./probe.ts";
import {
  decodeJsonPayload,
  decodePackageTask,
  encodeJsonFrame,
  encodeResult,
  type Frame,
  FrameKind,
  type FramePieces,
  joinPieces,
  type PackageOptions,
  type PackageTask,
  splitFrames,
} from "./protocol.ts";
import { declaredRequirements } from "./package/mod.ts";
import { TaskError } from "./task_error.ts";
import { describeFailure } from "./traceback.ts";

const NOTHING = new Uint8Array();
let taskId: number | undefined;
let ended = false;
let startedAt = 0;

onMessage((bytes) => {
  for (const frame of splitFrames(bytes)) receive(frame);
});
onUncaught((error) => end(undefined, error));
send(encodeJsonFrame(FrameKind.Ready, 0, { nodes: [] }));

function receive(frame: Frame): void {
  switch (frame.kind) {
    case FrameKind.Package:
      if (taskId === undefined) void run(frame);
      break;
    case FrameKind.Cancel:
      end(undefined, new TaskError("CANCELLED", "Cannot install packages: nobody waits for them any more"));
      break;
    case FrameKind.Probe:
      void probeTask(decodeJsonPayload(frame.payload), unremovedGlobals).then((outcomes) =>
        send(encodeJsonFrame(FrameKind.ProbeReport, 0, outcomes))
      );
      break;
  }
}

async function run(frame: Frame): Promise<void> {
  taskId = frame.taskId;
  startedAt = nowMs();
  try {
    end(await install(decodePackageTask(frame.payload)), undefined);
  } catch (error) {
    end(undefined, error);
  }
}

async function install({ options, input, codePackage, maxOutputBytes }: PackageTask): Promise<Uint8Array> {
  // Written by the server, which we trust.
  const request = decodeJsonPayload(input) as InstallRequest;
  const { egress, environment } = options;
  const caCerts = request.kind === "requirements" ? [] : request.caCerts;
  exposeGrants({ environment, ...(egress === undefined ? {} : { egress: { ...egress, caCerts } }) });
  const { lines, layer } = await answerTo(request, { codePackage, options });
  const answer = encodeInstallAnswer({ lines }, layer);
  if (answer.length > maxOutputBytes) {
    throw new TaskError(
      "RESOURCE_LIMIT",
      `Cannot install packages: together they have ${answer.length} bytes, allowed are ${maxOutputBytes}`,
    );
  }
  return answer;
}

async function answerTo(
  request: InstallRequest,
  { codePackage, options }: Pick<PackageTask, "codePackage" | "options">,
): Promise<{ readonly lines: readonly string[]; readonly layer: Uint8Array }> {
  switch (request.kind) {
    case "npm":
      return await installNpm(request, globalThis.fetch);
    case "python":
      return await installPython(request, globalThis.fetch);
    case "requirements":
      return { lines: declaredRequirements(codePackage, packageLimits(options)), layer: NOTHING };
  }
}

function packageLimits({ maxPackageBytes, maxUnpackedBytes, maxFiles }: PackageOptions) {
  return { maxCompressedBytes: maxPackageBytes, maxUnpackedBytes, maxFiles };
}

/** The first end counts. */
function end(output: Uint8Array | undefined, error: unknown): void {
  if (ended || taskId === undefined) return;
  ended = true;
  const runMicros = Math.max(0, (nowMs() - startedAt) * 1_000);
  if (output !== undefined) {
    return send(encodeResult(taskId, { outcome: "OK", runMicros, message: "", traceback: "", output }));
  }
  const outcome = error instanceof TaskError ? error.code : "TASK_FAILED";
  send(encodeResult(taskId, { outcome, runMicros, ...describeFailure(error), output: NOTHING }));
}

function send(pieces: FramePieces): void {
  const [first, second] = pieces;
  const bytes = joinPieces(pieces, first.length + (second?.length ?? 0));
  post(bytes.length === bytes.buffer.byteLength ? bytes as Uint8Array<ArrayBuffer> : bytes.slice());
}
