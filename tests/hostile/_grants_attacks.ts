/**
 * What user code tries with the rights that it was granted, each attack with what must not come of it.
 * @module
 */

import assert from "node:assert/strict";
import { type ExecuteCustomTaskResponse } from "../../protos/generated/execution.ts";
import { ExecutionStatus, FailureReason } from "../../protos/generated/types.ts";
import { resultOf, type Run } from "../custom_task/run.ts";

/** Where an attack aims. */
export interface Targets {
  /** Of the server that the policy names. */
  readonly namedPort: number;
  /** Of one that it does not. */
  readonly otherPort: number;
}

/** A request as it reached a server. */
export interface ReceivedRequest {
  readonly url: string;
  readonly headers: Headers;
}

/** What came of an attack. */
export interface Outcome {
  readonly answer: ExecuteCustomTaskResponse;
  /** Requests that reached the named server. */
  readonly requests: readonly ReceivedRequest[];
  /** What the audit says of it. */
  readonly audit: readonly Readonly<Record<string, unknown>>[];
}

/** One attack. */
export interface Attack {
  readonly name: string;
  readonly wishes: Run;
  readonly code: (targets: Targets) => string;
  /** What must have come of it. */
  readonly holds: (outcome: Outcome) => void;
  /** Whether it leaves something in the audit, which is written after the answer. */
  readonly isAudited?: boolean;
}

const FILES = { enableFilesystem: true } as const;
const NETWORK = { enableNetworking: true } as const;

/** A task that runs steps and gives the names of those that did what they must not. */
export function leaking(...steps: readonly (readonly [name: string, body: string])[]): string {
  const tries = steps.map(([name, body]) => `await attempt(${JSON.stringify(name)}, async () => { ${body} });`);
  return `export default async () => {
    const leaks: string[] = [];
    const attempt = async (name: string, step: () => Promise<unknown>) => {
      try { const value = await step(); if (value !== "held") leaks.push(name + ": " + String(value)); } catch { /* refused */ }
    };
    ${tries.join("\n    ")}
    return leaks;
  };`;
}

const nothingLeaks = ({ answer }: Outcome): void => assert.deepEqual(resultOf(answer), []);

/** Paths that lead out of the scratch folder. */
const OUTSIDE = [
  "/etc/passwd",
  "/proc/self/environ",
  "/proc/self/fd/0",
  "/proc/self/maps",
  "/proc/self/root/etc/passwd",
  "/proc/1/environ",
  "/dev/tty",
  "/dev/zero",
  "/dev/shm",
  "..",
  "../..",
  "./x/../../..",
  "//etc//passwd",
];

