/**
 * An egress proxy with what it needs around it, and servers for it to reach.
 * @module
 */

import {
  EGRESS_LIMITS,
  EGRESS_USER,
  type EgressEvent,
  type EgressLimits,
  egressPermissions,
  EgressProxy,
  HostRules,
  RELAY_HOSTNAME,
  type Resolve,
} from "../../src/sandbox/egress/mod.ts";
import type { HostPaths } from "../../src/sandbox/host_paths.ts";
import { closeQuietly } from "../../src/sandbox/close_quietly.ts";
import { hostCommand } from "../../src/sandbox/code.ts";
import type { Jail } from "../../src/sandbox/jails/mod.ts";
import { TestFolder } from "../fakes/folder.ts";
import type { NetworkHostOrder } from "../fakes/network_host.ts";
import { tlsBytes } from "./secure.ts";
import type { NetworkStep, StepOutcome } from "../fakes/network_task.ts";

export const TOKEN = "the-token-of-the-task";
export const AUTHORIZATION = `Proxy-Authorization: Basic ${btoa(`${EGRESS_USER}:${TOKEN}`)}`;

/** Names of the tests' own world; others do not exist. */
export function resolveFrom(names: Readonly<Record<string, readonly string[]>>): Resolve {
  return (name) => {
    const addresses = names[name];
    return addresses === undefined ? Promise.reject(new Error("no such name")) : Promise.resolve(addresses);
  };
}

/** What differs from the usual. */
export interface TestProxyOptions {
  readonly hosts: readonly string[];
  readonly limits?: Partial<EgressLimits>;
  readonly resolve?: Resolve;
}

/** A proxy, its folder, and what it told. */
export class TestProxy implements AsyncDisposable {
  private constructor(readonly proxy: EgressProxy, readonly folder: TestFolder, readonly events: EgressEvent[]) {}

  static async listen({ hosts, limits, resolve = resolveFrom({}) }: TestProxyOptions): Promise<TestProxy> {
    const folder = await TestFolder.make();
    const events: EgressEvent[] = [];
    const proxy = EgressProxy.listen({
      socketPath: folder.file("egress.sock"),
      token: TOKEN,
      rules: HostRules.parse(hosts),
      limits: { ...EGRESS_LIMITS, ...limits },
      onEvent: (event) => events.push(event),
      resolve,
    });
    return new TestProxy(proxy, folder, events);
  }

  get socketPath(): string {
    return this.folder.file("egress.sock");
  }

  connect(): Promise<Deno.UnixConn> {
    return Deno.connect({ transport: "unix", path: this.socketPath });
  }

  /** Sends bytes on a connection of their own, and gives all that comes back; `halfClose` says that no more will come. */
  async ask(text: string, { halfClose = false } = {}): Promise<string> {
    using connection = await this.connect();
    await writeText(connection, text);
    if (halfClose) await connection.closeWrite();
    return await readToEnd(connection);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy[Symbol.asyncDispose]();
    await this.folder[Symbol.asyncDispose]();
  }
}

/** A CONNECT with the right credentials. */
export function connectHead(target: string): string {
  return `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n${AUTHORIZATION}\r\n\r\n`;
}

/** A request for an HTTP resource in absolute form, with the right credentials. */
export function getHead(url: string, ...fields: string[]): string {
  return [`GET ${url} HTTP/1.1`, "Host: other.test", AUTHORIZATION, ...fields].join("\r\n") + "\r\n\r\n";
}

