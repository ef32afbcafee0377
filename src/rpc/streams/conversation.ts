/**
 * What the streaming calls have in common: a call on one side, a session on the other, and neither runs ahead of the
 * other for long.
 * @module
 */

import { status } from "@grpc/grpc-js";
import type { EventEmitter } from "node:events";
import { ExecutionStatus, FailureReason } from "../../../protos/generated/types.ts";
import { type ErrorCode, ServiceError } from "../../errors.ts";
import type { Executor, SessionRequest } from "../../execution/executor.ts";
import type { Session, SessionEnd, SessionOutput } from "../../execution/sessions/session.ts";
import type { Verdict } from "../../execution/verdict.ts";
import type { ExecutionReport } from "../../execution/task_run.ts";
import type { CallObserver } from "../answered_calls.ts";
import type { OpenCalls } from "../open_calls.ts";
import { statusName } from "../status.ts";
import type { MessageStream } from "./message_stream.ts";

/** What conversations work with. */
export interface ConversationContext {
  readonly executor: Executor;
  readonly observer: CallObserver;
  readonly openCalls: OpenCalls;
}

/** One message of the client, whichever call it came in. */
export type Incoming =
  | { readonly kind: "init"; readonly request: SessionRequest; readonly format: string | undefined }
  /** Goes on with a session that was opened by another call. */
  | { readonly kind: "attach"; readonly sessionId: string; readonly format: string }
  | { readonly kind: "data"; readonly sessionId?: string; readonly format?: string; readonly input: Uint8Array }
  | { readonly kind: "close"; readonly sessionId: string }
  /** A message that carries nothing. */
  | { readonly kind: "empty" };

/** How the service's side is written in one of the calls. */
export interface Dialect<Request> {
  readonly method: string;
  readonly read: (message: Request) => Incoming;
  /** The session is open. `undefined` where the call has no word for that. */
  readonly opened?: (session: Session) => Uint8Array;
  /** It could not be opened. */
  readonly refused: (report: Pick<ExecutionReport, "status" | "errorMessage" | "errorTraceback">) => Uint8Array;
  readonly output: (session: Session, output: SessionOutput) => Uint8Array;
  /** It failed. */
  readonly failed: (
    session: Session,
    verdict: Pick<Verdict, "failureReason" | "errorMessage" | "errorTraceback">,
  ) => Uint8Array;
  /** It is closed. `undefined` where the call's own end says so. */
  readonly closed?: (session: Session) => Uint8Array;
}

type State =
  | { readonly kind: "new" }
  | { readonly kind: "opening"; readonly abort: AbortController; isHalfClosed: boolean }
  | { readonly kind: "open"; readonly session: Session; readonly isOwner: boolean }
  | { readonly kind: "finishing"; readonly session: Session; readonly isOwner: boolean }
  | { readonly kind: "over" };

/** Errors of the service that its client hears of as a message of the call before the call fails. */
const UNPROMPTED: ReadonlySet<ErrorCode> = new Set(["DRAINING", "DEADLINE_EXCEEDED", "RATE_LIMITED"]);

/** One streaming call from its first message to its end. */
export class Conversation<Request> {
  readonly #context: ConversationContext;
  readonly #dialect: Dialect<Request>;
  readonly #stream: MessageStream<Request>;
  readonly #caller: string;
  #state: State = { kind: "new" };
  #format: string | undefined;
  #initTimer: ReturnType<typeof setTimeout> | undefined;

  private constructor(
    context: ConversationContext,
    dialect: Dialect<Request>,
    { stream, caller }: { readonly stream: MessageStream<Request>; readonly caller: string },
  ) {
    this.#context = context;
    this.#dialect = dialect;
    this.#stream = stream;
    this.#caller = caller;
  }

  /** Holds a conversation over a call. */
  static hold<Request>(
    context: ConversationContext,
    dialect: Dialect<Request>,
    of: { readonly call: EventEmitter; readonly stream: MessageStream<Request>; readonly caller: string },
  ): void {
    const conversation = new Conversation(context, dialect, of);
    context.openCalls.add(of.call);
    conversation.#awaitInit();
    of.stream.start({
      onMessage: (message) => conversation.#onMessage(message),
      onHalfClose: () => conversation.#onHalfClose(),
      onGone: () => conversation.#onGone(),
      onSent: () => conversation.#onSent(),
    });
  }

