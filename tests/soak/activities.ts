/**
 * What clients do in the soak. Each activity is one conversation with the service, and throws when the service did not do
 * its part of it.
 * @module
 */

import assert from "node:assert/strict";
import { status as callStatus } from "@grpc/grpc-js";
import { type ExecuteObjectMethodResponse } from "../../protos/generated/execution.ts";
import { ExecutionStatus } from "../../protos/generated/types.ts";
import { codecFor } from "../../workers/codecs/mod.ts";
import { pairOf } from "../support/audio.ts";
import { connect, TestClient, unary } from "../support/client.ts";
import { Conversation, type ConversationEnd, type ConversationOptions } from "../streams/conversation.ts";
import { CutLine } from "../streams/cut_line.ts";
import { isLostConnection } from "../streams/ends.ts";
import { RemoteExecutionServiceClient } from "../../protos/generated/execution.ts";

/** Where activities happen. */
export interface SoakStage {
  readonly client: TestClient;
  /** gRPC's, on 127.0.0.1. */
  readonly port: number;
  /** From 0 to below 1. */
  readonly random: () => number;
  /** Aborts when activities shall come to their ends. */
  readonly stop: AbortSignal;
}

/** An activity, and how many do it at once. */
export interface Activity {
  readonly atOnce: number;
  readonly run: (stage: SoakStage) => Promise<void>;
}

const FRAME_MS = 20;
const FRAME = codecFor("pickle").encode(
  pairOf([Float32Array.from({ length: 960 }, (_, i) => Math.sin(i))], 48_000),
  {},
);
const WINDOW = 16;
/** A call without an answer by then has none. */
const PATIENCE_MS = 60_000;
const TASK = new TextEncoder().encode("export default (n: number): number => n * 2;");
const OBJECT = new TextEncoder().encode(`
export default class Counter {
  #sum: number;
  constructor({ start = 0 }: { start?: number } = {}) { this.#sum = start; }
  add(n: number): number { return this.#sum += n; }
  process(item: unknown): unknown { return item; }
}`);

/** All that is mixed, by name. */
export const ACTIVITIES: Readonly<Record<string, Activity>> = {
  "streams in real time": { atOnce: 20, run: streamInRealTime },
  "streams at full speed": { atOnce: 2, run: streamAtFullSpeed },
  "streams of user code": { atOnce: 1, run: streamOfUserCode },
  "calls of nodes": { atOnce: 4, run: callNodes },
  "calls of user code": { atOnce: 1, run: callTask },
  "object sessions": { atOnce: 1, run: useObject },
  "cancels": { atOnce: 2, run: cancelSomething },
  "connections that come and go": { atOnce: 1, run: comeAndGo },
};

/** Frames at their pace, for up to five seconds. */
async function streamInRealTime({ client, random, stop }: SoakStage): Promise<void> {
  const conversation = new Conversation(client.stub, {
    method: random() < 0.5 ? "StreamNode" : "StreamExecute",
    ...(random() < 0.5
      ? { nodeType: "VoiceActivityDetector", config: { frame_duration_ms: "10" } }
      : { nodeType: "AudioBuffer", config: { buffer_size_samples: "960" } }),
    format: "pickle",
  });
  await conversation.opened();
  const frames = Math.ceil(random() * 250);
  let sent = 0;
  for (const startedAt = performance.now(); sent < frames && !stop.aborted && !conversation.hasEnded; sent++) {
    conversation.sendBytes(FRAME);
    await pause(startedAt + (sent + 1) * FRAME_MS - performance.now());
  }
  endInOrder(conversation, random);
  assertEnded(await conversation.ended);
  assert.equal(conversation.outputs.length, sent, "outputs");
}

/** A window of small messages for up to two seconds; each comes back as it was. */
async function streamAtFullSpeed({ client, random, stop }: SoakStage): Promise<void> {
  const conversation = new Conversation(client.stub, options("PassThroughNode", random));
  await conversation.opened();
  const until = performance.now() + 2_000 * random();
  let sent = 0;
  while (performance.now() < until && !stop.aborted && !conversation.hasEnded) {
    for (; sent < conversation.outputs.length + WINDOW; sent++) conversation.send(sent);
    await conversation.untilOutputs(sent - WINDOW / 2);
  }
  endInOrder(conversation, random);
  assertEnded(await conversation.ended);
  assert.deepEqual(conversation.outputs, Array.from({ length: sent }, (_, index) => index));
}

async function streamOfUserCode({ client, random, stop }: SoakStage): Promise<void> {
  const conversation = new Conversation(client.stub, {
    method: "StreamExecute",
    nodeType: "custom",
    codePackage: OBJECT,
  });
  await conversation.opened();
  const inputs = Math.ceil(random() * 100);
  let sent = 0;
  for (; sent < inputs && !stop.aborted; sent++) {
    conversation.send(sent);
    await conversation.untilOutputs(sent + 1);
  }
  endInOrder(conversation, random);
  assertEnded(await conversation.ended);
  assert.equal(conversation.outputs.length, sent, "outputs");
}

