import assert from "node:assert/strict";
import { Metrics } from "../../src/metrics/mod.ts";

function newMetrics(): Metrics {
  const metrics = new Metrics({ build: { version: "1.2.3", deno: "2.9.3" } });
  metrics.addNodeTypes(["PassThroughNode", "custom"]);
  return metrics;
}

/** The sample lines of a rendering. */
async function samples(metrics: Metrics): Promise<string[]> {
  return (await metrics.render()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
}

Deno.test("Metrics counts calls, executions, waits, restarts and bytes", async () => {
  const metrics = newMetrics();
  metrics.requestEnded("ExecuteNode", "OK");
  metrics.requestEnded("ExecuteNode", "OK");
  metrics.executionEnded("PassThroughNode", "success", 0.003);
  metrics.queueWaited(0.002);
  metrics.hostRestarted("crashed");
  metrics.bytesReceived(10);
  metrics.bytesReceived(-1);
  metrics.bytesSent(20);
  const lines = await samples(metrics);
  for (
    const line of [
      'rexec_requests_total{method="ExecuteNode",status="OK"} 2',
      'rexec_executions_total{node_type="PassThroughNode",status="success"} 1',
      'rexec_execution_duration_seconds_bucket{le="0.0025",node_type="PassThroughNode"} 0',
      'rexec_execution_duration_seconds_bucket{le="0.005",node_type="PassThroughNode"} 1',
      "rexec_queue_wait_seconds_count 1",
      'rexec_host_restarts_total{reason="crashed"} 1',
      "rexec_bytes_in_total 10",
      "rexec_bytes_out_total 20",
      'rexec_build_info{version="1.2.3",deno="2.9.3"} 1',
    ]
  ) assert(lines.includes(line), `${line}\nis not in\n${lines.join("\n")}`);
});

Deno.test("Metrics keeps the number of series bounded whatever callers send", async () => {
  const metrics = newMetrics();
  for (let i = 0; i < 1_000; i++) {
    metrics.executionEnded(`made-up-${i}`, "error", 0.1);
    metrics.requestEnded(`Method${i}`, "UNIMPLEMENTED");
  }
  const lines = await samples(metrics);
  assert(lines.includes('rexec_executions_total{node_type="unknown",status="error"} 1000'));
  assert(lines.includes('rexec_requests_total{method="unknown",status="UNIMPLEMENTED"} 936'));
  assert(lines.length < 200, `${lines.length} series`);
});

Deno.test("Metrics.executionEnded() bears clocks that were set back", async () => {
  const metrics = newMetrics();
  metrics.executionEnded("custom", "timeout", -5);
  metrics.executionEnded("custom", "timeout", NaN);
  assert((await samples(metrics)).includes('rexec_execution_duration_seconds_count{node_type="custom"} 2'));
});

Deno.test("Metrics.sessionEnded() counts ends and inputs by node type, of those that exist", async () => {
  const metrics = newMetrics();
  metrics.addNodeTypes(["AudioBuffer"]);
  metrics.sessionEnded("AudioBuffer", "closed", 5);
  metrics.sessionEnded("AudioBuffer", "closed", 0);
  metrics.sessionEnded("made up", "failed", 1);
  const lines = await samples(metrics);
  for (
    const line of [
      'rexec_sessions_total{node_type="AudioBuffer",end="closed"} 2',
      'rexec_session_inputs_total{node_type="AudioBuffer"} 5',
      'rexec_sessions_total{node_type="unknown",end="failed"} 1',
    ]
  ) assert(lines.includes(line), line);
});

Deno.test("Metrics.watchLoad() reads the load at each scrape, and forgets states that are gone", async () => {
  const metrics = newMetrics();
  let hosts: Record<string, number> = { idle: 2, starting: 1 };
  metrics.watchLoad({
    queueLength: () => 5,
    activeTasks: () => 3,
    sessions: () => 2,
    connections: () => 7,
    hosts: () => hosts,
  });
  const before = await samples(metrics);
  for (const line of ["rexec_queue_length 5", "rexec_tasks_active 3", "rexec_sessions 2", "rexec_connections 7"]) {
    assert(before.includes(line), line);
  }
  assert(before.includes('rexec_hosts{state="starting"} 1'));
  hosts = { idle: 3 };
  const after = await samples(metrics);
  assert(after.includes('rexec_hosts{state="idle"} 3'));
  assert(!after.some((line) => line.includes("starting")));
});

Deno.test("Metrics tells CPU time and memory of the process", async () => {
  const metrics = newMetrics();
  const read = async (name: string) => {
    const line = (await samples(metrics)).find((line) => line.startsWith(`${name} `));
    return Number(line?.split(" ")[1]);
  };
  assert(await read("process_resident_memory_bytes") > 1e6);
  const cpu = await read("process_cpu_seconds_total");
  assert(cpu > 0);
  assert(await read("process_cpu_seconds_total") >= cpu);
  assert(Math.abs(await read("process_start_time_seconds") - Date.now() / 1_000) < 3_600);
});
