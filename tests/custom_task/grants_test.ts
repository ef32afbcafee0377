/**
 * What a policy grants to user code, in each jail: the environment, a scratch folder, and what the audit tells.
 * @module
 */

import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import { ExecutionStatus, FailureReason } from "../../protos/generated/types.ts";
import { TestClient } from "../support/client.ts";
import { jailTypes } from "../support/jails.ts";
import { startTestServer } from "../support/server.ts";
import { resultOf, run, tryRun } from "./run.ts";

const FILES = { enableFilesystem: true } as const;

/** Tries to read each path as a file, then as a folder. */
const LOOK_AROUND = `export default async (paths: string[]) => {
  const seen: string[] = [];
  for (const path of paths) {
    try { seen.push(await Deno.readTextFile(path)); } catch { /* refused */ }
    try { seen.push(...Array.from(Deno.readDirSync(path), ({ name }) => name)); } catch { /* refused */ }
    try { Deno.writeTextFileSync(path + "/leak", "x"); seen.push("written: " + path); } catch { /* refused */ }
  }
  return seen;
};`;

for (const type of await jailTypes()) {
  Deno.test(`A policy's grants hold in the ${type} jail`, async (test) => {
    await using server = await startTestServer({
      settings: {
        "sandbox.type": type,
        "pool.maxWorkers": 1,
        "policy.filesystem.allowed": true,
        "policy.filesystem.scratchMb": 4,
        "policy.environment.allowedNames": ["APP_*"],
      },
      env: { APP_OF_THE_SERVICE: "secret of the service" },
    });
    using client = new TestClient(server.address);

    await test.step("nothing is granted to who asks for nothing", async () => {
      const code =
        `export default (_: unknown, context: object) => [typeof Deno, typeof process, Object.keys(context)];`;
      assert.deepEqual(resultOf(await run(client, code)), ["undefined", "undefined", ["signal", "env"]]);
    });

    await test.step("the environment is the request's and nothing more", async () => {
      const code = `export default (_: unknown, { env }: { env: object }) => [
        env, Deno.env.toObject(), Deno.env.get("APP_KEY"), Deno.env.has("APP_OF_THE_SERVICE"), Deno.env.get("PATH") ?? null,
        Object.keys(Deno),
      ];`;
      const environment = { APP_KEY: "k" };
      assert.deepEqual(resultOf(await run(client, code, { environment })), [
        environment,
        environment,
        "k",
        false,
        null,
        ["env"],
      ]);
      const refused = await tryRun(client, code, { environment: { PATH: "/" } });
      assert(!refused.ok && refused.code === status.PERMISSION_DENIED && refused.details.includes("allowedNames"));
    });

    await test.step("a scratch folder takes files, in the folder that was asked for", async () => {
      const code = `export default async (_: unknown, { workingDirectory }: { workingDirectory: string }) => {
        await Deno.mkdir("inner");
        await Deno.writeTextFile("inner/a.txt", "one");
        using file = await Deno.open("inner/a.txt", { append: true });
        await file.write(new TextEncoder().encode(" two"));
        await Deno.rename("inner/a.txt", "../b.txt");
        return [
          await Deno.readTextFile("../b.txt"), Deno.cwd() === workingDirectory, workingDirectory.endsWith("/sub/here"),
          await Deno.stat("gone").catch((error) => error instanceof Deno.errors.NotFound),
        ];
      };`;
      const answer = await run(client, code, { ...FILES, workingDirectory: "sub/here" });
      assert.deepEqual(resultOf(answer), ["one two", true, true, true]);
      const next = await run(client, `export default () => [...Deno.readDirSync(".")];`, FILES);
      assert.deepEqual(resultOf(next), [], "the next task finds an empty folder");
    });

    await test.step("nothing but the scratch folder and the package can be seen, and nothing else written", async () => {
      const input = [
        "/etc/passwd",
        "/proc/self/environ",
        "/",
        "/tmp",
        "../..",
        "/sandbox",
        Deno.cwd(),
        "/code",
        "/cache",
      ];
      const seen = resultOf(await run(client, LOOK_AROUND, { ...FILES, input })) as string[];
      assert.deepEqual(seen.filter((name) => name !== "main.ts"), []);
    });

    await test.step("links that lead out cannot be made or followed", async () => {
      const code =
        `export default () => [typeof Deno.symlink, typeof Deno.link, typeof Deno.Command, typeof Deno.dlopen];`;
      assert.deepEqual(resultOf(await run(client, code, FILES)), Array(4).fill("undefined"));
    });

    await test.step("a scratch folder has its quota", async () => {
      const code = `export default async () => {
        const block = new Uint8Array(2 ** 20);
        for (let index = 0; index < 1_000; index++) {
          try { await Deno.writeFile("f" + index, block); } catch (error) { return [index, String(error)]; }
        }
      };`;
      const answer = await run(client, code, FILES);
      if (type === "bubblewrap") {
        const [written, error] = resultOf(answer) as [number, string];
        assert(written <= 4, `${written} MB were written`);
        assert.match(error, /No space left/);
      } else {
        assert.deepEqual([answer.status, answer.failureReason], [
          ExecutionStatus.RESOURCE_LIMIT,
          FailureReason.SCRATCH_LIMIT,
        ]);
        assert.match(answer.errorMessage, /wrote \d+ MB to its scratch folder, the limit is 4 MB/);
      }
    });

    await test.step("the audit tells what was denied, even if the code caught it, and only that", async () => {
      const code = `export default async () => {
        await Deno.writeTextFile("mine", "x");
        for (let i = 0; i < 3; i++) try { Deno.readTextFileSync("/etc/denied-to-this-task"); } catch { /* caught */ }
        try { await import("https://denied.example/" + "x.js"); } catch { /* caught */ }
        return "fine";
      };`;
      const before = server.log.length;
      assert.equal(resultOf(await run(client, code, FILES)), "fine");
      await server.logged(/denied\.example/);
      const events = server.log.slice(before).split("\n").filter((line) => line.includes('"access_denied"'))
        .map((line) => JSON.parse(line));
      assert.deepEqual(
        events.map(({ rule, target, caller, level }) => [rule, target, caller, level]),
        [
          ["permission read", "/etc/denied-to-this-task (3 times)", "anonymous", "WARNING"],
          ["permission import", "denied.example:443", "anonymous", "WARNING"],
        ],
      );
      assert(events.every(({ task_id }) => typeof task_id === "string" && task_id !== ""));
      assert.match(await server.metrics(), /rexec_audit_events_total\{event="access_denied"\} [1-9]/);
    });

    await test.step("a task that ends by a denied import has violated security", async () => {
      const answer = await run(client, `export default () => import("https://denied.example/" + "y.js");`);
      assert.equal(answer.status, ExecutionStatus.SECURITY_VIOLATION, answer.errorMessage);
      const pretended = await run(
        client,
        `export default () => { throw new Error("Requires import access to x.y"); };`,
      );
      assert.equal(pretended.status, ExecutionStatus.ERROR);
    });

    await test.step("a task may work with many files", async () => {
      const code = `export default async () => {
        for (let i = 0; i < 30_000; i++) Deno.writeTextFileSync("f" + i % 10, "x".repeat(i % 100));
        return "done";
      };`;
      assert.equal(resultOf(await run(client, code, { ...FILES, timeoutSeconds: 120 })), "done");
    });

    await test.step("a task that does nothing but try is stopped", async () => {
      const code =
        `export default () => { for (;;) try { Deno.statSync("/etc/" + "x".repeat(200)); } catch { /* again */ } };`;
      const answer = await run(client, code, { ...FILES, timeoutSeconds: 60 });
      assert.deepEqual([answer.status, answer.failureReason], [
        ExecutionStatus.SECURITY_VIOLATION,
        FailureReason.SECURITY_VIOLATION,
      ]);
      assert.match(answer.errorMessage, /did not cease to ask/);
    });

    await test.step("what the policy does not grant is refused, by its rule, and written down", async () => {
      const before = server.log.length;
      const refused = await tryRun(client, "export default 1;", { enableNetworking: true });
      assert(!refused.ok && refused.code === status.PERMISSION_DENIED);
      assert.match(refused.details, /options\.enable_networking is not granted by the policy's network\.allowed/);
      await server.logged(/request_refused: network\.allowed/);
      assert.match(server.log.slice(before), /"event":"request_refused","caller":"anonymous"/);
    });
  });
}
