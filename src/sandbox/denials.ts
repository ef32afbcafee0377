/**
 * What a task asked for and was not allowed: read from the audit that Deno writes of every permission that is checked
 * (`DENO_AUDIT_PERMISSIONS`, lines of JSON). It shows what user code tried even where that caught the error.
 *
 * @module
 */

import { resolve } from "node:path/posix";
import { z } from "zod";
import type { HostPaths } from "./host_paths.ts";

/** Bytes that are read at once. */
const CHUNK_BYTES = 256 * 1024;
/** Above this length the file is emptied once it has been read: a task that works with many files must not fill the disk. */
const EMPTY_ABOVE_BYTES = 1024 * 1024;
/** What may lie unread before it counts as a flood. */
const MAX_UNREAD_BYTES = 8 * 1024 * 1024;
/** A task with more denials does nothing but try. */
const MAX_DENIED = 20_000;
/** Targets that are told of one task; the others are only counted. */
const MAX_TARGETS = 20;
const MAX_TARGET_LENGTH = 300;
const LINE_FEED = 10;

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
  /** How far it has been read, in bytes. */
  #offset = 0;
  #denials = new Map<string, Denial>();
  /** Denials of targets that are not told. */
  #others = 0;
  #denied = 0;
  #unreadBytes = 0;

  /** @param file where it lies outside of the jail */
  constructor(file: string, { inside, workingDirectory, isNetPermitted }: GrantedAccess) {
    this.#file = file;
    const own = [inside.code, inside.scratch, inside.egress].filter((path) => path !== null);
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
    this.#offset = this.#size();
    this.#denials = new Map();
    this.#others = 0;
    this.#denied = 0;
  }

  /** Reads what has come since. Called while a task runs, so that nothing piles up. */
  collect(): void {
    const size = this.#size();
    if (size > this.#offset) this.#take(this.#read());
    this.#unreadBytes = Math.max(0, size - this.#offset);
    if (this.#offset < EMPTY_ABOVE_BYTES || this.#unreadBytes > 0) return;
    try {
      // Deno appends: what it writes next is at the start.
      Deno.truncateSync(this.#file);
      this.#offset = 0;
    } catch {
      // Gone with its host.
    }
  }

  /** Whether so much was tried that it can only be to do harm. */
  get isFlooded(): boolean {
    return this.#denied > MAX_DENIED || this.#unreadBytes > MAX_UNREAD_BYTES;
  }

  /** What was denied since {@linkcode begin}, the same accesses together; of many, the first and how many others. */
  read(): Denial[] {
    this.collect();
    const all = [...this.#denials.values()];
    return this.#others === 0 ? all : [...all, { permission: "any", target: "other targets", count: this.#others }];
  }

  #take(text: string): void {
    for (const line of text.split("\n")) {
      const entry = parse(line);
      if (entry === undefined) continue;
      const target = (entry.value ?? "").slice(0, MAX_TARGET_LENGTH);
      if (this.#isGranted(entry.permission, target)) continue;
      this.#denied++;
      const key = `${entry.permission} ${target}`;
      const count = (this.#denials.get(key)?.count ?? 0) + 1;
      if (count === 1 && this.#denials.size >= MAX_TARGETS) this.#others++;
      else this.#denials.set(key, { permission: entry.permission, target, count });
    }
  }

  #size(): number {
    try {
      return Deno.statSync(this.#file).size;
    } catch {
      return 0;
    }
  }

  /** The next whole lines. */
  #read(): string {
    const bytes = new Uint8Array(CHUNK_BYTES);
    try {
      using file = Deno.openSync(this.#file);
      file.seekSync(this.#offset, Deno.SeekMode.Start);
      const count = file.readSync(bytes) ?? 0;
      const end = bytes.lastIndexOf(LINE_FEED, count - 1) + 1;
      // A line that fills all of it is none of Deno's: passed over.
      const whole = end === 0 && count === CHUNK_BYTES ? count : end;
      this.#offset += whole;
      return new TextDecoder().decode(bytes.subarray(0, whole));
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