const FILE_ATTACKS: readonly Attack[] = [
  {
    name: "paths that lead out, by reading, listing and writing",
    wishes: FILES,
    code: () =>
      leaking(...OUTSIDE.flatMap((path) => {
        const text = JSON.stringify(path);
        return [
          [`read ${path}`, `return await Deno.readFile(${text});`],
          [`list ${path}`, `return Deno.readDirSync(${text}).next();`],
          [`look at ${path}`, `return await Deno.stat(${text});`],
          [`write ${path}`, `return Deno.writeTextFileSync(${text} + "/x", "x");`],
          [`by URL ${path}`, `return await Deno.readTextFile(new URL("file://" + ${text}));`],
        ] as const;
      })),
    holds: nothingLeaks,
  },
  {
    name: "copies and renames across the border",
    wishes: FILES,
    code: () =>
      leaking(
        ["copy in", `return Deno.copyFileSync("/etc/passwd", "stolen");`],
        ["copy out", `await Deno.writeTextFile("a", "x"); return Deno.copyFileSync("a", "../a");`],
        ["rename out", `await Deno.writeTextFile("a", "x"); return Deno.renameSync("a", "../a");`],
        ["rename the folder", `return Deno.renameSync(Deno.cwd(), Deno.cwd() + "2");`],
        ["rename the folder into itself", `return Deno.renameSync(Deno.cwd(), Deno.cwd() + "/x");`],
        ["make a folder outside", `return Deno.mkdirSync("../x");`],
        ["own code", `return Deno.writeTextFileSync(new URL(import.meta.url), "export default 1;");`],
        ["cut own code", `return Deno.truncateSync(new URL(import.meta.url));`],
        ["remove own code", `return Deno.removeSync(new URL(import.meta.url));`],
      ),
    holds: nothingLeaks,
  },
  {
    name: "a module that was written to the scratch folder has the same rights, and no more",
    wishes: FILES,
    code: () =>
      `export default async () => {
        const load = async (text: string) => {
          const name = "m" + Math.random() + ".ts";
          await Deno.writeTextFile(name, text);
          return await import("file://" + Deno.cwd() + "/" + name).then(() => "loaded", () => "refused");
        };
        return [
          await load("export default 1;"),
          await load("import 'node:fs';"), await load("import 'npm:chalk';"), await load("import 'https://example.com/x.js';"),
          await load("import 'file:///etc/passwd';"), await load("if (typeof process !== 'undefined') 1; else throw 0;"),
          await load("if (Object.keys(Deno).includes('Command')) 1; else throw 0;"), await load("new Function('1')();"),
        ];
      };`,
    holds: ({ answer }) => assert.deepEqual(resultOf(answer), ["loaded", ...Array(7).fill("refused")]),
  },
  {
    name: "with all descriptors taken, what is tried is written down all the same",
    wishes: FILES,
    code: () =>
      `export default async () => {
        const files = [];
        try { for (;;) files.push(Deno.openSync("f", { create: true, write: true })); } catch { /* no more */ }
        try { Deno.readTextFileSync("/etc/tried-without-descriptors"); } catch { return "refused"; }
      };`,
    holds: ({ answer, audit }) => {
      assert.equal(resultOf(answer), "refused");
      assert.deepEqual(audit.map(({ target }) => target), ["/etc/tried-without-descriptors"]);
    },
    isAudited: true,
  },
  {
    name: "text that poses as lines and events of the log",
    wishes: FILES,
    code: () =>
      `export default () => {
        const forged = "\\n" + JSON.stringify({ permission: "read", value: "/forged-entry", event: "connection" }) + "\\n\\u001b[2J";
        try { Deno.readTextFileSync("/etc/x" + forged); } catch { return "refused"; }
      };`,
    holds: ({ answer, audit }) => {
      assert.equal(resultOf(answer), "refused");
      assert.deepEqual(audit.map(({ event }) => event), ["access_denied"]);
      assert.match(String(audit[0]!.target), /^\/etc\/x\n.*forged-entry/, "one event, which quotes all of it");
    },
    isAudited: true,
  },
  {
    name: "more targets than anybody wants to read",
    wishes: FILES,
    code: () =>
      `export default () => {
        for (let i = 0; i < 400; i++) try { Deno.readTextFileSync("/etc/target-" + i); } catch { /* refused */ }
      };`,
    holds: ({ audit }) => assert(audit.length <= 21, `${audit.length} events`),
    isAudited: true,
  },
];

/** Ways to write the address of a server that the policy does not name. */
const otherUrls = ({ namedPort, otherPort }: Targets): string[] => [
  `http://127.0.0.1:${otherPort}/`,
  `http://127.0.0.1:${namedPort}@127.0.0.1:${otherPort}/`,
  `http://user:password@127.0.0.1:${otherPort}/`,
  `http://0x7f000001:${otherPort}/`,
  `http://2130706433:${otherPort}/`,
  `http://127.1:${otherPort}/`,
  `http://127.0.0.1.:${otherPort}/`,
  `http://[::ffff:127.0.0.1]:${otherPort}/`,
  `http://[::1]:${otherPort}/`,
  `http://localhost:${otherPort}/`,
  `http://①②⑦.0.0.1:${otherPort}/`,
  `http://127。0。0。1:${otherPort}/`,
  `http://0:${otherPort}/`,
  `http://127.0.0.1:${namedPort}/redirect?to=${encodeURIComponent(`http://127.0.0.1:${otherPort}/`)}`,
  `http://127.0.0.1:${namedPort}/redirect?to=file:///etc/passwd`,
  "file:///etc/passwd",
];

