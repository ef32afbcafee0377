/**
 * The role of a front: the service as it is without a supervisor, on a socket and with a configuration that a supervisor
 * gives to it.
 * @module
 */

import process from "node:process";
import { messageOf, ServiceError } from "../errors.ts";
import { type FrontHandle, serve } from "../main.ts";
import type { BoundSocket } from "../rpc/connections.ts";
import { SERVICE_VERSION } from "../version.ts";
import { type FromFront, FRONT_PROTOCOL, LineReader, ToFront, toLine } from "./protocol.ts";

/** Signals that a terminal sends to all processes: the supervisor decides what they mean. */
const LEFT_TO_SUPERVISOR = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

/** Runs a front until its supervisor says that it is enough, or is gone; then the process ends. */
export async function runFront(): Promise<never> {
  for (const name of LEFT_TO_SUPERVISOR) Deno.addSignalListener(name, () => {});
  const sockets = receiveSockets();
  const front = new Front(sockets.received);
  const reading = front.listen();
  await say({ kind: "hello", protocol: FRONT_PROTOCOL, version: SERVICE_VERSION });
  const start = await Promise.race([front.started, reading.then(() => undefined)]);
  if (start === undefined) Deno.exit(0);
  await sockets.complete(start.sockets);
  try {
    await front.serve(start);
  } catch (error) {
    const code = error instanceof ServiceError ? error.code : "INTERNAL";
    await say({ kind: "failed", code, message: messageOf(error) });
    Deno.exit(1);
  }
  Deno.exit(0);
}

type StartMessage = Extract<ToFront, { kind: "start" }>;

class Front {
  readonly #sockets: readonly BoundSocket[];
  readonly #started = Promise.withResolvers<StartMessage>();
  readonly #stop = new AbortController();
  readonly #retire = new AbortController();
  readonly #hurry = new AbortController();
  #stops = 0;
  #service: FrontHandle | undefined;

  constructor(sockets: readonly BoundSocket[]) {
    this.#sockets = sockets;
  }

  /** What to start with. */
  get started(): Promise<StartMessage> {
    return this.#started.promise;
  }

  /** Does what the supervisor says, until it is gone. */
  async listen(): Promise<void> {
    const reader = new LineReader();
    for await (const bytes of Deno.stdin.readable) {
      for (const line of reader.push(bytes)) await this.#obey(ToFront.parse(JSON.parse(line)));
    }
    if (!this.#draining) this.#stop.abort(new Error("the supervisor is gone"));
  }

  get #draining(): boolean {
    return this.#stop.signal.aborted || this.#retire.signal.aborted;
  }

  async serve({ front, configDir, files, overrides }: StartMessage): Promise<void> {
    const socket = this.#sockets[front - 1];
    if (socket === undefined) throw new RangeError(`Cannot serve as front ${front}: it has no socket`);
    const ready = Promise.withResolvers<void>();
    await serve({
      configDir: configDir ?? undefined,
      overrides,
      onReady: (info) => void say({ kind: "ready", info }).then(ready.resolve),
      front: {
        readFile: (path) => files[path] ?? undefined,
        socket,
        logFields: { front },
        stop: this.#stop.signal,
        retire: this.#retire.signal,
        hurry: this.#hurry.signal,
        onStarted: (service) => this.#service = service,
        onDrained: async (lost) => {
          await ready.promise;
          await say({ kind: "drained", lost, metrics: await this.#service?.renderMetrics() ?? "" });
        },
      },
    });
  }

  async #obey(message: ToFront): Promise<void> {
    switch (message.kind) {
      case "start":
        return this.#started.resolve(message);
      case "retire":
        return this.#retire.abort(new Error("another front has taken over"));
      case "stop":
        this.#stops++;
        if (this.#stops > 1) this.#hurry.abort();
        else if (!this.#draining) this.#stop.abort(new Error("the service is told to stop"));
        return;
      case "listen": {
        const socket = this.#sockets[message.socket];
        if (socket !== undefined) await this.#service?.listenOn(socket);
        return;
      }
      case "report":
        return await say({
          kind: "report",
          id: message.id,
          metrics: await this.#service?.renderMetrics() ?? "",
          residentBytes: Deno.memoryUsage().rss,
        });
    }
  }
}

/** What the supervisor sends before anything else, by number. */
interface ReceivedSockets {
  readonly received: readonly BoundSocket[];
  /**
   * Waits until that many are there and closes the channel. It must be closed before there is a sandbox: its descriptor
   * would be inherited, unlike those that came through it.
   */
  complete(count: number): Promise<void>;
}

function receiveSockets(): ReceivedSockets {
  const received: BoundSocket[] = [];
  let wake = Promise.withResolvers<void>();
  const onMessage = (message: unknown, socket: unknown) => {
    const { socket: number } = message as { socket: number }; // Sent by `FrontProcess` alone, over a channel of its own.
    received[number] = socket as BoundSocket; // Sent with every message.
    wake.resolve();
    wake = Promise.withResolvers();
  };
  process.on("message", onMessage);
  return {
    received,
    async complete(count) {
      while (Object.keys(received).length < count) await wake.promise;
      process.off("message", onMessage);
      process.disconnect?.();
    },
  };
}

async function say(message: FromFront): Promise<void> {
  const bytes = new TextEncoder().encode(toLine(message));
  try {
    for (let written = 0; written < bytes.length;) written += await Deno.stdout.write(bytes.subarray(written));
  } catch {
    // The supervisor is gone, which the end of standard input tells.
  }
}

if (import.meta.main) await runFront();
