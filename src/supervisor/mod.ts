/**
 * Serving with several processes.
 * @module
 */
export { runFront } from "./front.ts";
export { FRONT_ROLE, ROLE_VARIABLE } from "./front_command.ts";
export { serveSupervised } from "./serve.ts";
