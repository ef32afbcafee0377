/**
 * The handlers of `rexec.WatchService`.
 * @module
 */

import type { handleServerStreamingCall } from "@grpc/grpc-js";
import type { ExecuteCustomTaskRequest } from "../../protos/generated/execution.ts";
import type { WatchCustomTaskResponse, WatchServiceServer } from "../../protos/generated/watch.ts";
import { answer, type CallWatch } from "./answered_calls.ts";
import { ConsoleFeed } from "./console_feed.ts";
import type { ExecutionServiceOptions } from "./execution_service.ts";
import type { OpenCalls } from "./open_calls.ts";
import { executeCustomTask } from "./task_calls.ts";

/** Builds the handlers. */
export function watchService(options: ExecutionServiceOptions, openCalls: OpenCalls): WatchServiceServer {
  return { watchCustomTask: watchCustomTask(options, { observer: options.observer, openCalls }) };
}

function watchCustomTask(
  options: ExecutionServiceOptions,
  watch: CallWatch,
): handleServerStreamingCall<ExecuteCustomTaskRequest, WatchCustomTaskResponse> {
  return async (call) => {
    const send = (event: WatchCustomTaskResponse["event"]) => void call.write({ event });
    using feed = new ConsoleFeed((output) => send({ $case: "console", value: output }));
    await answer("WatchCustomTask", watch, {
      call,
      handle: (request, of) => executeCustomTask(request, { ...of, onConsole: (text) => feed.add(text) }, options),
      reply(failure, response) {
        if (failure !== null) return void call.emit("error", failure);
        feed.flush();
        if (response) send({ $case: "response", value: response });
        call.end();
      },
    });
  };
}
