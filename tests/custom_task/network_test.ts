/**
 * Network access of user code through the whole service, in each jail: what the policy names, and nothing else.
 * @module
 */

import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import { ExecutionStatus } from "../../protos/generated/types.ts";
import { TestClient } from "../support/client.ts";
import { jailTypes } from "../support/jails.ts";
import { startTestServer } from "../support/server.ts";
import { resultOf, run, tryRun } from "./run.ts";

const NETWORK = { enableNetworking: true } as const;
const FETCH = `export default async (url: string) => {
  try { return await (await fetch(url)).text(); } catch (error) { return (error as Error).name + ": " + (error as Error).message; }
};`;

/** A server that says who asked for what. */
function startHttp(): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, ({ url }) => new Response(`here is ${url}`));
}

for (const type of await jailTypes()) {
  Deno.test(`A policy's grant of network holds in the ${type} jail`, async (test) => {
    await using named = startHttp();
    await using other = startHttp();
    const address = `127.0.0.1:${named.addr.port}`;
    await using server = await startTestServer({
      settings: {
        "sandbox.type": type,
        "pool.maxWorkers": 1,
        "policy.network.allowed": true,
        "policy.network.hosts": [address, "*.example.com", `localhost:${named.addr.port}`],
      },
    });
    using client = new TestClient(server.address);

    await test.step("nothing without asking", async () => {
      assert.deepEqual(
        resultOf(await run(client, `export default () => [typeof fetch, typeof Deno, typeof Request];`)),
        [
          "undefined",
          "undefined",
          "undefined",
        ],
      );
    });

    await test.step("a named host can be reached, and the audit says so", async () => {
      const answer = await run(client, FETCH, { ...NETWORK, input: `http://${address}/a?b` });
      assert.equal(resultOf(answer), `here is http://${address}/a?b`);
      await server.logged(new RegExp(`"event":"connection".*"target":"${address} at ${address}"`));
      assert.doesNotMatch(server.log, /access_denied/, "what was granted is no denial");
    });

    await test.step("by a socket, too", async () => {
      const code = `export default async (port: number) => {
        using connection = await Deno.connect({ hostname: "localhost", port });
        await connection.write(new TextEncoder().encode("GET /raw HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n"));
        return (await new Response(connection.readable).text()).split("\\n").at(-1);
      };`;
      assert.equal(resultOf(await run(client, code, { ...NETWORK, input: named.addr.port })), "here is http://x/raw");
    });

    for (
      const [name, url] of [
        ["another port of it", `http://127.0.0.1:${other.addr.port}/`],
        ["the service itself", `http://${server.address}/`],
        ["a cloud's metadata", "http://169.254.169.254/latest/meta-data/"],
        ["loopback by another name", `http://[::1]:${other.addr.port}/`],
      ] as const
    ) {
      await test.step(`${name} is refused, caught or not, and the audit says so`, async () => {
        const before = server.log.length;
        const answer = await run(client, FETCH, { ...NETWORK, input: url });
        assert.match(String(resultOf(answer)), /^(PermissionDenied|NotCapable): /);
        const thrown = await run(client, `export default async (url: string) => await fetch(url);`, {
          ...NETWORK,
          input: url,
        });
        assert.equal(thrown.status, ExecutionStatus.SECURITY_VIOLATION, thrown.errorMessage);
        await server.logged(/connection_refused|permission net/);
        assert.match(server.log.slice(before), /"event":"(connection_refused|access_denied)"/);
      });
    }

    await test.step("a request may ask for less", async () => {
      const less = { ...NETWORK, networkHosts: [`localhost:${named.addr.port}`] };
      const own = `http://localhost:${named.addr.port}/`;
      assert.equal(resultOf(await run(client, FETCH, { ...less, input: own })), `here is ${own}`);
      assert.match(
        String(resultOf(await run(client, FETCH, { ...less, input: `http://${address}/` }))),
        /^PermissionDenied: /,
      );
    });

    await test.step("a request for more is refused before anything starts", async () => {
      const refused = await tryRun(client, FETCH, { ...NETWORK, networkHosts: ["evil.test"] });
      assert(!refused.ok && refused.code === status.PERMISSION_DENIED);
      assert.match(refused.details, /options\.network_hosts has "evil\.test", which the policy's network\.hosts/);
      const nonsense = await tryRun(client, FETCH, { ...NETWORK, networkHosts: ["*"] });
      assert(!nonsense.ok && nonsense.code === status.INVALID_ARGUMENT, nonsense.ok ? "" : nonsense.details);
    });
  });
}
