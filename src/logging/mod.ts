/**
 * Logging: structured, redacted, never in the way.
 * @module
 */
export { type ByteWriter } from "./line_writer.ts";
export {
  type Logger,
  type LoggingEnvironment,
  ROOT_CATEGORY,
  serviceLogger,
  startLogging,
  taskLogger,
} from "./logging.ts";
export { clip, escapeControls } from "./text.ts";
