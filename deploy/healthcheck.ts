/**
 * Asks the service of this container whether it lives: exit code 0 if it does, 1 if not.
 * @module
 */

const TIMEOUT_MS = 3_000;

const port = Deno.env.get("METRICS_PORT") || "8080";
try {
  const response = await fetch(`http://127.0.0.1:${port}/healthz`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  console.log((await response.text()).trim());
  Deno.exit(response.ok ? 0 : 1);
} catch (error) {
  console.error(`Cannot ask 127.0.0.1:${port}/healthz: ${error instanceof Error ? error.message : String(error)}`);
  Deno.exit(1);
}