async function callNodes({ client, random }: SoakStage): Promise<void> {
  const number = Math.floor(random() * 1_000);
  const { status, errorMessage, output } = await client.run({
    nodeType: "CalculatorNode",
    input: { operation: "add", args: [number, 1] },
  }, { deadline: Date.now() + PATIENCE_MS });
  assert.equal(status, ExecutionStatus.SUCCESS, errorMessage);
  assert.equal(Reflect.get(Object(output), "result"), number + 1);
  await pause(random() * 20);
}

async function callTask({ client, random }: SoakStage): Promise<void> {
  const answer = await unary(client.stub, client.stub.executeCustomTask, {
    codePackage: TASK,
    entryPoint: "",
    inputData: new TextEncoder().encode("21"),
    serializationFormat: "json",
    dependencies: [],
    options: undefined,
  }, { deadline: Date.now() + PATIENCE_MS }).answer;
  if (!answer.ok) throw new Error(`${callStatus[answer.code]}: ${answer.details}`);
  const { status, errorMessage, outputData } = answer.response;
  assert.equal(status, ExecutionStatus.SUCCESS, errorMessage);
  assert.equal(new TextDecoder().decode(outputData), "42");
  await pause(random() * 2_000);
}

/** A session with up to thirty calls, closed at the end. */
async function useObject({ client, random, stop }: SoakStage): Promise<void> {
  const calls = Math.ceil(random() * 30);
  let sessionId = "";
  for (let call = 1, close = false; !close; call++) {
    close = call === calls || stop.aborted;
    const response = await callObject(client, sessionId, { method: "add", close });
    assert.equal(new TextDecoder().decode(response.resultData), String(call), "the sum");
    sessionId ||= response.sessionId;
    await pause(random() * 50);
  }
}

async function callObject(
  client: TestClient,
  sessionId: string,
  { method, close }: { readonly method: string; readonly close: boolean },
): Promise<ExecuteObjectMethodResponse> {
  const answer = await unary(client.stub, client.stub.executeObjectMethod, {
    objectSpecifier: sessionId === ""
      ? { $case: "codePackage", value: OBJECT }
      : { $case: "sessionId", value: sessionId },
    config: {},
    serializationFormat: "json",
    methodName: method,
    methodArgsData: new TextEncoder().encode("[1]"),
    close,
    entryPoint: "",
    options: undefined,
  }, { deadline: Date.now() + PATIENCE_MS }).answer;
  if (!answer.ok) throw new Error(`${callStatus[answer.code]}: ${answer.details}`);
  assert.equal(answer.response.status, ExecutionStatus.SUCCESS, answer.response.errorMessage);
  return answer.response;
}

/** Between two that are given up by one client: HTTP/2 ends a connection with more than 33 resets a second for long. */
const CANCEL_PAUSE_MS = 100;

/** A stream or a call that its client gives up, at any moment. */
async function cancelSomething({ client, random }: SoakStage): Promise<void> {
  await pause(CANCEL_PAUSE_MS);
  if (random() < 0.3) {
    const call = client.start({ nodeType: "PassThroughNode", input: "x".repeat(random() * 10_000) });
    await pause(random() * 5);
    call.cancel();
    const answer = await call.answer;
    if (!answer.ok && answer.code !== callStatus.CANCELLED) throw new Error(callStatus[answer.code]);
    return;
  }
  const conversation = new Conversation(client.stub, options("StatefulCounter", random));
  await conversation.opened();
  for (let sent = Math.floor(random() * 20); sent > 0; sent--) conversation.send(sent);
  await pause(random() * 20);
  conversation.cancel();
  const end = await conversation.ended;
  if (end.code !== callStatus.CANCELLED) throw new Error(describe(end));
}

/** A connection of its own for a stream and some calls, half the time cut in the middle of them. */
async function comeAndGo({ port, random, stop }: SoakStage): Promise<void> {
  const isCut = random() < 0.5;
  await using line = await CutLine.start(port);
  const stub = connect(RemoteExecutionServiceClient, line.address);
  try {
    const conversation = new Conversation(stub, options("StatefulCounter", random));
    await conversation.opened();
    for (let sent = 0; sent < 5; sent++) conversation.send(sent);
    if (!isCut) {
      conversation.halfClose();
      assertEnded(await conversation.ended);
      assert.equal(conversation.outputs.length, 5, "outputs");
    } else {
      if (random() < 0.5) await conversation.untilOutputs(2);
      await line[Symbol.asyncDispose]();
      const end = await conversation.ended;
      if (!isLostConnection(end)) throw new Error(describe(end));
    }
  } finally {
    stub.close();
  }
  if (!stop.aborted) await pause(random() * 100);
}

function options(nodeType: string, random: () => number): ConversationOptions {
  return { method: random() < 0.5 ? "StreamNode" : "StreamExecute", nodeType };
}

function endInOrder(conversation: Conversation, random: () => number): void {
  if (random() < 0.5) conversation.close();
  else conversation.halfClose();
}

function assertEnded(end: ConversationEnd): void {
  if (end.code !== callStatus.OK || end.error !== undefined) throw new Error(describe(end));
}

function describe({ code, details, error }: ConversationEnd): string {
  return `${callStatus[code]}: ${error ?? details}`;
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}
