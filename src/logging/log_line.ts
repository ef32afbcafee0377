/**
 * A log record as plain data: errors unfolded, binary data and endless text cut short.
 * @module
 */
import type { LogRecord } from "@logtape/logtape";
import { ServiceError } from "../errors.ts";
import { clip } from "./text.ts";

const MAX_TEXT = 16_384;
const MAX_CAUSES = 5;

/** An error as plain data. */
export interface PlainError {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly stack?: string;
  readonly details?: Readonly<Record<string, string>>;
  readonly cause?: PlainError | string;
}

/** The record with its errors as plain data, so that redaction sees into them. */
export function toPlainRecord(record: LogRecord): LogRecord {
  const properties = Object.fromEntries(Object.entries(record.properties).map(([key, value]) => [key, toPlain(value)]));
  return { ...record, message: record.message.map(toPlain), properties };
}

/** The message with its values filled in, on as many lines as it has. */
export function messageOfRecord(message: readonly unknown[]): string {
  return clip(message.map(showPart).join(""), MAX_TEXT);
}

function showPart(part: unknown): string {
  if (typeof part === "string") return part;
  return isPlainError(part) ? `${part.name}: ${part.message}` : stringify(part);
}

/** JSON of any value at all: what JSON has no word for becomes text. */
export function stringify(value: unknown): string {
  try {
    return JSON.stringify(value, replace) ?? String(value);
  } catch {
    // Circular, or a getter or toJSON that throws.
    return JSON.stringify(clip(Deno.inspect(value, { depth: 3, getters: false }), MAX_TEXT));
  }
}

/** Whether a value is an error that was made plain. */
export function isPlainError(value: unknown): value is PlainError {
  return typeof value === "object" && value !== null && "name" in value && "message" in value && "stack" in value;
}

function toPlain(value: unknown): unknown {
  return value instanceof Error ? toPlainError(value, MAX_CAUSES) : value;
}

function toPlainError(error: Error, depth: number): PlainError {
  const { cause } = error;
  return {
    name: error.name,
    message: clip(error.message, MAX_TEXT),
    ...(error instanceof ServiceError && { code: error.code, details: error.details }),
    stack: clip(error.stack ?? `${error.name}: ${error.message}`, MAX_TEXT),
    ...(cause instanceof Error && depth > 0 && { cause: toPlainError(cause, depth - 1) }),
    ...(cause !== undefined && !(cause instanceof Error) && { cause: clip(String(cause), MAX_TEXT) }),
  };
}

function replace(_key: string, value: unknown): unknown {
  if (typeof value === "string") return clip(value, MAX_TEXT);
  if (typeof value === "bigint") return value.toString();
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (value instanceof Map) return Object.fromEntries(value);
  if (value instanceof Set) return [...value];
  return value;
}
