/**
 * Runs programs of the hostile corpus against the real service, beside honest tasks of another caller.
 * @module
 */

import assert from "node:assert/strict";
import { status as callStatus } from "@grpc/grpc-js";
import type { ExecuteCustomTaskResponse } from "../../protos/generated/execution.ts";
import { pause } from "../../src/async/pause.ts";
import { HealthCheckResponse_ServingStatus, HealthClient } from "../../protos/generated/grpc/health/v1/health.ts";
import { ExecutionOptions, ExecutionStatus } from "../../protos/generated/types.ts";
import { type Answer, connect, TestClient, unary } from "../support/client.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import type { HonestTask, HostileCase } from "./corpus.ts";
import { SilentListener, untilMemoryIsBack, untilNothingIsLeft, type Usage, usageAtRest } from "./leftovers.ts";

/** A call must have come back this long after its task's limit, its wait for a sandbox included. */
const GRACE_SECONDS = 20;
const HEALTH_SECONDS = 5;
/** Between two tasks of the honest caller, which is not to be the machine's greatest load. */
const HONEST_PAUSE_MS = 200;

/** What nobody outside may ever see. */
const SECRETS = ["PLANTED-SECRET", "root:x:0:0", "LEAK:", "Args: ["];

/** What lies where the corpus looks for it. */
const PLANTED: readonly (readonly [name: string, text: string])[] = [
  ["txt", "PLANTED-SECRET-FILE-7731"],
  ["json", '{"s":"PLANTED-SECRET-FILE-7731"}'],
  ["ts", "export default 'PLANTED-SECRET-FILE-7731';"],
];
const PLANTED_PREFIX = "sandbox-test-";

/** Input of every task. */
const INPUT = { n: 1 };

const MAX_ERROR_BYTES = 64 * 1024;
const MAX_CONSOLE_LENGTH = 1024 * 1024 + 100;
const MAX_GROWTH_MB = 150;

type TaskAnswer = Answer<ExecuteCustomTaskResponse>;

/** What of the corpus is run, and on what. */
export interface CorpusTest {
  readonly cases: readonly HostileCase[];
  /** Cases at once. */
  readonly concurrency: number;
  /** Settings of the server, over those of all. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** One of each kind: all of them are run before anything is counted, the first one again and again beside the cases. */
  readonly honest: readonly [HonestTask, ...HonestTask[]];
  /** Results that the corpus gives word for word, by case. */
  readonly results: Readonly<Record<string, unknown>>;
  /** Cases that do not come out as the corpus wants, and why. One that does is an error here: take it off the list. */
  readonly gaps: Readonly<Record<string, string>>;
}

/** Runs them all on a server of their own, with a step for each, and steps for what must be so after all of them. */
export async function testCorpus(test: Deno.TestContext, corpus: CorpusTest): Promise<void> {
  using planted = plantSecrets();
  using listener = new SilentListener();
  const folder = Deno.makeTempDirSync({ prefix: "rexec-corpus-" });
  const server = await startTestServer({
    settings: { "pool.maxWorkers": 1, "logging.level": "DEBUG", ...corpus.settings },
    env: { PLANTED_SECRET: "PLANTED-SECRET-ENV-7731", TMPDIR: folder },
  });
  try {
    const run = new CorpusRun(server, folder, { ...corpus, port: listener.port });
    const outcome = await run.all();

    for (const { key, id, title } of corpus.cases) {
      const faults = outcome.faults.get(key) ?? [];
      const gap = corpus.gaps[id];
      await test.step(gap === undefined ? `${key}: ${title}` : `${key} is a known gap: ${gap}`, () => {
        if (gap === undefined) assert.deepEqual(faults, []);
        else assert.notDeepEqual(faults, [], "it is closed: take it off the list");
      });
    }
    await test.step("an honest caller beside them had an answer to every task", () => {
      assert.deepEqual(outcome.honest.failures, []);
      assert(outcome.honest.succeeded > 0);
    });
    await test.step("no process, file, descriptor or thread is left", () => run.nothingIsLeft());
    await test.step("no listener was called, and no file written", () => {
      assert.equal(listener.connections, 0);
      assert.deepEqual(planted.strayFiles(), []);
    });
    await test.step("the log holds no secret, and no line but its own", () =>
      assert.deepEqual(faultsOfLog(server), []));
  } finally {
    await server[Symbol.asyncDispose]();
    await Deno.remove(folder, { recursive: true }).catch(() => {});
  }
}