export async function writeText(connection: Deno.Conn, text: string): Promise<void> {
  const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

export async function readToEnd(connection: Deno.Conn): Promise<string> {
  let text = "";
  const buffer = new Uint8Array(65_536);
  try {
    for (let count = await connection.read(buffer); count !== null; count = await connection.read(buffer)) {
      text += new TextDecoder().decode(buffer.subarray(0, count));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
  }
  return text;
}

/** For `localhost`, by the authority of the tests. */
export function serverCertificate(): { cert: string; key: string } {
  return { cert: tlsBytes("server.pem").toString(), key: tlsBytes("server.key").toString() };
}

/** A TCP or TLS server of the tests: hands each connection to a function, and says how many came. */
export class TestServer implements AsyncDisposable {
  connections = 0;
  readonly #served: Promise<void>[] = [];
  readonly #open = new Set<Deno.Conn>();
  readonly #accepting: Promise<void>;

  constructor(
    readonly serve: (connection: Deno.Conn) => Promise<void>,
    readonly listener: Deno.Listener<Deno.TcpConn | Deno.TlsConn, Deno.NetAddr>,
  ) {
    this.#accepting = this.#accept();
  }

  static tcp(serve: (connection: Deno.Conn) => Promise<void>): TestServer {
    return new TestServer(serve, Deno.listen({ hostname: "127.0.0.1", port: 0 }));
  }

  static tls(serve: (connection: Deno.Conn) => Promise<void>): TestServer {
    const listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, ...serverCertificate() });
    // It listens to TCP and to nothing else.
    return new TestServer(serve, listener as Deno.Listener<Deno.TlsConn, Deno.NetAddr>);
  }

  get port(): number {
    return this.listener.addr.port;
  }

  async #accept(): Promise<void> {
    while (true) {
      const connection = await this.listener.accept().catch(() => undefined);
      if (connection === undefined) return;
      this.connections++;
      this.#open.add(connection);
      this.#served.push(
        this.serve(connection).catch(() => {}).finally(() => {
          this.#open.delete(connection);
          closeQuietly(connection);
        }),
      );
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    closeQuietly(this.listener);
    for (const connection of this.#open) closeQuietly(connection);
    await this.#accepting;
    await Promise.all(this.#served);
  }
}

/** Sends back what comes, until the end. */
export async function echo(connection: Deno.Conn): Promise<void> {
  await connection.readable.pipeTo(connection.writable);
}

/** Says something first, reads to the end, and says how much that was. */
export async function greet(connection: Deno.Conn): Promise<void> {
  await writeText(connection, "220 hello\r\n");
  const text = await readToEnd(connection);
  await writeText(connection, `read ${text.length}`);
}

/** How to run steps in a worker. */
export interface NetworkTaskOptions {
  readonly proxy: TestProxy;
  readonly hosts: readonly string[];
  readonly jail: Jail;
  readonly token?: string;
}

/** Runs steps in a worker of a Deno process with the flags of sandbox hosts, in a jail. */
export async function runNetworkTask(
  steps: readonly NetworkStep[],
  { proxy, hosts, jail, token = TOKEN }: NetworkTaskOptions,
): Promise<StepOutcome[]> {
  await using folder = await TestFolder.make();
  const permissions = egressPermissions(HostRules.parse(hosts));
  const root = new URL("../../", import.meta.url).pathname.replace(/\/$/, "");
  await Deno.mkdir(folder.file("cache"));
  const paths: HostPaths = {
    // What stands in for the host imports the sources of workers/.
    bundle: root,
    socket: proxy.socketPath,
    cache: folder.file("cache"),
    code: null,
    scratch: null,
    audit: null,
    egress: proxy.socketPath,
    snapshot: null,
  };
  const inside = jail.inside(paths);
  const command = hostCommand({ paths: inside, heapMb: 256, egress: permissions, snapshotFolder: null });
  const args = command.args.slice(0, -1).map((arg) =>
    arg.startsWith("--import-map=") ? `--import-map=${inside.bundle}/dist/sandbox/import_map.json` : arg
  );
  const enclosed = jail.enclose({
    command: { ...command, args: [...args, `${inside.bundle}/tests/fakes/network_host.ts`] },
    paths,
    cache: { kind: "copy", from: null },
    dataLimitBytes: 2 ** 31,
    fileLimitBytes: 2 ** 24,
    openFileLimit: 64,
    codeBytes: 0,
    scratchBytes: 0,
    controlGroupFiles: [],
  });
  const { worker } = permissions;
  const order: NetworkHostOrder = {
    socketPath: inside.egress ?? "",
    relayHostname: RELAY_HOSTNAME,
    relayConnections: EGRESS_LIMITS.maxConnections,
    // The relay's port is known there only.
    net: ((permission) => permission === true || permission.map((host) => host.replace(/:0$/, ":PORT")))(worker(0)),
    user: EGRESS_USER,
    token,
    caCerts: [tlsBytes("ca.pem").toString()],
    steps: [...steps],
  };
  const child = new Deno.Command(enclosed.program, {
    args: [...enclosed.args],
    env: { ...enclosed.env },
    clearEnv: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stdin = child.stdin.getWriter();
  await stdin.write(new TextEncoder().encode(JSON.stringify(order)));
  await stdin.close();
  const { success, stdout, stderr } = await child.output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout)) as StepOutcome[]; // written by our own host
}
