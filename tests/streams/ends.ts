/**
 * Every way in which a stream can end, and what the client has to see of each.
 * @module
 */

import { status as callStatus } from "@grpc/grpc-js";
import { connect, type TestClient } from "../support/client.ts";
import type { TestServer } from "../support/server.ts";
import { RemoteExecutionServiceClient } from "../../protos/generated/execution.ts";
import { Conversation, type ConversationEnd, type ConversationOptions } from "./conversation.ts";
import { CutLine } from "./cut_line.ts";
import type { HostKiller } from "./host_killer.ts";

/** Where streams are opened. */
export interface Stage {
  readonly server: TestServer;
  readonly client: TestClient;
  readonly killer: HostKiller;
  /** From 0 to below 1. */
  readonly random: () => number;
}

/** An end that a client can see; `lost` is a killed host's. */
export type Outcome = "ended" | "cancelled" | "deadline" | "disconnected" | "idle" | "failed" | "lost";

/** What came of a stream. */
export interface StreamRecord {
  readonly way: WayName;
  readonly subject: string;
  readonly outcome: Outcome | undefined;
  /** What is wrong, if anything is. */
  readonly fault: string | undefined;
}

/** Longest deadline of a stream that ends by it, in milliseconds. */
const DEADLINE_MS = 400;
const MAX_INPUTS = 6;

/** What runs: each gives one output for each input. */
const CODE = new TextEncoder().encode("export default class { process(item: unknown): unknown { return item; } }");
const SUBJECTS: readonly Pick<ConversationOptions, "method" | "nodeType" | "codePackage">[] = [
  { method: "StreamNode", nodeType: "PassThroughNode" },
  { method: "StreamExecute", nodeType: "PassThroughNode" },
  { method: "StreamNode", nodeType: "StatefulCounter" },
  { method: "StreamExecute", nodeType: "StatefulCounter" },
  { method: "StreamExecute", nodeType: "custom", codePackage: CODE },
];
/** Of so many streams one is of user code, which has a process of its own. */
const CUSTOM_EVERY = 12;

interface Way {
  /** The outcome that it has when nothing else comes in between. */
  readonly outcome: Outcome;
  /** How often it is taken, beside the others. */
  readonly weight: number;
  /** Whether the service has no say in it. */
  readonly isAbrupt: boolean;
  readonly end: (conversation: Conversation, stage: Stage) => void | Promise<void>;
}

const WAYS = {
  closeMessage: { isAbrupt: false, outcome: "ended", weight: 4, end: (conversation) => conversation.close() },
  halfClose: { isAbrupt: false, outcome: "ended", weight: 4, end: (conversation) => conversation.halfClose() },
  cancel: { isAbrupt: true, outcome: "cancelled", weight: 4, end: (conversation) => conversation.cancel() },
  deadline: { isAbrupt: true, outcome: "deadline", weight: 4, end: () => {} },
  lostConnection: { isAbrupt: true, outcome: "disconnected", weight: 4, end: () => {} },
  idle: { isAbrupt: false, outcome: "idle", weight: 2, end: () => {} },
  nodeError: {
    isAbrupt: false,
    outcome: "failed",
    weight: 4,
    end: (conversation) => conversation.sendText('"bad" is no JSON'),
  },
  // The host may be another stream's: this one then goes on, and is half-closed.
  hostKilled: {
    isAbrupt: false,
    outcome: "ended",
    weight: 0.3,
    end: async (conversation, { killer }) => {
      await killer.kill();
      conversation.halfClose();
    },
  },
} as const satisfies Record<string, Way>;

/** Ways by name. */
export type WayName = keyof typeof WAYS;
/** All of them. */
export const WAY_NAMES = Object.keys(WAYS) as readonly WayName[]; // The keys of the object above.

/** Chooses a way. */
export function chooseWay(random: () => number): WayName {
  const total = WAY_NAMES.reduce((sum, name) => sum + WAYS[name].weight, 0);
  let left = random() * total;
  return WAY_NAMES.find((name) => (left -= WAYS[name].weight) < 0) ?? "halfClose";
}

