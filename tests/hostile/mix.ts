/**
 * Honest and hostile tasks of several callers at once: what the test and the benchmark of it share.
 * @module
 */

import { status as callStatus } from "@grpc/grpc-js";
import type { ExecuteCustomTaskResponse } from "../../protos/generated/execution.ts";
import { ExecutionOptions, ExecutionStatus } from "../../protos/generated/types.ts";
import { createToken, writeTokenFile } from "../../src/rpc/token_file.ts";
import { type Answer, TestClient, unary } from "../support/client.ts";
import { type HostileCase, readCorpus } from "./corpus.ts";

/** Busy loops, memory bombs, ends of processes, floods of output, and a few that try to get out. */
const CHOSEN: ReadonlySet<string> = new Set(
  ["time-loop", "time-regexp", "time-microtask", "mem-arraybuffer", "mem-heap", "mem-wasm", "mem-string", "kill-self"]
    .concat(["exit", "log-flood", "log-one-huge", "log-message-flood", "log-unhandled-flood", "forge-postmessage"])
    .concat(["fs-deno-read", "run-childprocess"]).map((name) => `ts-${name}`),
);
/** Limit of those that are to reach it. */
const LOOP_SECONDS = 1;
/** A call without an answer by then has none. */
const PATIENCE_MS = 300_000;

/** What came of one call. */
export interface CallRecord {
  readonly kind: "node" | "task" | "hostile";
  /** From sending to the answer. */
  readonly durationMs: number;
  /** What is wrong with the answer, if anything is. */
  readonly fault: string | undefined;
}

/** The hostile programs, each with the statuses that it may have. */
export function hostilePrograms(): readonly HostileCase[] {
  return readCorpus().filter(({ id }) => CHOSEN.has(id)).map((program) => ({
    ...program,
    timeoutSeconds: program.statuses.includes("TIMEOUT") ? LOOP_SECONDS : program.timeoutSeconds,
  }));
}

/**
 * Makes a token for each caller.
 * @returns the headers of each caller's calls
 */
export function makeTokens<Name extends string>(
  path: string,
  callers: readonly Name[],
): Readonly<Record<Name, Readonly<Record<string, string>>>> {
  const tokens = callers.map((caller) => createToken(caller, { now: Date.now(), expiresAt: undefined }));
  writeTokenFile(path, tokens.map(({ record }) => record));
  const headers = tokens.map(({ token }, index) => [callers[index], { authorization: `Bearer ${token}` }]);
  // One entry for each caller.
  return Object.fromEntries(headers) as Record<Name, Record<string, string>>;
}

/** A node's call with a result of its own. */
export async function callNode(client: TestClient, number: number): Promise<CallRecord> {
  const input = { operation: "add", args: [number, 0.5] };
  const startedAt = performance.now();
  const answer = await client.start({ nodeType: "CalculatorNode", input }, { deadline: Date.now() + PATIENCE_MS })
    .answer;
  const durationMs = performance.now() - startedAt;
  const output = parsed(answer);
  const isRight = output !== undefined && Reflect.get(Object(output), "result") === number + 0.5;
  return { kind: "node", durationMs, fault: isRight ? undefined : show(answer) };
}

/** A call of user code with a result of its own. */
export async function callTask(client: TestClient, number: number): Promise<CallRecord> {
  const code = new TextEncoder().encode("export default (n: number): number[] => [n, n * 2];");
  const startedAt = performance.now();
  const answer = await run(client, code, { input: number });
  const durationMs = performance.now() - startedAt;
  const isRight = JSON.stringify(parsed(answer)) === JSON.stringify([number, number * 2]);
  return { kind: "task", durationMs, fault: isRight ? undefined : show(answer) };
}

/** A call of a hostile program. */
export async function callHostile(client: TestClient, program: HostileCase): Promise<CallRecord> {
  const { timeoutSeconds, memoryLimitMb } = program;
  const startedAt = performance.now();
  const answer = await run(client, program.package(0), { input: { n: 1 }, timeoutSeconds, memoryLimitMb });
  const durationMs = performance.now() - startedAt;
  const isAllowed = answer.ok && program.statuses.includes(ExecutionStatus[answer.response.status]);
  return { kind: "hostile", durationMs, fault: isAllowed ? undefined : `${program.id}: ${show(answer)}` };
}

/** How {@linkcode mix} mixes. */
export interface Mix {
  readonly honest: TestClient;
  readonly hostile: TestClient;
  /** Calls that each of the two sends at least, honest ones and hostile ones. */
  readonly callsOfEach: number;
  /** Hostile calls at once. */
  readonly hostileAtOnce: number;
}

/**
 * One caller sends tasks and nodes one after the other, another hostile tasks, so many at once, until both have sent
 * their part: so neither is ever without the other.
 */
export async function mix({ honest, hostile, callsOfEach, hostileAtOnce }: Mix): Promise<readonly CallRecord[]> {
  const programs = hostilePrograms();
  const records: CallRecord[] = [];
  const sent = { honest: 0, hostile: 0 };
  const goOn = () => sent.honest < callsOfEach || sent.hostile < callsOfEach;
  const sendHonest = async () => {
    while (goOn()) {
      const number = sent.honest++;
      records.push(await (number % 2 === 0 ? callTask(honest, number) : callNode(honest, number)));
    }
  };
  const sendHostile = async () => {
    while (goOn()) records.push(await callHostile(hostile, programs[sent.hostile++ % programs.length]!));
  };
  await Promise.all([sendHonest(), ...Array.from({ length: hostileAtOnce }, sendHostile)]);
  return records;
}

/** One caller's tasks and nodes, one after the other, and nothing else. */
export async function honestAlone(client: TestClient, calls: number): Promise<readonly CallRecord[]> {
  const records: CallRecord[] = [];
  for (let number = 0; number < calls; number++) {
    records.push(await (number % 2 === 0 ? callTask(client, number) : callNode(client, number)));
  }
  return records;
}

type TaskAnswer = Answer<ExecuteCustomTaskResponse>;

function run(
  client: TestClient,
  codePackage: Uint8Array,
  { input, timeoutSeconds = 0, memoryLimitMb = 0 }: {
    readonly input: unknown;
    readonly timeoutSeconds?: number;
    readonly memoryLimitMb?: number;
  },
): Promise<TaskAnswer> {
  return unary(client.stub, client.stub.executeCustomTask, {
    codePackage,
    entryPoint: "",
    inputData: new TextEncoder().encode(JSON.stringify(input)),
    serializationFormat: "json",
    dependencies: [],
    options: ExecutionOptions.fromPartial({ timeoutSeconds, memoryLimitMb }),
  }, { deadline: Date.now() + PATIENCE_MS }).answer;
}

type AnyAnswer = Answer<Pick<ExecuteCustomTaskResponse, "status" | "outputData" | "errorMessage">>;

function parsed(answer: AnyAnswer): unknown {
  if (!answer.ok || answer.response.status !== ExecutionStatus.SUCCESS) return undefined;
  return JSON.parse(new TextDecoder().decode(answer.response.outputData));
}

function show(answer: AnyAnswer): string {
  if (!answer.ok) return `${callStatus[answer.code]}: ${answer.details}`;
  const { status, errorMessage, outputData } = answer.response;
  return `${ExecutionStatus[status]}: ${errorMessage || new TextDecoder().decode(outputData)}`.slice(0, 300);
}
