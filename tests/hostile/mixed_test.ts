import assert from "node:assert/strict";
import { TestClient } from "../support/client.ts";
import { startTestServer } from "../support/server.ts";
import { untilNothingIsLeft, usageAtRest } from "./leftovers.ts";
import { honestAlone, makeTokens, mix } from "./mix.ts";

const CALLS_OF_EACH = 30;
const HOSTILE_AT_ONCE = 2;

Deno.test("An honest caller has the right answer to every call while another sends hostile tasks", async () => {
  const folder = Deno.makeTempDirSync({ prefix: "rexec-mixed-" });
  const headers = makeTokens(`${folder}/tokens.yaml`, ["honest", "hostile"]);
  Deno.mkdirSync(`${folder}/server`);
  const server = await startTestServer({
    settings: {
      "auth.tokensFile": `${folder}/tokens.yaml`,
      "policy.callers": { hostile: { maxActiveTasks: HOSTILE_AT_ONCE } },
      "pool.maxWorkers": 1,
      "pool.maxTaskHosts": HOSTILE_AT_ONCE + 1,
      "execution.queueTimeoutMs": 0,
      "sandbox.probe": false,
    },
    env: { TMPDIR: `${folder}/server` },
  });
  try {
    using honest = new TestClient(server.address, headers.honest);
    using hostile = new TestClient(server.address, headers.hostile);
    const first = [...await honestAlone(honest, 2), ...await honestAlone(hostile, 2)];
    assert.deepEqual(first.map(({ fault }) => fault), first.map(() => undefined));
    const atRest = await usageAtRest(server, `${folder}/server`);

    const records = await mix({ honest, hostile, callsOfEach: CALLS_OF_EACH, hostileAtOnce: HOSTILE_AT_ONCE });

    assert.deepEqual(records.flatMap(({ fault }) => fault ?? []), []);
    assert(records.filter(({ kind }) => kind === "hostile").length >= CALLS_OF_EACH);
    assert(records.filter(({ kind }) => kind !== "hostile").length >= CALLS_OF_EACH);
    await untilNothingIsLeft(server, `${folder}/server`, atRest);
    assert.equal((await server.stop()).code, 0);
  } finally {
    await server[Symbol.asyncDispose]();
    await Deno.remove(folder, { recursive: true });
  }
});