  /** A call that never says what it wants must not stay for ever. */
  #awaitInit(): void {
    const { idleTimeoutMs } = this.#context.executor.sessions;
    this.#initTimer = setTimeout(() => {
      const { method } = this.#dialect;
      const state = `no init came within sessions.idleTimeoutMs, ${idleTimeoutMs} ms`;
      this.#fail(new ServiceError("DEADLINE_EXCEEDED", `Cannot run ${method}: ${state}`));
    }, idleTimeoutMs);
  }

  #onMessage(message: Request): void {
    clearTimeout(this.#initTimer);
    try {
      const incoming = this.#dialect.read(message);
      if (this.#state.kind === "new") this.#begin(incoming);
      else this.#continue(incoming);
    } catch (error) {
      this.#fail(error);
    }
  }

  #begin(incoming: Incoming): void {
    switch (incoming.kind) {
      case "init":
        this.#format = incoming.format;
        return void this.#open(incoming.request);
      case "attach": {
        this.#format = incoming.format;
        return this.#attach(incoming.sessionId);
      }
      default:
        throw new ServiceError(
          "INVALID_ARGUMENT",
          `Cannot run ${this.#dialect.method}: its first message must be init`,
        );
    }
  }

  #continue(incoming: Incoming): void {
    const { method } = this.#dialect;
    if (this.#state.kind !== "open") {
      throw new ServiceError("INVALID_ARGUMENT", `Cannot run ${method}: a message came after the stream was closed`);
    }
    const { session } = this.#state;
    switch (incoming.kind) {
      case "init":
      case "attach":
        throw new ServiceError("INVALID_ARGUMENT", `Cannot run ${method}: a second init came`);
      case "empty":
        throw new ServiceError("INVALID_ARGUMENT", `Cannot run ${method}: a message came that carries nothing`);
      case "data": {
        this.#requireSession(session, incoming.sessionId);
        // That of the first input holds for all.
        this.#format ??= incoming.format ?? "";
        this.#context.observer.bytesReceived(incoming.input.length);
        session.process(incoming.input, this.#format);
        if (session.isFull) this.#stream.pause();
        return;
      }
      case "close":
        this.#requireSession(session, incoming.sessionId);
        return this.#finish();
    }
  }

  /** Clients may leave the name out: a call has but one session. */
  #requireSession({ id }: Session, named: string | undefined): void {
    if (named === undefined || named === "" || named === id) return;
    throw new ServiceError(
      "INVALID_ARGUMENT",
      `Cannot run ${this.#dialect.method}: session ${JSON.stringify(named.slice(0, 100))} is not this call's`,
    );
  }

  async #open(request: SessionRequest): Promise<void> {
    const abort = new AbortController();
    const opening: State = { kind: "opening", abort, isHalfClosed: false };
    this.#state = opening;
    this.#context.observer.bytesReceived(request.codePackage.length);
    // What follows waits with the client.
    this.#stream.pause();
    try {
      const of = { signal: abort.signal, caller: this.#caller };
      const { session, report } = await this.#context.executor.openSession(request, of);
      if (this.#isOver) return session?.cancel();
      if (session === undefined) {
        this.#stream.write(this.#dialect.refused(report));
        return this.#end();
      }
      this.#converse(session, true);
      if (this.#dialect.opened !== undefined) this.#stream.write(this.#dialect.opened(session));
      if (opening.isHalfClosed) this.#finish();
      else this.#stream.resume();
    } catch (error) {
      if (!this.#isOver) this.#fail(error);
    }
  }

  #attach(sessionId: string): void {
    const { executor } = this.#context;
    let session: Session;
    try {
      session = executor.sessions.find(sessionId, this.#caller);
    } catch (error) {
      if (!(error instanceof ServiceError) || error.code !== "NOT_FOUND") throw error;
      const { message: errorMessage } = error;
      this.#stream.write(this.#dialect.refused({ status: ExecutionStatus.ERROR, errorMessage, errorTraceback: "" }));
      return this.#end();
    }
    if (session.isAttached) {
      throw new ServiceError("INVALID_ARGUMENT", `Cannot stream: session "${sessionId}" has a stream already`);
    }
    this.#converse(session, false);
  }

  /** Ties the session's ends to this call's. */
  #converse(session: Session, isOwner: boolean): void {
    this.#state = { kind: "open", session, isOwner };
    session.onRoom = () => this.#stream.resume();
    session.onOutput = (output) => {
      this.#context.observer.bytesSent(output.output.length);
      this.#stream.write(this.#dialect.output(session, output));
      if (this.#isBehind) this.#hold(session);
    };
    session.onFailure = (verdict) => {
      if (isOwner) return false;
      session.detach();
      this.#stream.write(this.#dialect.failed(session, verdict));
      this.#end();
      return true;
    };
    session.onEnd = (end) => this.#onSessionEnd(session, end);
    // It ended while nobody heard of it yet.
    if (session.isOver) void session.ended.then((end) => this.#onSessionEnd(session, end));
  }

  get #isBehind(): boolean {
    return this.#stream.unreadBytes > this.#context.executor.sessions.unreadLimitBytes;
  }

  get #isOver(): boolean {
    return this.#state.kind === "over";
  }

  #hold(session: Session): void {
    session.hold(true);
    this.#stream.awaitSent();
  }

  /** @returns whether the client is still behind */
  #onSent(): boolean {
    const state = this.#state;
    if (state.kind !== "open" && state.kind !== "finishing") return false;
    if (this.#isBehind) return true;
    state.session.hold(false);
    return false;
  }

  #onHalfClose(): void {
    switch (this.#state.kind) {
      case "new":
        return this.#fail(
          new ServiceError("INVALID_ARGUMENT", `Cannot run ${this.#dialect.method}: the stream ended before its init`),
        );
      case "opening":
        this.#state.isHalfClosed = true;
        return;
      case "open":
        return this.#finish();
    }
  }

  /** The client has no more inputs. */
  #finish(): void {
    if (this.#state.kind !== "open") return;
    const { session, isOwner } = this.#state;
    this.#state = { kind: "finishing", session, isOwner };
    if (isOwner) return session.finish(this.#format ?? "");
    session.flush(this.#format ?? "", () => {
      session.detach();
      this.#end();
    });
  }

  #onGone(): void {
    clearTimeout(this.#initTimer);
    const state = this.#state;
    this.#state = { kind: "over" };
    this.#context.observer.requestEnded(this.#dialect.method, "CANCELLED");
    if (state.kind === "opening") state.abort.abort();
    if (state.kind !== "open" && state.kind !== "finishing") return;
    const { session, isOwner } = state;
    if (isOwner) session.cancel();
    else this.#leave(session);
  }

  /** The session goes on without this call. */
  #leave(session: Session): void {
    session.detach();
    // What a generator over the inputs has under way ends with them; nobody wants its outputs.
    session.flush(this.#format ?? "", () => {});
  }

  #onSessionEnd(session: Session, end: SessionEnd): void {
    if (this.#isOver) return;
    switch (end.kind) {
      case "closed":
        if (this.#dialect.closed !== undefined) this.#stream.write(this.#dialect.closed(session));
        return this.#end();
      case "failed":
        this.#stream.write(this.#dialect.failed(session, end.verdict));
        return this.#end();
      case "ended": {
        const { error } = end;
        if (UNPROMPTED.has(error.code)) {
          this.#stream.write(this.#dialect.failed(session, {
            failureReason: FailureReason.UNSPECIFIED,
            errorMessage: error.message,
          }));
        }
        return this.#fail(error);
      }
      case "cancelled":
        return this.#fail(new ServiceError("CANCELLED", "Session ended: a call of it was cancelled"));
    }
  }

  #end(): void {
    this.#state = { kind: "over" };
    this.#context.observer.requestEnded(this.#dialect.method, statusName(status.OK));
    this.#stream.end();
  }

  #fail(error: unknown): void {
    clearTimeout(this.#initTimer);
    const state = this.#state;
    this.#state = { kind: "over" };
    const code = this.#stream.fail(error, this.#dialect.method);
    this.#context.observer.requestEnded(this.#dialect.method, statusName(code));
    if (state.kind === "opening") state.abort.abort();
    if (state.kind !== "open" && state.kind !== "finishing") return;
    if (state.isOwner) state.session.cancel();
    else this.#leave(state.session);
  }
}
