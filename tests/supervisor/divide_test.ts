import assert from "node:assert/strict";
import { Config, loadConfig } from "../../src/config/mod.ts";
import { settingsOfFront } from "../../src/supervisor/divide.ts";

const CONFIG = Config.parse({
  server: { processes: 3, maxConnections: 1_000, maxConnectionsPerPeer: 3 },
  pool: { maxWorkers: 4, maxTaskHosts: 3, readyTaskHosts: 2 },
  python: { maxSandboxes: 4, readySandboxes: 4 },
  execution: { queueLimit: 2, queueLimitMb: 1 },
  policy: {
    callers: {
      "*": { maxActiveTasks: 0, maxRequestsPerSecond: 10 },
      etl: { maxActiveTasks: 7, cpuSecondsPerHour: 100, ceilings: { memoryMb: 64 } },
    },
  },
  logging: { file: { path: "/var/log/re.xec/rexec.log" } },
});

/** What all fronts get, as configurations. */
const FRONTS = [1, 2, 3].map((front) =>
  loadConfig({ env: {}, readFile: () => undefined, overrides: settingsOfFront(CONFIG, front) }).config
);

Deno.test("settingsOfFront() divides totals without a rest, and nobody gets nothing", () => {
  assert.deepEqual(FRONTS.map(({ pool }) => pool.maxWorkers), [2, 1, 1]);
  assert.deepEqual(FRONTS.map(({ pool }) => pool.maxTaskHosts), [1, 1, 1]);
  assert.deepEqual(FRONTS.map(({ python }) => python.maxSandboxes), [2, 1, 1]);
  assert.deepEqual(FRONTS.map(({ python }) => python.readySandboxes), [2, 1, 1]);
  assert.deepEqual(FRONTS.map(({ server }) => server.maxConnections), [334, 333, 333]);
  assert.deepEqual(FRONTS.map(({ server }) => server.maxConnectionsPerPeer), [1, 1, 1]);
  assert.deepEqual(FRONTS.map(({ execution }) => execution.queueLimit), [1, 1, 0]);
  assert.deepEqual(FRONTS.map(({ execution }) => execution.queueLimitMb), [1, 1, 1]);
});

Deno.test("settingsOfFront() divides quotas of callers, keeps what is no quota, and no limit stays none", () => {
  const etl = FRONTS.map(({ policy }) => policy.callers["etl"]!);
  assert.deepEqual(etl.map(({ maxActiveTasks }) => maxActiveTasks), [3, 2, 2]);
  assert.deepEqual(etl.map(({ cpuSecondsPerHour }) => cpuSecondsPerHour), [100 / 3, 100 / 3, 100 / 3]);
  assert.deepEqual(etl.map(({ ceilings }) => ceilings?.memoryMb), [64, 64, 64]);
  const others = FRONTS.map(({ policy }) => policy.callers["*"]!);
  assert.deepEqual(others, Array(3).fill({ maxActiveTasks: 0, maxRequestsPerSecond: 10 / 3 }));
});

Deno.test("settingsOfFront() gives each front a head start, a log of its own, and no metrics to serve", () => {
  assert.deepEqual(FRONTS.map(({ pool }) => pool.readyTaskHosts), [1, 1, 1]);
  assert.deepEqual(
    FRONTS.map(({ logging }) => logging.file.path),
    [1, 2, 3].map((front) => `/var/log/re.xec/rexec.front-${front}.log`),
  );
  assert(FRONTS.every(({ metrics, server }) => !metrics.enabled && server.processes === 0));
});

for (
  const [what, settings, fault] of [
    ["hosts", { "pool.maxWorkers": 2 }, /pool\.maxWorkers.*2 cannot be divided among 3 front processes.*MAX_WORKERS/],
    ["hosts of user code", { "pool.maxTaskHosts": 1 }, /pool\.maxTaskHosts.*1 cannot be divided/],
    ["hosts for Python", { "python.maxSandboxes": 2 }, /python\.maxSandboxes.*2 cannot be divided/],
    ["connections", { "server.maxConnections": 2 }, /server\.maxConnections.*2 cannot be divided/],
    [
      "a caller's tasks",
      { "policy.callers": { etl: { maxActiveTasks: 2 } } },
      /maxActiveTasks of "etl" is 2, and cannot be divided among 3/,
    ],
  ] as const
) {
  Deno.test(`loadConfig() refuses fewer ${what} than fronts`, () => {
    const overrides = { "server.processes": 3, ...settings };
    assert.throws(() => loadConfig({ env: {}, readFile: () => undefined, overrides }), fault);
  });
}
