/**
 * What is kept out of the log.
 * @module
 */
import type { LogRecord, Sink } from "@logtape/logtape";
import { JWT_PATTERN, redactByField, redactByPattern, type RedactionPattern } from "@logtape/redaction";
import type { LoggingOptions } from "../config/schema.ts";
import { toPlainRecord } from "./log_line.ts";

/** What stands in a secret's place. */
export const REDACTED = "(redacted)";

const SECRET_FIELD = /token|authorization|passw|secret|api[-_]?key|cookie|credential|private[-_]?key/i;

const PATTERNS: readonly RedactionPattern[] = [
  { pattern: /\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}/gi, replacement: `$1 ${REDACTED}` },
  // `password=…`, `"api_key": "…"` inside of text.
  {
    pattern: /\b((?:[a-z_]*token|passw(?:or)?d|secret|api[-_]?key)["']?\s*[=:]\s*["']?)[^\s"',;&]{3,}/gi,
    replacement: `$1${REDACTED}`,
  },
  // Tokens of `rexec token create`; what is left names the token and proves nothing.
  { pattern: /\b(rxt_[0-9a-f]{12}_)[A-Za-z0-9_-]{8,}/g, replacement: `$1${REDACTED}` },
  { ...JWT_PATTERN, replacement: REDACTED },
];

/**
 * Wraps a sink, so that it never sees secrets: values of fields with telling names, and text of a telling shape.
 *
 * Errors arrive at the sink as plain data.
 */
export function redactSecrets(sink: Sink, options: LoggingOptions["redact"]): Sink {
  const fields = options.fields.map((name) => name.toLowerCase());
  const patterns = [
    ...PATTERNS,
    ...options.patterns.map((source) => ({ pattern: new RegExp(source, "g"), replacement: REDACTED })),
  ];
  const redactText = redactByPattern((record: LogRecord) => [record.message, record.properties], patterns);
  const byField = redactByField(
    (record) => {
      const [message, properties] = redactText(record);
      // The traversal keeps the shape of what it is given: an array and an object.
      sink({ ...record, message: message as readonly unknown[], properties: properties as Record<string, unknown> });
    },
    { fieldPatterns: [SECRET_FIELD, ...fields.map(exactly)], action: () => REDACTED },
  );
  return (record) => byField(toPlainRecord(record));
}

/** A pattern for one name, whatever its case. */
function exactly(name: string): RegExp {
  return new RegExp(`^${name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`, "i");
}