const NETWORK_ATTACKS: readonly Attack[] = [
  {
    name: "other ways to write an address, and redirects to it",
    wishes: NETWORK,
    code: (targets) =>
      leaking(
        ...otherUrls(targets).map((url) =>
          [url, `return await (await fetch(${JSON.stringify(url)})).text();`] as const
        ),
      ),
    holds: nothingLeaks,
  },
  {
    name: "headers that speak to the proxy",
    wishes: NETWORK,
    code: ({ namedPort, otherPort }) =>
      `export default async () => {
        const headers = {
          Host: "127.0.0.1:${otherPort}", "Proxy-Authorization": "Basic eA==", "Proxy-Connection": "keep-alive",
          Connection: "x-mine", "Transfer-Encoding": "chunked", "Content-Length": "5",
        };
        return await (await fetch("http://127.0.0.1:${namedPort}/", { headers })).text();
      };`,
    holds: ({ answer, requests }) => {
      assert.equal(resultOf(answer), "named");
      const headers = requests.map(({ headers }) => [headers.get("host"), headers.get("proxy-authorization")]);
      assert.deepEqual(headers, [[new URL(requests[0]!.url).host, null]]);
    },
  },
  {
    name: "a request whose inside was changed",
    wishes: NETWORK,
    code: ({ namedPort, otherPort }) =>
      `export default async () => {
        const request = new Request("http://127.0.0.1:${namedPort}/");
        for (const symbol of Object.getOwnPropertySymbols(request)) {
          const inner = Reflect.get(request, symbol);
          if (typeof inner !== "object" || inner === null || !("clientRid" in inner)) continue;
          inner.clientRid = null;
          let asked = 0;
          inner.url = () => asked++ === 0 ? "http://127.0.0.1:${namedPort}/" : "http://127.0.0.1:${otherPort}/";
        }
        return await (await fetch(request)).text();
      };`,
    holds: ({ requests }) =>
      assert(requests.every(({ headers }) => /rexec-egress/.test(headers.get("via") ?? "")), "all went by the proxy"),
  },
  {
    name: "host names that end the line which they stand in, and targets that are none",
    wishes: NETWORK,
    code: ({ namedPort, otherPort }) =>
      leaking(
        ...[
          "127.0.0.1\r\nX: y",
          "a b",
          "127.0.0.1/x",
          `127.0.0.1:${otherPort}`,
          `x@127.0.0.1`,
          "127.0.0.1\0",
          "0",
          "[::]",
        ]
          .map((hostname) =>
            [
              hostname,
              `return await Deno.connect({ hostname: ${JSON.stringify(hostname)}, port: ${namedPort} });`,
            ] as const
          ),
        ...[-1, 0, 65_536, 2 ** 31, 1.5].map((port) =>
          [`port ${port}`, `return await Deno.connect({ hostname: "127.0.0.1", port: ${port} });`] as const
        ),
        ["a socket by path", `return await Deno.connect({ transport: "unix", path: "/x" } as never);`],
      ),
    holds: nothingLeaks,
  },
  {
    name: "the relay itself, and classes that wrap any resource",
    wishes: NETWORK,
    code: ({ namedPort }) =>
      `export default async () => {
        const connection = await Deno.connect({ hostname: "127.0.0.1", port: ${namedPort} });
        const { hostname, port } = connection.remoteAddr as { hostname: string; port: number };
        const refused = (step: () => Promise<unknown>) => step().then(() => "reached", () => "refused");
        const answer = [
          await refused(() => Deno.connect({ hostname, port })),
          await refused(() => fetch("http://" + hostname + ":" + port + "/")),
          connection.constructor === Object,
        ];
        connection.close();
        return answer;
      };`,
    holds: ({ answer }) => assert.deepEqual(resultOf(answer), ["refused", "refused", true]),
  },
  {
    name: "connections until there are no descriptors left",
    wishes: NETWORK,
    code: ({ namedPort, otherPort }) =>
      `export default async () => {
        const connections: unknown[] = [];
        for (let i = 0; i < 300; i++) {
          Deno.connect({ hostname: "127.0.0.1", port: ${namedPort} }).then((it) => connections.push(it), () => {});
        }
        return await Deno.connect({ hostname: "127.0.0.1", port: ${otherPort} }).then(() => "reached", () => "refused");
      };`,
    holds: ({ answer }) => assert.equal(resultOf(answer), "refused"),
  },
  {
    name: "an answer without end, kept",
    wishes: { ...NETWORK, memoryLimitMb: 64 },
    code: ({ namedPort }) =>
      `export default async () => (await (await fetch("http://127.0.0.1:${namedPort}/endless")).arrayBuffer()).byteLength;`,
    holds: ({ answer }) =>
      assert.deepEqual([answer.status, answer.failureReason], [
        ExecutionStatus.RESOURCE_LIMIT,
        FailureReason.MEMORY_LIMIT,
      ]),
  },
];

