/**
 * From a request to a task that can be run: its message, where it goes, and how often it may be started.
 * @module
 */

import type { ExecutionSectionOptions, PolicyOptions, PythonOptions } from "../config/schema.ts";
import type { PackageStreamOptions, PackageTask, PythonNode, PythonVersion } from "../../workers/protocol.ts";
import type { HostPool } from "../sandbox/host_pool.ts";
import { type Grants, NO_GRANTS } from "../sandbox/grants.ts";
import type { DependencyRequest, DependencyResolver } from "../packages/dependencies.ts";
import type { Lane, PythonLanes, UserCodeLane } from "./lanes.ts";
import type { ExecutionLimits } from "./limits.ts";
import { ofPickle, type PackageHint, peekPackage } from "./package_peek.ts";
import { findPickle } from "./python_evidence.ts";
import {
  type CustomTaskExecution,
  type InputBounds,
  type NodeExecution,
  nodeFault,
  nodeMessage,
  packageFault,
  packageMessage,
  type SessionRequest,
} from "./requests.ts";
import type { RunOptions } from "./task_run.ts";
import { ValidatedPackages } from "./validated_packages.ts";
import { inputTooLong, invalidTask, type Verdict } from "./verdict.ts";

const NOTHING = new Uint8Array();

/** All of a run that follows from its request. */
export interface TaskPlan extends
  Pick<
    RunOptions,
    "subject" | "logFields" | "message" | "limits" | "maxRestarts" | "tryPlace" | "queue" | "prepare" | "onValidated"
  > {
  /** What the request comes to without being run: it is too long, or asks for what there is not. */
  readonly refusal: Verdict | undefined;
}

/** Whose a task is, and what it may use. */
export interface PlanContext {
  readonly caller: string;
  readonly limits: ExecutionLimits;
  readonly policy: PolicyOptions;
}

/** Where tasks may go. */
export interface PlannedLanes {
  readonly nodes: Lane<Pick<HostPool, "nodes" | "tryRun" | "tryOpen">>;
  readonly tasks: UserCodeLane;
  /** `undefined` where Python is not run. */
  readonly python: Pick<PythonLanes, "lane"> | undefined;
}

/** What plans are made with. */
export interface PlannerOptions {
  readonly lanes: PlannedLanes;
  readonly execution: ExecutionSectionOptions;
  readonly python: PythonOptions;
  readonly dependencies: DependencyResolver;
  readonly bounds: InputBounds;
  /** Bytes of outputs that a new stream may send at once. */
  readonly creditBytes: () => number;
}

/** What of user code is run, in the terms of its request. */
interface UserCode extends PlanContext {
  readonly request: CustomTaskExecution;
  /** Empty where there is no package. */
  readonly packageDigest: string;
  readonly grants: Grants;
  readonly reuseKey: string | null;
  readonly stream?: PackageStreamOptions | undefined;
  readonly pythonNode?: PythonNode | undefined;
}

/** Where user code goes: a lane with its needs, or a refusal. */
interface Route {
  readonly lane: UserCodeLane;
  readonly dependencies:
    | Pick<DependencyRequest, "runtime" | "version" | "implied"> & { readonly declared: readonly string[] }
    | undefined;
  readonly refusal?: Verdict | undefined;
}

/** Makes plans. */
export class Planner {
  readonly #options: PlannerOptions;
  readonly #validated = new ValidatedPackages();
  readonly #pythonNodes: ReadonlySet<string>;

  constructor(options: PlannerOptions) {
    this.#options = options;
    const { nodes } = options.lanes.nodes.pool;
    this.#pythonNodes = new Set(nodes.filter(({ runtime }) => runtime === "python").map(({ nodeType }) => nodeType));
  }

  /** A node that is run once. */
  planNode(request: Omit<NodeExecution, "options">, of: PlanContext): TaskPlan {
    return this.#planNode(request, of, undefined);
  }

  /** User code that is run once. */
  planTask(
    request: CustomTaskExecution,
    of: PlanContext & Pick<UserCode, "grants" | "packageDigest" | "reuseKey">,
  ): TaskPlan {
    return this.#planUserCode({ ...of, request });
  }

  /** The opening of a stream with a node. */
  planNodeStream({ nodeType, config }: SessionRequest, of: PlanContext): TaskPlan {
    const stream = { mode: "stream", config: {}, creditBytes: this.#options.creditBytes() } as const;
    return this.#planNode({ nodeType, config, input: NOTHING, format: "" }, of, stream);
  }

  /** The opening of a stream with user code, or of a session of a user's object. */
  planPackageStream(request: SessionRequest, of: PlanContext & Pick<UserCode, "grants" | "packageDigest">): TaskPlan {
    const { mode, config, codePackage, options } = request;
    // Clients of the plain contract have no other place for it.
    const entryPoint = request.entryPoint === "" ? config.get("entry_point") ?? "" : request.entryPoint;
    return this.#planUserCode({
      ...of,
      request: { codePackage, entryPoint, input: NOTHING, format: "", dependencies: [], options },
      reuseKey: null,
      stream: { mode, config: Object.fromEntries(config), creditBytes: this.#options.creditBytes() },
    });
  }

