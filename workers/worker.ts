/**
 * Entry of the Web Worker that runs built-in nodes: takes tasks as frames, runs them one after the other, answers with
 * results. A stream is a node that stays between the tasks that open, continue and close it. It has no permission and, once `harden.ts` is loaded, no API to use one with.
 *
 * Tasks of one worker never overlap: the server knows by their order which one runs, and blames the right one when the
 * worker does not come back.
 *
 * @module
 */

import { nowMs, onAsset, onMessage, post, requestAsset, unremovedGlobals } from "./harden.ts";
import { AssetRequests } from "./asset_requests.ts";
import { setAssetLoader } from "./assets.ts";
import { Cancellation } from "./cancellation.ts";
import { probeTask } from "./probe.ts";
import { decodeJsonPayload, encodeJsonFrame, FrameKind, joinPieces, splitFrames } from "./protocol.ts";
import type { Frame, FramePieces } from "./protocol.ts";
import { NodeStreams } from "./node_streams.ts";
import { runTask } from "./run_task.ts";
import { describeNodes } from "./nodes/mod.ts";

/** Results wait at most this long for others to be sent together with. */
const MAX_RESULT_DELAY_MS = 0.5;
/** After this long without a break, messages are looked at before the next task: one may cancel it. */
const MAX_TURN_MS = 5;

const waiting: Frame[] = [];
const cancelled = new Set<number>();
let runningTask: { readonly id: number; readonly cancellation: Cancellation } | undefined;
let running = false;
let outgoing: Uint8Array[] = [];
let outgoingBytes = 0;

onMessage((bytes) => {
  for (const frame of splitFrames(bytes)) receive(frame);
  if (!running) void runAll();
});

// Outside the queue of frames: the task at its head is the one that waits for it.
const assetRequests = new AssetRequests(requestAsset);
onAsset((reply) => assetRequests.settle(reply));
setAssetLoader((name) => assetRequests.load(name));
const environment = { streams: new NodeStreams(send, sendNow), sendNow };

send(encodeJsonFrame(FrameKind.Ready, 0, { nodes: describeNodes() }));
flush();

function receive(frame: Frame): void {
  switch (frame.kind) {
    case FrameKind.Task:
    case FrameKind.Open:
    case FrameKind.Step:
    case FrameKind.Probe:
      waiting.push(frame);
      break;
    case FrameKind.Cancel:
      if (runningTask?.id === frame.taskId) runningTask.cancellation.cancel();
      else if (waiting.some(({ taskId }) => taskId === frame.taskId)) cancelled.add(frame.taskId);
      break;
  }
}

async function runAll(): Promise<void> {
  running = true;
  let turnStart = nowMs();
  let oldestResult = turnStart;
  try {
    for (let frame = waiting.shift(); frame !== undefined; frame = waiting.shift()) {
      if (outgoingBytes === 0) oldestResult = nowMs();
      if (frame.kind === FrameKind.Probe) {
        send(
          encodeJsonFrame(
            FrameKind.ProbeReport,
            0,
            await probeTask(decodeJsonPayload(frame.payload), unremovedGlobals),
          ),
        );
      } else {
        const cancellation = new Cancellation();
        runningTask = { id: frame.taskId, cancellation };
        if (cancelled.delete(frame.taskId)) cancellation.cancel();
        send(await runTask(frame, cancellation, environment));
        runningTask = undefined;
      }
      const now = nowMs();
      if (now - oldestResult > MAX_RESULT_DELAY_MS) flush();
      if (now - turnStart > MAX_TURN_MS && waiting.length > 0) {
        flush();
        await new Promise((resolve) => setTimeout(resolve, 0));
        turnStart = nowMs();
      }
    }
  } finally {
    flush();
    running = false;
  }
}

function send(pieces: FramePieces): void {
  for (const piece of pieces) {
    outgoing.push(piece);
    outgoingBytes += piece.length;
  }
}

/** Sends a frame that should be seen while its task still runs. */
function sendNow(pieces: FramePieces): void {
  send(pieces);
  flush();
}

function flush(): void {
  if (outgoingBytes === 0) return;
  const bytes = joinPieces(outgoing, outgoingBytes);
  outgoing = [];
  outgoingBytes = 0;
  // A lone piece may be a view on a larger buffer, which must not be given away whole.
  post(bytes.length === bytes.buffer.byteLength ? bytes as Uint8Array<ArrayBuffer> : bytes.slice());
}
