/**
 * What an export of user code is when it is streamed to, or called as an object that lives on between calls.
 *
 * It runs beside the user's code, which may have changed every prototype and may have given proxies. So what decides
 * whose failure something is was captured before; what the language itself looks up, on generators and promises, the
 * user can only turn against the own results.
 *
 * @module
 */

import type { TaskContext } from "./load_package.ts";
import { TaskError } from "./task_error.ts";
import { guard, settle, type UserOutput } from "./user_failure.ts";
import { collect, outputsOf } from "./user_generators.ts";
import { findMethod, isAsyncGeneratorFunction, isClass, isFunction, listMethods } from "./user_methods.ts";
import { StreamRun } from "./user_stream.ts";

const { apply, construct } = Reflect;
const { slice } = String.prototype;

/** How the export is made an object. */
export interface UserObjectOptions {
  /** For messages, `main.ts:default` say. */
  readonly name: string;
  /** What a class is constructed with. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly context: TaskContext;
  /** `object` refuses functions, since they have no methods to call. */
  readonly mode: "stream" | "object";
  /** Bounds the list that the items of a generator are collected in. */
  readonly memoryLimitBytes: number;
}

/** What takes the inputs. */
interface Processor {
  /** Whether it takes all inputs in one call, and not each in a call of its own. */
  readonly isStreaming: boolean;
  /** @param input an input, or the iterator over all of them */
  call(input: unknown): unknown;
}

/**
 * A class (constructed with config and context), an object, or in mode `stream` a function of the user's. One thing at
 * a time is to be asked of it, except {@linkcode cleanup}, which may come at any time.
 *
 * All methods reject with `UserFailure` for what user code throws, and with `TaskError` `INVALID_TASK` for
 * what it does not offer.
 */
export class UserObject {
  readonly #options: UserObjectOptions;
  /** `undefined` for a function. */
  readonly #object: object | undefined;
  #processor: Processor | undefined;
  #run: StreamRun | undefined;
  /** The outputs that were asked for last. */
  #outputs: AsyncGenerator<UserOutput, void> | undefined;
  #cleanup: Promise<void> | undefined;

  private constructor(options: UserObjectOptions, object: object | undefined, processor: Processor | undefined) {
    this.#options = options;
    this.#object = object;
    this.#processor = processor;
  }

