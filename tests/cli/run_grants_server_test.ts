/**
 * What the command line asks for, through the real service: the network, files, the environment, limits.
 * @module
 */

import assert from "node:assert/strict";
import { rexec } from "../fakes/cli.ts";
import { TestFolder } from "../fakes/folder.ts";
import { startTestServer } from "../support/server.ts";

const FILES = {
  "get.ts": "export default async (url: string) => await (await fetch(url)).text();",
  "files.ts": `export default async () => {
    await Deno.writeTextFile("a.txt", "one");
    return [Deno.cwd().split("/").slice(-2).join("/"), await Deno.readTextFile("a.txt")];
  };`,
  "env.ts": "export default (_: unknown, { env }: { env: Record<string, string> }) => Object.entries(env).sort();",
  "done.ts": "export default () => 1;",
  "busy.ts": "export default () => { for (;;); };",
  "large.ts": 'export default () => "x".repeat(3 * 2 ** 20);',
  "fail.ts": 'export default () => { throw new Error("no luck"); };',
  "task.env": '# For the task\nAPP_FILE="of the file"\nAPP_BOTH=of the file\n',
};

Deno.test("rexec run asks for what the policy may grant", async (test) => {
  await using http = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => new Response("here"));
  const host = `127.0.0.1:${http.addr.port}`;
  const url = JSON.stringify(`http://${host}/`);
  await using server = await startTestServer({
    settings: {
      "pool.maxWorkers": 1,
      "policy.network.allowed": true,
      "policy.network.hosts": [host, "b.example"],
      "policy.filesystem.allowed": true,
      "policy.environment.allowedNames": ["APP_*"],
      "policy.ceilings.cpuSeconds": 10,
    },
  });
  await using folder = await TestFolder.make(FILES);
  const run = (file: string, args: readonly string[] = [], env: Record<string, string> = {}) =>
    rexec(["--address", server.address, "run", folder.file(file), ...args], { env });
  const environment = ["--env", "APP_GIVEN=a=b", "--env", "APP_MINE", "--env-file", folder.file("task.env")];

  const successes: readonly { name: string; file: string; args: readonly string[]; stdout: string }[] = [
    { name: "all hosts of the policy", file: "get.ts", args: ["--data", url, "--allow-net"], stdout: '"here"\n' },
    {
      name: "hosts by name",
      file: "get.ts",
      args: ["--data", url, `--allow-net=b.example,${host}`],
      stdout: '"here"\n',
    },
    {
      name: "a scratch folder, and a folder within",
      file: "files.ts",
      args: ["--allow-files", "--workdir", "in/here"],
      stdout: '["in/here","one"]\n',
    },
    {
      name: "variables given, passed on and of a file",
      file: "env.ts",
      args: [...environment, "--env", "APP_BOTH=of the line"],
      stdout:
        '[["APP_BOTH","of the line"],["APP_FILE","of the file"],["APP_GIVEN","a=b"],["APP_MINE","my own secret"]]\n',
    },
    { name: "no variables", file: "env.ts", args: [], stdout: "[]\n" },
    { name: "a share of the CPU", file: "env.ts", args: ["--cpu", "50"], stdout: "[]\n" },
    {
      name: "room for its output",
      file: "large.ts",
      args: ["--output-limit", "4", "--output", "/dev/null"],
      stdout: "",
    },
  ];
  for (const { name, file, args, stdout } of successes) {
    await test.step(`and gets ${name}`, async () => {
      const result = await run(file, args, { APP_MINE: "my own secret", APP_OTHER: "stays here" });
      assert.deepEqual([result.code, result.stdout], [0, stdout], result.stderr);
    });
  }

  const failures: readonly { name: string; file: string; args: readonly string[]; code: number; stderr: RegExp }[] = [
    {
      name: "no network that it did not ask for",
      file: "get.ts",
      args: ["--data", url],
      code: 1,
      stderr: /fetch is not defined\nA task has fetch only when it runs with --allow-net, and the service's policy/,
    },
    {
      name: "no files that it did not ask for",
      file: "files.ts",
      args: [],
      code: 1,
      stderr: /Deno is not defined\nA task has Deno only when it runs with --allow-net, --allow-files or --env/,
    },
    {
      name: "no hosts but those that it asked for",
      file: "get.ts",
      args: ["--data", url, "--allow-net=b.example"],
      code: 4,
      stderr: /^Error \(SECURITY_VIOLATION\): .*127\.0\.0\.1/,
    },
    {
      name: "no hosts beyond the policy",
      file: "get.ts",
      args: ["--data", url, "--allow-net", "c.example"],
      code: 4,
      stderr: /"c\.example", which the policy's network\.hosts does not grant\nThe service's policy decides/,
    },
    {
      name: "no variables beyond the policy",
      file: "env.ts",
      args: ["--env", "PATH"],
      code: 4,
      stderr: /environment\["PATH"\] is not granted by the policy's environment\.allowedNames\nThe service's policy/,
    },
    {
      name: "no working directory elsewhere",
      file: "files.ts",
      args: ["--allow-files", "--workdir", "../.."],
      code: 2,
      stderr: /options\.working_directory must be a path within the task's scratch folder/,
    },
    {
      name: "no more CPU time than it asked for",
      file: "busy.ts",
      args: ["--cpu-time", "1"],
      code: 5,
      stderr:
        /\(RESOURCE_LIMIT, CPU_LIMIT\).*the limit is 1 s .*\nGive it more CPU time with --cpu-time; the service's/,
    },
    {
      name: "no more CPU time than the policy's ceiling",
      file: "busy.ts",
      args: ["--cpu-time", "11"],
      code: 4,
      stderr: /ceilings\.cpuSeconds of 10\nThe service's policy decides/,
    },
    {
      name: "no larger output than it asked for",
      file: "large.ts",
      args: ["--output-limit", "1"],
      code: 5,
      stderr:
        /\(RESOURCE_LIMIT, RESULT_LIMIT\).*\nReturn less, or allow more with --output-limit; the service's policy/,
    },
  ];
  for (const { name, file, args, code, stderr } of failures) {
    await test.step(`and gets ${name}`, async () => {
      const result = await run(file, args);
      assert.deepEqual([result.code, result.stdout], [code, ""], result.stderr);
      assert.match(result.stderr, stderr);
    });
  }

  await test.step("and no value of a variable is printed or logged, whatever happens", async () => {
    const runs: readonly { file: string; more: readonly string[]; code: number }[] = [
      { file: "done.ts", more: [], code: 0 },
      { file: "fail.ts", more: [], code: 1 },
      { file: "done.ts", more: ["--env", "OTHER=a secret"], code: 4 },
    ];
    for (const { file, more, code } of runs) {
      for (const form of ["--verbose", "--json"]) {
        const args = [form, ...environment, ...more];
        const result = await run(file, args, { APP_MINE: "my own secret" });
        assert.equal(result.code, code, result.stderr);
        assert.doesNotMatch(result.stderr + result.stdout, /a=b|of the file|secret/);
      }
    }
    assert.doesNotMatch(server.log, /a=b|of the file|secret/);
  });
});
