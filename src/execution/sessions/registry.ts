/**
 * All open streams and sessions of objects.
 * @module
 */

import type { SessionInfo } from "../../../protos/generated/execution.ts";
import type { SessionOptions as SessionLimits } from "../../config/schema.ts";
import { ServiceError } from "../../errors.ts";
import { serviceLogger } from "../../logging/mod.ts";
import type { Session } from "./session.ts";

const logger = serviceLogger("execution", "sessions");

/** Ends that are remembered, so that who asks for a session that is gone hears why. */
const MAX_REMEMBERED = 1_000;
/** Idle and absolute limits are looked at so many times in the shorter of them, but not less often than each second. */
const LOOKS_PER_LIMIT = 10;
const MAX_LOOK_INTERVAL_MS = 1_000;
const MIN_LOOK_INTERVAL_MS = 5;

/** Keeps sessions by id, ends those whose time is up. Owned by the executor. */
export class Sessions implements Disposable {
  readonly #limits: SessionLimits;
  readonly #open = new Map<string, Session>();
  readonly #perCaller = new Map<string, number>();
  /** Why sessions that are gone have ended, with whose they were; the oldest first. */
  readonly #gone = new Map<string, { readonly caller: string; readonly reason: string }>();
  readonly #onEmpty: () => void;
  #opening = 0;
  /** What sessions of objects end with as soon as they have nothing to do. */
  #idleError: ServiceError | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param onEmpty called when the last one has ended, and none is about to be opened */
  constructor(limits: SessionLimits, onEmpty: () => void) {
    this.#limits = limits;
    this.#onEmpty = onEmpty;
  }

  /** How many are open. */
  get size(): number {
    return this.#open.size;
  }

  /** Whether none is open, or about to be. */
  get isEmpty(): boolean {
    return this.#open.size + this.#opening === 0;
  }

  /** How long a session, or a call that is to open one, may go without a word, in milliseconds. */
  get idleTimeoutMs(): number {
    return this.#limits.idleTimeoutMs;
  }

  /** Bytes of outputs that a caller may leave unread. */
  get unreadLimitBytes(): number {
    return this.#limits.unreadKb * 1024;
  }

