/**
 * What requests ask for, as the messages that sandboxes take.
 * @module
 */

import type { ExecutionOptions } from "../../protos/generated/types.ts";
import {
  MAX_TASK_TEXT_BYTES,
  type NodeTask,
  type PackageStreamOptions,
  type PackageTask,
  type PythonNode,
  type StreamStep,
  taskTextBytes,
} from "../../workers/protocol.ts";
import type { ExecutionSectionOptions, PolicyOptions } from "../config/schema.ts";
import { MEGABYTE } from "../units.ts";
import type { ExecutionLimits } from "./limits.ts";

/** A request to run a node. */
export interface NodeExecution {
  readonly nodeType: string;
  readonly config: ReadonlyMap<string, string>;
  readonly input: Uint8Array;
  readonly format: string;
  readonly options: ExecutionOptions | undefined;
}

/** A request to run user code. */
export interface CustomTaskExecution {
  readonly codePackage: Uint8Array;
  readonly entryPoint: string;
  readonly input: Uint8Array;
  readonly format: string;
  readonly dependencies: readonly string[];
  readonly options: ExecutionOptions | undefined;
}

/** A request to open a stream, or a session of an object. */
export interface SessionRequest {
  /** What the code is to be: anything that takes items, or an object. Nodes are only streamed to. */
  readonly mode: PackageStreamOptions["mode"];
  /** Whether it is kept for later calls; otherwise it lives as long as the call that opens it. */
  readonly staysOpen: boolean;
  /** A node, or {@linkcode CUSTOM_TASK} for user code. */
  readonly nodeType: string;
  readonly config: ReadonlyMap<string, string>;
  /** Empty where a node is named. */
  readonly codePackage: Uint8Array;
  readonly entryPoint: string;
  readonly options: ExecutionOptions | undefined;
}

/** Name by which executions of user code are counted and logged, and by which streams ask for it. */
export const CUSTOM_TASK = "custom";

/** What one input may have. */
export interface InputBounds {
  readonly maxInputBytes: number;
}

/** The message that runs a node, or opens a stream with it. */
export function nodeMessage(
  request: Omit<NodeExecution, "options">,
  { memoryBytes, outputBytes }: ExecutionLimits,
): NodeTask {
  const { nodeType, format, config, input } = request;
  return { nodeType, format, config, memoryLimitBytes: memoryBytes, maxOutputBytes: outputBytes, input };
}

/** The message that runs user code, or opens a stream or a session with it. */
export function packageMessage(
  request: CustomTaskExecution,
  { limits, policy, execution, stream, pythonNode }: {
    readonly limits: ExecutionLimits;
    readonly policy: PolicyOptions;
    readonly execution: ExecutionSectionOptions;
    readonly stream?: PackageStreamOptions | undefined;
    readonly pythonNode?: PythonNode | undefined;
  },
): PackageTask {
  const { codePackage, entryPoint, input, format, dependencies, options } = request;
  return {
    format,
    memoryLimitBytes: limits.memoryBytes,
    maxOutputBytes: limits.outputBytes,
    maxConsoleBytes: execution.maxConsoleKb * 1024,
    options: {
      entryPoint,
      dependencies,
      maxPackageBytes: policy.packages.maxCompressedMb * MEGABYTE,
      maxUnpackedBytes: policy.packages.maxUnpackedMb * MEGABYTE,
      maxFiles: policy.packages.maxFiles,
      blockedImports: policy.imports.blocked,
      validated: false,
      environment: options?.environment ?? {},
      ...(stream === undefined ? {} : { stream }),
      ...(pythonNode === undefined ? {} : { pythonNode }),
    },
    input,
    layers: [],
    codePackage,
  };
}

/** Why a node's request is too long to be sent to a sandbox; `undefined` when it is not. */
export function nodeFault(message: NodeTask, bounds: InputBounds): string | undefined {
  const textBytes = taskTextBytes(message);
  if (textBytes > MAX_TASK_TEXT_BYTES) {
    return `Cannot run task: its node type, format and config may need ${textBytes} bytes, allowed are ${MAX_TASK_TEXT_BYTES}`;
  }
  return inputFault(message.input, bounds);
}

/** Why a request of user code is too long to be sent to a sandbox; `undefined` when it is not. */
export function packageFault(message: PackageTask, bounds: InputBounds): string | undefined {
  const { entryPoint, dependencies, maxPackageBytes, stream, pythonNode } = message.options;
  const config = [...Object.entries(stream?.config ?? {}), ...Object.entries(pythonNode?.config ?? {})].flat();
  const textBytes = [entryPoint, message.format, pythonNode?.nodeType ?? "", ...dependencies, ...config].reduce(
    (sum, { length }) => sum + length * 3,
    0,
  );
  if (textBytes > MAX_TASK_TEXT_BYTES) {
    return `Cannot run task: its entry point and dependencies may need ${textBytes} bytes, allowed are ${MAX_TASK_TEXT_BYTES}`;
  }
  const { length } = message.codePackage;
  if (length > maxPackageBytes) {
    return `Cannot run task: its package has ${length} bytes, packages.maxCompressedMb allows ${maxPackageBytes}`;
  }
  return inputFault(message.input, bounds);
}

/** Why a step of a stream is too long to be sent to its sandbox; `undefined` when it is not. */
export function stepFault(
  { format, method, input }: Pick<StreamStep, "format" | "method" | "input">,
  bounds: InputBounds,
): string | undefined {
  const textBytes = 64 + 3 * (format.length + method.length);
  if (textBytes > MAX_TASK_TEXT_BYTES) {
    return `Cannot run task: its format and method may need ${textBytes} bytes, allowed are ${MAX_TASK_TEXT_BYTES}`;
  }
  return inputFault(input, bounds);
}

/** Why an input is too long; `undefined` when it is not. */
function inputFault(input: Uint8Array, { maxInputBytes }: InputBounds): string | undefined {
  if (input.length <= maxInputBytes) return undefined;
  return `Cannot run task: its input has ${input.length} bytes, execution.maxInputMb allows ${maxInputBytes}`;
}