/** One run of the corpus over one server. */
class CorpusRun {
  readonly #server: TestServer;
  readonly #folder: string;
  readonly #corpus: CorpusTest & { readonly port: number };
  readonly #faults = new Map<string, string[]>();
  #atRest: Usage | undefined;

  /** @param corpus with the port of a listener on loopback that tells whether anybody called */
  constructor(server: TestServer, folder: string, corpus: CorpusTest & { readonly port: number }) {
    this.#server = server;
    this.#folder = folder;
    this.#corpus = corpus;
  }

  /** Runs them a few at a time. @returns what was wrong, by case */
  async all() {
    const { cases, concurrency, honest: [beside] } = this.#corpus;
    using hostileCaller = new TestClient(this.#server.address);
    using honestCaller = new TestClient(this.#server.address);
    const health = connect(HealthClient, this.#server.address);
    const honest = { succeeded: 0, failures: [] as string[] };
    try {
      // The first task of each kind loads what stays loaded.
      await Promise.all(Array.from({ length: concurrency }, async () => {
        for (const task of this.#corpus.honest) await succeed(honestCaller, task);
      }));
      this.#atRest = await usageAtRest(this.#server, this.#folder);
      const waiting = [...cases];
      let running = concurrency;
      const over = new AbortController();
      const runSome = async () => {
        for (let hostile = waiting.shift(); hostile !== undefined; hostile = waiting.shift()) {
          const faults = await this.#run(hostile, hostileCaller, health).catch((error) => [String(error)]);
          this.#faults.set(hostile.key, faults);
        }
        if (--running === 0) over.abort();
      };
      const runHonest = async () => {
        while (running > 0) {
          const fault = await succeed(honestCaller, beside);
          if (fault === undefined) honest.succeeded++;
          else honest.failures.push(fault);
          await pause(HONEST_PAUSE_MS, over.signal);
        }
      };
      await Promise.all([runHonest(), ...Array.from({ length: concurrency }, runSome)]);
    } finally {
      health.close();
    }
    return { faults: this.#faults, honest };
  }

  /** Waits until the server has no more of anything than it had at rest. */
  async nothingIsLeft(): Promise<void> {
    const atRest = this.#atRest;
    assert(atRest !== undefined);
    await untilNothingIsLeft(this.#server, this.#folder, atRest);
    // Whatever was sent and refused, the server kept none of it.
    await untilMemoryIsBack(this.#server, atRest, MAX_GROWTH_MB);
  }

  async #run(hostile: HostileCase, client: TestClient, health: HealthClient): Promise<string[]> {
    const faults: string[] = [];
    const first = start(client, hostile.package(this.#corpus.port), hostile);
    const answers = [hostile.second?.isBeside === true ? undefined : await first];
    if (hostile.second !== undefined) {
      const input = { ...INPUT, url: resultOf(answers[0]) };
      const second = await start(client, hostile.second.package, hostile, input);
      if (!hostile.second.statuses.includes(statusOf(second))) faults.push(`the second task: ${show(second)}`);
      const { result } = hostile.second;
      if (result !== undefined && resultOf(second) !== result) faults.push(`the second task's result: ${show(second)}`);
      answers.push(second);
    }
    answers[0] ??= await first;
    if (!hostile.statuses.includes(statusOf(answers[0]))) faults.push(show(answers[0]));
    for (const answer of answers) {
      if (answer !== undefined) faults.push(...faultsOf(answer, hostile, this.#corpus.results));
    }
    const { results } = this.#corpus;
    if (Object.hasOwn(results, hostile.id) && statusOf(answers[0]) === "SUCCESS") {
      const result = resultOf(answers[0]);
      try {
        assert.deepEqual(result, results[hostile.id]);
      } catch {
        faults.push(`its result is ${JSON.stringify(result)}`);
      }
    }
    const next = await succeed(client, hostile.next);
    if (next !== undefined) faults.push(`the next honest task: ${next}`);
    const healthy = await unary(health, health.check, { service: "" }, { deadline: inSeconds(HEALTH_SECONDS) }).answer;
    if (!healthy.ok || healthy.response.status !== HealthCheckResponse_ServingStatus.SERVING) {
      faults.push(`the server's health: ${JSON.stringify(healthy)}`);
    }
    return faults;
  }
}

function start(
  client: TestClient,
  codePackage: Uint8Array,
  { timeoutSeconds, memoryLimitMb }: Pick<HostileCase, "timeoutSeconds" | "memoryLimitMb">,
  input: unknown = INPUT,
): Promise<TaskAnswer> {
  return unary(client.stub, client.stub.executeCustomTask, {
    codePackage,
    entryPoint: "",
    inputData: new TextEncoder().encode(JSON.stringify(input)),
    serializationFormat: "json",
    dependencies: [],
    options: ExecutionOptions.fromPartial({ timeoutSeconds, memoryLimitMb }),
  }, { deadline: inSeconds(timeoutSeconds + GRACE_SECONDS) }).answer;
}

/** Runs an honest task, which doubles its input. @returns what went wrong, if anything did */
async function succeed(client: TestClient, task: HonestTask): Promise<string | undefined> {
  const answer = await start(client, task.package, { timeoutSeconds: 30, memoryLimitMb: 0 });
  return statusOf(answer) === "SUCCESS" && resultOf(answer) === INPUT.n * 2 ? undefined : show(answer);
}

function faultsOf(answer: TaskAnswer, { id }: HostileCase, results: CorpusTest["results"]): string[] {
  if (!answer.ok) {
    return SECRETS.filter((secret) => answer.details.includes(secret)).map((secret) => `LEAKED ${secret}`);
  }
  const { outputData, errorMessage, errorTraceback, stdout, stderr } = answer.response;
  const output = new TextDecoder().decode(outputData);
  // It reads its own source as well as ours, which is no leak.
  const ownSource = id === "ts-imp-host-bundle" ? "LEAK:export default async function ()" : "";
  const all = [output.replace(ownSource, ""), errorMessage, errorTraceback, stdout, stderr].join("\n");
  const faults = [...SECRETS, ...hostWords()].filter((word) => all.includes(word)).map((word) =>
    `LEAKED ${word}: ${all.slice(0, 1_000)}`
  );
  if (/^(ts|py)-forge/.test(id) && !Object.hasOwn(results, id) && output.includes("FORGED")) {
    faults.push("it is forged");
  }
  if (id === "pkg-py-shadow" && all.includes("SHADOW")) faults.push("it shadows a module");
  if (new TextEncoder().encode(errorMessage + errorTraceback).length > MAX_ERROR_BYTES) {
    faults.push("its error is long");
  }
  if (stdout.length + stderr.length > MAX_CONSOLE_LENGTH) faults.push("its console output is long");
  return faults;
}

/** What would tell a task, or its caller, about this machine. */
function hostWords(): string[] {
  const words = [Deno.cwd(), "rexec-corpus-", Deno.hostname(), Deno.env.get("HOME") ?? ""];
  return words.filter((word) => word.length > 3);
}

function faultsOfLog({ log }: TestServer): string[] {
  const faults = ["PLANTED-SECRET", "root:x:0:0", "SHADOW"].filter((word) => log.includes(word));
  // deno-lint-ignore no-control-regex -- they are what is looked for
  if (/[\x00-\x09\x0b-\x1f]/.test(log)) faults.push("a control character");
  for (const line of log.trimEnd().split("\n")) {
    if (!line.startsWith("{")) faults.push(`a line that is not its own: ${line.slice(0, 200)}`);
  }
  return faults;
}

function statusOf(answer: TaskAnswer | undefined): string {
  if (answer === undefined) return "";
  return answer.ok ? ExecutionStatus[answer.response.status] : callStatus[answer.code] ?? "";
}

function resultOf(answer: TaskAnswer | undefined): unknown {
  if (answer?.ok !== true || answer.response.outputData.length === 0) return undefined;
  return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(answer.response.outputData));
}

function show(answer: TaskAnswer): string {
  const message = answer.ok ? answer.response.errorMessage : answer.details;
  return `${statusOf(answer)}: ${message.slice(0, 300)}`;
}

function inSeconds(seconds: number): number {
  return Date.now() + seconds * 1_000;
}

/** Puts the secrets where the corpus looks for them; dispose removes all that is called so. */
function plantSecrets() {
  const folder = "/tmp";
  const secrets = PLANTED.map(([name]) => `${PLANTED_PREFIX}secret.${name}`);
  const all = () =>
    Array.from(Deno.readDirSync(folder), ({ name }) => name).filter((name) => name.startsWith(PLANTED_PREFIX));
  const removeAll = () => all().forEach((name) => Deno.removeSync(`${folder}/${name}`));
  removeAll();
  for (const [name, text] of PLANTED) {
    Deno.writeTextFileSync(`${folder}/${PLANTED_PREFIX}secret.${name}`, text, { mode: 0o644 });
  }
  return {
    /** Files that a case has written where it must not. */
    strayFiles: () => all().filter((name) => !secrets.includes(name)),
    [Symbol.dispose]: removeAll,
  };
}
