import assert from "node:assert/strict";
import { Config, CONFIG_FILES, ENVIRONMENT, loadConfig, type LoadConfigOptions } from "../../src/config/mod.ts";
import { allSettings } from "../../src/config/mod.ts";
import { leavesOf } from "../../src/config/settings.ts";
import { ServiceError } from "../../src/errors.ts";

const CONFIG_DIR = new URL("../../config/", import.meta.url).pathname;
const DEFAULTS = Config.parse({});

/** Loads from texts instead of files. */
function load(files: Record<string, string>, options: Partial<LoadConfigOptions> = {}) {
  return loadConfig({ env: {}, readFile: (path) => files[path.replace(/^.*\//, "")], ...options });
}

/** The lines of faults that loading gives. */
function faultsOf(files: Record<string, string>, options: Partial<LoadConfigOptions> = {}): string[] {
  try {
    load(files, options);
  } catch (error) {
    assert(error instanceof ServiceError && error.code === "CONFIG_INVALID", String(error));
    return error.message.split("\n").slice(1).map((line) => line.trim());
  }
  assert.fail("was accepted");
}

Deno.test("loadConfig() gives the defaults when there is no file", () => {
  const { config, origins } = load({});
  assert.deepEqual(config, DEFAULTS);
  assert.equal(origins.get("server.port"), "default");
  assert.equal(config.server.port, 50_051);
  assert.equal(config.policy.network.allowed, false);
});

for (const { name } of CONFIG_FILES) {
  Deno.test(`config/${name} says every default`, () => {
    const text = Deno.readTextFileSync(CONFIG_DIR + name);
    const { config, origins } = load({ [name]: text });
    assert.deepEqual(config, DEFAULTS);
    const file = CONFIG_FILES.find((file) => file.name === name);
    assert(file !== undefined);
    const sections: readonly string[] = "section" in file ? [file.section] : file.sections;
    for (const { key } of leavesOf(allSettings())) {
      const expected = sections.includes(key.split(".")[0] ?? "");
      assert.equal(origins.get(key) !== "default", expected, `${key} is ${origins.get(key)}`);
    }
  });

  for (const [what, text] of [["empty", ""], ["only comments", "# nothing\n"]] as const) {
    Deno.test(`loadConfig() gives the defaults when ${name} is ${what}`, () => {
      assert.deepEqual(load({ [name]: text }).config, DEFAULTS);
    });
  }
}

Deno.test("loadConfig() takes a section with nothing but comments for absent", () => {
  assert.deepEqual(load({ "service.yaml": "server:\n  # port: 1\npool:\n" }).config, DEFAULTS);
});

Deno.test("loadConfig() puts the command line over the environment over files, and says so", () => {
  const files = { "service.yaml": "server:\n  port: 1\n  host: 127.0.0.2\npool: { maxWorkers: 7 }\n" };
  const options = { env: { GRPC_PORT: "2", GRPC_HOST: "127.0.0.3" }, overrides: { "server.port": "3" } };
  const { config, origins } = load(files, options);
  assert.deepEqual([config.server.port, config.server.host, config.pool.maxWorkers], [3, "127.0.0.3", 7]);
  assert.deepEqual(
    ["server.port", "server.host", "pool.maxWorkers", "metrics.port"].map((key) => origins.get(key)),
    ["command line", "env GRPC_HOST", "config/service.yaml:4", "default"],
  );
});

const WORDS: readonly [variable: string, text: string, key: string, value: unknown][] = [
  ["SANDBOX_ENABLED", "off", "sandbox.enabled", false],
  ["SANDBOX_ENABLED", "YES", "sandbox.enabled", true],
  ["ALLOW_NETWORKING", "1", "policy.network.allowed", true],
  ["ALLOW_FILESYSTEM", "true", "policy.filesystem.allowed", true],
  ["SANDBOX_TYPE", "Bubblewrap", "sandbox.type", "bubblewrap"],
  ["LOG_LEVEL", "debug", "logging.level", "DEBUG"],
  ["LOG_LEVELS", "sandbox=debug, rpc.calls=OFF", "logging.levels", { sandbox: "DEBUG", "rpc.calls": "OFF" }],
  ["LOG_FILE", "/tmp/x.log", "logging.file.path", "/tmp/x.log"],
  ["DRAIN_TIMEOUT_SECONDS", "2.5", "server.drainTimeoutMs", 2_500],
  ["PYTHON_VERSION", "3.11", "python.version", "3.11"],
  ["PYTHON_PACKAGES_DIR", "/srv/wheels", "python.packagesDirectory", "/srv/wheels"],
  ["MAX_WORKERS", " 12 ", "pool.maxWorkers", 12],
  ["METRICS_PORT", "", "metrics.port", 8_080],
];

for (const [variable, text, key, value] of WORDS) {
  Deno.test(`loadConfig() reads ${variable}="${text}" as ${key} = ${JSON.stringify(value)}`, () => {
    const { config } = load({}, { env: { [variable]: text } });
    assert.deepEqual(key.split(".").reduce<unknown>((at, name) => Reflect.get(Object(at), name), config), value);
  });
}

Deno.test("loadConfig() takes a version of Python without quotes, which YAML reads as a number", () => {
  assert.equal(load({ "service.yaml": "python:\n  version: 3.11\n" }).config.python.version, "3.11");
});

const CEILINGS: readonly [file: string, env: Record<string, string>, ceiling: number, byDefault: number][] = [
  ["", { MAX_MEMORY_MB: "256" }, 256, 256],
  ["", { MAX_MEMORY_MB: "4096" }, 4_096, 512],
  ["execution: { defaults: { memoryMb: 128 } }", { MAX_MEMORY_MB: "256" }, 256, 128],
  ["execution: { defaults: { memoryMb: 1024 } }", { MAX_MEMORY_MB: "256" }, 256, 256],
];

for (const [file, env, ceiling, byDefault] of CEILINGS) {
  Deno.test(`loadConfig() sets ceiling ${ceiling} and default ${byDefault} for ${JSON.stringify(env)} over "${file}"`, () => {
    const { config } = load({ "service.yaml": file }, { env });
    assert.equal(config.policy.ceilings.memoryMb, ceiling);
    assert.equal(config.execution.defaults.memoryMb, byDefault);
  });
}

Deno.test("loadConfig() lists all faults of all sources at once", () => {
  const faults = faultsOf({
    "service.yaml": "server:\n  prot: 5\nsandbox: 5\npool:\n  maxWorkers: 0\n",
    "security.yaml": "network:\n  hosts: [1]\n",
    "logging.yaml": "level: [\n",
  }, { env: { GRPC_PORT: "5o051", MAX_MEMORY_MB: "1" }, overrides: { "metrics.prt": "1" } });
  assert.deepEqual(faults.slice(0, 4), [
    'config/service.yaml:2: server.prot: unknown key; did you mean "port"?',
    "config/service.yaml:3: sandbox: must be a section with the keys enabled, type, controlGroups, probe",
    faults[2],
    'command line: metrics.prt: unknown key; did you mean "metrics.port"?',
  ]);
  assert.match(faults[2] ?? "", /^config\/logging\.yaml:\d: not valid YAML: /);
  assert.deepEqual(faults.slice(4).sort(), [
    "config/security.yaml:2: network.hosts[0]: 1 is not allowed: the setting must be a list of host names, each with an optional port",
    "config/service.yaml:5: pool.maxWorkers: 0 is not allowed: must be a whole number from 1 to 1024",
    'env GRPC_PORT: server.port: "5o051" is not allowed: must be a whole number from 0 to 65535',
    "env MAX_MEMORY_MB: policy.ceilings.memoryMb: 1 is not allowed: must be a whole number from 16 to 1048576",
  ]);
});

const REFUSED: readonly [what: string, yaml: string, fault: RegExp][] = [
  ["a key that stands twice", "pool:\n  maxWorkers: 1\n  maxWorkers: 2\n", /service\.yaml:3: not valid YAML: .*unique/],
  ["a number in quotes", 'pool: { maxWorkers: "4" }', /pool\.maxWorkers: "4" is not allowed/],
  [
    "a Python that there is not",
    'python: { version: "3.12" }',
    /python\.version: "3\.12" is not allowed: must be one of 3\.11, 3\.14/,
  ],
  ["a fraction", "pool: { maxWorkers: 1.5 }", /pool\.maxWorkers: 1\.5 is not allowed/],
  ["a missing value", "pool:\n  maxWorkers:\n", /service\.yaml:2: pool\.maxWorkers: null is not allowed/],
  ["a key spelt otherwise", "pool: { max_workers: 1 }", /did you mean "maxWorkers"/],
  [
    "a key like nothing known",
    "pool: { zzz: 1 }",
    /unknown key; known here: maxWorkers, maxTaskHosts, readyTaskHosts, keptIdleTimeoutMs, startTimeoutMs/,
  ],
  ["a list", "- server", /must be a section with the keys server, auth, execution, sessions/],
  ["a prototype", "__proto__: { polluted: 1 }", /service\.yaml:1: __proto__: unknown key/],
  ["a section of another file", "policy: {}", /policy: unknown key/],
  ["an endless value", `pool: { maxWorkers: ${"x".repeat(500)} }`, /maxWorkers: "x{79}… is not allowed/],
  [
    "a default above its ceiling",
    "execution: { defaults: { timeoutSeconds: 301 } }",
    /301 is above the ceiling of 300/,
  ],
  ["two listeners on one port", "metrics: { port: 50051 }", /metrics\.port: 50051 is also server\.port/],
];

for (const [what, yaml, fault] of REFUSED) {
  Deno.test(`loadConfig() refuses ${what}`, () => {
    const faults = faultsOf({ "service.yaml": yaml });
    assert.equal(faults.length, 1, faults.join("\n"));
    assert.match(faults[0] ?? "", fault);
  });
}

for (const host of ["0.0.0.0", "::", "10.0.0.1", "127.evil.example", "example.com"]) {
  Deno.test(`loadConfig() refuses to bind to ${host} unless told to`, () => {
    const [fault = ""] = faultsOf({}, { env: { GRPC_HOST: host } });
    assert.match(fault, /^env GRPC_HOST: server\.host: .*ALLOW_UNAUTHENTICATED_PUBLIC_BIND=true/);
    const env = { GRPC_HOST: host, ALLOW_UNAUTHENTICATED_PUBLIC_BIND: "true" };
    assert.equal(load({}, { env }).config.server.host, host);
  });
}

const PUBLIC = { GRPC_HOST: "0.0.0.0" };
const TLS = { GRPC_TLS_CERT: "/c.pem", GRPC_TLS_KEY: "/k.pem" };
const AUTHENTICATED: readonly [what: string, env: Record<string, string>, fault: RegExp | undefined][] = [
  ["tokens and TLS", { ...PUBLIC, ...TLS, TOKENS_FILE: "/t.yaml" }, undefined],
  ["client certificates", { ...PUBLIC, ...TLS, GRPC_TLS_CLIENT_CA: "/ca.pem" }, undefined],
  ["TLS alone", { ...PUBLIC, ...TLS }, /server\.host: "0\.0\.0\.0" .*callers need not prove who they are/],
  ["tokens without TLS", { ...PUBLIC, TOKENS_FILE: "/t.yaml" }, /server\.host: .*tokens would cross .* unencrypted/],
  ["tokens without TLS, if told to", { ...PUBLIC, TOKENS_FILE: "/t", ALLOW_PLAINTEXT_TOKENS: "true" }, undefined],
  [
    "tokens without TLS, told of nobody only",
    { ...PUBLIC, TOKENS_FILE: "/t", ALLOW_UNAUTHENTICATED_PUBLIC_BIND: "true" },
    /unencrypted/,
  ],
  ["tokens without TLS on loopback", { TOKENS_FILE: "/t.yaml" }, undefined],
  ["a certificate without its key", { GRPC_TLS_CERT: "/c.pem" }, /server\.tls\.certFile: without server\.tls\.keyFile/],
  ["a key without its certificate", { GRPC_TLS_KEY: "/k.pem" }, /server\.tls\.keyFile: without server\.tls\.certFile/],
  [
    "an authority without TLS",
    { GRPC_TLS_CLIENT_CA: "/ca" },
    /server\.tls\.clientCaFile: without server\.tls\.certFile/,
  ],
];

for (const [what, env, fault] of AUTHENTICATED) {
  Deno.test(`loadConfig() ${fault === undefined ? "takes" : "refuses"} ${what}`, () => {
    if (fault === undefined) return void load({}, { env });
    const faults = faultsOf({}, { env });
    assert.equal(faults.length, 1, faults.join("\n"));
    assert.match(faults[0] ?? "", fault);
  });
}

for (const host of ["127.0.0.1", "127.8.8.8", "::1", "localhost"]) {
  Deno.test(`loadConfig() takes ${host} for an address of this machine only`, () => {
    assert.equal(load({}, { env: { GRPC_HOST: host } }).config.server.host, host);
  });
}

Deno.test("loadConfig() refuses a folder without files only when somebody named it", () => {
  const readFile = () => undefined;
  assert.deepEqual(loadConfig({ env: { CONFIG_DIR: "" }, readFile }).config, DEFAULTS);
  assert.match(
    faultsOf({}, { env: { CONFIG_DIR: "/none" } })[0] ?? "",
    /^env CONFIG_DIR: folder "\/none" holds none of/,
  );
  assert.match(faultsOf({}, { configDir: "/none" })[0] ?? "", /^command line: folder "\/none" holds none of/);
});

Deno.test("loadConfig() reads the folder of the command line rather than that of the environment", () => {
  const seen: string[] = [];
  const readFile = (path: string) => {
    seen.push(path);
    return "";
  };
  loadConfig({ env: { CONFIG_DIR: "/env" }, configDir: "/cli/", readFile });
  assert.deepEqual(seen, ["/cli/service.yaml", "/cli/security.yaml", "/cli/logging.yaml"]);
});

Deno.test("ENVIRONMENT names settings that exist, each variable once", () => {
  const keys = new Set(leavesOf(allSettings()).map(({ key }) => key));
  for (const { name, key, lowers = key } of ENVIRONMENT) assert(keys.has(key) && keys.has(lowers), name);
  assert.equal(new Set(ENVIRONMENT.map(({ name }) => name)).size, ENVIRONMENT.length);
});

Deno.test("Config describes every setting and gives each a default", () => {
  for (const { key, description, defaultValue } of leavesOf(allSettings())) {
    assert(description !== "", key);
    assert(defaultValue !== undefined, key);
  }
});