/** Opens a stream, uses it, ends it in that way, and looks at what the client saw. */
export async function runStream(way: WayName, stage: Stage): Promise<StreamRecord> {
  const { random, client, server } = stage;
  const subject = random() < 1 / CUSTOM_EVERY ? SUBJECTS.at(-1)! : SUBJECTS[Math.floor(random() * 4)]!;
  const startedAt = performance.now();
  await using own = way === "lostConnection" ? await ownLine(server) : undefined;
  const conversation = new Conversation(own?.stub ?? client.stub, {
    ...subject,
    call: way === "deadline" ? { deadline: Date.now() + DEADLINE_MS * random() } : {},
  });
  // What ends at once may end before it is open.
  const isHasty = WAYS[way].isAbrupt && random() < 0.3;
  const inputs = isHasty ? 0 : Math.floor(random() * (MAX_INPUTS + 1));
  const isPatient = random() < 0.7;
  if (!isHasty) await conversation.opened();
  for (let input = 0; input < inputs; input++) conversation.send(input);
  // A stream that ends before its outputs have come must leave no more than one that has them all.
  if (isPatient) await conversation.untilOutputs(inputs);
  await WAYS[way].end(conversation, stage);
  await own?.line[Symbol.asyncDispose]();
  const end = await conversation.ended;
  const outcome = outcomeOf(end);
  const subjectName = `${subject.method} of ${subject.nodeType}`;
  const expected = new Set<Outcome>([WAYS[way].outcome]);
  // A machine can be so slow that a client's next step comes too late.
  expected.add("idle");
  if (stage.killer.killedBetween(startedAt, performance.now())) expected.add("lost");
  const isExpected = outcome !== undefined && expected.has(outcome);
  const lacks = outcome === "ended" && conversation.outputs.length !== inputs;
  const lacksClose = outcome === "ended" && subject.method === "StreamExecute" && !end.closed;
  const fault = !isExpected || lacks || lacksClose
    ? `${way}, ${subjectName}: ${outcome}, ${conversation.outputs.length} of ${inputs} outputs, ${JSON.stringify(end)}`
    : undefined;
  return { way, subject: subjectName, outcome, fault };
}

/** A connection that can be cut, and a stub on it. */
async function ownLine(server: TestServer): Promise<
  { readonly line: CutLine; readonly stub: RemoteExecutionServiceClient } & AsyncDisposable
> {
  const line = await CutLine.start(server.ready.port);
  const stub = connect(RemoteExecutionServiceClient, line.address);
  return {
    line,
    stub,
    async [Symbol.asyncDispose]() {
      stub.close();
      await line[Symbol.asyncDispose]();
    },
  };
}

/** Whether a client lost its connection: grpc-js calls it UNAVAILABLE, and INTERNAL where it was writing just then. */
export function isLostConnection({ code, details }: Pick<ConversationEnd, "code" | "details">): boolean {
  return code === callStatus.UNAVAILABLE || code === callStatus.INTERNAL && /internal client error/.test(details);
}

/** What an end is, by what a client can see of it. */
export function outcomeOf({ code, error, details }: ConversationEnd): Outcome | undefined {
  // What the service says of a session's end, whatever the call's status.
  // grpc-js drops what it has not handed out when a status is not OK, but the status says the same.
  const said = error ?? details;
  if (/without an input/.test(said)) return "idle";
  if (error !== undefined) return /sandbox/.test(error) ? "lost" : "failed";
  switch (code) {
    case callStatus.OK:
      return "ended";
    case callStatus.CANCELLED:
      return "cancelled";
    case callStatus.DEADLINE_EXCEEDED:
      return "deadline";
    case callStatus.INTERNAL:
      // What grpc-js makes of an end that comes while it writes; of these, only the idle one waits for no message.
      if (/write after end/.test(details)) return "idle";
      return isLostConnection({ code, details }) ? "disconnected" : undefined;
    default:
      return isLostConnection({ code, details }) ? "disconnected" : undefined;
  }
}
