/**
 * Load on a unary method: h2load where the machine has it, else grpc-js clients in processes of their own.
 * @module
 */

/** What to send where. */
export interface UnaryLoad {
  readonly port: number;
  /** `/package.Service/Method`. */
  readonly path: string;
  /** The serialized request. */
  readonly message: Uint8Array;
  readonly calls: number;
  readonly connections: number;
  readonly streamsPerConnection: number;
}

/** What came of it. */
export interface UnaryRate {
  readonly callsPerSecond: number;
  /** `h2load` or `grpc-js`. */
  readonly client: string;
}

/** Whether h2load is there. */
export async function hasH2load(): Promise<boolean> {
  try {
    return (await new Deno.Command("h2load", { args: ["--version"], stdout: "null", stderr: "null" }).output()).success;
  } catch {
    return false;
  }
}

/** Sends the load and gives the rate. @throws when a call fails */
export async function measureUnary(load: UnaryLoad): Promise<UnaryRate> {
  return await hasH2load() ? await withH2load(load) : await withGrpcClients(load);
}

async function withH2load(load: UnaryLoad): Promise<UnaryRate> {
  const body = await Deno.makeTempFile();
  try {
    await Deno.writeFile(body, grpcFrame(load.message));
    const { stdout, success } = await new Deno.Command("h2load", {
      args: [
        "-n",
        String(load.calls),
        "-c",
        String(load.connections),
        "-m",
        String(load.streamsPerConnection),
        "-t",
        "1",
        "-H",
        "content-type: application/grpc",
        "-H",
        "te: trailers",
        "-d",
        body,
        `http://127.0.0.1:${load.port}${load.path}`,
      ],
      stderr: "inherit",
    }).output();
    const text = new TextDecoder().decode(stdout);
    const rate = /finished in [^,]+, ([\d.]+) req\/s/.exec(text)?.[1];
    const succeeded = /(\d+) succeeded/.exec(text)?.[1];
    if (!success || rate === undefined || Number(succeeded) !== load.calls) {
      throw new Error(`Cannot measure ${load.path}: ${succeeded} of ${load.calls} calls succeeded\n${text}`);
    }
    return { callsPerSecond: Number(rate), client: "h2load" };
  } finally {
    await Deno.remove(body);
  }
}

async function withGrpcClients(load: UnaryLoad): Promise<UnaryRate> {
  const calls = Math.ceil(load.calls / load.connections);
  const program = new URL("./unary_client.ts", import.meta.url).pathname;
  const startedAt = performance.now();
  const outputs = await Promise.all(Array.from({ length: load.connections }, () =>
    new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--quiet",
        program,
        String(load.port),
        load.path,
        load.message.toBase64(),
        String(calls),
        String(load.streamsPerConnection),
      ],
      stderr: "inherit",
    }).output()));
  if (outputs.some(({ success }) => !success)) throw new Error(`Cannot measure ${load.path}: a client failed`);
  const seconds = (performance.now() - startedAt) / 1_000;
  return { callsPerSecond: (calls * load.connections) / seconds, client: "grpc-js" };
}

/** A gRPC message on the wire: no compression, length, bytes. */
function grpcFrame(message: Uint8Array): Uint8Array {
  const frame = new Uint8Array(5 + message.length);
  new DataView(frame.buffer).setUint32(1, message.length);
  frame.set(message, 5);
  return frame;
}
