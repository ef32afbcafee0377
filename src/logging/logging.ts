/**
 * Starts logging, and hands out loggers.
 * @module
 */
import { getRotatingFileSink } from "@logtape/file";
import { configure, getLogger, type Logger, type LogLevel, type LogRecord, reset, type Sink } from "@logtape/logtape";
import type { LoggingOptions, LogLevelName } from "../config/schema.ts";
import { messageOf, ServiceError } from "../errors.ts";
import { formatJson, prettyFormatter } from "./formats.ts";
import { type ByteWriter, LineWriter } from "./line_writer.ts";
import { redactSecrets } from "./redaction.ts";

export type { Logger };

/** Root of all our categories. */
export const ROOT_CATEGORY = "rexec";

const MAX_BUFFERED_CHARS = 4_194_304;
const FILE_FLUSH_INTERVAL_MS = 1_000;

/** Where logging finds itself. */
export interface LoggingEnvironment {
  /** Whether a person looks at stderr, which decides on `format: auto`. */
  readonly isTerminal: boolean;
  /** Whether pretty lines are coloured. By default on a terminal, unless `NO_COLOR` is set. */
  readonly colors?: boolean | undefined;
  /** Takes the lines; stderr unless told otherwise. */
  readonly output?: ByteWriter | undefined;
  /** Properties of every line: which of several processes it is from, say. */
  readonly fields?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * Starts logging for this process.
 *
 * Lines are written in the background: nothing that logs ever waits for a disk or a terminal. Dispose writes what is
 * still held and silences all loggers.
 *
 * @example
 * ```ts ignore
 * await using _logging = await startLogging(config.logging, { isTerminal: Deno.stderr.isTerminal() });
 * ```
 *
 * @throws {ServiceError} `CONFIG_INVALID` when the log file cannot be opened
 */
export async function startLogging(
  options: LoggingOptions,
  { isTerminal, colors = isTerminal && !Deno.noColor, output = Deno.stderr, fields }: LoggingEnvironment,
): Promise<AsyncDisposable> {
  await using opening = new AsyncDisposableStack();
  const pretty = options.format === "pretty" || (options.format === "auto" && isTerminal);
  const format = pretty ? prettyFormatter(colors) : formatJson;
  const writer = opening.use(
    new LineWriter(output, {
      maxBufferedChars: MAX_BUFFERED_CHARS,
      noteDropped: (count) => format(droppedRecord(count)),
    }),
  );
  const sinks: Record<string, Sink> = {
    stderr: redactSecrets((record) => writer.write(format(record)), options.redact),
  };
  if (options.file.path !== null) {
    const file = opening.use(openFile({ ...options.file, path: options.file.path }));
    sinks["file"] = redactSecrets(file, options.redact);
  }
  if (fields !== undefined) {
    for (const [name, sink] of Object.entries(sinks)) {
      sinks[name] = (record) => sink({ ...record, properties: { ...fields, ...record.properties } });
    }
  }
  const names = Object.keys(sinks);
  await configure({
    sinks,
    loggers: [
      { category: ["logtape", "meta"], lowestLevel: "error", sinks: names },
      { category: [ROOT_CATEGORY], lowestLevel: toLevel(options.level), sinks: names },
      // A category more talkative than its parent needs sinks of its own: the parent's level holds for the parent's.
      ...Object.entries(options.levels).map(([name, level]) => ({
        category: [ROOT_CATEGORY, ...name.split(".")],
        lowestLevel: toLevel(level),
        sinks: names,
        parentSinks: "override" as const,
      })),
    ],
  });
  const started = opening.move();
  // Disposed in reverse: loggers fall silent, then what they wrote is flushed.
  started.defer(() => reset());
  return started;
}

/**
 * A logger of ours: `serviceLogger("sandbox", "pool")` logs as `rexec.sandbox.pool`.
 *
 * On hot paths ask `logger.isEnabledFor("debug")` before anything that costs: building properties, measuring, joining
 * text. The question costs some 60 ns; a call that logs nothing costs thrice that, and its properties.
 */
export function serviceLogger(...category: readonly string[]): Logger {
  return getLogger([ROOT_CATEGORY, ...category]);
}

/**
 * A logger whose lines all carry the task's id.
 *
 * @param taskId Goes into each line as `task_id`
 * @param fields More for each line, such as `{ node_type }`
 */
export function taskLogger(taskId: string, fields: Readonly<Record<string, unknown>> = {}): Logger {
  return serviceLogger("execution", "task").with({ task_id: taskId, ...fields });
}

function openFile(file: LoggingOptions["file"] & { path: string }): Sink & Disposable {
  try {
    // A sink that does not block is disposed asynchronously, which its type does not tell but a disposable stack sees.
    return getRotatingFileSink(file.path, {
      maxSize: file.maxBytes,
      maxFiles: file.maxFiles,
      nonBlocking: true,
      flushInterval: FILE_FLUSH_INTERVAL_MS,
      formatter: formatJson,
    });
  } catch (error) {
    const message = `Cannot open log file "${file.path}" (logging.file.path, LOG_FILE): ${messageOf(error)}`;
    throw new ServiceError("CONFIG_INVALID", message, { cause: error });
  }
}

function toLevel(name: LogLevelName): LogLevel | null {
  switch (name) {
    case "TRACE":
      return "trace";
    case "DEBUG":
      return "debug";
    case "INFO":
      return "info";
    case "WARNING":
      return "warning";
    case "ERROR":
      return "error";
    case "FATAL":
      return "fatal";
    case "OFF":
      return null;
  }
}

function droppedRecord(count: number): LogRecord {
  const text = "Log lines dropped: output is slower than the service logs";
  return {
    category: [ROOT_CATEGORY, "logging"],
    level: "warning",
    message: [text],
    rawMessage: text,
    timestamp: Date.now(),
    properties: { count },
  };
}
