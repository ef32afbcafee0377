/**
 * Entry of a Web Worker that may write to one folder and do nothing else: it stands in for a sandbox host that was
 * started with all rights, as a compiled program is, and has given them up.
 *
 * @module
 */

import { writeFiles } from "./write_files.ts";

/** What the host asks of it, once. */
export interface WriteRequest {
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly directory: string;
}

// The worker's scope lies outside the types of a window.
const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<WriteRequest>) => void;
  postMessage(message: unknown): void;
  close(): void;
};

scope.onmessage = ({ data: { files, directory } }) => {
  scope.postMessage(writeFiles(files, directory));
  scope.close();
};
scope.postMessage("ready");
