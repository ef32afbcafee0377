/**
 * Options by which a command asks for what the service's policy may grant to user code.
 * @module
 */

import { parseEnv } from "node:util";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { PackageManifest, RequestedGrants } from "../client/mod.ts";
import { hostRuleFault } from "../sandbox/egress/rules.ts";
import { UsageError } from "./errors.ts";
import { readFile, type Session } from "./session.ts";
import { collect } from "./task_options.ts";

/** Stands for all hosts that the policy grants. */
const ALL_HOSTS = "*";

/** What {@linkcode addGrantOptions} adds, as commander gives it. */
export interface GrantOptions {
  /** Hosts, or `*`; absent without the flag. */
  readonly allowNet?: readonly string[];
  readonly allowFiles?: boolean;
  readonly workdir?: string;
  /** `NAME=VALUE` or `NAME`. */
  readonly env?: readonly string[];
  readonly envFile?: readonly string[];
}

/** Adds network, files and environment to a command. */
export function addGrantOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--allow-net [hosts]", "ask for the network: for these hosts, or for all that the policy grants")
        .preset(ALL_HOSTS).argParser(collectHosts),
    )
    .option("--allow-files", "ask for a private scratch folder, deleted with the task")
    .option("--workdir <path>", "folder within the scratch folder that the task starts in")
    .option("--env <NAME=VALUE>", "environment variable of the task, repeatable; NAME alone takes yours", collect)
    .option("--env-file <file>", "file of such variables (NAME=VALUE lines), repeatable; --env wins", collect);
}

/**
 * What the request asks for.
 * @throws {UsageError} for what cannot be meant. No message holds a variable's value: it may be a secret
 */
export async function grantsOf(options: GrantOptions, session: Session): Promise<RequestedGrants> {
  const { allowNet = [], allowFiles = false, workdir } = options;
  if (workdir !== undefined && !allowFiles) {
    throw new UsageError("--workdir needs --allow-files, which gives the task a folder to work in");
  }
  return {
    enableNetworking: allowNet.length > 0,
    networkHosts: allowNet.includes(ALL_HOSTS) ? [] : allowNet,
    enableFilesystem: allowFiles,
    workingDirectory: workdir,
    environment: await environmentOf(options, session),
  };
}

/** The same for the package's manifest, which says what its author expects to need, and grants nothing. */
export function permissionsOf(
  { enableNetworking, networkHosts = [], enableFilesystem, environment = {} }: RequestedGrants,
): PackageManifest {
  const permissions = {
    ...(enableNetworking ? { net: networkHosts.length === 0 || networkHosts } : {}),
    ...(enableFilesystem ? { files: true } : {}),
    ...(Object.keys(environment).length > 0 ? { env: Object.keys(environment).sort() } : {}),
  };
  return Object.keys(permissions).length === 0 ? {} : { permissions };
}

async function environmentOf(
  { env = [], envFile = [] }: GrantOptions,
  { terminal }: Session,
): Promise<Record<string, string>> {
  const variables = new Map<string, string>();
  for (const path of envFile) {
    const text = new TextDecoder().decode(await readFile(path, "--env-file"));
    for (const [name, value] of Object.entries(parseEnv(text))) variables.set(name, value ?? "");
  }
  // Not parsed by commander, whose errors quote the whole argument.
  for (const assignment of env) {
    const [, name = "", value] = /^([^=]*)(?:=([\s\S]*))?$/.exec(assignment) ?? [];
    if (name === "") throw new UsageError("Cannot set a variable without a name: --env takes NAME=VALUE or NAME");
    const given = value ?? terminal.env[name];
    if (given === undefined) {
      throw new UsageError(
        `Cannot pass on the environment variable ${name}: it is not set`,
        `Set it, or give its value: --env ${name}=VALUE`,
      );
    }
    variables.set(name, given);
  }
  return Object.fromEntries(variables);
}

/** The service judges again, and by its policy; this is the early word on what cannot be meant. */
function collectHosts(list: string, hosts: readonly string[] = []): string[] {
  const added = list.split(",").map((host) => host.trim());
  if (added.every((host) => host === ALL_HOSTS || (!host.includes("*") && hostRuleFault(host) === undefined))) {
    return [...hosts, ...added];
  }
  throw new InvalidArgumentError("It must be host or host:port, or several with commas.");
}
