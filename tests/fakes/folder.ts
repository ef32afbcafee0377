/**
 * Folders of files, which are gone after the test.
 * @module
 */

import { dirname } from "node:path";

/** A folder for one test. */
export class TestFolder implements AsyncDisposable {
  private constructor(readonly path: string) {}

  /** @param files Texts by path from the folder */
  static async make(files: Readonly<Record<string, string>> = {}): Promise<TestFolder> {
    // Its real path, which a temporary folder is not everywhere.
    const folder = new TestFolder(await Deno.realPath(await Deno.makeTempDir({ prefix: "rexec-test-" })));
    for (const [name, text] of Object.entries(files)) await folder.write(name, text);
    return folder;
  }

  /** Path of a file in it. */
  file(name: string): string {
    return `${this.path}/${name}`;
  }

  async write(name: string, text: string): Promise<void> {
    await Deno.mkdir(dirname(this.file(name)), { recursive: true });
    await Deno.writeTextFile(this.file(name), text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}
