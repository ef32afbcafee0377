import type { Command } from "commander";
import type { StatusResponse } from "../../../protos/generated/execution.ts";
import { ServiceStatus } from "../../client/mod.ts";
import type { Session } from "../session.ts";
import { printable, table } from "../terminal.ts";

const EXAMPLES = `
Examples:
  rexec status                          how the service is doing
  rexec status --sessions               with its open sessions
  rexec --address host:50051 status     another service`;

/** `rexec status` */
export function addStatus(program: Command, start: (command: Command) => Session): void {
  program.command("status")
    .description("tell how the service is doing")
    .option("--sessions", "list the open sessions too")
    .addHelpText("after", EXAMPLES)
    .action(async ({ sessions = false }: { sessions?: boolean }, command: Command) => {
      const session = start(command);
      using client = await session.connect();
      const answer = await client.getStatus({ includeSessions: sessions, signal: session.signal });
      if (session.options.json) {
        return await session.printJson({ ...answer, status: ServiceStatus[answer.status] ?? answer.status });
      }
      await session.print(describe(answer, { session, address: client.address, sessions }));
    });
}

function describe(
  { status, version, uptimeSeconds, metrics, activeSessions }: StatusResponse,
  { session: { style }, address, sessions }: { session: Session; address: string; sessions: boolean },
): string {
  const name = ServiceStatus[status] ?? String(status);
  const rows = [
    ["Status", status === ServiceStatus.HEALTHY ? style.green(name) : style.red(name)],
    ["Address", address],
    ["Version", printable(version)],
    ["Uptime", duration(uptimeSeconds)],
  ];
  if (metrics !== undefined) {
    const { totalRequests, successfulRequests, failedRequests } = metrics;
    rows.push(
      ["Requests", `${totalRequests} (${successfulRequests} succeeded, ${failedRequests} failed)`],
      ["Duration", `${metrics.averageDurationMs} ms on average`],
      ["Workers", `${metrics.availableWorkers} available, ${metrics.busyWorkers} busy`],
      ["Sessions", String(metrics.activeSessions)],
      ["Memory", `${metrics.memoryUsagePercent.toFixed(1)} %, at most ${metrics.peakMemoryMb} MB`],
      ["CPU", `${metrics.cpuUsagePercent.toFixed(1)} %`],
    );
  }
  const sessionRows = activeSessions.map((open) => {
    const activity = new Date(open.lastActivity).toISOString();
    return [open.sessionId, open.nodeType || "(user code)", String(open.processedItems), activity].map(printable);
  });
  if (!sessions) return table(rows);
  const list = sessionRows.length === 0
    ? "No sessions\n"
    : table([["SESSION", "NODE", "ITEMS", "LAST USED"], ...sessionRows]);
  return `${table(rows)}\n${list}`;
}

function duration(seconds: number): string {
  const parts = [[86_400, "d"], [3_600, "h"], [60, "min"], [1, "s"]] as const;
  let rest = seconds;
  const shown: string[] = [];
  for (const [length, unit] of parts) {
    const count = Math.floor(rest / length);
    rest -= count * length;
    if (count > 0) shown.push(`${count} ${unit}`);
  }
  return shown.slice(0, 2).join(" ") || "0 s";
}
