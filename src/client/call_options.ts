/**
 * Options of the client's calls.
 * @module
 */

import type { Format } from "../../workers/codecs/mod.ts";
import type { RequestedGrants, RequestedLimits } from "./execution_options.ts";
import type { ConfigValue } from "./payload.ts";
import type { Input } from "./values.ts";

/** Options of every call. */
export interface CallOptions {
  /** Aborts the call, which then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Time that the call may take with all its attempts, in milliseconds. When absent it is the client's `timeoutMs`, and
   * for streams no time at all.
   */
  readonly timeoutMs?: number | undefined;
}

/** Options of {@linkcode RemoteExecutionClient.executeNode}. */
export interface ExecuteNodeOptions extends CallOptions {
  /** Parameters of the node. */
  readonly config?: Readonly<Record<string, ConfigValue>> | undefined;
  /** Format of input and output. Default `pickle`, which loses no types. */
  readonly format?: Format | undefined;
  /** Limits of the execution; what is absent is the service's default. */
  readonly options?: RequestedLimits | undefined;
  /** Whether running it twice does no harm, so that it is run again when the connection breaks. Default true. */
  readonly idempotent?: boolean | undefined;
}

/** Options of {@linkcode RemoteExecutionClient.executeCustomTask}. */
export interface ExecuteCustomTaskOptions extends CallOptions {
  /**
   * What to run: `path/to/mod.ts:name` for TypeScript and JavaScript, `package.module:function` for Python. Default: the
   * package's main module and what it exports by default.
   */
  readonly entryPoint?: string | undefined;
  /** What the code is called with. Default `null`. */
  readonly input?: Input;
  /** Format of input and output. Default `pickle`, which loses no types. */
  readonly format?: Format | undefined;
  /** Requirements besides those of the package's manifest. */
  readonly dependencies?: readonly string[] | undefined;
  /** Limits of the execution, and what its code may do; what is absent is the service's default, and nothing. */
  readonly options?: RequestedLimits & RequestedGrants | undefined;
  /**
   * Is told what the code writes to its console, in order and while it runs; the result and the error have all of it
   * again. A service without `rexec.WatchService` tells it when the task has ended.
   */
  readonly onConsole?: ((text: ConsoleText) => void) | undefined;
  /** Whether running it twice does no harm, so that it is run again when the connection breaks. Default false. */
  readonly idempotent?: boolean | undefined;
}

/** Names the node of a stream. */
export interface StreamNodeInit {
  readonly nodeType: string;
  /** Parameters of the node. */
  readonly config?: Readonly<Record<string, ConfigValue>> | undefined;
  /** Format of inputs and outputs. Default `pickle`. */
  readonly format?: Format | undefined;
}

/** What user code wrote to its console since it was last told of. */
export interface ConsoleText {
  /** By log, info and debug. */
  readonly stdout: string;
  /** By warn and error. */
  readonly stderr: string;
}

/** Names the user code of a stream, or of an object that lives in a session. */
export interface CodeInit {
  /** A zip, or the text of a single TypeScript or JavaScript module; see `packagePath` and `packageFiles`. */
  readonly codePackage: Uint8Array;
  /** `path/to/mod.ts:name`, or `name` of the main module. Default: what the package's main module exports by default. */
  readonly entryPoint?: string | undefined;
  /** What a class is made with. */
  readonly config?: Readonly<Record<string, ConfigValue>> | undefined;
  /** Format of inputs and outputs. Default `pickle`. */
  readonly format?: Format | undefined;
  /**
   * Limits, and what the code may do; what is absent is the service's default, and nothing. Limits of time hold for each
   * input by itself.
   */
  readonly options?: RequestedLimits & RequestedGrants | undefined;
}

/** Names what a {@linkcode RemoteExecutionClient.streamExecute} runs: a node, or user code. */
export type StreamExecuteInit =
  | CodeInit
  | StreamNodeInit & {
    /** Limits; what is absent is the service's default. Limits of time hold for each input by itself. */
    readonly options?: RequestedLimits | undefined;
  };

/** Options of {@linkcode RemoteExecutionClient.streamExecute}. */
export interface StreamExecuteOptions extends CallOptions {
  /** Is told what user code writes to its console, as it comes; what came last is in the error where there is one. */
  readonly onConsole?: ((text: ConsoleText) => void) | undefined;
}

/** What streams take as their inputs. */
export type Inputs = AsyncIterable<Input> | Iterable<Input>;
