/**
 * What a task asked for and was not allowed: read from the audit that Deno writes of every permission that is checked
 * (`DENO_AUDIT_PERMISSIONS`, lines of JSON). It shows what user code tried even where that caught the error.
 *
 * @module
 */

import { resolve } from "node:path/posix";
import { z } from "zod";
import type { HostPaths } from "./host_paths.ts";

/** Denials of this length together mean that a task does nothing but try; see {@linkcode DenialAudit.isFlooded}. */
const FLOOD_BYTES = 4 * 1024 * 1024;
/** Of what is written, granted or not, the most that may be unread: more means that reading cannot keep up. */
const MAX_UNREAD_BYTES = 16 * 1024 * 1024;
/** Above this length the file is emptied once it has been read: a task that works with many files must not fill the disk. */
const EMPTY_ABOVE_BYTES = 1024 * 1024;
/** Bytes that are read at once. */
const READ_BYTES = 256 * 1024;
/** Longest line that is kept to be parsed. A longer one counts as a denial, since nobody knows what it hides. */
const MAX_LINE_LENGTH = 64 * 1024;
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
  /** Paths of modules that the host itself loads for its task, each once, as it sees them. */
  readonly ownReads: readonly string[];
}

const Entry = z.object({ permission: z.string().max(32), value: z.string().nullish() });

/** The audit file of one host, kept open: it is read after each task, whose answer waits for that. */
export class DenialAudit implements Disposable {
  readonly #path: string;
  #file: Deno.FsFile | undefined;
  readonly #block = new Uint8Array(READ_BYTES);
  readonly #isGranted: (permission: string, target: string) => boolean;
  readonly #decoder = new TextDecoder();
  /** How far it has been read. */
  #position = 0;
  /** The line that has begun, and whether it is too long already. */
  #rest = "";
  #skipping = false;
  /** Whether the file has been emptied since the last line: Deno writes a line in pieces, and its first ones may be gone. */
  #isTorn = false;
  /** What the host itself still has to read, each once. */
  readonly #ownReads: Set<string>;
  #denials = new Map<string, Denial>();
  #others = 0;
  #deniedBytes = 0;
  #unreadBytes = 0;

  /** @param file where it lies outside of the jail */
  constructor(file: string, { inside, workingDirectory, isNetPermitted, ownReads }: GrantedAccess) {
    this.#path = file;
    this.#ownReads = new Set(ownReads);
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
    this.#position = this.#seekEnd();
    this.#rest = "";
    this.#skipping = false;
    this.#isTorn = false;
    this.#denials = new Map();
    this.#others = 0;
    this.#deniedBytes = 0;
    this.#unreadBytes = 0;
  }

  /** Whether so much was tried that it can only be to do harm, as far as it has been read. */
  get isFlooded(): boolean {
    return this.#deniedBytes > FLOOD_BYTES || this.#unreadBytes > MAX_UNREAD_BYTES;
  }

  /** What was denied since {@linkcode begin}, the same accesses together; of many, the first and how many others. */
  read(): Denial[] {
    while (this.#deniedBytes <= FLOOD_BYTES && this.advance());
    // What is left is a line that is being written.
    const all = [...this.#denials.values()];
    return this.#others === 0 ? all : [...all, { permission: "any", target: "other targets", count: this.#others }];
  }

  /** To be called right after it was read to its end: what is written in between is lost. */
  #empty(): void {
    if (this.#position < EMPTY_ABOVE_BYTES || this.#rest !== "") return;
    try {
      // Deno appends: what it writes next is at the start.
      this.#open().truncateSync(0);
      this.#open().seekSync(0, Deno.SeekMode.Start);
      this.#position = 0;
      this.#isTorn = true;
    } catch {
      // Gone with its host.
    }
  }

  #take(line: string): void {
    if (line === "") return;
    const isLong = this.#skipping || line.length > MAX_LINE_LENGTH;
    const entry = isLong ? undefined : parse(line);
    const isRemainder = this.#isTorn && !isLong && entry === undefined;
    this.#isTorn = false;
    if (isRemainder) return;
    const permission = entry?.permission ?? "any";
    const value = entry === undefined ? "an entry that cannot be read" : entry.value ?? "";
    if (entry !== undefined && this.#isGranted(permission, value)) return;
    if (permission === "read" && this.#ownReads.delete(value)) return;
    this.#deniedBytes += line.length;
    const target = value.slice(0, MAX_TARGET_LENGTH);
    const key = `${permission} ${target}`;
    const count = (this.#denials.get(key)?.count ?? 0) + 1;
    if (count === 1 && this.#denials.size >= MAX_TARGETS) this.#others++;
    else this.#denials.set(key, { permission, target, count });
  }

  [Symbol.dispose](): void {
    this.#file?.close();
    this.#file = undefined;
  }

  /** @throws {Error} when it is gone with its host */
  #open(): Deno.FsFile {
    return this.#file ??= Deno.openSync(this.#path, { read: true, write: true });
  }

  #seekEnd(): number {
    try {
      return this.#open().seekSync(0, Deno.SeekMode.End);
    } catch {
      return 0;
    }
  }

  /** Reads the next piece, while the task runs too, so that nothing piles up. @returns whether there was one */
  advance(): boolean {
    let count: number | null;
    try {
      count = this.#open().readSync(this.#block);
      this.#position += count ?? 0;
      const isAll = count === null || count < this.#block.length;
      this.#unreadBytes = isAll ? 0 : this.#open().statSync().size - this.#position;
    } catch {
      // Gone with its host.
      return false;
    }
    if (count === null || count === 0) {
      this.#empty();
      return false;
    }
    const bytes = this.#block.subarray(0, count);
    const [first = "", ...lines] = this.#decoder.decode(bytes, { stream: true }).split("\n");
    this.#rest += first;
    for (const line of lines) {
      this.#take(this.#rest);
      this.#skipping = false;
      this.#rest = line;
    }
    if (this.#rest.length > MAX_LINE_LENGTH) {
      this.#skipping = true;
      this.#rest = this.#rest.slice(0, 1);
    }
    return true;
  }
}

/** A line of the audit; `undefined` for what is none. */
function parse(line: string): z.output<typeof Entry> | undefined {
  try {
    return Entry.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}
