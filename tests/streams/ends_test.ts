import assert from "node:assert/strict";
import { TestClient, unary } from "../support/client.ts";
import { descendantsOf, openFiles, until } from "../support/processes.ts";
import { seededRandom } from "../support/random.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { chooseWay, runStream, type Stage, type StreamRecord, WAY_NAMES } from "./ends.ts";
import { HostKiller } from "./host_killer.ts";

/** `STREAM_ENDS=10000 deno task test tests/streams/ends_test.ts` for as many as one likes. */
const STREAMS = Number(Deno.env.get("STREAM_ENDS") ?? 80);
const AT_ONCE = 24;
const WORKERS = 2;
const SEED = 7;
/** Long enough that a slow machine's streams seldom end by it that should end otherwise. */
const IDLE_TIMEOUT_MS = 4_000;

// A client of grpc-js whose connection was cut goes on trying to connect after its `close()`, with a timer.
Deno.test(
  `Of ${STREAMS} streams that end in every way, in random order, nothing is left`,
  { sanitizeOps: false, sanitizeResources: false },
  async () => {
    await using server = await startTestServer({
      settings: {
        "pool.maxWorkers": WORKERS,
        "pool.readyTaskHosts": 1,
        "sandbox.probe": false,
        "sessions.idleTimeoutMs": IDLE_TIMEOUT_MS,
        "server.maxConnectionsPerPeer": 1_000,
      },
      program: new URL("serve_counting_timers.ts", import.meta.url),
    });
    const random = seededRandom(SEED);
    const killer = new HostKiller(server, random);
    // Of each kind that can be kept there is one before, and each way has been taken once: caches and the like are filled.
    using client = new TestClient(server.address);
    const stage: Stage = { server, client, killer, random };
    for (const way of [...WAY_NAMES, ...WAY_NAMES]) assertFine([await runStream(way, stage)]);
    const atRest = await countsAtRest(server, client);

    const records: StreamRecord[] = [];
    let started = 0;
    const openOneAfterAnother = async () => {
      while (started < STREAMS) {
        const way = WAY_NAMES[started++] ?? chooseWay(random);
        records.push(await runStream(way, stage));
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, openOneAfterAnother));

    assertFine(records);
    assert.equal(records.length, STREAMS);
    assert.deepEqual(new Set(records.map(({ way }) => way)), new Set(WAY_NAMES));
    for (const outcome of ["ended", "cancelled", "deadline", "disconnected", "idle", "failed"]) {
      assert(records.some((record) => record.outcome === outcome), `no stream came to be ${outcome}`);
    }
    await untilAtRest(server, client, atRest);
    assert.equal((await server.stop()).code, 0);
  },
);

function assertFine(records: readonly StreamRecord[]): void {
  assert.deepEqual(records.flatMap(({ fault }) => fault ?? []), []);
}

/** What streams could leave behind, counted. */
interface Counts {
  readonly sessions: number;
  readonly tasks: number;
  readonly connections: number;
  readonly processes: number;
  readonly descriptors: number;
  readonly threads: number;
  /** Of the host that has most, since which ones there are changes. */
  readonly hostDescriptors: number;
  readonly hostThreads: number;
  readonly timers: number;
}

async function countsAtRest(server: TestServer, client: TestClient): Promise<Counts> {
  await untilAtRest(server, client, { sessions: 0, tasks: 0, connections: 1 });
  // The pools have what they keep ready, so that nothing starts or ends any more.
  await until("the hosts are all there", async () => {
    const text = await server.metrics();
    const hosts = { available: WORKERS, busy: 0, starting: 0, task_available: 1, task_busy: 0, task_starting: 0 };
    return Object.entries(hosts).every(([state, count]) => text.includes(`rexec_hosts{state="${state}"} ${count}\n`));
  });
  return (await countsOf(server, client)).counts;
}

/** @throws {Error} with both counts, and where timers were set, when there stays more of something */
async function untilAtRest(server: TestServer, client: TestClient, atRest: Partial<Counts>): Promise<void> {
  let now: Awaited<ReturnType<typeof countsOf>> | undefined;
  try {
    await until("nothing is left", async () => {
      now = await countsOf(server, client);
      const { counts } = now;
      // The keys of its own object.
      return (Object.keys(atRest) as (keyof Counts)[]).every((kind) => counts[kind] <= (atRest[kind] ?? Infinity));
    });
  } catch (cause) {
    throw new Error(`More than at rest: ${JSON.stringify({ atRest, now })}`, { cause });
  }
}

async function countsOf(server: TestServer, client: TestClient) {
  const request = { includeMetrics: true, includeSessions: true };
  const answer = await unary(client.stub, client.stub.getStatus, request).answer;
  assert(answer.ok);
  const { activeSessions, metrics } = answer.response;
  const text = await server.metrics();
  const gauge = (name: string) => Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text)?.[1]);
  const hosts = descendantsOf(server.pid);
  const timers = await timersOf(server);
  const counts: Counts = {
    sessions: Math.max(activeSessions.length, metrics?.activeSessions ?? NaN),
    tasks: gauge("rexec_tasks_active"),
    connections: gauge("rexec_connections"),
    processes: hosts.length,
    descriptors: openFiles(server.pid),
    threads: threadsOf(server.pid),
    hostDescriptors: Math.max(0, ...hosts.map((pid) => orNone(() => openFiles(pid)))),
    hostThreads: Math.max(0, ...hosts.map((pid) => orNone(() => threadsOf(pid)))),
    timers: Object.values(timers).reduce((sum, count) => sum + count, 0),
  };
  return { counts, timers };
}

let timeQuestions = 0;

/** Timers that wait, by where they were set. */
async function timersOf(server: TestServer): Promise<Readonly<Record<string, number>>> {
  const line = new RegExp(`^timers ${++timeQuestions}: (.*)$`, "m");
  server.signal("SIGUSR2");
  await server.logged(new RegExp(`^timers ${timeQuestions}: .*\\n`, "m"));
  // What serve_counting_timers.ts writes.
  return JSON.parse(line.exec(server.log)?.[1] ?? "") as Record<string, number>;
}

function threadsOf(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/task`)].length;
}

/** Of a process that may have ended meanwhile. */
function orNone(count: () => number): number {
  try {
    return count();
  } catch {
    return 0;
  }
}
