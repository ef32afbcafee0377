import assert from "node:assert/strict";
import { readTokenFile, TokenStore } from "../../src/rpc/token_file.ts";
import { rexec } from "../fakes/cli.ts";

Deno.test("rexec token makes, lists and revokes tokens", async (t) => {
  const folder = await Deno.makeTempDir();
  const file = `${folder}/tokens.yaml`;
  try {
    await t.step("create prints the token alone, and keeps its hash", async () => {
      const { code, stdout, stderr } = await rexec(["token", "create", "--caller", "farm", "--file", file]);
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^rxt_[0-9a-f]{12}_[A-Za-z0-9_-]{43}\n$/);
      assert.match(stderr, /it is not shown again/);
      assert.equal(new TokenStore(readTokenFile(file)).find(stdout.trim())?.caller, "farm");
      assert.equal(Deno.statSync(file).mode! & 0o777, 0o600);
    });

    await t.step("create takes the file from the environment, and a time to expire", async () => {
      const env = { TOKENS_FILE: file };
      const { code, stdout, stderr } = await rexec(
        ["--json", "token", "create", "--caller", "ci", "--expires", "90d"],
        {
          env,
        },
      );
      assert.equal(code, 0, stderr);
      const made = JSON.parse(stdout);
      assert.equal(Date.parse(made.expires) - Date.parse(made.created), 90 * 86_400_000);
      assert.equal(made.sha256, undefined);
      assert.equal(readTokenFile(file).length, 2);
    });

    await t.step("list shows no secrets", async () => {
      const { stdout } = await rexec(["token", "list", "--file", file]);
      assert.match(stdout, /^ID +CALLER +CREATED +EXPIRES\n[0-9a-f]{12} +farm .* never\n[0-9a-f]{12} +ci .*\n$/);
      for (const { sha256 } of readTokenFile(file)) assert(!stdout.includes(sha256));
    });

    await t.step("revoke takes one away", async () => {
      const [first] = readTokenFile(file);
      assert.equal((await rexec(["token", "revoke", first!.id, "--file", file])).code, 0);
      assert.deepEqual(readTokenFile(file).map(({ caller }) => caller), ["ci"]);
      const again = await rexec(["token", "revoke", first!.id, "--file", file]);
      assert.equal(again.code, 2);
      assert.match(again.stderr, /There is no token/);
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

for (
  const [what, args, message] of [
    ["no file", ["create", "--caller", "a"], /Give one with --file, or set auth.tokensFile/],
    ["a name that no caller can have", ["create", "--caller", "a b", "--file", "/tmp/x"], /Caller must be/],
    ["a time that is none", ["create", "--caller", "a", "--expires", "soon", "--file", "/tmp/x"], /12h, 90d, 8w/],
    ["a folder that is not there", ["create", "--caller", "a", "--file", "/none/x"], /Cannot write \/none\/x/],
  ] as const
) {
  Deno.test(`rexec token refuses ${what}`, async () => {
    const { code, stderr, stdout } = await rexec(["token", ...args], { env: { TOKENS_FILE: "" } });
    assert.equal(code, 2, stderr);
    assert.match(stderr, message);
    assert.equal(stdout, "");
  });
}