  /** Makes the object and runs its `initialize()`; when that fails, its `cleanup()` too. */
  static async create(exported: unknown, options: UserObjectOptions): Promise<UserObject> {
    const { name, config, context, mode } = options;
    if (isFunction(exported) && !isClass(exported)) {
      if (mode === "object") {
        throw new TaskError("INVALID_TASK", `Cannot run "${name}": the export is a function; ${ALLOWED[mode]}`);
      }
      return new UserObject(options, undefined, {
        isStreaming: guard(() => isAsyncGeneratorFunction(exported)),
        call: (input) => apply(exported, undefined, [input, context]),
      });
    }
    if (!isFunction(exported) && (typeof exported !== "object" || exported === null)) {
      throw new TaskError("INVALID_TASK", `Cannot run "${name}": the export is ${kindOf(exported)}; ${ALLOWED[mode]}`);
    }
    // Not awaited: it may have a method `then`.
    const object: object = isFunction(exported) ? guard(() => construct(exported, [config, context])) : exported;
    const made = new UserObject(options, object, processorOf(object));
    if (mode === "stream" && made.#processor === undefined) {
      const kind = `${isFunction(exported) ? "a class" : "an object"} without a public method process`;
      const there = guard(() => listMethods(object));
      throw new TaskError("INVALID_TASK", `Cannot run "${name}": the export is ${kind}; ${there}; ${ALLOWED[mode]}`);
    }
    try {
      await settle(() => made.#invoke("initialize"));
    } catch (error) {
      try {
        await made.cleanup();
      } catch {
        // What failed first is what the caller needs to know.
      }
      throw error;
    }
    return made;
  }

  /**
   * The outputs of one more input, as the user gave them: zero to many. Ends when the input is processed. A function or
   * method that is an async generator is called once with an iterator over all inputs, and an input is processed when
   * the next one is asked for; any other is called for each.
   */
  process(input: unknown): AsyncGenerator<UserOutput, void> {
    return this.#outputs = this.#process(input);
  }

  /** Ends the input, and gives what is left. A further input would begin a new run over a stream of its own. */
  flush(): AsyncGenerator<UserOutput, void> {
    return this.#outputs = this.#flush();
  }

  /** Calls a public method. The items of a generator become a list. */
  async call(method: string, args: readonly unknown[]): Promise<UserOutput> {
    const object = this.#object;
    const found = object === undefined ? undefined : guard(() => findMethod(object, method));
    if (this.#cleanup !== undefined) throw this.#refusal(method);
    // It ran when the object was made; the SDK asks for it all the same.
    if (method === "initialize") return { value: undefined };
    if (found === undefined) throw this.#refusal(method);
    if (method === "cleanup") {
      await this.cleanup();
      return { value: undefined };
    }
    const given = method === "process" && guard(() => isAsyncGeneratorFunction(found)) ? [streamOf(args)] : args;
    return settle(async () => await collect(await apply(found, object, given), this.#options.memoryLimitBytes));
  }

  /**
   * Ends what runs, waiting for it, then calls `cleanup()` whatever happened before. Only the first call does it; later
   * ones wait for the same end.
   */
  cleanup(): Promise<void> {
    return this.#cleanup ??= this.#end();
  }

  async *#process(input: unknown): AsyncGenerator<UserOutput, void> {
    const processor = this.#processor;
    if (this.#cleanup !== undefined || processor === undefined) throw this.#refusal("process");
    if (processor.isStreaming) yield* this.#streamRun(processor).process(input);
    else yield* outputsOf(() => processor.call(input));
  }

  async *#flush(): AsyncGenerator<UserOutput, void> {
    if (this.#cleanup !== undefined) throw this.#refusal("flush");
    if (this.#processor?.isStreaming) {
      yield* this.#streamRun(this.#processor).flush();
      this.#run = undefined;
    }
    yield* outputsOf(() => this.#invoke("flush"));
  }

  #streamRun(processor: Processor): StreamRun {
    return this.#run ??= new StreamRun((inputs) => processor.call(inputs));
  }

  async #end(): Promise<void> {
    // The run first: outputs that were asked for may be waiting for it.
    const steps = [
      () => this.#run?.close(),
      () => this.#outputs?.return(),
      () => settle(() => this.#invoke("cleanup")),
    ];
    let failure: { readonly error: unknown } | undefined;
    for (let index = 0; index < steps.length; index++) {
      try {
        await steps[index]?.();
      } catch (error) {
        failure ??= { error };
      }
    }
    if (failure !== undefined) throw failure.error;
  }

  /** Calls a method that the object may have or not. Runs user code, and throws what that throws. */
  #invoke(method: "initialize" | "flush" | "cleanup"): unknown {
    const object = this.#object;
    const found = object === undefined ? undefined : findMethod(object, method);
    return found === undefined ? undefined : apply(found, object, []);
  }

  #refusal(method: string): TaskError {
    const shown = `Cannot call "${apply(slice, method, [0, 200])}" of "${this.#options.name}"`;
    if (this.#cleanup !== undefined) return new TaskError("INVALID_TASK", `${shown}: it has been cleaned up`);
    const object = this.#object;
    const there = object === undefined ? "it is a function" : guard(() => listMethods(object));
    return new TaskError("INVALID_TASK", `${shown}: it has no such public method; ${there}`);
  }
}

const ALLOWED = {
  stream: "allowed are a class or object with a method process, an async generator function, and a function",
  object: "allowed are a class and an object",
} as const;

function kindOf(value: unknown): string {
  if (value === null) return "null";
  return value === undefined ? "undefined" : `a ${typeof value}`;
}

function processorOf(object: object): Processor | undefined {
  return guard(() => {
    const found = findMethod(object, "process");
    if (found === undefined) return undefined;
    return { isStreaming: isAsyncGeneratorFunction(found), call: (input) => apply(found, object, [input]) };
  });
}

/** Arguments of one call as a stream of inputs. */
async function* streamOf(args: readonly unknown[]): AsyncGenerator<unknown, void> {
  for (let index = 0; index < args.length; index++) yield args[index];
}
