/**
 * Entry of a Web Worker that may write to one folder and do nothing else: it stands in for a sandbox host that was
 * started with all rights, as a compiled program is, and has given them up.
 *
 * @module
 */

import { isFilesToWrite, writeFiles } from "./write_files.ts";

// The worker's scope lies outside the types of a window.
const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<{ readonly message: unknown; readonly directory: string }>) => void;
  postMessage(message: unknown): void;
  close(): void;
};

scope.onmessage = ({ data: { message, directory } }) => {
  scope.postMessage(isFilesToWrite(message) ? writeFiles(message, directory) : { filesError: "malformed message" });
  scope.close();
};
scope.postMessage("ready");
