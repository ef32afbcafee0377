/**
 * Runs in a jail with every right that Deno gives, does what it is asked on its command line, and prints how that ended.
 * @module
 */

import process from "node:process";

/** What the system said to an attempt: `"done"`, the error's number, or its text where it has none. */
export type Outcome = "done" | number | string;

/** A system call by number, with its arguments. */
export type RawCall = readonly [number: number, ...args: number[]];

const ATTEMPTS: Readonly<Record<string, (argument: string) => unknown>> = {
  connectTcp: async () => (await Deno.connect({ hostname: "127.0.0.1", port: 9 })).close(),
  listenTcp: () => Deno.listen({ hostname: "127.0.0.1", port: 0 }).close(),
  listenUnix: () => Deno.listen({ transport: "unix", path: "/scratch/socket" }).close(),
  connectUnix: async (path) => (await Deno.connect({ transport: "unix", path })).close(),
  kill: () => void process.kill(process.pid, 0),
  // Its own streams: there is no /dev/null in the jail.
  spawn: async () =>
    void await new Deno.Command(Deno.execPath(), { args: ["--version"], stdin: "piped" }).spawn().status,
  umask: () => void Deno.umask(0o77),
  echoTcp,
  worker,
  abort: () => libc().symbols.abort(),
};

/** Serves TCP on loopback, and is its own client. */
async function echoTcp(): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepted = listener.accept();
  using client = await Deno.connect({ hostname: "127.0.0.1", port: (listener.addr as Deno.NetAddr).port });
  using server = await accepted;
  await server.write(new Uint8Array([42]));
  const received = new Uint8Array(1);
  await client.read(received);
  if (received[0] !== 42) throw new Error("another byte came");
}

async function worker(): Promise<void> {
  const url = URL.createObjectURL(new Blob(["postMessage(1)"], { type: "text/javascript" }));
  const { promise, resolve } = Promise.withResolvers<void>();
  const thread = new Worker(url, { type: "module" });
  thread.onmessage = () => resolve();
  await promise;
  thread.terminate();
}

function libc() {
  return Deno.dlopen("libc.so.6", {
    syscall: { parameters: ["i64", "i64", "i64", "i64", "i64", "i64", "i64"], result: "i64" },
    __errno_location: { parameters: [], result: "pointer" },
    abort: { parameters: [], result: "void" },
  });
}

/** Makes a system call past all of Deno. */
function rawCall({ symbols }: ReturnType<typeof libc>, call: RawCall): Outcome {
  const [number = 0n, a = 0n, b = 0n, c = 0n, d = 0n, e = 0n, f = 0n] = call.map(BigInt);
  if (symbols.syscall(number, a, b, c, d, e, f) !== -1n) return "done";
  const errno = symbols.__errno_location();
  return errno === null ? "no errno" : new Deno.UnsafePointerView(errno).getInt32();
}

async function attempt(name: string, argument: string): Promise<Outcome> {
  try {
    await ATTEMPTS[name]!(argument);
    return "done";
  } catch (error) {
    const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    const number = /os error (\d+)/.exec(text)?.[1];
    if (number !== undefined) return Number(number);
    return error instanceof Error && "errno" in error ? Math.abs(Number(error.errno)) : text;
  }
}

if (import.meta.main) {
  const outcomes: Record<string, Outcome> = {};
  const [attempts = "{}", calls = "{}"] = Deno.args;
  for (const [name, argument] of Object.entries<string>(JSON.parse(attempts))) {
    outcomes[name] = await attempt(name, argument);
  }
  const rawCalls = Object.entries<RawCall>(JSON.parse(calls));
  if (rawCalls.length > 0) {
    const library = libc();
    for (const [name, call] of rawCalls) outcomes[name] = rawCall(library, call);
  }
  console.log(JSON.stringify(outcomes));
}
