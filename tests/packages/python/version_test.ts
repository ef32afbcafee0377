import assert from "node:assert/strict";
import { fits, namesPrerelease, tryParseSpecifiers } from "../../../workers/package/python/specifier.ts";
import {
  compareVersions,
  formatVersion,
  isPrerelease,
  tryParseVersion,
} from "../../../workers/package/python/version.ts";

function version(text: string) {
  const parsed = tryParseVersion(text);
  assert.ok(parsed !== undefined, `${text} is a version`);
  return parsed;
}

/** The specification's own examples, each list in order. */
const ORDERED: readonly (readonly string[])[] = [
  ["1.dev0", "1.0.dev456", "1.0a1", "1.0a2.dev456", "1.0a12.dev456", "1.0a12", "1.0b1.dev456", "1.0b2"]
    .concat(["1.0b2.post345.dev456", "1.0b2.post345", "1.0rc1.dev456", "1.0rc1", "1.0", "1.0+abc.5", "1.0+abc.7"])
    .concat(["1.0+5", "1.0.post456.dev34", "1.0.post456", "1.0.15", "1.1.dev1"]),
  ["0.9", "0.9.1", "0.9.2", "0.9.10", "0.9.11", "1.0", "1.0.1", "1.1", "2.0", "2.0.1"],
  ["4.3a2", "4.3b2", "4.3rc2", "4.3"],
  ["2013.10", "2014.04", "1!1.0", "1!1.1", "1!2.0"],
  ["20240101123456789012", "20240101123456789013"],
];

for (const list of ORDERED) {
  Deno.test(`compareVersions() orders ${list[0]} to ${list.at(-1)}`, () => {
    for (const [index, left] of list.entries()) {
      for (const [other, right] of list.entries()) {
        assert.equal(compareVersions(version(left), version(right)), Math.sign(index - other), `${left} and ${right}`);
      }
    }
  });
}

const NORMAL: readonly [written: string, normal: string][] = [
  ["v1.0", "1.0"],
  [" 1.1RC1 ", "1.1rc1"],
  ["1.1.a1", "1.1a1"],
  ["1.1-alpha_1", "1.1a1"],
  ["1.1beta", "1.1b0"],
  ["1.1preview2", "1.1rc2"],
  ["1.0-1", "1.0.post1"],
  ["1.2-r4", "1.2.post4"],
  ["1.2post", "1.2.post0"],
  ["1.2dev", "1.2.dev0"],
  ["1.0+ubuntu-1", "1.0+ubuntu.1"],
  ["00!01.02", "1.2"],
];

for (const [written, normal] of NORMAL) {
  Deno.test(`formatVersion() makes ${normal} of ${JSON.stringify(written)}`, () => {
    assert.equal(formatVersion(version(written)), normal);
  });
}

Deno.test("tryParseVersion() knows what is no version", () => {
  for (
    const text of ["", "french toast", "1.0+", "1.0+a+b", "1..0", "1.0.x", "!1", "1.0 beta", `1.${"0".repeat(200)}`]
  ) {
    assert.equal(tryParseVersion(text), undefined, text);
  }
});

Deno.test("isPrerelease() holds for development releases too", () => {
  assert.deepEqual(
    ["1.0a1", "1.0.dev1", "1.0.post1.dev2", "1.0.post1", "1.0"].map((text) => isPrerelease(version(text))),
    [
      true,
      true,
      true,
      false,
      false,
    ],
  );
});

const FITS: readonly [specifiers: string, yes: string, no: string][] = [
  ["", "1.0", ""],
  ["~=2.2", "2.2 2.3 2.2.post3", "2.1 3.0 2.2a1"],
  ["~=1.4.5", "1.4.5 1.4.9", "1.5 1.4.4"],
  ["~=2.2.post3", "2.2.post3 2.9", "2.2 3"],
  ["~=1.4.5a4", "1.4.5a4 1.4.5", "1.5 1.4.5a3"],
  ["==1.1", "1.1 1.1.0 1.1+local", "1.1.post1 1.1a1 1.10"],
  ["==1.1+local", "1.1+local", "1.1 1.1+other"],
  ["==1.1.*", "1.1 1.1.post1 1.1a1 1.1.8 1.1+local", "1.10 1 2.1.1 1!1.1"],
  ["==1.1.0.*", "1.1 1.1.0.5", "1.1.1"],
  ["!=1.1", "1.1.post1 1.0", "1.1 1.1.0 1.1+local"],
  ["!=1.1.*", "1.10 1.2", "1.1 1.1.post1"],
  [">=1.0,<=2.0", "1.0 2.0 2.0+local", "0.9 2.0.post1"],
  [">1.7", "1.7.1", "1.7 1.7.0.post1 1.7.post1 1.7+local"],
  [">1.7.post2", "1.7.1 1.7.post3", "1.7.post2 1.7.0"],
  ["<3.1", "3.0", "3.1 3.1a1 3.1.dev1"],
  ["<3.1rc1", "3.1a1 3.0", "3.1rc1 3.1"],
  ["===1.0", "1.0", "1.0.0"],
  ["===whatever", "", "1.0"],
];

for (const [text, yes, no] of FITS) {
  Deno.test(`fits() for ${JSON.stringify(text)}`, () => {
    const specifiers = tryParseSpecifiers(text);
    assert.ok(specifiers !== undefined);
    for (const one of yes.split(" ").filter(Boolean)) assert.equal(fits(version(one), specifiers), true, one);
    for (const one of no.split(" ").filter(Boolean)) assert.equal(fits(version(one), specifiers), false, one);
  });
}

Deno.test("tryParseSpecifiers() knows what is none", () => {
  for (
    const text of [
      "1.0",
      "=1.0",
      ">",
      "~=1",
      ">=1.*",
      "<1+local",
      "==1.0a1.*",
      "~=1.0.*",
      ">= x",
      "==1.0 2.0",
      ">=1,".repeat(65),
    ]
  ) {
    assert.equal(tryParseSpecifiers(text), undefined, text);
  }
});

Deno.test("namesPrerelease() does not count what is excluded", () => {
  assert.equal(namesPrerelease(tryParseSpecifiers(">=1.0rc1") ?? []), true);
  assert.equal(namesPrerelease(tryParseSpecifiers(">=1.0,!=1.1rc1") ?? []), false);
});
