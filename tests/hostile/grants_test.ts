/**
 * User code that abuses what it was granted, against the real service in each jail, and requests that abuse the granting.
 * @module
 */

import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import type { ExecutionOptions } from "../../protos/generated/types.ts";
import { resultOf, type Run, run, toRequest, tryRun } from "../custom_task/run.ts";
import { TestClient, unary } from "../support/client.ts";
import { jailTypes } from "../support/jails.ts";
import { until } from "../support/processes.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { GAPS } from "./_grants_gaps.ts";
import { type Attack, ATTACKS, type Outcome, type ReceivedRequest, type Targets } from "./_grants_attacks.ts";

const HONEST = `export default () => "honest";`;
const LARGEST = 2 ** 31 - 1;

/** Values from both ends of what the wire can carry. */
const EXTREMES: readonly (readonly [wishes: Run, code: number])[] = [
  ...(["timeoutSeconds", "memoryLimitMb", "cpuLimitPercent", "cpuTimeSeconds", "maxOutputSizeMb"] as const).flatMap((
    name,
  ) =>
    [
      [{ [name]: -1 }, status.INVALID_ARGUMENT],
      [{ [name]: -LARGEST - 1 }, status.INVALID_ARGUMENT],
      [{ [name]: LARGEST }, status.PERMISSION_DENIED],
    ] as const
  ),
  [{ environment: { "": "x" } }, status.PERMISSION_DENIED],
  [{ environment: { PATH: "x" } }, status.PERMISSION_DENIED],
  [{ environment: { __proto: "x" } }, status.PERMISSION_DENIED],
  [{ enableFilesystem: true, workingDirectory: "/etc" }, status.INVALID_ARGUMENT],
  [{ enableFilesystem: true, workingDirectory: "a/../.." }, status.INVALID_ARGUMENT],
  // 400 bytes: longer than a name may be.
  [{ enableFilesystem: true, workingDirectory: "é".repeat(200) }, status.INVALID_ARGUMENT],
  [{ enableFilesystem: true, workingDirectory: "a\0b" }, status.INVALID_ARGUMENT],
  [{ enableFilesystem: true, workingDirectory: "x".repeat(10_000) }, status.INVALID_ARGUMENT],
  [{ enableNetworking: true, networkHosts: ["*"] }, status.INVALID_ARGUMENT],
  [{ enableNetworking: true, networkHosts: ["169.254.169.254"] }, status.PERMISSION_DENIED],
  [{ enableNetworking: true, networkHosts: ["127.0.0.1\r\nX: y"] }, status.INVALID_ARGUMENT],
];

/** A server for tasks to reach, and what reached it. */
class Server implements AsyncDisposable {
  readonly requests: ReceivedRequest[] = [];
  readonly #http: Deno.HttpServer<Deno.NetAddr>;

  constructor(readonly text: string) {
    this.#http = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => this.#answer(request));
  }

  get port(): number {
    return this.#http.addr.port;
  }

  #answer(request: Request): Response {
    // Its headers are gone with its connection.
    this.requests.push({ url: request.url, headers: new Headers(request.headers) });
    const { pathname, searchParams } = new URL(request.url);
    const to = searchParams.get("to");
    if (to !== null) return new Response(null, { status: 302, headers: { location: to } });
    if (pathname !== "/endless") return new Response(this.text);
    return new Response(new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(2 ** 20)) }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#http.shutdown();
  }
}

/** Runs an attack to its end, and an honest task after it. */
async function attack(
  { wishes, code, isAudited = false }: Attack,
  { server, client, targets, named }: {
    readonly server: TestServer;
    readonly client: TestClient;
    readonly targets: Targets;
    readonly named: Server;
  },
): Promise<Outcome> {
  const before = server.log.length;
  const requests = named.requests.length;
  const answer = await run(client, code(targets), { timeoutSeconds: 30, ...wishes });
  const events = () =>
    server.log.slice(before).split("\n").slice(0, -1)
      .map((line): Record<string, unknown> => JSON.parse(line))
      .filter(({ category }) => category === "rexec.audit");
  // Events are written one after the other: the first may be there before the others.
  if (isAudited) await until("the audit", () => events().length > 0);
  assert.equal(resultOf(await run(client, HONEST)), "honest", "the next execution works");
  const audit = events();
  return { answer, requests: named.requests.slice(requests), audit };
}

for (const type of await jailTypes()) {
  Deno.test(`Grants are not to be abused in the ${type} jail`, async (test) => {
    await using named = new Server("named");
    await using other = new Server("other");
    const targets = { namedPort: named.port, otherPort: other.port };
    await using server = await startTestServer({
      settings: {
        "sandbox.type": type,
        "pool.maxWorkers": 1,
        "policy.filesystem.allowed": true,
        "policy.filesystem.scratchMb": 4,
        "policy.network.allowed": true,
        "policy.network.hosts": [`127.0.0.1:${named.port}`],
      },
    });
    using client = new TestClient(server.address);
    for (const attempt of [...ATTACKS, ...GAPS]) {
      await test.step(attempt.name, async () => {
        attempt.holds(await attack(attempt, { server, client, targets, named }));
        assert.deepEqual(other.requests.map(({ url }) => url), [], "nobody reached the other server");
      });
    }
    await test.step("wishes from both ends of what the wire can carry", async () => {
      for (const [wishes, code] of EXTREMES) {
        const answer = await tryRun(client, HONEST, wishes);
        assert(
          !answer.ok && answer.code === code,
          `${JSON.stringify(wishes).slice(0, 100)}: ${JSON.stringify(answer)}`,
        );
      }
      assert.equal(resultOf(await run(client, HONEST)), "honest");
    });
    assert.equal((await server.stop()).code, 0);
  });

  Deno.test(`Who gives up leaves no place taken in the ${type} jail`, async (test) => {
    await using server = await startTestServer({
      settings: {
        "sandbox.type": type,
        "pool.maxWorkers": 1,
        "pool.maxTaskHosts": 1,
        "pool.readyTaskHosts": 0,
        "policy.filesystem.allowed": true,
      },
    });
    using client = new TestClient(server.address);
    const start = (code: string, wishes: Partial<ExecutionOptions>) =>
      unary(client.stub, client.stub.executeCustomTask, toRequest(code, wishes));

    await test.step("tasks that are cancelled while the host with their rights starts", async () => {
      for (let round = 0; round < 5; round++) {
        const given = start(HONEST, { enableFilesystem: true });
        const waiting = run(client, HONEST, round % 2 === 0 ? {} : { enableFilesystem: true });
        given.cancel();
        assert(!(await given.answer).ok);
        assert.equal(resultOf(await waiting), "honest");
      }
    });

    await test.step("a task that is cancelled while it is held to a hundredth of the CPU", async () => {
      const held = start("export default () => { for (;;); };", { cpuLimitPercent: 1, timeoutSeconds: 60 });
      await until("a task that runs", async () => /rexec_hosts\{state="task_busy"\} 1/.test(await server.metrics()));
      held.cancel();
      assert(!(await held.answer).ok);
      assert.equal(resultOf(await run(client, HONEST)), "honest");
    });

    assert.equal((await server.stop()).code, 0);
  });
}
