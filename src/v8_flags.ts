/**
 * How V8 is to run this program as the service. Deno takes its flags at the start alone, so that every way to start the
 * service has them: the tasks of deno.json, Dockerfile, the unit of systemd, the compiled program, and the supervisor.
 * @module
 */

/**
 * Where objects lived long for a moment, because many calls waited, V8 allocates all of that place as old ones from then on.
 * Young ones that they refer to then live on as well, and a full collection, with a pause of tens of milliseconds, comes
 * three times a second instead of once in three.
 */
export const SERVICE_V8_FLAGS = "--no-allocation-site-pretenuring";

/**
 * The value of `DENO_V8_FLAGS` for a process that serves.
 * @param given the variable's value for this process, whose flags come last and so hold
 */
export function withServiceV8Flags(given: string | undefined): string {
  return given === undefined || given === "" ? SERVICE_V8_FLAGS : `${SERVICE_V8_FLAGS},${given}`;
}
