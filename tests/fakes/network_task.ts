/**
 * A worker that does what user code with network access does, step by step, in a sandbox host of {@link network_host}.
 *
 * The order of imports is that of the task worker: what is granted is captured, then `harden.ts` locks.
 *
 * @module
 */

import { type GrantedNetwork, grantNetwork, type NetworkGrant } from "../../workers/network/granted_network.ts";
import { fetchClasses, order, post, rawConnect, rawCreateHttpClient, rawFetch } from "./network_task_before.ts";
import { unremovedGlobals } from "../../workers/harden.ts";

/** One thing to try. */
export type NetworkStep =
  | { readonly kind: "fetch"; readonly url: string; readonly init?: RequestInit }
  /** Bodies that only live inside: a form with a file, a stream, a Request. */
  | { readonly kind: "fetch-form" | "fetch-stream" | "fetch-request"; readonly url: string }
  /** Sends the text, half closes, and gives what comes back. */
  | { readonly kind: "tcp" | "tls" | "start-tls"; readonly options: Record<string, unknown>; readonly send: string }
  /** As if the glue were gone: what Deno itself lets this worker do. */
  | { readonly kind: "raw-connect"; readonly hostname: string; readonly port: number }
  | { readonly kind: "raw-fetch"; readonly url: string }
  /** Attacks from within: on the way of a `fetch` through Deno's own classes. */
  | { readonly kind: "attack"; readonly name: keyof typeof ATTACKS; readonly url: string };

/** What came of it. */
export type StepOutcome = { readonly ok: string } | { readonly error: string; readonly message: string };

const { Request, FormData, File } = fetchClasses;

async function tryStep(network: GrantedNetwork, step: NetworkStep): Promise<StepOutcome> {
  try {
    return { ok: await run(network, step) };
  } catch (error) {
    if (!(error instanceof Error)) return { error: typeof error, message: String(error) };
    return { error: error.name, message: error.message };
  }
}

async function run(network: GrantedNetwork, step: NetworkStep): Promise<string> {
  const sending = { method: "POST" };
  switch (step.kind) {
    case "fetch":
      return await textOf(network.fetch(step.url, step.init));
    case "fetch-form": {
      const body = new FormData();
      body.set("field", "value");
      body.set("file", new File(["contents"], "name.txt"));
      return await textOf(network.fetch(step.url, { ...sending, body }));
    }
    case "fetch-stream":
      return await textOf(
        network.fetch(step.url, {
          ...sending,
          body: ReadableStream.from(["one ", "two"]).pipeThrough(new TextEncoderStream()),
        }),
      );
    case "fetch-request":
      return await textOf(
        network.fetch(new Request(step.url, { ...sending, body: "of a request", headers: { "x-own": "1" } })),
      );
    case "tcp":
      return await exchange(await network.connect(step.options as never), step.send); // hostile options are the point
    case "tls":
      return await exchange(await network.connectTls(step.options as never), step.send);
    case "start-tls": {
      const { hostname } = step.options as { hostname: string };
      return await exchange(
        await network.startTls(await network.connect(step.options as never), { hostname }),
        step.send,
      );
    }
    case "raw-connect": {
      using _connection = await rawConnect({ hostname: step.hostname, port: step.port });
      return "connected";
    }
    case "raw-fetch":
      return await textOf(rawFetch(step.url));
    case "attack":
      return await ATTACKS[step.name](network, step.url);
  }
}

async function textOf(response: Promise<Response>): Promise<string> {
  const { status, url, ...rest } = await response.then(async (got) => ({
    status: got.status,
    url: got.url,
    text: await got.text(),
  }));
  return `${status} ${new URL(url).pathname} ${rest.text}`;
}

async function exchange(connection: Deno.TcpConn | Deno.TlsConn, send: string): Promise<string> {
  const writer = connection.writable.getWriter();
  if (send !== "") await writer.write(new TextEncoder().encode(send));
  await connection.closeWrite();
  let text = "";
  for await (const chunk of connection.readable.pipeThrough(new TextDecoderStream())) text += chunk;
  return text;
}

/** Takes the client out of a request, from whatever of it is at hand. */
function disarm(object: unknown): void {
  for (let at = object; typeof at === "object" && at !== null; at = Object.getPrototypeOf(at)) {
    for (const key of Reflect.ownKeys(at)) {
      const inner: unknown = Reflect.get(at, key, object);
      if (typeof inner === "object" && inner !== null && "clientRid" in inner) inner.clientRid = null;
    }
  }
}

const ATTACKS = {
  /** A client of the user's own. */
  async client(network: GrantedNetwork, url: string) {
    return await textOf(network.fetch(url, { client: rawCreateHttpClient({}) } as RequestInit));
  },
  /** A request that had its client taken away. */
  async request(network: GrantedNetwork, url: string) {
    const request = new Request(url);
    disarm(request);
    return await textOf(network.fetch(request));
  },
  /** Setters by which Deno stores what belongs to a request. */
  async setters(network: GrantedNetwork, url: string) {
    for (const key of Reflect.ownKeys(Request.prototype)) {
      const own = Reflect.getOwnPropertyDescriptor(Request.prototype, key);
      if (typeof key !== "symbol" || own?.set === undefined) continue;
      Object.defineProperty(Request.prototype, key, {
        ...own,
        set(value: unknown) {
          disarm(this);
          own.set?.call(this, value);
        },
      });
    }
    return await textOf(network.fetch(url));
  },
  /** Functions that Deno looks for on its requests, and would call with them; there only once options are read. */
  async pollution(network: GrantedNetwork, url: string) {
    const keys = ["header", "onCancel"];
    const disarmed = {
      configurable: true,
      value(this: { clientRid: null }) {
        this.clientRid = null;
      },
    };
    const init = {
      get method() {
        for (const key of keys) Object.defineProperty(Object.prototype, key, disarmed);
        return "GET";
      },
    };
    try {
      return await textOf(network.fetch(url, init));
    } finally {
      for (const key of keys) Reflect.deleteProperty(Object.prototype, key);
    }
  },
  /** The class of a connection, made for another resource. */
  async constructors(network: GrantedNetwork, url: string) {
    const { hostname, port } = new URL(url);
    using connection = await network.connect({ hostname, port: Number(port) });
    return String(connection.constructor === Object);
  },
  /** A host that ends the line of CONNECT. */
  async injection(network: GrantedNetwork, url: string) {
    const { hostname, port } = new URL(url);
    const injected = `${hostname}:${port} HTTP/1.1\r\nX: `;
    using _connection = await network.connect({ hostname: injected, port: Number(port) });
    return "connected";
  },
} satisfies Record<string, (network: GrantedNetwork, url: string) => Promise<string>>;

if (unremovedGlobals.length > 0) throw new Error("The worker is not locked");
const { grant, steps } = await order as { grant: NetworkGrant; steps: NetworkStep[] }; // from our own host
const network = grantNetwork(grant);
const outcomes: StepOutcome[] = [];
for (const step of steps) outcomes.push(await tryStep(network, step));
post(outcomes);
