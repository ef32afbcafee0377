import { Metadata, status } from "@grpc/grpc-js";
import assert from "node:assert/strict";
import {
  HealthCheckResponse_ServingStatus as ServingStatus,
  HealthClient,
} from "../../protos/generated/grpc/health/v1/health.ts";
import { RemoteExecutionClient } from "../../src/client/mod.ts";
import { ServiceError } from "../../src/errors.ts";
import { Authenticator } from "../../src/rpc/authenticator.ts";
import { LogThrottle } from "../../src/rpc/log_throttle.ts";
import { createToken, readTokenFile, type TokenRecord, TokenStore, writeTokenFile } from "../../src/rpc/token_file.ts";
import { rexec } from "../fakes/cli.ts";
import { connect, unary } from "../support/client.ts";
import { listNodes, openStream } from "../support/secure.ts";
import { failToStart, startTestServer } from "../support/server.ts";

const NOW = Date.parse("2030-01-01T00:00:00Z");
const CONNECTION = { remoteAddress: "192.0.2.1", remotePort: 1 };
const FARM = createToken("build-farm", { now: NOW, expiresAt: undefined });
const OLD = createToken("old", { now: NOW, expiresAt: NOW + 1_000 });
const FOREIGN = createToken("build-farm", { now: NOW, expiresAt: undefined });

function metadataOf(...headers: readonly string[]): Metadata {
  const metadata = new Metadata();
  for (const header of headers) metadata.add("authorization", header);
  return metadata;
}

function authenticator({ tokens = [FARM.record, OLD.record], certificate, now = () => NOW }: {
  readonly tokens?: readonly TokenRecord[] | undefined;
  readonly certificate?: string | undefined;
  readonly now?: () => number;
} = {}): Authenticator {
  return new Authenticator({
    tokens: tokens.length === 0 ? undefined : new TokenStore(tokens),
    certificates: certificate !== undefined,
    callerOfConnection: () => certificate || undefined,
    now,
  });
}

