/**
 * Every hostile request and connection of the corpus against the real service, beside an honest caller.
 * @module
 */

import assert from "node:assert/strict";
import { HealthCheckResponse_ServingStatus, HealthClient } from "../../protos/generated/grpc/health/v1/health.ts";
import { ExecutionStatus } from "../../protos/generated/types.ts";
import { connect, TestClient, unary } from "../support/client.ts";
import { isAlive } from "../support/processes.ts";
import { startTestServer } from "../support/server.ts";
import { readProtocolCorpus } from "./corpus.ts";
import { SilentListener, untilMemoryIsBack, untilNothingIsLeft, usageAtRest } from "./leftovers.ts";
import { BODIES } from "./protocol_bodies.ts";
import { CONNECTIONS } from "./protocol_connections.ts";
import { PICKLES } from "./protocol_pickles.ts";
import { PYTHON, pythonPackage, REQUESTS } from "./protocol_requests.ts";
import { type Outcome, type ProtocolCase, type ProtocolCases, Target } from "./target.ts";

const CASES: ProtocolCases = { ...BODIES, ...CONNECTIONS, ...REQUESTS, ...PICKLES };
const HEALTH_SECONDS = 10;
/** A message of 128 MB, which the one of gzip becomes before it is refused, and what else the collector has not given back. */
const MAX_GROWTH_MB = 256;
/** The case that takes most. Once it has been, the allocator keeps what it took, and every further one has to do with that. */
const LARGEST = "proto-conn-gzip-bomb";
/** Between two calls of the honest caller, in milliseconds. */
const PACE_MS = 20;
const STACK = /\n\s+at /;
/** What would tell a caller about this machine. */
const HOST = [/file:\/\//, /\/tmp\//, /root:x:0:0/, /node_modules/, new RegExp(RegExp.escape(Deno.cwd()))];
const MAX_TEXT_LENGTH = 64 * 1024;

Deno.test("The protocol cases here are those of the corpus", () => {
  assert.deepEqual(Object.keys(CASES).sort(), readProtocolCorpus().map(({ id }) => id).sort());
});

Deno.test("The hostile corpus' requests and connections get their expected answers and leave nothing", async (test) => {
  using listener = new SilentListener();
  using strays = new StrayFiles();
  const folder = Deno.makeTempDirSync({ prefix: "rexec-corpus-" });
  const server = await startTestServer({
    settings: {
      "pool.maxWorkers": 1,
      "pool.maxTaskHosts": 2,
      "execution.defaults.timeoutSeconds": 2,
      "execution.queueTimeoutMs": 0,
    },
    env: { TMPDIR: folder },
  });
  try {
    using target = new Target(server, listener.port);
    using honest = new HonestCaller(server.address);
    await target.task({ code: "export default () => 1;" });
    // Its first task leaves the cache that all later interpreters start from.
    await target.task({ code: pythonPackage(PYTHON) });
    await honest.once();
    for (const { id, statuses } of readProtocolCorpus()) {
      if (id === LARGEST) assert.deepEqual(await faultsOf(CASES[id]!, target, statuses), []);
    }
    const atRest = await usageAtRest(server, folder);
    honest.start();
    for (const { id, title, statuses } of readProtocolCorpus()) {
      const found = CASES[id];
      assert(found !== undefined);
      await test.step(`${id}: ${title}`, async () => {
        assert.deepEqual(await faultsOf(found, target, statuses), []);
        await assertHealthy(server.address);
        assert(isAlive(server.pid));
      });
    }
    await test.step("an honest caller beside them had the right answer to every call", async () => {
      const { answered, failures } = await honest.stop();
      assert.deepEqual(failures, []);
      assert(answered > 0);
    });
    await test.step("no process, file, descriptor or thread is left, and no memory", async () => {
      target[Symbol.dispose]();
      honest[Symbol.dispose]();
      await untilNothingIsLeft(server, folder, atRest);
      await untilMemoryIsBack(server, atRest, MAX_GROWTH_MB);
    });
    await test.step("no listener was called, and no file written", () => {
      assert.equal(listener.connections, 0);
      assert.deepEqual(strays.all(), []);
    });
    assert.equal((await server.stop()).code, 0);
  } finally {
    await server[Symbol.asyncDispose]();
    await Deno.remove(folder, { recursive: true }).catch(() => {});
  }
});

/** Runs a case. @returns what is wrong with each of its outcomes */
async function faultsOf({ attack, instead }: ProtocolCase, target: Target, expected: readonly string[]) {
  const outcomes = await attack(target);
  assert(outcomes.length > 0);
  const allowed = instead === undefined ? expected : [...expected, instead.status];
  const faults = outcomes.flatMap((outcome) => faultsOfOutcome(outcome, allowed));
  if (instead !== undefined && !outcomes.some(({ statuses }) => statuses.includes(instead.status))) {
    faults.push(`none is ${instead.status}: take it off the case`);
  }
  return faults;
}

function faultsOfOutcome(
  { what, statuses, text, traceback = "", faults = [] }: Outcome,
  allowed: readonly string[],
): string[] {
  const found = [...faults];
  if (!statuses.some((name) => allowed.includes(name))) found.push(`its status is ${statuses.join(" or ")}`);
  if (STACK.test(text)) found.push("its message has a stack");
  found.push(...HOST.filter((tell) => tell.test(text + traceback)).map((tell) => `it tells ${tell}`));
  if (text.length + traceback.length > MAX_TEXT_LENGTH) found.push(`its text has ${text.length} characters`);
  return found.map((fault) => `${what}: ${fault}: ${text.slice(0, 300)}`);
}

async function assertHealthy(address: string): Promise<void> {
  const health = connect(HealthClient, address);
  const deadline = Date.now() + HEALTH_SECONDS * 1_000;
  const answer = await unary(health, health.check, { service: "" }, { deadline }).answer;
  health.close();
  assert(answer.ok && answer.response.status === HealthCheckResponse_ServingStatus.SERVING, JSON.stringify(answer));
}

/** Calls one node after the other, on a connection of its own. */
class HonestCaller implements Disposable {
  readonly #client: TestClient;
  readonly #stopping = new AbortController();
  readonly #failures: string[] = [];
  #answered = 0;
  #calls: Promise<void> = Promise.resolve();

  constructor(address: string) {
    this.#client = new TestClient(address);
  }

  start(): void {
    this.#calls = this.#callUntilStopped();
  }

  async once(): Promise<void> {
    const args = [this.#answered, 0.5];
    const input = { operation: "add", args };
    try {
      const { status, output, errorMessage } = await this.#client.run({ nodeType: "CalculatorNode", input });
      assert.equal(status, ExecutionStatus.SUCCESS, errorMessage);
      assert.equal(Reflect.get(Object(output), "result"), this.#answered + 0.5);
    } catch (error) {
      this.#failures.push(String(error));
    }
    this.#answered++;
  }

  async stop(): Promise<{ readonly answered: number; readonly failures: readonly string[] }> {
    this.#stopping.abort();
    await this.#calls;
    return { answered: this.#answered, failures: this.#failures };
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]();
  }

  async #callUntilStopped(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      await this.once();
      // At a pace: it is to be served beside the attacks, and not to be load itself.
      await new Promise((resolve) => setTimeout(resolve, PACE_MS));
    }
  }
}

/** Files that the corpus would write where it must not. */
class StrayFiles implements Disposable {
  constructor() {
    this[Symbol.dispose]();
  }

  all(): string[] {
    return Array.from(Deno.readDirSync("/tmp"), ({ name }) => name).filter((name) =>
      name.startsWith("sandbox-test-slip") || name.startsWith("sandbox-test-pickle")
    );
  }

  [Symbol.dispose](): void {
    for (const name of this.all()) Deno.removeSync(`/tmp/${name}`, { recursive: true });
  }
}
