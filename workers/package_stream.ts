/**
 * User code that stays: opened once, then asked for one thing after the other.
 * @module
 */

import { codecFor } from "./codecs/mod.ts";
import { type Codec, type CodecLimits, DEFAULT_LIMITS } from "./codecs/codec.ts";
import { parseLiteral } from "./codecs/literal.ts";
import { loadPackage, notUsable, type PackageRunContext } from "./load_package.ts";
import { OutputCredit } from "./output_credit.ts";
import { type PackageStreamOptions, type PackageTask, type StreamOutput, type StreamStep } from "./protocol.ts";
import { TaskError } from "./task_error.ts";
import { UserFailure, type UserOutput } from "./user_failure.ts";
import { UserObject } from "./user_object.ts";
import { fromUserValue, toUserValue, type UserValue } from "./user_values.ts";

const NOTHING = new Uint8Array();

/** What a stream of user code works with. */
export interface PackageStreamContext extends PackageRunContext {
  nowMs(): number;
  /** Sends an output. */
  give(output: StreamOutput): void;
}

/** A user's object, function or generator over a stream of inputs. */
export class PackageStream {
  readonly #object: UserObject;
  readonly #limits: Pick<CodecLimits, "memoryLimitBytes" | "maxOutputBytes">;
  readonly #credit: OutputCredit;
  readonly #context: PackageStreamContext;

  private constructor(
    object: UserObject,
    { limits, credit, context }: {
      readonly limits: Pick<CodecLimits, "memoryLimitBytes" | "maxOutputBytes">;
      readonly credit: OutputCredit;
      readonly context: PackageStreamContext;
    },
  ) {
    this.#object = object;
    this.#limits = limits;
    this.#credit = credit;
    this.#context = context;
  }

  /**
   * Loads the package and makes its object.
   * @throws {TaskError} for what is wrong with the package
   * @throws {UserFailure} for whatever the user's code throws
   */
  static async open(
    task: PackageTask,
    { mode, config, creditBytes }: PackageStreamOptions,
    context: PackageStreamContext,
  ): Promise<PackageStream> {
    const entry = await loadPackage(task, context);
    if (entry.exported === undefined) throw notUsable(entry);
    const { memoryLimitBytes, maxOutputBytes } = task;
    const object = await UserObject.create(entry.exported, {
      name: entry.name,
      config: Object.fromEntries(Object.entries(config).map(([key, text]) => [key, toUserValue(parseLiteral(text))])),
      context: entry.taskContext,
      mode,
      memoryLimitBytes,
    });
    return new PackageStream(object, {
      limits: { memoryLimitBytes, maxOutputBytes },
      credit: new OutputCredit(creditBytes),
      context,
    });
  }

  /** More outputs are welcome. */
  grant(bytes: number): void {
    this.#credit.grant(bytes);
  }

  /**
   * Goes on.
   * @returns the encoded result of a call, nothing otherwise
   * @throws {TaskError} for what is wrong with the input, the method or an output
   * @throws {UserFailure} for whatever the user's code throws
   */
  async step({ action, format, method, input }: StreamStep): Promise<Uint8Array> {
    if (action === "close") {
      await this.#object.cleanup();
      return NOTHING;
    }
    const codec = codecFor(format);
    switch (action) {
      case "process":
        await this.#giveAll(this.#object.process(toUserValue(codec.decode(input, this.#limits))), codec);
        return NOTHING;
      case "flush":
        await this.#giveAll(this.#object.flush(), codec);
        return NOTHING;
      case "call":
        return this.#encode(await this.#object.call(method, argumentsOf(codec, input, this.#limits)), codec);
    }
  }

  async #giveAll(outputs: AsyncGenerator<UserOutput, void>, codec: Codec): Promise<void> {
    const startedAt = this.#context.nowMs();
    for await (const output of outputs) {
      const encoded = this.#encode(output, codec);
      await this.#credit.available();
      this.#credit.spend(encoded.length);
      const runMicros = Math.max(0, (this.#context.nowMs() - startedAt) * 1_000);
      this.#context.give({ runMicros, output: encoded });
    }
  }

  #encode({ value }: UserOutput, codec: Codec): Uint8Array {
    const { memoryLimitBytes } = this.#limits;
    let encodable;
    try {
      encodable = fromUserValue(value, { format: codec.format, memoryLimitBytes, maxDepth: DEFAULT_LIMITS.maxDepth });
    } catch (error) {
      // Getters and proxies run the user's code while they are read.
      throw error instanceof TaskError ? error : new UserFailure(error);
    }
    return codec.encode(encodable, this.#limits);
  }
}

/** The arguments of a call: a list, or nothing for none. */
function argumentsOf(
  codec: Codec,
  bytes: Uint8Array,
  limits: Pick<CodecLimits, "memoryLimitBytes" | "maxOutputBytes">,
): UserValue[] {
  if (bytes.length === 0) return [];
  const args = toUserValue(codec.decode(bytes, limits));
  if (Array.isArray(args)) return args;
  throw new TaskError("INVALID_TASK", "Cannot call method: its arguments are to be a list");
}
