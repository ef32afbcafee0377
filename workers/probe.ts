/**
 * Operations that must be impossible in a sandbox, tried for real at start-up. Whatever succeeds is a leak, and the
 * service refuses to start.
 * @module
 */

import type { ProbeOutcome, ProbeTargets } from "./protocol.ts";

/** An operation that must fail; it may give what it got at as proof. */
type Attempt = readonly [name: string, run: (targets: ProbeTargets) => unknown];

/** What Deno's permissions must refuse, in the host process and in a worker before it is hardened. */
const PERMISSION_ATTEMPTS: readonly Attempt[] = [
  ["read file", (t) => Deno.readTextFileSync(t.file)],
  ["list folder", (t) => [...Deno.readDirSync(t.writableDirectory)].length],
  ["write file", (t) => Deno.writeTextFileSync(`${t.writableDirectory}/leak`, "x")],
  ["connect to loopback", async (t) => (await Deno.connect({ hostname: "127.0.0.1", port: t.loopbackPort })).close()],
  ["fetch from loopback", async (t) => (await fetch(`http://127.0.0.1:${t.loopbackPort}/`)).status],
  ["listen", () => Deno.listen({ hostname: "127.0.0.1", port: 0 }).close()],
  ["resolve a name", async () => await Deno.resolveDns("localhost", "A")],
  ["spawn a process", () => new Deno.Command(Deno.execPath(), { args: ["--version"] }).outputSync().code],
  ["read an environment variable", (t) => Deno.env.get(t.environmentVariable) ?? "no refusal"],
  ["list the environment", () => Object.keys(Deno.env.toObject()).length],
  ["read the host name", () => Deno.hostname()],
  ["load a native library", () => Deno.dlopen("libc.so.6", {})],
  ["import a module from a file", async (t) => await import(t.moduleUrl)],
  ["import a module from https", async (t) => await import(`https://127.0.0.1:${t.loopbackPort}/module.js`)],
  ["import a module from http", async (t) => await import(`http://127.0.0.1:${t.loopbackPort}/module.js`)],
];

/** What must be gone where tasks run. */
const TASK_ATTEMPTS: readonly Attempt[] = [
  ...["Deno", "process", "Worker", "fetch", "WebSocket", "caches", "BroadcastChannel", "MessageChannel", "postMessage"]
    .map((name): Attempt => [`reach ${name}`, () => present(Reflect.get(globalThis, name))]),
  ["evaluate a string", () => new Function("return 1")()],
  ["import node:fs", async () => present((await import(computed("node:fs"))).readFileSync)],
  ["import node:child_process", async () => present((await import(computed("node:child_process"))).spawnSync)],
  ["import a module from a file", async (t) => await import(t.moduleUrl)],
  ["import a module from https", async (t) => await import(`https://127.0.0.1:${t.loopbackPort}/module.js`)],
  ["import a package", async () => await import(computed("npm:zod@4"))],
];

/** Tries what the permissions must refuse. */
export async function probePermissions(place: "host" | "worker", targets: ProbeTargets): Promise<ProbeOutcome[]> {
  return await attemptAll(place, PERMISSION_ATTEMPTS, targets);
}

/** Tries what a task must not reach. The targets are the server's word, its JSON already parsed. */
export async function probeTask(targets: unknown, unremovedGlobals: readonly PropertyKey[]): Promise<ProbeOutcome[]> {
  const outcomes = await attemptAll("task", TASK_ATTEMPTS, targets as ProbeTargets); // from the server, which we trust
  const left = unremovedGlobals.map(String).join(", ");
  outcomes.push({ place: "task", attempt: "find a global that should be gone", leaked: left !== "", detail: left });
  return outcomes;
}

async function attemptAll(
  place: ProbeOutcome["place"],
  attempts: readonly Attempt[],
  targets: ProbeTargets,
): Promise<ProbeOutcome[]> {
  const outcomes: ProbeOutcome[] = [];
  for (const [attempt, run] of attempts) {
    try {
      const got = await run(targets);
      outcomes.push({ place, attempt, leaked: true, detail: String(got).slice(0, 100) });
    } catch (error) {
      outcomes.push({ place, attempt, leaked: false, detail: error instanceof Error ? error.name : "refused" });
    }
  }
  return outcomes;
}

/** Throws unless something is there. */
function present(value: unknown): string {
  if (value === undefined) throw new ReferenceError("absent");
  return "present";
}

/** Keeps the bundler from resolving an import that must fail at run time. */
function computed(specifier: string): string {
  return specifier;
}
