import assert from "node:assert/strict";
import { ServiceError } from "../../src/errors.ts";
import { isPublic, isWithin, parseIp } from "../../src/sandbox/egress/addresses.ts";
import { egressPermissions, RELAY_HOSTNAME } from "../../src/sandbox/egress/permissions.ts";
import { hostRuleFault, HostRules, parseTarget } from "../../src/sandbox/egress/rules.ts";

const PUBLIC = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1", "2a00:1450::1", "64:ff9b::808:808"];
const PRIVATE = ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "127.0.0.1", "127.255.0.1", "100.64.0.1"];
const PRIVATE_IPV6 = ["::1", "fc00::1", "fdff::1", "::ffff:10.0.0.1", "::ffff:7f00:1"];
const NEVER_BY_NAME = [
  ...["0.0.0.0", "0.1.2.3", "169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "192.0.2.1"],
  ...["192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1"],
  ...["255.255.255.255", "::", "::ffff:169.254.169.254", "::ffff:0.0.0.0", "::127.0.0.1", "fe80::1", "fec0::1"],
  ...["ff02::1", "fd00:ec2::254", "fd20:ce::254", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "4000::1"],
  ...["64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::1", "64:ff9b:1::808:808", "100::1", "5f00::1"],
];

Deno.test("isWithin() knows which addresses are public, which a name may lead to, and which none may", () => {
  const reaches = (address: string) => {
    const ip = parseIp(address);
    assert(ip !== undefined, address);
    return (["public", "private", "any"] as const).filter((reach) => isWithin(reach, ip));
  };
  for (const address of PUBLIC) assert.deepEqual(reaches(address), ["public", "private", "any"], address);
  for (const address of [...PRIVATE, ...PRIVATE_IPV6]) assert.deepEqual(reaches(address), ["private", "any"], address);
  for (const address of NEVER_BY_NAME) assert.deepEqual(reaches(address), ["any"], address);
});

Deno.test("parseIp() resolves every way to write an address", () => {
  const loopback = { text: "127.0.0.1", family: 4 };
  const ways = ["127.0.0.1", "127.1", "0x7f.1", "0x7f000001", "2130706433", "0177.0.0.1", "017700000001", "127.0.0.1."];
  for (const way of [...ways, "::ffff:127.0.0.1", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:0001]"]) {
    assert.deepEqual(parseIp(way), loopback, way);
  }
  assert.deepEqual(parseIp("[0:0::1]"), { text: "::1", family: 6 });
  for (
    const none of ["example.com", "", "1.2.3.4.5", "256.0.0.1", "::g", "fe80::1%eth0", "a@127.0.0.1", "127.0.0.1/x"]
  ) {
    assert.equal(parseIp(none), undefined, none);
  }
});

Deno.test("isPublic() looks through NAT64 to the address behind it", () => {
  const found = ["64:ff9b::8.8.8.8", "64:ff9b::10.0.0.1"].map((text) => isPublic(parseIp(text) ?? assert.fail(text)));
  assert.deepEqual(found, [true, false]);
});

Deno.test("hostRuleFault() takes the forms that are documented", () => {
  const good = ["*", "*:443", "example.com", "EXAMPLE.com.", "example.com:1", "*.example.com", "*.example.com:65535"];
  const addresses = [
    "10.1.2.3",
    "10.1.2.3:80",
    "10.0.0.0/8",
    "10.0.0.0/8:22",
    "[::1]",
    "[fd00::1]:5432",
    "[fd00::/8]:1",
  ];
  for (const rule of [...good, ...addresses, "localhost", "my_host", "münchen.de"]) {
    assert.equal(hostRuleFault(rule), undefined, rule);
  }
});

Deno.test("hostRuleFault() says what is wrong with any other", () => {
  const faults: readonly (readonly [rule: string, fault: RegExp])[] = [
    ["", /a rule is \*, name/],
    ["https://example.com", /a rule is|no host name|no address|brackets/],
    ["example.com/path", /is no address/],
    ["example.com:0", /port 0 is not between 1 and 65535/],
    ["example.com:65536", /port 65536/],
    ["example.com:http", /a rule is/],
    ["user@example.com", /no host name/],
    ["a b", /no host name/],
    ["a..b", /no host name/],
    ["*.", /no host name/],
    ["**", /\* stands alone/],
    ["ex*mple.com", /\* stands alone/],
    ["*.10.0.0.1", /no host name/],
    ["%31.com", /no host name/],
    ["fd00::1", /in brackets/],
    ["[fd00::1", /a rule is|in brackets/],
    ["[fd00::g]", /is no address/],
    ["10.0.0.0/33", /not between \/0 and \/32/],
    ["[fd00::/129]", /not between \/0 and \/128/],
    ["10.0.0.0/8/8", /is no address/],
    ["127.1", /write "127\.1" as 127\.0\.0\.1/],
    ["0x7f.0.0.1", /as 127\.0\.0\.1/],
    ["[::ffff:10.0.0.1]", /as 10\.0\.0\.1/],
    [`${"a".repeat(64)}.com`, /no host name/],
    ["a\r\nb", /a rule is|no host name/],
  ];
  for (const [rule, fault] of faults) assert.match(hostRuleFault(rule) ?? "no fault", fault, rule);
});

Deno.test("HostRules.parse() names the rule that it cannot read", () => {
  assert.throws(
    () => HostRules.parse(["*", "a b"]),
    (error) => error instanceof ServiceError && error.code === "CONFIG_INVALID" && /"a b"/.test(error.message),
  );
});

Deno.test("HostRules.decide() gives the most that the rules grant", () => {
  const decide = (rules: readonly string[], text: string) => {
    const decision = HostRules.parse(rules).decide(parseTarget(text) ?? assert.fail(text));
    return decision.granted ? `${decision.rule} ${decision.reach}` : "none";
  };
  const rows: readonly (readonly [rules: readonly string[], target: string, decision: string])[] = [
    [[], "example.com:443", "none"],
    [["*"], "example.com:443", "* public"],
    [["*:443"], "example.com:80", "none"],
    [["*", "example.com"], "example.com:443", "example.com private"],
    [["*", "example.com:80"], "example.com:443", "* public"],
    [["example.com"], "EXAMPLE.COM.:1", "example.com private"],
    [["Example.COM."], "example.com:1", "Example.COM. private"],
    [["example.com"], "sub.example.com:1", "none"],
    [["example.com"], "notexample.com:1", "none"],
    [["*.example.com"], "sub.example.com:1", "*.example.com public"],
    [["*.example.com"], "a.b.example.com:1", "*.example.com public"],
    [["*.example.com"], "example.com:1", "none"],
    [["*.example.com"], "evilexample.com:1", "none"],
    [["*.com"], "[::1]:1", "none"],
    [["10.0.0.0/8"], "10.200.0.1:1", "10.0.0.0/8 any"],
    [["10.0.0.0/8"], "11.0.0.1:1", "none"],
    [["10.0.0.1:22"], "10.0.0.1:23", "none"],
    [["127.0.0.1"], "0x7f.1:80", "127.0.0.1 any"],
    [["127.0.0.1"], "[::ffff:127.0.0.1]:80", "127.0.0.1 any"],
    [["[fd00::/8]"], "[fd12::1]:80", "[fd00::/8] any"],
    [["[fd00::/8]"], "10.0.0.1:80", "none"],
    [["*"], "127.0.0.1:80", "* public"],
  ];
  for (const [rules, target, expected] of rows) assert.equal(decide(rules, target), expected, `${rules} ${target}`);
});

Deno.test("parseTarget() refuses what is not exactly host:port", () => {
  const bad = [
    "",
    ":80",
    "a",
    "a:",
    "a:0",
    "a:65536",
    "a:99999999999",
    "a:-1",
    "a:+1",
    "a:1 ",
    " a:1",
    "a:1:2",
    "u@a:1",
  ];
  const worse = [
    "a/b:1",
    "a?b:1",
    "a#b:1",
    "a\\b:1",
    "%61:1",
    "a%00:1",
    "[::1:1",
    "::1:1",
    "[fe80::1%25lo]:1",
    "ä.de:1",
  ];
  for (const text of [...bad, ...worse, `${"a".repeat(300)}:1`, "1.2.3.999:1", "a\0b:1", "a..b:1"]) {
    assert.equal(parseTarget(text), undefined, JSON.stringify(text));
  }
});

Deno.test("egressPermissions() asks for no more than the rules need, and denies what is not public", () => {
  const permissions = (...rules: string[]) => egressPermissions(HostRules.parse(rules));
  const named = permissions("example.com:443", "*.example.org");
  assert.deepEqual(named.hostAllow, [RELAY_HOSTNAME, "example.com", "*.example.org"]);
  assert.deepEqual(named.worker(5), [`${RELAY_HOSTNAME}:5`, "example.com", "*.example.org"]);
  assert(named.hostDeny.includes("10.0.0.0/8") && named.hostDeny.includes("[::1]"));
  assert.deepEqual([permissions("*").hostAllow, permissions("*").worker(5)], [null, true]);
  const ranges = permissions("10.1.0.0/16", "[::1]");
  assert.deepEqual([ranges.hostAllow, ranges.worker(5)], [null, [`${RELAY_HOSTNAME}:5`, "10.1.0.0/16", "[::1]"]]);
  assert(!ranges.hostDeny.includes("10.0.0.0/8") && !ranges.hostDeny.includes("[::1]"));
  assert.equal(permissions("[fd00::/8]").worker(5), true);
});
