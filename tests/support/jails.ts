/**
 * Which jails this machine has.
 * @module
 */

import type { Jail } from "../../src/sandbox/jails/mod.ts";
import { processJail } from "../../src/sandbox/jails/process.ts";
import { TestFolder } from "../fakes/folder.ts";
import { bubblewrapJail } from "../../src/sandbox/jails/bubblewrap.ts";

/** A kind of jail. */
export type JailType = "bubblewrap" | "process";

/** A jail with the folder that it keeps its files in. */
export class TestJail implements AsyncDisposable {
  private constructor(readonly jail: Jail, readonly folder: TestFolder) {}

  static async make(type: JailType): Promise<TestJail> {
    const folder = await TestFolder.make();
    try {
      return new TestJail(type === "process" ? processJail : await bubblewrapJail(folder.path), folder);
    } catch (error) {
      await folder[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.folder[Symbol.asyncDispose]();
  }
}

/** The types that a test of every jail goes through; `process` is everywhere. */
export async function jailTypes(): Promise<readonly JailType[]> {
  try {
    await using _bubblewrap = await TestJail.make("bubblewrap");
    return ["bubblewrap", "process"];
  } catch {
    return ["process"];
  }
}
