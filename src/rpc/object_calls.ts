/**
 * ExecuteObjectMethod: calls of a user's object, which stays in a session between them.
 * @module
 */

import type { ExecuteObjectMethodRequest, ExecuteObjectMethodResponse } from "../../protos/generated/execution.ts";
import { ExecutionStatus, FailureReason } from "../../protos/generated/types.ts";
import { ServiceError } from "../errors.ts";
import type { Executor } from "../execution/executor.ts";
import type { Session } from "../execution/sessions/session.ts";
import type { ExecutionReport } from "../execution/task_run.ts";
import type { Verdict } from "../execution/verdict.ts";
import type { CallContext } from "./answered_calls.ts";

const NOTHING = new Uint8Array();

/**
 * Calls a method of an object: a new one, for which a session is opened, or that of a session. Without a method's name a
 * session is only opened, or only closed. A session ends with its object's `cleanup`, and with a first call that is
 * refused.
 * @throws {ServiceError} as opening a session does
 */
export async function executeObjectMethod(
  request: ExecuteObjectMethodRequest,
  of: CallContext,
  executor: Executor,
): Promise<ExecuteObjectMethodResponse> {
  const { objectSpecifier, config, methodArgsData, serializationFormat, close } = request;
  const isNew = objectSpecifier?.$case === "codePackage";
  // Versions of the SDK open a session by one or the other; both have been done when there is an object.
  const methodName = isNew && request.methodName === "__init__" ? "initialize" : request.methodName;
  if (objectSpecifier === undefined) {
    throw new ServiceError("INVALID_ARGUMENT", "Cannot call method: neither code_package nor session_id is given");
  }
  if (methodName === "" && !close && objectSpecifier.$case === "sessionId") {
    throw new ServiceError("INVALID_ARGUMENT", "Cannot call method: method_name is empty");
  }
  let session: Session;
  if (objectSpecifier.$case === "sessionId") {
    try {
      session = executor.sessions.find(objectSpecifier.value, of.caller);
    } catch (error) {
      if (error instanceof ServiceError && error.code === "NOT_FOUND") return notFound(error.message);
      throw error;
    }
  } else {
    const opening = await executor.openSession({
      mode: "object",
      staysOpen: true,
      nodeType: "custom",
      config: new Map(Object.entries(config)),
      codePackage: objectSpecifier.value,
      entryPoint: request.entryPoint,
      options: request.options,
    }, of);
    if (opening.session === undefined) return toResponse(opening.report);
    session = opening.session;
    if (of.signal.aborted) session.cancel();
  }
  const answer = methodName === ""
    ? SUCCESS
    : await callMethod(session, { methodName, methodArgsData, serializationFormat }, of);
  // Who is told nothing but an error does not keep the id.
  const isRefused = isNew && answer.failureReason === FailureReason.INVALID_TASK;
  if ((close || isRefused) && !session.isOver) {
    session.close();
    await session.ended;
    return { ...answer, ...joined(answer, session.takeConsole()), sessionId: "" };
  }
  if (!session.isOver) return { ...answer, sessionId: session.id };
  // Whoever asks for it next hears why it is gone.
  await session.ended;
  return answer;
}

async function callMethod(
  session: Session,
  { methodName, methodArgsData, serializationFormat }: Pick<
    ExecuteObjectMethodRequest,
    "methodName" | "methodArgsData" | "serializationFormat"
  >,
  { signal }: CallContext,
): Promise<ExecuteObjectMethodResponse> {
  const { verdict, metrics, stdout, stderr } = await session.call(
    methodName,
    methodArgsData,
    serializationFormat,
    signal,
  );
  return toResponse({ ...verdict, metrics, stdout, stderr });
}

const SUCCESS: ExecuteObjectMethodResponse = {
  status: ExecutionStatus.SUCCESS,
  resultData: NOTHING,
  errorMessage: "",
  errorTraceback: "",
  sessionId: "",
  metrics: undefined,
  stdout: "",
  stderr: "",
  failureReason: FailureReason.UNSPECIFIED,
};

function notFound(errorMessage: string): ExecuteObjectMethodResponse {
  return {
    ...SUCCESS,
    status: ExecutionStatus.ERROR,
    errorMessage,
    failureReason: FailureReason.INVALID_TASK,
  };
}

/** What a call came to, or the opening before it; of no session yet. */
function toResponse(
  { status, failureReason, errorMessage = "", errorTraceback = "", output = NOTHING, metrics, stdout, stderr }:
    & Verdict
    & Pick<ExecutionReport, "metrics" | "stdout" | "stderr">,
): ExecuteObjectMethodResponse {
  return {
    status,
    resultData: output,
    errorMessage,
    errorTraceback,
    sessionId: "",
    metrics,
    stdout,
    stderr,
    failureReason,
  };
}

/** The console of a call and of what cleaning up wrote after it. */
function joined(
  answer: { readonly stdout: string; readonly stderr: string },
  after: { readonly stdout: string; readonly stderr: string },
): { stdout: string; stderr: string } {
  return { stdout: answer.stdout + after.stdout, stderr: answer.stderr + after.stderr };
}