  /**
   * Takes a place for a session that is about to be opened.
   *
   * @returns gives the place back, whether or not the session has come to be
   * @throws {ServiceError} `QUEUE_FULL` when as many are open as may be
   */
  reserve(caller: string): () => void {
    const { maxSessions, maxPerCaller } = this.#limits;
    const all = this.#open.size + this.#opening;
    if (all >= maxSessions) throw tooMany(`${all} are open, sessions.maxSessions is ${maxSessions}`);
    const own = this.#perCaller.get(caller) ?? 0;
    if (own >= maxPerCaller) {
      throw tooMany(`caller "${caller}" has ${own} open, sessions.maxPerCaller is ${maxPerCaller}`);
    }
    this.#opening++;
    this.#perCaller.set(caller, own + 1);
    let isReserved = true;
    return () => {
      if (!isReserved) return;
      isReserved = false;
      this.#opening--;
      const left = (this.#perCaller.get(caller) ?? 1) - 1;
      if (left > 0) this.#perCaller.set(caller, left);
      else this.#perCaller.delete(caller);
      if (this.isEmpty) this.#onEmpty();
    };
  }

  /** Keeps a session until it ends. @param release gives back the place that was taken for it */
  add(session: Session, release: () => void): void {
    this.#open.set(session.id, session);
    // From here on it counts as open, not as opening.
    this.#opening--;
    session.onIdle = () => this.#endIfIdle(session);
    this.#watch();
    void session.ended.then((end) => {
      this.#open.delete(session.id);
      const reason = end.kind === "ended" ? end.error.message : GONE[end.kind];
      this.#remember(session, reason);
      const facts = { session: session.id, caller: session.caller, node_type: session.nodeType, reason };
      if (end.kind === "ended") logger.info("Session {session} ended: {reason}", facts);
      else logger.debug("Session {session} ended: {reason}", facts);
      if (this.#open.size === 0) this[Symbol.dispose]();
      this.#opening++;
      release();
    });
  }

  /**
   * Finds a session of a caller's.
   * @throws {ServiceError} `NOT_FOUND`, `Session not found` with the reason where it is known; others' sessions are not found
   */
  find(id: string, caller: string): Session {
    const session = this.#open.get(id);
    if (session !== undefined && session.caller === caller && !session.isOver) return session;
    const gone = this.#gone.get(id);
    const why = gone?.caller === caller ? `; ${gone.reason}` : "";
    throw new ServiceError("NOT_FOUND", `Session not found: ${JSON.stringify(id.slice(0, 100))}${why}`);
  }

  /** What GetStatus tells of them. @param caller whose are told; `undefined` for all */
  list(caller: string | undefined): SessionInfo[] {
    const told = [...this.#open.values()].filter((session) => caller === undefined || session.caller === caller);
    return told.map((session) => ({
      sessionId: session.id,
      nodeType: session.nodeType,
      createdTimestamp: session.createdAt,
      lastActivity: session.lastActivityTimestamp,
      processedItems: session.totals.items,
      caller: session.caller,
    }));
  }

  /**
   * Ends objects that are only kept for calls that will not be admitted: now, or when what waits for them or runs on
   * them is done.
   */
  endIdle(error: ServiceError): void {
    this.#idleError = error;
    for (const session of this.#open.values()) this.#endIfIdle(session);
  }

  /** Ends all. @returns how many there were */
  endAll(error: ServiceError): number {
    const all = [...this.#open.values()];
    for (const session of all) session.fail(error);
    return all.length;
  }

  /** Stops watching. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #endIfIdle(session: Session): void {
    if (this.#idleError === undefined || !session.isObject || session.isBusy || session.isAttached) return;
    session.fail(this.#idleError);
  }

  #watch(): void {
    const { idleTimeoutMs, maxDurationMs } = this.#limits;
    const shorterMs = Math.min(idleTimeoutMs, maxDurationMs) / LOOKS_PER_LIMIT;
    const intervalMs = Math.min(MAX_LOOK_INTERVAL_MS, Math.max(MIN_LOOK_INTERVAL_MS, shorterMs));
    this.#timer ??= setInterval(() => this.#look(), intervalMs);
  }

  #look(): void {
    const { idleTimeoutMs, maxDurationMs } = this.#limits;
    const now = performance.now();
    for (const session of this.#open.values()) {
      if (now - session.openedAt >= maxDurationMs) {
        session.fail(timeUp(`it was open for sessions.maxDurationMs, ${maxDurationMs} ms`));
      } else if (now - session.lastActivityAt < idleTimeoutMs) {
        continue;
      } else if (session.isHeld) {
        session.fail(timeUp(`its outputs were not read for sessions.idleTimeoutMs, ${idleTimeoutMs} ms`));
      } else if (!session.isBusy) {
        session.fail(timeUp(`it was without an input for sessions.idleTimeoutMs, ${idleTimeoutMs} ms`));
      }
    }
  }

  #remember({ id, caller }: Session, reason: string): void {
    this.#gone.set(id, { caller, reason });
    if (this.#gone.size <= MAX_REMEMBERED) return;
    const [oldest] = this.#gone.keys();
    if (oldest !== undefined) this.#gone.delete(oldest);
  }
}

const GONE = {
  closed: "it was closed",
  failed: "its code failed or was stopped",
  cancelled: "a call of it was cancelled",
} as const;

function tooMany(state: string): ServiceError {
  return new ServiceError("QUEUE_FULL", `Cannot open session: ${state}`);
}

function timeUp(state: string): ServiceError {
  return new ServiceError("DEADLINE_EXCEEDED", `Session ended: ${state}`);
}
