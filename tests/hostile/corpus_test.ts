/**
 * Every program of the hostile corpus against the real service, beside honest tasks of another caller.
 *
 * `auto` runs all of them in the strongest jail that there is. `process` runs those again that try to get out and are
 * hard to stop, since its jail alone stops nothing; with `HOSTILE_CORPUS=full` in the environment it runs all of them.
 *
 * @module
 */

import assert from "node:assert/strict";
import { status as callStatus } from "@grpc/grpc-js";
import type { ExecuteCustomTaskResponse } from "../../protos/generated/execution.ts";
import { HealthCheckResponse_ServingStatus, HealthClient } from "../../protos/generated/grpc/health/v1/health.ts";
import { ExecutionOptions, ExecutionStatus } from "../../protos/generated/types.ts";
import { type Answer, connect, TestClient, unary } from "../support/client.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { type HostileCase, readCorpus } from "./corpus.ts";
import { SilentListener, untilMemoryIsBack, untilNothingIsLeft, type Usage, usageOf } from "./leftovers.ts";

/** Cases at once. With the honest caller's, as many tasks as there are hosts for. */
const CONCURRENCY = 3;
/** A call must have come back this long after its task's limit, its wait for a sandbox included. */
const GRACE_SECONDS = 20;
const HEALTH_SECONDS = 5;

const ESCAPES: ReadonlySet<string> = new Set(["fs", "imp", "net", "env", "run", "ffi", "iso", "forge"]);

/** What nobody outside may ever see. */
const SECRETS = ["PLANTED-SECRET", "root:x:0:0", "LEAK:", "Args: ["];

/** What lies where the corpus looks for it. */
const PLANTED: readonly (readonly [name: string, text: string])[] = [
  ["txt", "PLANTED-SECRET-FILE-7731"],
  ["json", '{"s":"PLANTED-SECRET-FILE-7731"}'],
  ["ts", "export default 'PLANTED-SECRET-FILE-7731';"],
];
const PLANTED_PREFIX = "sandbox-test-";

/** Results that the corpus gives word for word; the input is {@linkcode INPUT}. */
const RESULTS: Readonly<Record<string, unknown>> = {
  "ts-ok-basic": { n: 4, s: "é😀" },
  "ts-ok-webapi": { h: [45, 113, 22], u: "1", t: "€", b: "x", c: { a: [1] }, w: true },
  "ts-ok-timer": true,
  "ts-ok-handled": "TypeError",
  "ts-res-sync": { twice: 2 },
  "ts-res-undefined": null,
  "ts-time-interval-after": "done",
  "ts-log-ansi": "done",
  "ts-forge-postmessage": "real",
  "ts-forge-onmessage": "real",
  "ts-forge-stdout": "real",
  "ts-forge-log-event": "real",
  "ts-forge-return-envelope": { status: "TIMEOUT", ok: false, error: "FORGED" },
};
const INPUT = { n: 1 };

/** Cases that do not come out as the corpus wants, and why. One that does is an error here: take it off the list. */
const KNOWN_GAPS: Readonly<Record<string, string>> = {
  "ts-res-deep-ok": "1,500 levels are above the limit of 1,000, which is a RESOURCE_LIMIT here and an ERROR there",
};

const MAX_ERROR_BYTES = 64 * 1024;
const MAX_CONSOLE_LENGTH = 1024 * 1024 + 100;
const MAX_GROWTH_MB = 150;

type TaskAnswer = Answer<ExecuteCustomTaskResponse>;

const cases = readCorpus();

