/**
 * From a request to a task that can be run: its message, where it goes, and how often it may be started.
 * @module
 */

import type { ExecutionSectionOptions, PolicyOptions } from "../config/schema.ts";
import type { PackageStreamOptions } from "../../workers/protocol.ts";
import type { HostPool } from "../sandbox/host_pool.ts";
import type { TaskHostNeed, TaskHostPool } from "../sandbox/task_host_pool.ts";
import type { Lane } from "./lanes.ts";
import type { ExecutionLimits } from "./limits.ts";
import {
  type CustomTaskExecution,
  type InputBounds,
  type NodeExecution,
  nodeFault,
  nodeMessage,
  packageFault,
  packageMessage,
} from "./requests.ts";
import type { RunOptions } from "./task_run.ts";

/** All of a run that follows from its request. */
export interface TaskPlan
  extends Pick<RunOptions, "subject" | "logFields" | "message" | "limits" | "maxRestarts" | "tryPlace" | "queue"> {
  /** Why the request is too long to be sent to a sandbox; `undefined` when it is not. */
  readonly fault: string | undefined;
}

/** What every plan is made with. */
interface PlanContext {
  readonly caller: string;
  readonly limits: ExecutionLimits;
  readonly bounds: InputBounds;
}

/** A built-in node: pure, so that it may be started once more after a host died under it. */
export function planNode(
  request: Omit<NodeExecution, "options">,
  { caller, limits, bounds, lane, opens }: PlanContext & {
    readonly lane: Lane<HostPool>;
    /** Whether a stream is opened with it. */
    readonly opens: boolean;
  },
): TaskPlan {
  const { nodeType } = request;
  const message = nodeMessage(request, limits);
  const { pool, queue } = lane;
  return {
    subject: "Node execution",
    logFields: { node_type: nodeType, caller },
    message,
    limits,
    maxRestarts: 1,
    tryPlace: opens ? (task) => pool.tryOpen(task, nodeType) : (task) => pool.tryRun(task, nodeType),
    queue,
    fault: nodeFault(message, bounds),
  };
}

/** User code: started once, in a sandbox of its own. */
export function planPackage(
  request: CustomTaskExecution,
  { caller, limits, bounds, lane, need, policy, execution, stream }: PlanContext & {
    readonly lane: Lane<TaskHostPool>;
    readonly need: TaskHostNeed;
    readonly policy: PolicyOptions;
    readonly execution: ExecutionSectionOptions;
    /** Of a stream, or a session, that is opened with it. */
    readonly stream?: PackageStreamOptions | undefined;
  },
): TaskPlan {
  const message = packageMessage(request, { limits, policy, execution, ...(stream === undefined ? {} : { stream }) });
  const { pool, queue } = lane;
  return {
    subject: "Task",
    logFields: { entry_point: request.entryPoint, caller },
    message,
    limits,
    maxRestarts: 0,
    tryPlace: (task) => pool.tryRun(task, need),
    queue,
    fault: packageFault(message, bounds),
  };
}