async function withFolder(test: (folder: string) => void | Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("Authenticator.authenticate() gives a token's caller, again and again", () => {
  const who = authenticator();
  for (let i = 0; i < 3; i++) {
    assert.equal(
      who.authenticate({ metadata: metadataOf(`Bearer ${FARM.token}`), connection: CONNECTION }),
      "build-farm",
    );
  }
  assert.equal(who.authenticate({ metadata: metadataOf(`bearer  ${OLD.token}`), connection: CONNECTION }), "old");
});

const BAD: readonly (readonly [what: string, headers: readonly string[]])[] = [
  ["nothing", []],
  ["an empty header", [""]],
  ["no scheme", [FARM.token]],
  ["another scheme", [`Basic ${FARM.token}`]],
  ["half a token", [`Bearer ${FARM.token.slice(0, -1)}`]],
  ["more than a token", [`Bearer ${FARM.token}x`]],
  ["a token and more", [`Bearer ${FARM.token} x`]],
  ["two tokens", [`Bearer ${FARM.token}`, `Bearer ${FARM.token}`]],
  ["a token of another file", [`Bearer ${FOREIGN.token}`]],
  ["the id of one with the secret of another", [`Bearer ${FARM.token.slice(0, 17)}${FOREIGN.token.slice(17)}`]],
  ["the hash", [`Bearer ${FARM.record.sha256}`]],
  ["a megabyte", [`Bearer ${"x".repeat(1_048_576)}`]],
];

for (const [what, headers] of BAD) {
  Deno.test(`Authenticator.authenticate() refuses ${what}, with the words that all get`, () => {
    const check = () => authenticator().authenticate({ metadata: metadataOf(...headers), connection: CONNECTION });
    assert.throws(check, {
      code: "UNAUTHENTICATED",
      message:
        "Cannot take call: it needs the header `authorization: Bearer <token>` with a valid token, or a client certificate",
    });
  });
}

Deno.test("Authenticator.authenticate() takes a token until it expires, also one that it has seen", () => {
  let now = NOW;
  const who = authenticator({ now: () => now });
  const check = () => who.authenticate({ metadata: metadataOf(`Bearer ${OLD.token}`), connection: CONNECTION });
  now = NOW + 999;
  assert.equal(check(), "old");
  now = NOW + 1_000;
  assert.throws(check, ServiceError);
});

Deno.test("Authenticator.authenticate() counts a token before a certificate, and a bad one makes the call bad", () => {
  const who = authenticator({ certificate: "machine" });
  const check = (...headers: string[]) =>
    who.authenticate({ metadata: metadataOf(...headers), connection: CONNECTION });
  assert.equal(check(), "machine");
  assert.equal(check(`Bearer ${FARM.token}`), "build-farm");
  assert.throws(() => check(`Bearer ${FOREIGN.token}`), ServiceError);
});

Deno.test("Authenticator.authenticate() refuses a certificate that names nobody", () => {
  const who = authenticator({ tokens: [], certificate: "" });
  assert.throws(() => who.authenticate({ metadata: new Metadata(), connection: CONNECTION }), ServiceError);
});

Deno.test("Authenticator.authenticate() calls everybody anonymous where nobody has to prove anything", () => {
  const who = authenticator({ tokens: [] });
  assert.equal(who.required, false);
  const metadata = metadataOf(`Bearer ${FOREIGN.token}`);
  assert.equal(who.authenticate({ metadata, connection: CONNECTION }), "anonymous");
});

Deno.test("LogThrottle.log() writes once in an interval and counts the rest", () => {
  let now = 0;
  const throttle = new LogThrottle(100, () => now);
  const written: number[] = [];
  const log = () => throttle.log((suppressed) => written.push(suppressed));
  for (now = 0; now < 250; now += 10) log();
  assert.deepEqual(written, [0, 9, 9]);
});

Deno.test("writeTokenFile() keeps no token, and readTokenFile() gives what was written", () =>
  withFolder((folder) => {
    const path = `${folder}/tokens.yaml`;
    writeTokenFile(path, [FARM.record, OLD.record]);
    assert.deepEqual(readTokenFile(path), [FARM.record, OLD.record]);
    assert(!Deno.readTextFileSync(path).includes(FARM.token.slice(17)));
    assert.equal(Deno.statSync(path).mode! & 0o777, 0o600);
    assert.equal([...Deno.readDirSync(folder)].length, 1);
  }));

const FILES: readonly (readonly [what: string, text: string, mode: number, message: RegExp])[] = [
  ["that others can write to", "tokens: []", 0o622, /other users can write to it/],
  ["that is no YAML", "tokens: [", 0o600, /not valid YAML/],
  ["that is empty", "", 0o600, /the whole: /],
  ["with a key that nobody knows", "tokens: []\nmore: 1", 0o600, /the whole: .*more/],
  ["with a hash that is none", `tokens: [{...${JSON.stringify(FARM.record)}}]`, 0o600, /not valid YAML|tokens\.0/],
  [
    "with a caller who can be none",
    JSON.stringify({ tokens: [{ ...FARM.record, caller: "a b" }] }),
    0o600,
    /tokens\.0\.caller/,
  ],
  [
    "with a caller called anonymous",
    JSON.stringify({ tokens: [{ ...FARM.record, caller: "anonymous" }] }),
    0o600,
    /tokens\.0\.caller/,
  ],
  ["with an id twice", JSON.stringify({ tokens: [FARM.record, FARM.record] }), 0o600, /stands there twice/],
];

for (const [what, text, mode, message] of FILES) {
  Deno.test(`readTokenFile() refuses a file ${what}`, () =>
    withFolder((folder) => {
      const path = `${folder}/tokens.yaml`;
      Deno.writeTextFileSync(path, text);
      Deno.chmodSync(path, mode);
      assert.throws(() => readTokenFile(path), (error) => {
        assert(error instanceof ServiceError && error.code === "CONFIG_INVALID");
        assert.match(error.message, message);
        return true;
      });
    }));
}

Deno.test("readTokenFile() tells when others can read the file, and takes it", () =>
  withFolder((folder) => {
    const path = `${folder}/tokens.json`;
    Deno.writeTextFileSync(path, JSON.stringify({ tokens: [FARM.record] }));
    Deno.chmodSync(path, 0o644);
    let told = 0;
    assert.equal(readTokenFile(path, { onReadable: () => told++ }).length, 1);
    assert.equal(told, 1);
  }));

Deno.test("The service with a tokens file serves those who have a token", async (t) => {
  await withFolder(async (folder) => {
    const path = `${folder}/tokens.yaml`;
    const now = Date.now();
    const good = createToken("build-farm", { now, expiresAt: now + 3_600_000 });
    const expired = createToken("build-farm", { now: now - 2_000, expiresAt: now - 1_000 });
    writeTokenFile(path, [good.record, expired.record]);
    await using server = await startTestServer({
      settings: {
        "auth.tokensFile": path,
        "sandbox.probe": false,
        "pool.maxWorkers": 1,
        "policy.callers": { "build-farm": { maxActiveTasks: 5 } },
      },
    });
    const { address } = server;
    const headers = { authorization: `Bearer ${good.token}` };

    await t.step("a good token", async () => {
      const end = await listNodes(address, { headers });
      assert(end.ok && end.nodes > 0);
    });

    for (
      const [what, header] of [
        ["no token", {}],
        ["an expired token", { authorization: `Bearer ${expired.token}` }],
        ["a token of another service", { authorization: `Bearer ${FOREIGN.token}` }],
      ] as const
    ) {
      await t.step(what, async () => {
        const end = await listNodes(address, { headers: header });
        assert(!end.ok);
        assert.equal(end.code, status.UNAUTHENTICATED);
        assert.match(end.details, /^Cannot take call: it needs the header/);
      });
    }

    await t.step("a stream without a token", async () => {
      assert.equal((await openStream(address)).code, status.UNAUTHENTICATED);
      assert.notEqual((await openStream(address, { headers })).code, status.UNAUTHENTICATED);
    });

    await t.step("the audit has a line of it, and the metric each", async () => {
      await server.logged(/"event":"call_refused","caller":"","task_id":"","rule":"UNAUTHENTICATED"/);
      const [, count] = /rexec_audit_events_total\{event="call_refused"\} (\d+)/.exec(await server.metrics()) ?? [];
      assert.equal(Number(count), 4);
    });

    await t.step("health without a token", async () => {
      const health = connect(HealthClient, address);
      const answer = await unary(health, health.check, { service: "" }).answer;
      health.close();
      assert(answer.ok && answer.response.status === ServingStatus.SERVING);
    });

    await t.step("the client library", async () => {
      await using client = new RemoteExecutionClient(address, { token: good.token });
      assert.equal((await client.executeNode("PassThroughNode", "x")).value, "x");
    });

    await t.step("the command line", async () => {
      const ok = await rexec(["--address", address, "--json", "nodes"], { env: { REXEC_TOKEN: good.token } });
      assert.equal(ok.code, 0, ok.stderr);
      const refused = await rexec(["--address", address, "nodes"]);
      assert.equal(refused.code, 4);
      assert.match(refused.stderr, /Give a token with REXEC_TOKEN or --token/);
    });

    await t.step("counts refusals and callers, and logs neither tokens nor each refusal", async () => {
      const metrics = await server.metrics();
      assert.match(metrics, /rexec_requests_total\{method="ListNodes",status="UNAUTHENTICATED"\} 4\n/);
      assert.match(metrics, /rexec_caller_executions_total\{caller="build-farm",status="success"\} 1\n/);
      assert.equal(server.log.match(/refused: it came with/g)?.length, 1);
      for (const { token } of [good, expired, FOREIGN]) assert(!server.log.includes(token.slice(17)));
    });
  });
});

Deno.test("The service does not start on a tokens file that is not there", async () => {
  const { code, stderr } = await failToStart({
    settings: { "auth.tokensFile": "/nonexistent/tokens.yaml", "sandbox.probe": false },
  });
  assert.notEqual(code, 0);
  assert.match(stderr, /there is no such file; make one with: rexec token create/);
});
