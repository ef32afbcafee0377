/**
 * The hosts that a policy lets tasks reach.
 *
 * | Rule                                         | Grants                                                                   |
 * | -------------------------------------------- | ------------------------------------------------------------------------ |
 * | `*`, `*:443`                                 | every host, at its public addresses                                      |
 * | `*.example.com`, `*.example.com:443`         | every name below example.com, not itself, at its public addresses        |
 * | `db.internal`, `db.internal:5432`            | this name, at public, private and loopback addresses; never at those of  |
 * |                                              | a cloud's metadata service, link-local or multicast                      |
 * | `10.1.2.3`, `[fd00::1]:5432`, `10.0.0.0/8`,  | these addresses, when they are asked for as addresses                    |
 * | `[fd00::/8]`                                 |                                                                          |
 *
 * Without a port a rule holds for all of them.
 *
 * @module
 */

import { BlockList } from "node:net";
import { ServiceError } from "../../errors.ts";
import { type IpAddress, parseIp, type Reach } from "./addresses.ts";

/** A host and port that a task asks for, in canonical form. */
export interface Target {
  /** A name in lower case without a dot at its end, or an address. */
  readonly host: string;
  readonly port: number;
  /** The address, when the host is one. */
  readonly address: IpAddress | undefined;
}

/** One rule, parsed. */
export type HostRule =
  & { readonly text: string; readonly port: number | undefined }
  & (
    | { readonly kind: "all" }
    | { readonly kind: "below"; readonly suffix: string }
    | { readonly kind: "name"; readonly name: string }
    | { readonly kind: "range"; readonly network: IpAddress; readonly prefix: number; readonly list: BlockList }
  );

/** What the rules say of a target. */
export type RuleDecision =
  | { readonly granted: true; readonly rule: string; readonly reach: Reach }
  /** `by` is what does not name it. */
  | { readonly granted: false; readonly by: "policy" | "request" };

const REACH = { all: "public", below: "public", name: "private", range: "any" } as const satisfies Record<
  HostRule["kind"],
  Reach
>;
/** Of what a request says, in messages. */
const MAX_SHOWN = 200;
const REACH_ORDER: readonly Reach[] = ["any", "private", "public"];

/** Why a rule cannot be read, as the end of a sentence; `undefined` when it can. */
export function hostRuleFault(text: string): string | undefined {
  const parsed = tryParseRule(text);
  return typeof parsed === "string" ? parsed : undefined;
}

/** The rules of one policy. */
export class HostRules {
  /** @param only what a task asked for, where that is not all that the rules grant */
  private constructor(readonly rules: readonly HostRule[], readonly only: HostRules | undefined = undefined) {}

  /** @throws {ServiceError} `CONFIG_INVALID` that names the first rule that cannot be read */
  static parse(texts: readonly string[]): HostRules {
    return new HostRules(texts.map((text) => {
      const parsed = tryParseRule(text);
      if (typeof parsed !== "string") return parsed;
      throw new ServiceError("CONFIG_INVALID", `Cannot read host rule "${text}": ${parsed}`, {
        details: { rule: text },
      });
    }));
  }

  /**
   * The same rules, for those hosts only that a task asks for: `name`, `address`, either with a port.
   * @throws {ServiceError} `INVALID_ARGUMENT` for one that cannot be read, `PERMISSION_DENIED` for one that no rule grants
   */
  narrowedTo(hosts: readonly string[]): HostRules {
    if (hosts.length === 0) return this;
    const wanted = hosts.map((text) => {
      const rule = tryParseRule(text);
      if (typeof rule !== "string" && (rule.kind === "name" || rule.kind === "range")) return rule;
      throw new ServiceError(
        "INVALID_ARGUMENT",
        `Cannot run task: options.network_hosts has "${
          text.slice(0, MAX_SHOWN)
        }", must be a name or an address, each with an optional port`,
      );
    });
    for (const rule of wanted) {
      if (!this.#grantsSome(rule)) {
        throw new ServiceError(
          "PERMISSION_DENIED",
          `Cannot run task: options.network_hosts has "${rule.text}", which the policy's network.hosts does not grant`,
          { details: { rule: "network.hosts" } },
        );
      }
    }
    return new HostRules(this.rules, new HostRules(wanted));
  }

  /** Whether a host, given as Deno writes what a permission is asked for (`name`, `name:port`), can be reached somehow. */
  grantsSomeOf(text: string): boolean {
    const rule = tryParseRule(text);
    return typeof rule !== "string" && this.#grantsSome(rule);
  }

  /** Whether a host can be reached at some port at least. */
  #grantsSome(wanted: HostRule): boolean {
    return this.rules.some((rule) => {
      const port = wanted.port ?? rule.port ?? 443;
      if (wanted.kind === "name") return matches(rule, { host: wanted.name, port, address: undefined });
      return wanted.kind === "range" && matches(rule, { host: wanted.network.text, port, address: wanted.network });
    });
  }

  /** The rule that grants most to a target, if one does. */
  decide(target: Target): RuleDecision {
    if (this.only !== undefined && !this.only.decide(target).granted) return { granted: false, by: "request" };
    const matching = this.rules.filter((rule) => matches(rule, target));
    for (const reach of REACH_ORDER) {
      const rule = matching.find(({ kind }) => REACH[kind] === reach);
      if (rule !== undefined) return { granted: true, rule: rule.text, reach };
    }
    return { granted: false, by: "policy" };
  }
}