for (const type of ["auto", "process"]) {
  Deno.test(`The hostile corpus gets its expected answers and reaches nothing: ${type}`, async (test) => {
    using planted = plantSecrets();
    using listener = new SilentListener();
    const folder = Deno.makeTempDirSync({ prefix: "rexec-corpus-" });
    const server = await startTestServer({
      settings: {
        "sandbox.type": type,
        "pool.maxWorkers": 1,
        "pool.maxTaskHosts": CONCURRENCY + 1,
        "logging.level": "DEBUG",
      },
      env: { PLANTED_SECRET: "PLANTED-SECRET-ENV-7731", TMPDIR: folder },
    });
    try {
      const chosen = cases.filter((hostile) => isChosen(hostile, type));
      const run = new CorpusRun(server, folder, listener.port);
      const outcome = await run.all(chosen);

      for (const { id, title } of chosen) {
        const faults = outcome.faults.get(id) ?? [];
        const gap = KNOWN_GAPS[id];
        await test.step(gap === undefined ? `${id}: ${title}` : `${id} is a known gap: ${gap}`, () => {
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
  });
}

function isChosen({ category, tier }: HostileCase, type: string): boolean {
  if (Deno.env.get("HOSTILE_CORPUS") === "full" || type === "auto") return true;
  return tier === "hard" && ESCAPES.has(category);
}

/** One run of the corpus over one server. */
class CorpusRun {
  readonly #server: TestServer;
  readonly #folder: string;
  readonly #port: number;
  readonly #faults = new Map<string, string[]>();
  #atRest: Usage | undefined;

  constructor(server: TestServer, folder: string, port: number) {
    this.#server = server;
    this.#folder = folder;
    this.#port = port;
  }

  /** Runs them a few at a time. @returns what was wrong, by case */
  async all(chosen: readonly HostileCase[]) {
    using hostileCaller = new TestClient(this.#server.address);
    using honestCaller = new TestClient(this.#server.address);
    const health = connect(HealthClient, this.#server.address);
    const honest = { succeeded: 0, failures: [] as string[] };
    try {
      // The first task of each kind loads what stays loaded.
      await Promise.all(Array.from({ length: CONCURRENCY }, () => succeed(honestCaller)));
      this.#atRest = usageOf(this.#server.pid, this.#folder);
      const waiting = [...chosen];
      let running = CONCURRENCY;
      const runSome = async () => {
        for (let hostile = waiting.shift(); hostile !== undefined; hostile = waiting.shift()) {
          const faults = await this.#run(hostile, hostileCaller, health).catch((error) => [String(error)]);
          this.#faults.set(hostile.id, faults);
        }
        running--;
      };
      const runHonest = async () => {
        while (running > 0) {
          const fault = await succeed(honestCaller);
          if (fault === undefined) honest.succeeded++;
          else honest.failures.push(fault);
        }
      };
      await Promise.all([runHonest(), ...Array.from({ length: CONCURRENCY }, runSome)]);
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
    const code = this.#withPort(hostile.package());
    const first = start(client, code, hostile);
    const answers = [hostile.second?.isBeside === true ? undefined : await first];
    if (hostile.second !== undefined) {
      const input = { ...INPUT, url: resultOf(answers[0]) };
      const second = await start(client, hostile.second.package, hostile, input);
      if (!hostile.second.statuses.includes(statusOf(second))) faults.push(`the second task: ${show(second)}`);
      answers.push(second);
    }
    answers[0] ??= await first;
    if (!hostile.statuses.includes(statusOf(answers[0]))) faults.push(show(answers[0]));
    for (const answer of answers) if (answer !== undefined) faults.push(...faultsOf(answer, hostile));
    if (Object.hasOwn(RESULTS, hostile.id) && statusOf(answers[0]) === "SUCCESS") {
      const result = resultOf(answers[0]);
      try {
        assert.deepEqual(result, RESULTS[hostile.id]);
      } catch {
        faults.push(`its result is ${JSON.stringify(result)}`);
      }
    }
    const next = await succeed(client);
    if (next !== undefined) faults.push(`the next honest task: ${next}`);
    const healthy = await unary(health, health.check, { service: "" }, { deadline: inSeconds(HEALTH_SECONDS) }).answer;
    if (!healthy.ok || healthy.response.status !== HealthCheckResponse_ServingStatus.SERVING) {
      faults.push(`the server's health: ${JSON.stringify(healthy)}`);
    }
    return faults;
  }

  /** The corpus names a port of its own; ours is free, and tells whether anybody called. */
  #withPort(code: Uint8Array): Uint8Array {
    const marker = "127.0.0.1:8080";
    const text = new TextDecoder().decode(code);
    return text.includes(marker) ? new TextEncoder().encode(text.replaceAll(marker, `127.0.0.1:${this.#port}`)) : code;
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

/** Runs an honest task. @returns what went wrong, if anything did */
async function succeed(client: TestClient): Promise<string | undefined> {
  const code = new TextEncoder().encode("export default ({ n }: { n: number }) => n * 2;");
  const answer = await start(client, code, { timeoutSeconds: 30, memoryLimitMb: 0 });
  return statusOf(answer) === "SUCCESS" && resultOf(answer) === INPUT.n * 2 ? undefined : show(answer);
}

function faultsOf(answer: TaskAnswer, { id }: HostileCase): string[] {
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
  if (id.startsWith("ts-forge") && !Object.hasOwn(RESULTS, id) && output.includes("FORGED")) {
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
