/**
 * Entry of the Web Worker that installs packages: its host has network to one registry, and it runs nothing of what it gets.
 * It takes one task, like a worker of user code, and is locked like one: what it reads was written by strangers.
 *
 * @module
 */

import "./capture_network.ts";
import { exposeGrants } from "./harden.ts";
import { encodeInstallAnswer, type InstallRequest } from "./install_protocol.ts";
import { declaredRequirements } from "./package/mod.ts";
import { installNpm } from "./package/npm/install.ts";
import { installPython } from "./package/python/install.ts";
import { decodeJsonPayload, type PackageOptions, type PackageTask } from "./protocol.ts";
import { TaskError } from "./task_error.ts";
import { serveTask } from "./task_service.ts";

const NOTHING = new Uint8Array();

serveTask({
  run: install,
  open: () => Promise.reject(new TaskError("INVALID_TASK", "Cannot open stream: this sandbox installs packages")),
  warmUp: () => Promise.resolve(),
});

async function install({ options, input, codePackage, maxOutputBytes }: PackageTask): Promise<Uint8Array> {
  // Written by the server, which we trust.
  const request = decodeJsonPayload(input) as InstallRequest;
  const { egress, environment } = options;
  const caCerts = request.kind === "requirements" ? [] : request.caCerts;
  exposeGrants({ environment, ...(egress === undefined ? {} : { egress: { ...egress, caCerts } }) });
  const { lines, layer } = await answerTo(request, { codePackage, options });
  const answer = encodeInstallAnswer({ lines }, layer);
  if (answer.length > maxOutputBytes) {
    throw new TaskError(
      "RESOURCE_LIMIT",
      `Cannot install packages: together they have ${answer.length} bytes, allowed are ${maxOutputBytes}`,
    );
  }
  return answer;
}

async function answerTo(
  request: InstallRequest,
  { codePackage, options }: Pick<PackageTask, "codePackage" | "options">,
): Promise<{ readonly lines: readonly string[]; readonly layer: Uint8Array }> {
  switch (request.kind) {
    case "npm":
      return await installNpm(request, globalThis.fetch);
    case "python":
      return await installPython(request, globalThis.fetch);
    case "requirements":
      return { lines: declaredRequirements(codePackage, packageLimits(options)), layer: NOTHING };
  }
}

function packageLimits({ maxPackageBytes, maxUnpackedBytes, maxFiles }: PackageOptions) {
  return { maxCompressedBytes: maxPackageBytes, maxUnpackedBytes, maxFiles };
}
