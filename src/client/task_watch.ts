/**
 * Tasks whose console is watched while they run.
 * @module
 */

import type { ExecuteCustomTaskResponse } from "../../protos/generated/execution.ts";
import type { WatchCustomTaskResponse } from "../../protos/generated/watch.ts";
import { contractError } from "./call.ts";
import type { ConsoleText } from "./call_options.ts";

/**
 * Tells what a task writes as it comes, and gives what the task came to.
 * @throws an error as grpc-js makes them, when the service ends the call without a response
 */
export async function watchTask(
  events: AsyncIterable<WatchCustomTaskResponse>,
  onConsole: (text: ConsoleText) => void,
): Promise<ExecuteCustomTaskResponse> {
  let response: ExecuteCustomTaskResponse | undefined;
  for await (const { event } of events) {
    if (event?.$case === "response") response = event.value; // And on to the call's end: leaving here would cancel it.
    if (event?.$case !== "console") continue;
    for (const { stream } of event.value.texts) {
      const text = { stdout: "", stderr: "" };
      if (stream !== undefined) text[stream.$case] = stream.value;
      tellConsole(text, onConsole);
    }
  }
  if (response === undefined) throw contractError("the service ended the call without a response");
  return response;
}

/** Tells of text, where there is any and somebody listens. */
export function tellConsole(
  { stdout, stderr }: ConsoleText,
  onConsole: ((text: ConsoleText) => void) | undefined,
): void {
  if (stdout !== "" || stderr !== "") onConsole?.({ stdout, stderr });
}
