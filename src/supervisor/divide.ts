/**
 * What each front gets of what the service has altogether.
 * @module
 */

import type { Config } from "../config/schema.ts";

/**
 * The settings of one front, as overrides of the service's configuration.
 *
 * Whatever is a total is divided, so that all fronts together do not exceed it however unevenly callers meet them; a
 * caller whose connections are all at one front gets that front's share only. The configuration refuses totals that
 * leave a front without anything.
 *
 * @param front from 1 on
 */
export function settingsOfFront(config: Config, front: number): Readonly<Record<string, unknown>> {
  const { server, pool, python, execution, policy, logging } = config;
  const part = (total: number) => share(total, front, server.processes);
  return {
    "server.processes": 0,
    "server.maxConnections": part(server.maxConnections),
    "server.maxConnectionsPerPeer": part(server.maxConnectionsPerPeer),
    "pool.maxWorkers": part(pool.maxWorkers),
    "pool.maxTaskHosts": part(pool.maxTaskHosts),
    // No limit but a head start, which every front needs for itself.
    "pool.readyTaskHosts": Math.min(Math.ceil(pool.readyTaskHosts / server.processes), part(pool.maxTaskHosts)),
    "python.maxSandboxes": Math.max(1, part(python.maxSandboxes)),
    "python.readySandboxes": Math.min(Math.ceil(python.readySandboxes / server.processes), part(python.maxSandboxes)),
    "execution.queueLimit": part(execution.queueLimit),
    "execution.queueLimitMb": Math.max(1, part(execution.queueLimitMb)),
    "policy.callers": Object.fromEntries(
      Object.entries(policy.callers).map(([name, entry]) => [name, {
        ...entry,
        ...(entry.maxActiveTasks && { maxActiveTasks: part(entry.maxActiveTasks) }),
        ...(entry.maxRequestsPerSecond && { maxRequestsPerSecond: entry.maxRequestsPerSecond / server.processes }),
        ...(entry.cpuSecondsPerHour && { cpuSecondsPerHour: entry.cpuSecondsPerHour / server.processes }),
      }]),
    ),
    // The supervisor serves them for all.
    "metrics.enabled": false,
    // Two processes cannot rotate one file.
    "logging.file.path": logging.file.path === null ? null : ownFile(logging.file.path, front),
  };
}

/** The n-th of so many shares of a whole number, which add up to it. */
function share(total: number, front: number, count: number): number {
  return Math.floor(total / count) + (front <= total % count ? 1 : 0);
}

/** `/var/log/rexec.log` of front 2: `/var/log/rexec.front-2.log`. */
function ownFile(path: string, front: number): string {
  const match = /^(.*[^/])(\.[^./]*)$/.exec(path);
  return match === null ? `${path}.front-${front}` : `${match[1]}.front-${front}${match[2]}`;
}
