import assert from "node:assert/strict";
import { parse, parseAllDocuments } from "yaml";
import { loadConfig } from "../../src/config/mod.ts";
import { PINNED_DENO_VERSION } from "../../src/runtime_check.ts";
import { SERVICE_V8_FLAGS } from "../../src/v8_flags.ts";
import { SERVICE_VERSION } from "../../src/version.ts";

const ROOT = new URL("../../", import.meta.url);

/** Files that name the version of Deno, each at least once. */
const NAMES_DENO: readonly string[] = [
  ".ci/run",
  "Dockerfile",
  "README.md",
  "docs/operations.md",
  "scripts/build.sh",
  "scripts/rexec",
  "scripts/run.sh",
  "scripts/test.sh",
  "src/runtime_check.ts",
];

/** One instruction of a Dockerfile. */
interface Instruction {
  readonly name: string;
  readonly args: string;
}

/** A service of a Compose file, as far as it is looked at. */
interface ComposeService {
  readonly image: string;
  readonly ports: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly tmpfs: readonly string[];
  readonly read_only: boolean;
  readonly init: boolean;
  readonly cap_drop: readonly string[];
  readonly security_opt: readonly string[];
  readonly pids_limit: number;
  readonly mem_limit: string;
  readonly stop_grace_period: string;
  readonly logging: { readonly options: Readonly<Record<string, string>> };
}

/** Files that say how the service is started. */
const STARTS_SERVICE: readonly string[] = ["deno.json", "Dockerfile", "deploy/rexec.service", "scripts/rexec"];

async function read(path: string): Promise<string> {
  return await Deno.readTextFile(new URL(path, ROOT));
}