function matches(rule: HostRule, { host, port, address }: Target): boolean {
  if (rule.port !== undefined && rule.port !== port) return false;
  switch (rule.kind) {
    case "all":
      return true;
    case "below":
      return address === undefined && host.endsWith(rule.suffix) && host.length > rule.suffix.length;
    case "name":
      return address === undefined && host === rule.name;
    case "range":
      return address !== undefined && rule.list.check(address.text, address.family === 4 ? "ipv4" : "ipv6");
  }
}

/** The rule, or why there is none. */
function tryParseRule(text: string): HostRule | string {
  const match = /^(?<host>\[[^\]]*\]|[^:[\]]+)(?::(?<port>\d{1,5}))?$/u.exec(text);
  if (match === null) {
    return text.split(":").length > 2 && !text.startsWith("[")
      ? "an IPv6 address stands in brackets, as in [fd00::1]:443"
      : "a rule is *, name, *.name, address, [IPv6 address] or address/prefix, each with an optional :port";
  }
  const { host = "", port: portText } = match.groups ?? {};
  const port = portText === undefined ? undefined : Number(portText);
  if (port !== undefined && (port < 1 || port > 65_535)) return `port ${portText} is not between 1 and 65535`;
  if (host === "*") return { text, port, kind: "all" };
  if (host.startsWith("[") || host.includes("/")) return rangeRule(text, host, port);
  if (host.startsWith("*.")) {
    const name = canonicalName(host.slice(2));
    return name === undefined
      ? `"${host.slice(2)}" is no host name`
      : { text, port, kind: "below", suffix: `.${name}` };
  }
  if (host.includes("*")) return "a * stands alone, or for the first labels of a name, as in *.example.com";
  const address = parseIp(host);
  if (address !== undefined) return rangeRule(text, host, port);
  const name = canonicalName(host);
  return name === undefined ? `"${host}" is no host name` : { text, port, kind: "name", name };
}

function rangeRule(text: string, host: string, port: number | undefined): HostRule | string {
  const bare = host.replace(/^\[|\]$/g, "");
  const [addressText = "", prefixText, ...more] = bare.split("/");
  const network = parseIp(addressText);
  if (network === undefined || more.length > 0) return `"${bare}" is no address`;
  // Only the usual way to write it: others hide where a rule leads to.
  if (network.family === 4 && network.text !== addressText) return `write "${addressText}" as ${network.text}`;
  if (network.family === 6 && !host.startsWith("[")) return "an IPv6 address stands in brackets, as in [fd00::1]:443";
  const bits = network.family === 4 ? 32 : 128;
  const prefix = prefixText === undefined ? bits : Number(prefixText);
  if (prefixText !== undefined && (!/^\d{1,3}$/.test(prefixText) || prefix > bits)) {
    return `"/${prefixText}" is not between /0 and /${bits}`;
  }
  const list = new BlockList();
  list.addSubnet(network.text, prefix, network.family === 4 ? "ipv4" : "ipv6");
  return { text, port, kind: "range", network, prefix, list };
}

/** A host name as the WHATWG URL standard writes it: lower case, Punycode, here without a dot at its end. */
function canonicalName(text: string): string | undefined {
  if (!/^[\p{L}\p{M}\p{N}._-]+$/u.test(text)) return undefined;
  const name = URL.parse(`http://${text}/`)?.hostname.replace(/\.$/, "");
  return name === undefined || !isHostName(name) || parseIp(name) !== undefined ? undefined : name;
}

/**
 * Reads a host and a port that a client asks for (`host:port`, RFC 9110 §9.3.6).
 *
 * @param defaultPort for a target without one; without it the port must be there
 * @returns `undefined` when it is not well formed, or smuggles anything else: user names, escapes, zones
 */
export function parseTarget(text: string, defaultPort?: number): Target | undefined {
  const match = /^(?<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,254})(?::(?<port>[0-9]{1,5}))?$/.exec(text);
  const { host, port: portText } = match?.groups ?? {};
  if (host === undefined) return undefined;
  const port = portText === undefined ? defaultPort : Number(portText);
  if (port === undefined || port < 1 || port > 65_535) return undefined;
  const address = parseIp(host);
  if (address !== undefined) return { host: address.text, port, address };
  const name = canonicalName(host);
  return name === undefined ? undefined : { host: name, port, address: undefined };
}

/** A target as text: `host:port`. */
export function targetText({ host, port }: Pick<Target, "host" | "port">): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Labels of up to 63 octets, 253 in all (RFC 1035 §2.3.4); underscores are in use. */
function isHostName(name: string): boolean {
  return name.length <= 253 && name.split(".").every((label) => /^[a-z0-9_-]{1,63}$/.test(label));
}
