/**
 * What a task asked for and was not allowed: read from the audit that Deno writes of every permission that is checked
 * (`DENO_AUDIT_PERMISSIONS`, lines of JSON). It shows what user code tried even where that caught the error.
 *
 * @module
 */

import { resolve } from "node:path/posix";
import { z } from "zod";
import type { HostPaths } from "./host_paths.ts";

/** A file of this length means that a task does nothing but try; see {@linkcode DenialAudit.isFlooded}. */
const FLOOD_BYTES = 4 * 1024 * 1024;
/** Bytes of it that are read. */
const READ_BYTES = 64 * 1024;
/** Targets that are told of one task; the others are only counted. */
const MAX_TARGETS = 20;
const MAX_TARGET_LENGTH = 300;

/** An access that was denied. */
export interface Denial {
  /** The permission, by Deno's name: `read`, `net`, `import` and so on. */
  readonly permission: string;
  /** What was asked for. Untrusted text, bounded. */
  readonly target: string;
  /** How often it was asked for. */
  readonly count: number;
}

/** What is no denial. */
export interface GrantedAccess {
  /** What the host sees, to tell its own business from the task's. */
  readonly inside: HostPaths;
  /** Where in the scratch folder the task starts, and stays. */
  readonly workingDirectory: string;
  readonly isNetPermitted: (target: string) => boolean;
}

const Entry = z.object({ permission: z.string().max(32), value: z.string().nullish() });

/** The audit file of one host. */
export class DenialAudit {
  readonly #file: string;
  readonly #isGranted: (permission: string, target: string) => boolean;
  #start = 0;

  /** @param file where it lies outside of the jail */
  constructor(file: string, { inside, workingDirectory, isNetPermitted }: GrantedAccess) {
    this.#file = file;
    const own = [inside.code, inside.scratch].filter((path) => path !== null);
    const directory = inside.scratch === null ? "/" : `${inside.scratch}/${workingDirectory}`;
    this.#isGranted = (permission, target) => {
      if (permission === "net") return isNetPermitted(target);
      if (permission !== "read" && permission !== "write") return false;
      const path = resolve(directory, target);
      return own.some((folder) => path === folder || path.startsWith(`${folder}/`));
    };
  }

  /** What comes from now on is the task's. */
  begin(): void {
    this.#start = this.#size();
  }

  /** Whether so much was tried that it can only be to do harm. */
  get isFlooded(): boolean {
    return this.#size() - this.#start > FLOOD_BYTES;
  }

  /** What was denied since {@linkcode begin}, the same accesses together; of many, the first and how many others. */
  read(): Denial[] {
    const denials = new Map<string, Denial>();
    let others = 0;
    for (const line of this.#text().split("\n")) {
      const entry = parse(line);
      if (entry === undefined) continue;
      const target = (entry.value ?? "").slice(0, MAX_TARGET_LENGTH);
      if (this.#isGranted(entry.permission, target)) continue;
      const key = `${entry.permission} ${target}`;
      const count = (denials.get(key)?.count ?? 0) + 1;
      if (count === 1 && denials.size >= MAX_TARGETS) others++;
      else denials.set(key, { permission: entry.permission, target, count });
    }
    const all = [...denials.values()];
    return others === 0 ? all : [...all, { permission: "any", target: "other targets", count: others }];
  }

  #size(): number {
    try {
      return Deno.statSync(this.#file).size;
    } catch {
      return 0;
    }
  }

  #text(): string {
    const bytes = new Uint8Array(READ_BYTES);
    try {
      using file = Deno.openSync(this.#file);
      file.seekSync(this.#start, Deno.SeekMode.Start);
      return new TextDecoder().decode(bytes.subarray(0, file.readSync(bytes) ?? 0));
    } catch {
      // Gone with its host.
      return "";
    }
  }
}

/** A line of the audit; one that was cut off, or is none, is passed over. */
function parse(line: string): z.output<typeof Entry> | undefined {
  try {
    return Entry.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}
