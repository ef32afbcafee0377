/**
 * Where the program reads and writes, and how it looks there.
 * @module
 */

/** The program's surroundings. */
export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdoutIsTerminal: boolean;
  readonly stderrIsTerminal: boolean;
  writeOut(bytes: Uint8Array | string): Promise<void>;
  writeError(text: string): Promise<void>;
  readInput(): Promise<Uint8Array>;
  /** Standard input as it comes; to be asked for once, and instead of `readInput`. */
  inputStream(): AsyncIterable<Uint8Array>;
}

/** {@linkcode Terminal} of a process. */
export interface RealTerminal extends Terminal {
  /** Ends the program, whose exit code is set, where a read of standard input would keep it alive: nothing cancels one. */
  endInput(): void;
}

/** The real surroundings. */
export function realTerminal(): RealTerminal {
  let isReading = false;
  return {
    env: Deno.env.toObject(),
    stdoutIsTerminal: Deno.stdout.isTerminal(),
    stderrIsTerminal: Deno.stderr.isTerminal(),
    writeOut: (bytes) => writeAll(Deno.stdout, typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes),
    writeError: (text) => writeAll(Deno.stderr, new TextEncoder().encode(text)),
    inputStream: async function* () {
      isReading = true;
      yield* Deno.stdin.readable;
      isReading = false;
    },
    endInput: () => {
      if (isReading) Deno.exit();
    },
    readInput: async () => new Uint8Array(await new Response(Deno.stdin.readable).arrayBuffer()),
  };
}

async function writeAll(
  writer: { write(bytes: Uint8Array): Promise<number> },
  bytes: Uint8Array,
): Promise<void> {
  for (let written = 0; written < bytes.length;) written += await writer.write(bytes.subarray(written));
}

/** How a piece of text looks. */
export interface Style {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly red: (text: string) => string;
  readonly green: (text: string) => string;
}

/** Styles for a stream: colours only on a terminal, and not where NO_COLOR (https://no-color.org) or the user says no. */
export function styleFor(isTerminal: boolean, { env, color }: { env: Terminal["env"]; color: boolean }): Style {
  const on = isTerminal && color && !env["NO_COLOR"] && env["TERM"] !== "dumb";
  const paint = (code: number) => (text: string) => on ? `\x1b[${code}m${text}\x1b[0m` : text;
  return { bold: paint(1), dim: paint(2), red: paint(31), green: paint(32) };
}

/** Text in columns, each as wide as its widest cell, the last as it is. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, column) => widths[column] = Math.max(widths[column] ?? 0, cell.length));
  const line = (row: readonly string[]) =>
    row.map((cell, column) => column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd();
  return rows.map((row) => `${line(row)}\n`).join("");
}

/** Text from the service without control characters, which could drive the terminal; line feeds and tabs stay. */
export function printable(text: string): string {
  // deno-lint-ignore no-control-regex -- control characters are what this is about
  return text.replaceAll(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, "\ufffd");
}
