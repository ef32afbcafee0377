/**
 * Which addresses are public, after the IANA special-purpose address registries (RFC 6890 and its updates).
 * @module
 */

import { BlockList } from "node:net";

/** An IP address in its canonical form, IPv6 without brackets. */
export interface IpAddress {
  readonly text: string;
  readonly family: 4 | 6;
}

/**
 * What a rule lets a task connect to.
 *
 * - `public`: addresses that are globally reachable
 * - `private`: those, and loopback, private, shared (CGNAT) and unique-local ones; not the metadata services of clouds
 * - `any`: all; for addresses that the policy gives as addresses
 */
export type Reach = "public" | "private" | "any";

/** IPv4 ranges that are not globally reachable, https://www.iana.org/assignments/iana-ipv4-special-registry. */
export const NON_PUBLIC_IPV4: readonly (readonly [network: string, prefix: number])[] = [
  ["0.0.0.0", 8], // this network
  ["10.0.0.0", 8], // private
  ["100.64.0.0", 10], // shared address space: carrier-grade NAT
  ["127.0.0.0", 8], // loopback
  ["169.254.0.0", 16], // link-local, with most clouds' metadata service
  ["172.16.0.0", 12], // private
  ["192.0.0.0", 24], // IETF protocol assignments, with Oracle's metadata service
  ["192.0.2.0", 24], // documentation
  ["192.88.99.0", 24], // 6to4 relays, deprecated
  ["192.168.0.0", 16], // private
  ["198.18.0.0", 15], // benchmarks
  ["198.51.100.0", 24], // documentation
  ["203.0.113.0", 24], // documentation
  ["224.0.0.0", 4], // multicast
  ["240.0.0.0", 4], // reserved, and broadcast
];

/** Parts of 2000::/3, the only global unicast space of IPv6, that are not reachable or lead elsewhere. */
const NON_PUBLIC_IPV6: readonly (readonly [network: string, prefix: number])[] = [
  ["2001::", 23], // IETF protocol assignments: Teredo (which embeds IPv4), ORCHID, benchmarks
  ["2001:db8::", 32], // documentation
  ["2002::", 16], // 6to4, which embeds IPv4
  ["3fff::", 20], // documentation
];

/** Where a name may lead that the policy gives in full: to a service in the operator's own networks. */
const PRIVATE: readonly (readonly [network: string, prefix: number, family: "ipv4" | "ipv6"])[] = [
  ["10.0.0.0", 8, "ipv4"],
  ["100.64.0.0", 10, "ipv4"],
  ["127.0.0.0", 8, "ipv4"],
  ["172.16.0.0", 12, "ipv4"],
  ["192.168.0.0", 16, "ipv4"],
  ["::1", 128, "ipv6"],
  ["fc00::", 7, "ipv6"],
];

/** Metadata services of clouds outside of the ranges that no name leads to. They hand out credentials. */
const METADATA: readonly (readonly [address: string, family: "ipv4" | "ipv6"])[] = [
  ["100.100.100.200", "ipv4"], // Alibaba Cloud
  ["168.63.129.16", "ipv4"], // Azure, in public space
  ["fd00:ec2::254", "ipv6"], // Amazon EC2
  ["fd20:ce::254", "ipv6"], // Google Cloud
];

const globalUnicast = new BlockList();
globalUnicast.addSubnet("2000::", 3, "ipv6");
const nonPublic = new BlockList();
for (const [network, prefix] of NON_PUBLIC_IPV4) nonPublic.addSubnet(network, prefix, "ipv4");
for (const [network, prefix] of NON_PUBLIC_IPV6) nonPublic.addSubnet(network, prefix, "ipv6");
const privateRanges = new BlockList();
for (const [network, prefix, family] of PRIVATE) privateRanges.addSubnet(network, prefix, family);
const metadata = new BlockList();
for (const [address, family] of METADATA) metadata.addAddress(address, family);

/**
 * Reads an address in any form that the WHATWG URL standard knows (`0x7f.1`, `2130706433`), and resolves one that
 * stands for an IPv4 address (IPv4-mapped, RFC 4291 §2.5.5.2) to that.
 *
 * @param text IPv6 with or without brackets
 * @returns `undefined` when it is no address
 */
export function parseIp(text: string): IpAddress | undefined {
  const bare = text.startsWith("[") && text.endsWith("]") ? text.slice(1, -1) : text;
  const url = URL.parse(`http://${bare.includes(":") ? `[${bare}]` : bare}/`);
  if (url === null || !/^[0-9a-z.:[\]_-]+$/i.test(text)) return undefined;
  const { hostname } = url;
  if (/^\d+\.\d+\.\d+\.\d+$/.test(hostname)) return { text: hostname, family: 4 };
  if (!hostname.startsWith("[")) return undefined;
  const address = hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(address);
  return mapped === null ? { text: address, family: 6 } : embeddedIpv4(mapped);
}

/** Whether a rule with this reach lets a task connect to the address. */
export function isWithin(reach: Reach, address: IpAddress): boolean {
  switch (reach) {
    case "any":
      return true;
    case "private":
      return isPublic(address) || (check(privateRanges, address) && !check(metadata, address));
    case "public":
      return isPublic(address);
  }
}

/** What an address is, for people: `public` or not. */
export function isPublic(address: IpAddress): boolean {
  if (check(metadata, address)) return false;
  if (address.family === 4) return !check(nonPublic, address);
  // NAT64 (RFC 6052) leads to the IPv4 address that it embeds.
  const translated = /^64:ff9b::(?:([0-9a-f]{1,4}):)?([0-9a-f]{1,4})$/.exec(address.text);
  if (translated !== null) return isPublic(embeddedIpv4(translated));
  return check(globalUnicast, address) && !check(nonPublic, address);
}

function check(list: BlockList, { text, family }: IpAddress): boolean {
  return list.check(text, family === 4 ? "ipv4" : "ipv6");
}

function embeddedIpv4([, high = "0", low = "0"]: RegExpExecArray): IpAddress {
  const value = Number.parseInt(high, 16) * 0x1_0000 + Number.parseInt(low, 16);
  return { text: [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff).join("."), family: 4 };
}
