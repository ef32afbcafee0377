/**
 * Attacks on grants that once got through.
 * @module
 */

import assert from "node:assert/strict";
import { ExecutionStatus, FailureReason } from "../../protos/generated/types.ts";
import { resultOf } from "../custom_task/run.ts";
import { type Attack, type Outcome } from "./_grants_attacks.ts";

const FILES = { enableFilesystem: true } as const;
const PAUSE = `const pause = () => { for (const start = Date.now(); Date.now() - start < 60;); };`;

const told = (target: RegExp) => ({ audit }: Outcome): void =>
  assert(audit.some((event) => target.test(String(event.target))), JSON.stringify(audit));

/** The file system itself bounds what is written, or the task is stopped. */
function staysWithinQuota({ answer }: Outcome): void {
  if (answer.status === ExecutionStatus.SUCCESS) {
    return assert(Number(resultOf(answer)) <= 4, new TextDecoder().decode(answer.outputData));
  }
  assert.equal(answer.failureReason, FailureReason.SCRATCH_LIMIT, answer.errorMessage);
}

/** Attacks as {@linkcode ATTACKS} has them. */
export const GAPS: readonly Attack[] = [
  {
    name: "a file made of any resource, standard error say",
    wishes: FILES,
    code: () =>
      `export default async () => {
        const file = await Deno.open("f", { create: true, write: true });
        const Wrap = file.constructor as unknown as new (resource: number, key: symbol) => Deno.FsFile;
        try { return new Wrap(2, Symbol.for("Deno.internal.FsFile")).writeSync(new Uint8Array(1)); } catch { return "refused"; }
      };`,
    holds: ({ answer }) => assert.equal(resultOf(answer), "refused"),
  },
  {
    name: "a denial behind more granted accesses than anybody reads at once",
    wishes: FILES,
    code: () =>
      `export default async () => {
        await Deno.writeTextFile("f", "x");
        for (let i = 0; i < 3_000; i++) Deno.readTextFileSync("f");
        try { Deno.readTextFileSync("/etc/behind-granted"); } catch { /* refused */ }
      };`,
    holds: told(/behind-granted/),
    isAudited: true,
  },
  {
    name: "a denial behind one that is longer than what is read at once",
    wishes: {},
    code: () =>
      `export default async () => {
        for (const name of ["x".repeat(70_000), "behind-long"]) await import("file:///etc/" + name).catch(() => {});
      };`,
    holds: told(/behind-long/),
    isAudited: true,
  },
  {
    name: "a denied path that begins like a granted one",
    wishes: FILES,
    code: () =>
      `export default () => {
        const path = "./" + "a/".repeat(150) + "../".repeat(150) + "../../../../../../../../etc/passwd";
        try { Deno.readTextFileSync(path); } catch { /* refused */ }
      };`,
    holds: told(/^\.\/a\/a\//),
    isAudited: true,
  },
  {
    name: "many granted accesses are nothing to be stopped for",
    wishes: FILES,
    code: () =>
      `export default async () => {
        await Deno.writeTextFile("f", "x");
        for (let i = 0; i < 60_000; i++) Deno.readTextFileSync("f");
        return "done";
      };`,
    holds: ({ answer, audit }) => assert.deepEqual([resultOf(answer), audit], ["done", []]),
  },
  {
    name: "a granted connection is no denial",
    wishes: { enableNetworking: true },
    code: ({ namedPort }) =>
      `export default async () => {
        const url = "http://127.0.0.1:${namedPort}/";
        return [await (await fetch(url)).text(), await (await fetch(url)).text()];
      };`,
    holds: ({ audit }) => assert.deepEqual([...new Set(audit.map(({ event }) => event))], ["connection"]),
    isAudited: true,
  },
  {
    name: "scratch space in files that are removed while they are open",
    wishes: FILES,
    code: () =>
      `export default () => {
        ${PAUSE}
        let written = 0;
        for (; written < 16; written++) {
          try {
            const file = Deno.openSync("f", { create: true, write: true });
            Deno.removeSync("f");
            file.writeSync(new Uint8Array(2 ** 20));
          } catch { break; }
          pause();
        }
        return written;
      };`,
    holds: staysWithinQuota,
  },
  {
    name: "scratch space below the longest path that can be named",
    wishes: FILES,
    code: () =>
      `export default () => {
        ${PAUSE}
        const [root, deep] = [Deno.cwd(), ("/" + "d".repeat(200)).repeat(17)];
        Deno.mkdirSync(root + "/far" + deep, { recursive: true });
        let written = 0;
        for (; written < 16; written++) {
          const name = "/n" + written;
          try {
            Deno.mkdirSync(root + name + deep, { recursive: true });
            Deno.writeFileSync(root + name + deep + "/f", new Uint8Array(2 ** 20));
            Deno.renameSync(root + name, root + "/far" + deep + name);
          } catch { break; }
          pause();
        }
        return written;
      };`,
    holds: staysWithinQuota,
  },
  {
    name: "a file in the place of the scratch folder",
    wishes: FILES,
    code: () =>
      `export default () => {
        ${PAUSE}
        const root = Deno.cwd();
        let written = 0;
        try {
          Deno.removeSync(root, { recursive: true });
          const file = Deno.openSync(root, { create: true, write: true });
          for (; written < 16; written++) { file.writeSync(new Uint8Array(2 ** 20)); pause(); }
        } catch { /* refused */ }
        return written;
      };`,
    holds: staysWithinQuota,
  },
];
