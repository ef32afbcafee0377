/**
 * Opens the packages of user code in the sandbox host, outside of the worker that runs them: reads and validates them and
 * writes their files where the worker can read them.
 *
 * The parser is JavaScript, and the process is the task's own, so that a source made to harm it harms nobody else.
 *
 * @module
 */

import { nextTurn } from "./core_timers.ts";
import type { PackageModule, TaskFiles } from "./package/task_files.ts";
import { decodePackageTask, type PackageReply, type PackageTask } from "./protocol.ts";
import { samplePayload } from "./sample_task.ts";

/** How often the sample is opened while nobody waits: what a parser takes falls until then, and hardly after. */
const VALIDATOR_ROUNDS = 12;

/** Where the modules that open packages lie, as URLs. */
export interface PackageModules {
  /** `package_reader.ts` */
  readonly readerUrl: string;
  /** `package_validator.ts` */
  readonly validatorUrl: string;
}

/** Writes files below the code folder. @returns why not, `null` when it has */
export type WriteFiles = (files: TaskFiles["files"]) => string | null | Promise<string | null>;

/** A package that was opened, or not. */
export interface Opening {
  readonly reply: PackageReply;
  /** Whether it passed every check now, and passes them whenever they are made again. */
  readonly isValidated: boolean;
}

/** Opens the packages of one host, which are all the same one. */
export class PackageOpener {
  readonly #modules: PackageModules;
  readonly #directory: string;
  readonly #write: WriteFiles;
  #reader: Promise<PackageModule> | undefined;
  #validator: Promise<PackageModule> | undefined;
  /** Once: a task that has its host after another one has the same package, whose files lie there already. */
  #written: Promise<string | null> | undefined;
  #isIdle = true;

  constructor({ modules, directory, write }: {
    readonly modules: PackageModules;
    /** The code folder's path. */
    readonly directory: string;
    readonly write: WriteFiles;
  }) {
    this.#modules = modules;
    this.#directory = directory;
    this.#write = write;
  }

  /** Loads what reads packages; what validates them is large and waits until it is needed, where it can. */
  async load({ withValidator }: { readonly withValidator: boolean }): Promise<void> {
    await Promise.all([this.#read(), ...(withValidator ? [this.#validate()] : [])]);
  }

  /** Does until a task comes what is slow the first times. Never fails: a task that meets the same fault tells of it. */
  async warmUp(): Promise<void> {
    try {
      const payload = samplePayload();
      for (let round = 0; round < VALIDATOR_ROUNDS && this.#isIdle; round++) {
        const task = decodePackageTask(payload);
        for (const module of [await this.#read(), await this.#validate()]) module.openPackage(task);
        // A task that comes meanwhile is heard between two rounds.
        await nextTurn();
      }
    } catch {
      // See above.
    }
  }

  /**
   * Opens the package of a task.
   * @throws {Error} when the host's own modules cannot be loaded
   */
  async open(task: PackageTask): Promise<Opening> {
    this.#isIdle = false;
    const { validated } = task.options;
    let opened = (validated ? await this.#read() : await this.#validate()).openPackage(task);
    let isValidated = !validated && "files" in opened && opened.isWhole;
    if (validated && "files" in opened && !opened.isWhole) {
      // What it depends on has its place in the sources, which only the validator knows.
      opened = (await this.#validate()).openPackage(task);
      isValidated = false;
    }
    if ("fault" in opened) return { reply: opened, isValidated: false };
    const { files, path, exportName } = opened;
    this.#written ??= Promise.resolve(this.#write(files));
    const error = await this.#written;
    if (error !== null) {
      return { reply: { fault: "TASK_FAILED", message: `Cannot write the package's files: ${error}` }, isValidated };
    }
    return { reply: { codeUrl: `file://${this.#directory}/`, path, exportName }, isValidated };
  }

  #read(): Promise<PackageModule> {
    return this.#reader ??= import(this.#modules.readerUrl);
  }

  #validate(): Promise<PackageModule> {
    return this.#validator ??= import(this.#modules.validatorUrl);
  }
}