  /** A built-in node: pure, so that it may be started once more after a host died under it. */
  #planNode(
    request: Omit<NodeExecution, "options">,
    of: PlanContext,
    stream: PackageStreamOptions | undefined,
  ): TaskPlan {
    const { nodeType } = request;
    if (this.#pythonNodes.has(nodeType)) return this.#planPythonNode(request, of, stream);
    const { caller, limits } = of;
    const message = nodeMessage(request, limits);
    const { pool, queue } = this.#options.lanes.nodes;
    const fault = nodeFault(message, this.#options.bounds);
    return {
      subject: "Node execution",
      logFields: { node_type: nodeType, caller },
      message,
      limits,
      maxRestarts: 1,
      tryPlace: stream === undefined ? (task) => pool.tryRun(task, nodeType) : (task) => pool.tryOpen(task, nodeType),
      queue,
      refusal: fault === undefined ? undefined : inputTooLong(fault),
    };
  }

  /** A node that runs its caller's Python: user code, as far as a sandbox is concerned. */
  #planPythonNode(
    { nodeType, config, input, format }: Omit<NodeExecution, "options">,
    of: PlanContext,
    stream: PackageStreamOptions | undefined,
  ): TaskPlan {
    const plan = this.#planUserCode({
      ...of,
      request: { codePackage: NOTHING, entryPoint: "", input, format, dependencies: [], options: undefined },
      grants: NO_GRANTS,
      packageDigest: "",
      reuseKey: null,
      stream,
      pythonNode: { nodeType, config: Object.fromEntries(config) },
    });
    return { ...plan, subject: "Node execution", logFields: { node_type: nodeType, caller: of.caller } };
  }

  /** User code: started once, in a sandbox of its own. */
  #planUserCode(code: UserCode): TaskPlan {
    const { request, caller, limits, policy, grants, packageDigest, reuseKey, stream, pythonNode } = code;
    const { execution, bounds } = this.#options;
    const draft = packageMessage(request, { limits, policy, execution, stream, pythonNode });
    const subject = { caller, packageDigest, rules: draft.options };
    const validated = this.#validated.has(subject);
    const message = validated ? { ...draft, options: { ...draft.options, validated } } : draft;
    const fault = packageFault(message, bounds);
    const route = fault === undefined
      ? this.#routeOf(request, { grants, policy, pythonNode })
      : { lane: this.#options.lanes.tasks, dependencies: undefined, refusal: inputTooLong(fault) };
    // What an interpreter's host keeps between two workers was made for one: the flags of its signals, for example.
    const need = { grants, reuseKey: route.dependencies?.runtime === "python" ? null : reuseKey };
    return {
      subject: "Task",
      logFields: { entry_point: request.entryPoint, caller },
      message,
      limits,
      prepare: this.#preparation(message, route),
      maxRestarts: 0,
      tryPlace: (task) => route.lane.tryRun(task, need),
      queue: route.lane.queue,
      onValidated: route.lane === this.#options.lanes.tasks ? () => this.#validated.add(subject) : undefined,
      refusal: route.refusal,
    };
  }

  /** How a task comes to the packages that it depends on; `undefined` for one that cannot depend on any. */
  #preparation(message: PackageTask, { dependencies }: Route): TaskPlan["prepare"] {
    if (dependencies === undefined) return undefined;
    const { codePackage, options } = message;
    const { declared, ...of } = dependencies;
    const requirements = [...new Set([...options.dependencies, ...declared])];
    return async (signal) => {
      const resolved = await this.#options.dependencies.resolve({ ...of, requirements, codePackage }, signal);
      const { layers, installed } = resolved;
      const started = { ...options, dependencies: resolved.requirements ?? options.dependencies };
      return { message: { ...message, layers, options: started }, installed };
    };
  }

  #routeOf(
    request: CustomTaskExecution,
    { grants, policy, pythonNode }: Pick<UserCode, "grants" | "policy" | "pythonNode">,
  ): Route {
    const { python: { version: defaultVersion }, lanes } = this.#options;
    const { codePackage, entryPoint, dependencies } = request;
    const hint: PackageHint = pythonNode === undefined
      ? peekPackage(codePackage, { entryPoint, defaultVersion, maxFiles: policy.packages.maxFiles })
      : hintForNode(pythonNode.nodeType, request.input, defaultVersion);
    if (hint.runtime === "deno") {
      const mayDepend = dependencies.length > 0 || hint.declares;
      return {
        lane: lanes.tasks,
        dependencies: mayDepend ? { runtime: "deno", version: undefined, implied: [], declared: [] } : undefined,
      };
    }
    const refuse = (message: string): Route => ({
      lane: lanes.tasks,
      dependencies: undefined,
      refusal: invalidTask(`Cannot run task: ${message}`),
    });
    if (lanes.python === undefined) {
      const what = pythonNode === undefined ? "its package is Python's" : `${pythonNode.nodeType} is run by Python`;
      return refuse(`${what}, which this service does not run (python.enabled)`);
    }
    if ("fault" in hint) return refuse(hint.fault);
    if (grants.networkHosts !== null) return refuse(notForPython("enable_networking", "network"));
    if (grants.scratchBytes !== null) return refuse(notForPython("enable_filesystem", "scratch folder"));
    const { version, hasPickle, requirements: declared } = hint;
    return {
      lane: lanes.python.lane(version),
      dependencies: { runtime: "python", version, implied: hasPickle ? ["cloudpickle"] : [], declared },
    };
  }
}

/** The node whose every input holds a pickle. */
const SERIALIZED_CLASS_NODE = "SerializedClassExecutorNode";

/** Python has neither: what its standard library would use is not there. */
function notForPython(field: string, what: string): string {
  return `options.${field} is for TypeScript only, Python has no ${what} here`;
}

/** A node's own pickle says which Python made it. In a stream it comes later, and the default version has to do. */
function hintForNode(nodeType: string, input: Uint8Array, defaultVersion: PythonVersion): PackageHint {
  const pickle = findPickle(input);
  const chosen = pickle === undefined ? defaultVersion : ofPickle(pickle, defaultVersion);
  if (typeof chosen !== "string") return chosen;
  const hasPickle = pickle !== undefined || nodeType === SERIALIZED_CLASS_NODE;
  return { runtime: "python", version: chosen, hasPickle, requirements: [] };
}
