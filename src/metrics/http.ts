/**
 * Metrics and health over HTTP.
 * @module
 */
import { messageOf, ServiceError } from "../errors.ts";
import type { Metrics } from "./metrics.ts";

/** The answer to a health question. */
export interface HealthVerdict {
  readonly ok: boolean;
  /** One sentence for whoever reads it. */
  readonly reason?: string | undefined;
}

/** What the HTTP listener serves and where. */
export interface MetricsServerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly metrics: Pick<Metrics, "render" | "contentType">;
  /** Whether the process works at all; false asks to be restarted. */
  readonly isLive: () => HealthVerdict;
  /** Whether new calls are welcome; false while starting and draining. */
  readonly isReady: () => HealthVerdict;
  /** Stops the listener. */
  readonly signal?: AbortSignal | undefined;
}

/** A running listener. */
export interface MetricsServer extends AsyncDisposable {
  readonly host: string;
  /** The port in use, also when 0 was asked for. */
  readonly port: number;
}

/**
 * Starts the HTTP listener: `/metrics`, `/healthz` and `/readyz`, to GET and HEAD.
 *
 * @returns The listener; dispose closes it with its connections
 * @throws {ServiceError} `CONFIG_INVALID` when it cannot listen, with the setting to change
 */
export function startMetricsServer(options: MetricsServerOptions): MetricsServer {
  const stopping = new AbortController();
  const signal = options.signal === undefined ? stopping.signal : AbortSignal.any([options.signal, stopping.signal]);
  const server = listen(options, signal);
  return {
    host: server.addr.hostname,
    port: server.addr.port,
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await server.finished;
    },
  };
}

function listen(options: MetricsServerOptions, signal: AbortSignal): Deno.HttpServer<Deno.NetAddr> {
  const { host: hostname, port } = options;
  try {
    return Deno.serve({ hostname, port, signal, onListen() {}, onError }, (request) => answer(request, options));
  } catch (error) {
    const state = error instanceof Deno.errors.AddrInUse ? "the port is in use" : messageOf(error);
    throw new ServiceError(
      "CONFIG_INVALID",
      `Cannot serve metrics on "${hostname}:${port}": ${state}. ` +
        "Change metrics.port (METRICS_PORT) or metrics.host (METRICS_HOST), or set METRICS_ENABLED=false",
      { cause: error },
    );
  }
}

async function answer(request: Request, { metrics, isLive, isReady }: MetricsServerOptions): Promise<Response> {
  const { pathname } = new URL(request.url);
  const answers = new Map<string, () => Response | Promise<Response>>([
    ["/metrics", async () => new Response(await metrics.render(), { headers: headers(metrics.contentType) })],
    ["/healthz", () => healthResponse(isLive())],
    ["/readyz", () => healthResponse(isReady())],
  ]);
  const found = answers.get(pathname);
  if (found === undefined) return text(404, `Not found. There are ${[...answers.keys()].join(", ")}\n`);
  if (request.method !== "GET" && request.method !== "HEAD") {
    return text(405, "Only GET and HEAD are served\n", { allow: "GET, HEAD" });
  }
  return await found();
}

function healthResponse({ ok, reason }: HealthVerdict): Response {
  const body = `${JSON.stringify({ status: ok ? "ok" : "unavailable", ...(reason !== undefined && { reason }) })}\n`;
  return new Response(body, { status: ok ? 200 : 503, headers: headers("application/json") });
}

function onError(): Response {
  return text(500, "Cannot answer\n");
}

function text(status: number, body: string, more: Record<string, string> = {}): Response {
  return new Response(body, { status, headers: { ...headers("text/plain; charset=utf-8"), ...more } });
}

function headers(contentType: string): Record<string, string> {
  return { "content-type": contentType, "cache-control": "no-store", "x-content-type-options": "nosniff" };
}
