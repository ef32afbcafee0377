/**
 * Reads what `deno test` prints while it runs: which file it is at, what failed, how long each file took.
 * @module
 */

import { countTests, type TestCounts, withoutColours } from "./test_summary.ts";

const FILE = /^running \d+ tests? from (.+)$/;
const FAILED = /^(\S.*) \.\.\. FAILED(?: \(|$)/;
const UNCAUGHT = /^Uncaught error from (.+) FAILED$/;
const BEGUN = /^(\S.*) \.\.\.$/;
const LISTED = /^(.+) => (\S+?)(?::\d+:\d+)?$/;

/** The end of the output is enough to find the summary in. */
const KEPT_OUTPUT = 20_000;

/** How a process ended. */
export type Ending = Pick<Deno.CommandStatus, "code" | "signal">;

/** What became of a run. */
export interface TestReport {
  readonly counts: TestCounts;
  /** What failed, with its file: tests, modules, or the run itself. */
  readonly failures: readonly string[];
  readonly files: readonly FileTime[];
}

/** How long a file's tests took. */
export interface FileTime {
  readonly file: string;
  readonly durationMs: number;
}

/** Takes a run's standard output piece by piece. */
export class TestReader {
  readonly #now: () => number;
  readonly #files: FileTime[] = [];
  readonly #failed: string[] = [];
  /** Of the last section called FAILURES; a test may print one too. */
  #listed: string[] | undefined;
  #inList = false;
  #file: string | undefined;
  #fileSince = 0;
  #test: string | undefined;
  #line = "";
  #tail = "";

  constructor(now = () => performance.now()) {
    this.#now = now;
  }

  take(text: string): void {
    this.#tail = (this.#tail + text).slice(-KEPT_OUTPUT);
    const lines = (this.#line + text).split("\n");
    this.#line = lines.pop() ?? "";
    for (const line of lines) this.#read(withoutColours(line));
  }

  /** What became of the run, once its process has ended. */
  report(ending: Ending): TestReport {
    this.#read(withoutColours(this.#line).trimEnd());
    this.#endFile();
    const { counts, summarised } = countTests(this.#tail, ending.code);
    const failures = summarised && this.#listed !== undefined ? this.#listed : this.#failed;
    if (ending.code !== 0 && (!summarised || failures.length === 0)) failures.push(this.#describe(ending, summarised));
    return { counts, failures, files: this.#files };
  }

  #read(line: string): void {
    const [, file] = FILE.exec(line) ?? [];
    if (file !== undefined) {
      this.#endFile();
      this.#file = file;
      this.#fileSince = this.#now();
    } else if (line === " FAILURES ") {
      this.#listed = [];
      this.#inList = true;
    } else if (this.#inList) {
      this.#readListed(line);
    } else {
      this.#readTest(line);
    }
  }

  /** The list begins after an empty line and ends with one. */
  #readListed(line: string): void {
    const listed = this.#listed ?? [];
    if (line === "") {
      this.#inList = listed.length === 0;
      return;
    }
    const [, name, file] = LISTED.exec(line) ?? [];
    listed.push(name === undefined || file === undefined ? line : `${name} (${file})`);
  }

  #readTest(line: string): void {
    const [, failed] = FAILED.exec(line) ?? [];
    const [, uncaught] = UNCAUGHT.exec(line) ?? [];
    const [, begun] = BEGUN.exec(line) ?? [];
    if (failed !== undefined) this.#failed.push(`${failed} (${this.#file ?? "no file"})`);
    if (uncaught !== undefined) this.#failed.push(`${uncaught} (uncaught error)`);
    if (begun !== undefined) this.#test = begun;
    else if (this.#test !== undefined && line.startsWith(`${this.#test} ... `)) this.#test = undefined;
  }

  #endFile(): void {
    if (this.#file === undefined) return;
    this.#files.push({ file: this.#file, durationMs: this.#now() - this.#fileSince });
  }

  #describe({ code, signal }: Ending, summarised: boolean): string {
    const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
    if (summarised) return `deno test ended ${how}, and named no test that failed`;
    const where = this.#file === undefined ? "before its first test" : `in ${this.#file}`;
    return `deno test ended ${how} ${where}${this.#test === undefined ? "" : `, during: ${this.#test}`}`;
  }
}