async function instructions(): Promise<readonly Instruction[]> {
  const text = (await read("Dockerfile")).replaceAll(/^#.*\n/gm, "").replaceAll(/\\\n/g, " ");
  return text.split("\n").filter((line) => line.trim() !== "").map((line) => {
    const [, name = "", args = ""] = /^(\S+)\s+(.*)$/.exec(line) ?? [];
    return { name, args };
  });
}

/** The instructions of the image that is shipped. */
async function lastStage(): Promise<readonly Instruction[]> {
  const all = await instructions();
  return all.slice(all.findLastIndex(({ name }) => name === "FROM"));
}

async function composeService(): Promise<ComposeService> {
  return parse(await read("compose.yml")).services.rexec;
}

for (const path of STARTS_SERVICE) {
  Deno.test(`${path} starts the service with its flags of V8`, async () => {
    const starts = (await read(path)).split("\n").filter((line) => /deno"?,? .*run.*src\/cli\/main\.ts/.test(line));
    const serving = starts.filter((line) => / serve\b/.test(line) || path !== "deno.json");
    assert(serving.length > 0);
    for (const line of serving) assert(line.includes(`--v8-flags=${SERVICE_V8_FLAGS}`), line);
  });
}

for (const path of NAMES_DENO) {
  Deno.test(`${path} names Deno ${PINNED_DENO_VERSION} and no other`, async () => {
    const versions = Array.from(
      (await read(path)).matchAll(/(?:deno@|denoland\/deno:(?:\w+-)?|DENO_VERSION\w* ?=+ ?"?|= )(\d+\.\d+\.\d+)/g),
      ([, version]) => version,
    );
    assert.deepEqual([...new Set(versions)], [PINNED_DENO_VERSION]);
  });
}

Deno.test("Dockerfile pins its base images by version", async () => {
  const images = (await instructions()).filter(({ name }) => name === "FROM").map(({ args }) => args);
  assert.ok(images.length >= 2);
  for (const image of images) assert.match(image, /^[\w/]+:\d+\.\d+[\w.-]*(?: AS \w+)?$/);
});

Deno.test("Dockerfile copies only what exists and what .dockerignore lets through", async () => {
  const allowed = (await read(".dockerignore")).split("\n").filter((line) => line.startsWith("!"))
    .map((line) => line.slice(1));
  const copies = (await instructions()).filter(({ name, args }) => name === "COPY" && !args.startsWith("--from"));
  for (const { args } of copies) {
    for (const source of args.split(/\s+/).slice(0, -1)) {
      await Deno.stat(new URL(source, ROOT));
      assert.ok(allowed.some((path) => source === path), `.dockerignore keeps ${source} out`);
    }
  }
});

Deno.test("Dockerfile runs no shell", async () => {
  for (const { name, args } of await instructions()) {
    if (name === "RUN" || name === "CMD" || name === "ENTRYPOINT") assert.match(args, /^\[".*"\]$/);
    if (name === "HEALTHCHECK") assert.match(args, /CMD \["deno", .*"\]$/);
  }
});

Deno.test("Dockerfile ships an image that runs as nobody, says how it is, and drains", async () => {
  const stage = await lastStage();
  const argsOf = (name: string) => stage.find((instruction) => instruction.name === name)?.args ?? "";
  assert.match(argsOf("USER"), /^[1-9]\d*:[1-9]\d*$/);
  assert.match(argsOf("HEALTHCHECK"), /deploy\/healthcheck\.ts/);
  assert.equal(argsOf("STOPSIGNAL"), "SIGTERM");
  assert.equal(argsOf("EXPOSE"), "50051 8080");
  assert.match(argsOf("LABEL"), new RegExp(`image\\.version="${SERVICE_VERSION}"`));
  const user = stage.findIndex(({ name }) => name === "USER");
  assert.ok(stage.slice(user).every(({ name }) => name !== "RUN" && name !== "COPY"), "files belong to root");
});

Deno.test("Dockerfile leaves it to whoever runs the image to open it to the network", async () => {
  const environment = (await instructions()).filter(({ name }) => name === "ENV").map(({ args }) => args).join(" ");
  assert.doesNotMatch(environment, /GRPC_HOST|ALLOW_UNAUTHENTICATED_PUBLIC_BIND/);
});

Deno.test("compose.yml publishes ports on loopback only", async () => {
  const { ports } = await composeService();
  assert.equal(ports.length, 2);
  for (const port of ports) assert.match(port, /^127\.0\.0\.1:\d+:\d+$/);
});

Deno.test("compose.yml takes away what the service does not need", async () => {
  const service = await composeService();
  assert.equal(service.read_only, true);
  assert.equal(service.init, true);
  assert.deepEqual(service.cap_drop, ["ALL"]);
  assert.ok(service.security_opt.includes("no-new-privileges:true"));
  assert.ok(service.pids_limit > 0);
  assert.match(service.mem_limit, /^\d+g$/);
  assert.match(service.tmpfs[0] ?? "", /^\/tmp:size=\d+m,.*noexec/);
  assert.ok(service.logging.options["max-size"] !== undefined && service.logging.options["max-file"] !== undefined);
  assert.ok(!("privileged" in service) && !("volumes" in service) && !("network_mode" in service));
  assert.equal(service.image, `rexec:${SERVICE_VERSION}`);
});

Deno.test("compose.yml has an environment that the service accepts, and time to drain", async () => {
  const { environment, stop_grace_period } = await composeService();
  const { config } = loadConfig({ env: environment, readFile: () => undefined });
  assert.ok(Number(stop_grace_period.replace("s", "")) * 1_000 > config.server.drainTimeoutMs);
  // The address is opened in so many words, or not at all.
  const { ALLOW_UNAUTHENTICATED_PUBLIC_BIND: _, ...closed } = environment;
  assert.throws(() => loadConfig({ env: closed, readFile: () => undefined }), { code: "CONFIG_INVALID" });
});

Deno.test("compose.yml has memory for all workers at their ceiling", async () => {
  const { environment, mem_limit } = await composeService();
  const { config } = loadConfig({ env: environment, readFile: () => undefined });
  const needed = config.pool.maxWorkers * config.policy.ceilings.memoryMb;
  assert.ok(needed < Number.parseInt(mem_limit) * 1_024, `${needed} MB of tasks alone`);
});

Deno.test("kubernetes.yaml runs as nobody, with the environment of compose.yml and time to drain", async () => {
  const documents = parseAllDocuments(await read("deploy/kubernetes.yaml")).map((document) => document.toJS());
  assert.deepEqual(documents.map(({ kind }) => kind), ["Deployment", "Service", "NetworkPolicy"]);
  const pod = documents[0].spec.template.spec;
  const [container] = pod.containers;
  assert.equal(pod.securityContext.runAsNonRoot, true);
  assert.equal(pod.automountServiceAccountToken, false);
  assert.equal(container.securityContext.readOnlyRootFilesystem, true);
  assert.equal(container.securityContext.allowPrivilegeEscalation, false);
  assert.deepEqual(container.securityContext.capabilities, { drop: ["ALL"] });
  assert.equal(container.image, `rexec:${SERVICE_VERSION}`);
  const environment = Object.fromEntries(container.env.map(({ name, value }: Record<string, string>) => [name, value]));
  const compose = await composeService();
  assert.deepEqual(environment, compose.environment);
  assert.ok(pod.terminationGracePeriodSeconds > Number(environment.DRAIN_TIMEOUT_SECONDS));
});

Deno.test("rexec.service is nobody's, and has time to drain", async () => {
  const unit = await read("deploy/rexec.service");
  const settings = new Map(Array.from(unit.matchAll(/^(\w+)=(.*)$/gm), ([, key = "", value = ""]) => [key, value]));
  assert.equal(settings.get("DynamicUser"), "yes");
  assert.equal(settings.get("NoNewPrivileges"), "yes");
  assert.equal(settings.get("ProtectSystem"), "strict");
  assert.equal(settings.get("CapabilityBoundingSet"), "");
  const { config } = loadConfig({ env: {}, readFile: () => undefined });
  assert.ok(Number(settings.get("TimeoutStopSec")) * 1_000 > config.server.drainTimeoutMs);
  // It would keep V8 from compiling.
  assert.equal(settings.has("MemoryDenyWriteExecute"), false);
});

Deno.test("healthcheck.ts fails when nobody answers", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  assert.equal(await healthcheck(port), 1);
});

for (const [status, code] of [[200, 0], [503, 1]] as const) {
  Deno.test(`healthcheck.ts ends with ${code} when the service answers ${status}`, async () => {
    await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, ({ url }) => {
      return new Response("{}", { status: new URL(url).pathname === "/healthz" ? status : 404 });
    });
    assert.equal(await healthcheck(server.addr.port), code);
  });
}

/** Runs the image's own health check. @returns its exit code */
async function healthcheck(port: number): Promise<number> {
  const check = (await lastStage()).find(({ name }) => name === "HEALTHCHECK")?.args ?? "";
  const [, ...args] = JSON.parse(check.slice(check.indexOf("[")));
  const { code } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    env: { METRICS_PORT: String(port) },
    stdout: "null",
    stderr: "null",
  }).output();
  return code;
}