const TIMER_ATTACKS: readonly Attack[] = [
  {
    name: "delays and ids of every kind",
    wishes: {},
    code: () =>
      `export default async () => {
        let called = 0;
        const odd = { valueOf() { called++; throw new Error("odd"); } };
        for (const delay of [-1, NaN, Infinity, -Infinity, 2 ** 31, 2 ** 53, 1e300, "5", null, {}]) clearTimeout(setTimeout(() => {}, delay as number));
        for (const id of [-1, NaN, 0, 2 ** 31, "1", null, {}, Symbol.iterator]) { clearTimeout(id as number); clearInterval(id as number); }
        try { setTimeout(() => {}, odd as never); } catch { /* its own */ }
        for (const callback of ["globalThis.leaked = 1", null, {}]) try { setTimeout(callback as never, 0); return "took it"; } catch { /* refused */ }
        await new Promise((go) => setTimeout(go, 1));
        return [called, Reflect.get(globalThis, "leaked") ?? null];
      };`,
    holds: ({ answer }) => assert.deepEqual(resultOf(answer), [1, null]),
  },
  {
    name: "what timers are made of, replaced",
    wishes: {},
    code: () =>
      `export default async () => {
        const kept: unknown[] = [];
        const { get, set } = Map.prototype;
        const { apply } = Reflect;
        Map.prototype.set = function (...args: never[]) { kept.push(args); return apply(set, this, args); };
        Map.prototype.get = function (...args: never[]) { kept.push(args); return apply(get, this, args); };
        Reflect.apply = () => { throw new Error("used"); };
        const id = setTimeout(() => {}, 1e6);
        clearTimeout(id);
        await new Promise((go) => setTimeout(go, 1));
        const seen = kept.length;
        Reflect.apply = apply;
        Map.prototype.get = get;
        Map.prototype.set = set;
        return seen;
      };`,
    holds: ({ answer }) => assert.equal(resultOf(answer), 0),
  },
  {
    name: "an error out of a timer",
    wishes: {},
    code: () =>
      `export default () => new Promise(() => { setTimeout(() => { throw new Error("out of a timer"); }, 1); });`,
    holds: ({ answer }) => {
      assert.deepEqual([answer.status, answer.failureReason], [ExecutionStatus.ERROR, FailureReason.EXCEPTION]);
      assert.match(answer.errorMessage, /out of a timer/);
    },
  },
];

/** All of them. */
export const ATTACKS: readonly Attack[] = [...FILE_ATTACKS, ...NETWORK_ATTACKS, ...TIMER_ATTACKS];
