/**
 * Modules that the runtime offers by a bare name or as `node:`.
 * @module
 */

/** First parts of their names; `node:module` says the same, and a test compares, but no sandbox may import it. */
const NAMES: ReadonlySet<string> = new Set(
  ("assert async_hooks buffer child_process cluster console constants crypto dgram diagnostics_channel dns domain " +
    "events fs http http2 https inspector module net os path perf_hooks process punycode querystring readline repl " +
    "sea sqlite stream string_decoder sys test timers tls trace_events tty url util v8 vm wasi worker_threads zlib " +
    "_http_agent _http_client _http_common _http_incoming _http_outgoing _http_server _stream_duplex " +
    "_stream_passthrough _stream_readable _stream_transform _stream_wrap _stream_writable _tls_common _tls_wrap")
    .split(" "),
);

/** Whether a bare specifier names a builtin of Node, `fs` or `fs/promises`. */
export function isNodeBuiltin(specifier: string): boolean {
  return NAMES.has(specifier.split("/")[0] ?? "");
}
