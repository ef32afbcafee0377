/**
 * One connection of a task to its egress proxy: one request, which is checked, and then bytes.
 * @module
 */

import { messageOf } from "../../errors.ts";
import { type Refusal, refusalResponse, TUNNEL_OPEN } from "./answer.ts";
import { BodyEnd } from "./body_end.ts";
import { type EgressContext, trafficFault } from "./context.ts";
import { dial } from "./dial.ts";
import { closeQuietly } from "../close_quietly.ts";
import { IdleTimer, pipe, writeAll } from "./pipe.ts";
import { BadRequest, headEnd, parseRequestHead, type ProxyRequest } from "./request_head.ts";
import { targetText } from "./rules.ts";

/** What comes behind a refused head is read, up to this much, so that the answer is not lost with a reset. */
const MAX_LINGER_BYTES = 64 * 1024;

/** A limit that ends a connection which already carries data. */
class LimitReached extends Error {
  override readonly name = "LimitReached";
}

/** See the module. */
export class ClientConnection {
  readonly #abort = new AbortController();
  #upstream: Deno.TcpConn | undefined;
  /** As events name it; until the head is read there is none. */
  #target = "?";

  constructor(readonly client: Deno.Conn, readonly context: EgressContext) {}

  /** Serves it to its end. Does not throw. @param tooMany Whether it is one connection too many */
  async serve(tooMany: boolean): Promise<void> {
    const { limits, events } = this.context;
    try {
      const read = await this.#readHead();
      if (read === undefined) return;
      const { request, rest } = read;
      if ("status" in request) return await this.#refuse(request);
      this.#target = targetText(request.target);
      const refusal = this.#check(request, tooMany);
      if (refusal !== undefined) return await this.#refuse(refusal);
      const decision = this.context.rules.decide(request.target);
      if (!decision.granted) {
        const reason = decision.by === "request"
          ? `the request (options.network_hosts) does not name ${this.#target}`
          : `no rule of the policy (network.hosts) names ${this.#target}`;
        return await this.#refuse({ status: 403, code: "http_request_denied", reason });
      }
      const found = await dial(request.target, {
        reach: decision.reach,
        resolve: this.context.resolve,
        timeoutMs: limits.connectTimeoutMs,
        signal: this.#abort.signal,
      });
      if (found.kind !== "connected") {
        if (this.#abort.signal.aborted) return;
        const status = found.kind === "refused" ? 403 : found.code.endsWith("timeout") ? 504 : 502;
        const addresses = found.kind === "refused" ? found.addresses : undefined;
        return await this.#refuse({ status, code: found.code, reason: found.reason }, addresses);
      }
      this.#upstream = found.connection;
      events.add({ kind: "connected", target: this.#target, address: found.address, rule: decision.rule });
      await this.#carry(request, rest, found.connection);
    } catch (error) {
      this.#tellBroken(error);
    } finally {
      this.close();
    }
  }

  /** Ends it at once; what it awaits fails. */
  close(): void {
    this.#abort.abort();
    closeQuietly(this.client);
    if (this.#upstream !== undefined) closeQuietly(this.#upstream);
  }

  /** Reads until the head is whole. `undefined` when the client went away before. */
  async #readHead(): Promise<{ request: ProxyRequest | Refusal; rest: Uint8Array } | undefined> {
    const { maxHeadBytes, headTimeoutMs } = this.context.limits;
    const buffer = new Uint8Array(maxHeadBytes);
    // Time for the whole head: one octet now and then does not prolong it.
    const timer = setTimeout(() => this.close(), headTimeoutMs);
    try {
      for (let length = 0; length < buffer.length;) {
        const count = await this.client.read(buffer.subarray(length));
        if (count === null) return undefined;
        const searchFrom = Math.max(0, length - 3);
        length += count;
        const end = headEnd(buffer.subarray(searchFrom, length));
        if (end === -1) continue;
        const head = buffer.subarray(0, searchFrom + end);
        return { request: tryParse(head), rest: buffer.slice(head.length, length) };
      }
    } catch {
      return undefined;
    } finally {
      clearTimeout(timer);
    }
    const reason = `the request's head is longer than ${maxHeadBytes} bytes`;
    return { request: { status: 431, code: "http_request_error", reason }, rest: new Uint8Array(0) };
  }

  #check({ credentials }: ProxyRequest, tooMany: boolean): Refusal | undefined {
    if (!this.context.isAuthentic(credentials)) {
      return { status: 407, code: "http_request_denied", reason: "the credentials are not those of the task" };
    }
    if (tooMany) {
      const reason = `the task has made ${this.context.limits.maxConnectionsTotal} connections, which is all it may`;
      return { status: 429, code: "connection_limit_reached", reason };
    }
    const full = trafficFault(this.context);
    return full === undefined ? undefined : { status: 429, code: "connection_limit_reached", reason: full };
  }

  async #refuse(refusal: Refusal, addresses?: readonly string[]): Promise<void> {
    const { status, reason } = refusal;
    this.context.events.add({
      kind: status === 502 || status === 504 ? "failed" : "refused",
      target: this.#target,
      reason,
      ...(addresses === undefined ? {} : { addresses }),
    });
    const timer = setTimeout(() => this.close(), this.context.limits.headTimeoutMs);
    try {
      await writeAll(this.client, refusalResponse(refusal));
      await this.client.closeWrite();
      const buffer = new Uint8Array(4_096);
      for (let left = MAX_LINGER_BYTES; left > 0;) {
        const count = await this.client.read(buffer);
        if (count === null) break;
        left -= count;
      }
    } catch {
      // The client did not wait for the answer.
    } finally {
      clearTimeout(timer);
    }
  }

  async #carry(request: ProxyRequest, rest: Uint8Array, upstream: Deno.TcpConn): Promise<void> {
    const { idleTimeoutMs } = this.context.limits;
    const idle = new IdleTimer(idleTimeoutMs, () => {
      const reason = `nothing moved on the connection for ${idleTimeoutMs} ms`;
      this.context.events.add({ kind: "failed", target: this.#target, reason });
      this.close();
    });
    const sent = (bytes: Uint8Array) => this.#count("sentBytes", bytes, idle);
    const received = (bytes: Uint8Array) => this.#count("receivedBytes", bytes, idle);
    try {
      const ways = request.kind === "tunnel"
        ? await this.#tunnel(rest, upstream, sent, received)
        : this.#forward(request, rest, upstream, sent, received);
      // What breaks one way breaks the other.
      await Promise.all(ways.map((way) =>
        way.catch((error: unknown) => {
          this.#tellBroken(error);
          this.close();
        })
      ));
    } finally {
      idle.stop();
    }
  }

  /** Both ways, each until its own end: TCP connections may be half closed. */
  async #tunnel(rest: Uint8Array, upstream: Deno.TcpConn, sent: Count, received: Count): Promise<Promise<void>[]> {
    // Before anything that the server says first.
    await writeAll(this.client, TUNNEL_OPEN);
    const out = async () => {
      await writeAll(upstream, sent(rest));
      await pipe(this.client, upstream, sent);
      await upstream.closeWrite();
    };
    const back = async () => {
      await pipe(upstream, this.client, received);
      await this.client.closeWrite();
    };
    return [out(), back()];
  }

  /** One request and its response. */
  #forward(
    request: ProxyRequest & { kind: "forward" },
    rest: Uint8Array,
    upstream: Deno.TcpConn,
    sent: Count,
    received: Count,
  ): Promise<void>[] {
    const body = new BodyEnd(request.body);
    const take = (bytes: Uint8Array): Uint8Array => {
      if (body.take(bytes) < bytes.length) throw new BadRequest("there is more than one request on the connection");
      return sent(bytes);
    };
    const out = async () => {
      await writeAll(upstream, sent(request.head));
      await writeAll(upstream, take(rest));
      await pipe(this.client, upstream, take);
      // A client that goes away does not want the response any more.
      this.close();
    };
    const back = async () => {
      await pipe(upstream, this.client, received);
      await this.client.closeWrite();
      this.close();
    };
    return [out(), back()];
  }

  #count(way: "sentBytes" | "receivedBytes", bytes: Uint8Array, idle: IdleTimer): Uint8Array {
    idle.touch();
    this.context.traffic[way] += bytes.length;
    const fault = trafficFault(this.context);
    if (fault !== undefined) throw new LimitReached(fault);
    return bytes;
  }

  /** Tells what the task did; that one side went away is in the nature of connections. */
  #tellBroken(error: unknown): void {
    if (!(error instanceof LimitReached || error instanceof BadRequest)) return;
    this.context.events.add({ kind: "refused", target: this.#target, reason: messageOf(error) });
  }
}

type Count = (bytes: Uint8Array) => Uint8Array;

function tryParse(head: Uint8Array): ProxyRequest | Refusal {
  try {
    return parseRequestHead(head);
  } catch (error) {
    if (!(error instanceof BadRequest)) throw error;
    return { status: 400, code: "http_request_error", reason: error.message };
  }
}
