import assert from "node:assert/strict";
import { holds, parseMarker } from "../../../workers/package/python/marker.ts";
import { parseHeaders, parseMetadata } from "../../../workers/package/python/metadata.ts";
import { platformOf, supportedTags } from "../../../workers/package/python/platform.ts";
import { formatRequirement, parseRequirement } from "../../../workers/package/python/requirement.ts";
import { parseRequirementLines } from "../../../workers/package/python/requirement_lines.ts";
import { compareBuilds, tryParseWheelName } from "../../../workers/package/python/wheel_name.ts";
import { formatVersion } from "../../../workers/package/python/version.ts";

/** Texts, mostly of PEP 508 itself, and what they come to. */
const REQUIREMENTS: readonly [text: string, formatted: string][] = [
  ["A", "a"],
  ["A.B-C_D", "a-b-c-d"],
  ["name<=1", "name<=1"],
  ["name>=3, <2", "name>=3,<2"],
  ["name [fred,bar_baz, fred] >= 1.0 ; python_version=='2.7'", "name[fred,bar-baz]>=1.0"],
  ["name (>=1.0,<2)", "name>=1.0,<2"],
  ["name[]", "name"],
  ["name===1.0foo", "name===1.0foo"],
  ["name>=1.0,", "name>=1.0"],
];

for (const [text, formatted] of REQUIREMENTS) {
  Deno.test(`parseRequirement() reads ${text}`, () => {
    assert.equal(formatRequirement(parseRequirement(text)), formatted);
  });
}

const FAULTY: readonly [text: string, message: RegExp][] = [
  ["", /does not begin with the name/],
  ["-a", /does not begin with the name/],
  ["a-", /does not begin with the name/],
  ["name 1.0", /"1.0" does not say which versions/],
  ["name>>1", /">>1" does not say which versions/],
  ["name[", /"\[" does not say which versions/],
  ["name[a,]", /"" cannot name an extra/],
  ["name ;", /its marker lacks a variable/],
  ["name; foo == '1'", /"foo", which is no variable/],
  ["name; python_version", /its marker lacks a comparison/],
  ["name; (python_version < '4'", /lacks a closing parenthesis/],
  ["name; python_version < '4')", /its marker goes on with "\)"/],
  ["name; python_version < '4", /cannot be read from/],
  ["name; 'a' == 'b'", /compares two texts/],
  [`name; ${"(".repeat(40)}`, /more than 32 nested parentheses/],
  [`name${" ".repeat(9_000)}`, /longer than 8192 characters/],
  ["name @ https://user:secret@example.org/x.whl", /^Cannot install packages: "name" is asked for by URL, [^:]*$/],
];

for (const [text, message] of FAULTY) {
  Deno.test(`parseRequirement() refuses ${text.slice(0, 60)}`, () => {
    assert.throws(() => parseRequirement(text), { code: "INVALID_TASK", message });
  });
}

const MARKERS: readonly [marker: string, holds: boolean][] = [
  ["python_version < '3.12'", true],
  ["python_version < '3.9'", false],
  ["'3.8' <= python_version", true],
  ["python_version == '3.11.*'", true],
  ["python_version ~= '3.10'", true],
  ["python_full_version < '3.11.4'", true],
  ["python_version in '3.10 3.11'", true],
  ["python_version not in '3.10 3.11'", false],
  ["sys_platform == 'emscripten' and platform_machine == 'wasm32' and platform_system == 'Emscripten'", true],
  ["os_name == 'nt' or implementation_name == 'cpython'", true],
  ["os_name == 'posix' and python_version == '2.7' or python_version > '3'", true],
  ["os_name == 'posix' and (python_version == '2.7' or python_version < '3')", false],
  ["'linux' in sys_platform", false],
  ['os.name == "posix" and python_implementation == "CPython"', true],
  ["sys_platform > 'a'", true],
  ["extra == 'Test_Suite'", true],
  ["extra == 'other'", false],
];

for (const [marker, expected] of MARKERS) {
  Deno.test(`holds() is ${expected} for ${marker}`, () => {
    assert.equal(holds(parseMarker(marker), platformOf("3.11").environment, "test-suite"), expected);
  });
}

Deno.test("parseRequirementLines() reads lines as pip does", () => {
  const sha256 = "a".repeat(64);
  const parsed = parseRequirementLines([
    "# a comment \\",
    "",
    "one==1.0  # why",
    "two>=2 \\",
    `    --hash=sha256:${sha256.toUpperCase()} \\`,
    `    --hash=sha512:${"b".repeat(128)}`,
    "three ; python_version < '3'\nfour",
  ]);
  assert.deepEqual(parsed.map(formatRequirement), ["one==1.0", "two>=2", "three", "four"]);
  assert.deepEqual(parsed[1]?.hashes, [`sha256:${sha256}`, `sha512:${"b".repeat(128)}`]);
});

const NOT_OFFERED: readonly [line: string, message: RegExp][] = [
  ["-r other.txt", /the option "-r" of a requirements file is not offered/],
  ["-rother.txt", /the option "-r"/],
  ["--index-url=https://user:secret@example.org", /the option "--index-url"(?!.*secret)/],
  ["-e .", /the option "-e"/],
  ["one --global-option=x", /the option "--global-option"/],
  ["https://user:secret@example.org/x.whl", /"https:\/\/…@example\.org\/x\.whl" is an URL or a path/],
  ["git+https://example.org/x", /is an URL or a path/],
  ["./one", /is an URL or a path/],
  ["one-1.0-py3-none-any.whl", /is an URL or a path/],
  ["C:\\one", /is an URL or a path/],
  ["one --hash=md5:abc", /takes one of sha256, sha384, sha512/],
  ["one --hash=sha256:abc", /is no hash of a file/],
  [`one${" ".repeat(100_000)}-x`, /longer than 8192 characters/],
];

for (const [line, message] of NOT_OFFERED) {
  Deno.test(`parseRequirementLines() refuses ${line.slice(0, 60)}`, () => {
    assert.throws(() => parseRequirementLines([line]), { code: "INVALID_TASK", message });
  });
}

Deno.test("parseRequirementLines() refuses more lines than anybody has", () => {
  const lines = Array.from({ length: 3_000 }, () => "one");
  assert.throws(() => parseRequirementLines(lines), { message: /more than 2000 requirements/ });
  const long = Array.from({ length: 1_000 }, () => `one${" ".repeat(2_000)}`);
  assert.throws(() => parseRequirementLines(long), { message: /longer than 1048576 characters together/ });
});

Deno.test("parseMetadata() reads headers up to the description", () => {
  const metadata = parseMetadata(
    "Name: Demo\nVersion: 1.0\nrequires-dist: one>=1;\n  python_version < '4'\nRequires-Python: >=3.8\n\nRequires-Dist: none\n",
  );
  assert.deepEqual(metadata.requires.map(formatRequirement), ["one>=1"]);
  assert.equal(metadata.requires[0]?.marker?.kind, "compare");
  assert.deepEqual(parseHeaders("A: 1\nno header\nB:2"), [["a", "1"], ["b", "2"]]);
});

Deno.test("parseMetadata() takes setuptools' sections for extras and markers", () => {
  const requires =
    "one>=1\n\n[test]\ntwo\n[:python_version < '3']\nthree\n[Old:python_version > '3']\nfour; os_name == 'posix'\n";
  const metadata = parseMetadata("Name: demo\nVersion: 1\n", requires);
  const { environment } = platformOf("3.14");
  const named = (extra: string) =>
    metadata.requires.filter(({ marker }) => marker === undefined || holds(marker, environment, extra))
      .map(({ name }) => name);
  assert.deepEqual([named(""), named("test"), named("old")], [["one"], ["one", "two"], ["one", "four"]]);
});

const TAGS: readonly [fileName: string, on311: boolean, on314: boolean][] = [
  ["a-1-py3-none-any.whl", true, true],
  ["a-1-py2.py3-none-any.whl", true, true],
  ["a-1-py2-none-any.whl", false, false],
  ["a-1-py312-none-any.whl", false, true],
  ["a-1-cp311-none-any.whl", true, false],
  ["a-1-cp311-cp311-emscripten_3_1_46_wasm32.whl", true, false],
  ["a-1-cp37-abi3-emscripten_3_1_46_wasm32.whl", true, false],
  ["a-1-py3-none-emscripten_3_1_46_wasm32.whl", true, false],
  ["a-1-cp311-cp311-emscripten_3_1_45_wasm32.whl", false, false],
  ["a-1-cp314-cp314-pyemscripten_2026_0_wasm32.whl", false, true],
  ["a-1-cp314-cp314-pyodide_2026_0_wasm32.whl", false, true],
  ["a-1-cp39-abi3-pyemscripten_2026_0_wasm32.whl", false, true],
  ["a-1-cp313-cp313-pyodide_2025_0_wasm32.whl", false, false],
  ["a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", false, false],
];

for (const [fileName, on311, on314] of TAGS) {
  Deno.test(`supportedTags() and ${fileName}`, () => {
    const { tags = [] } = tryParseWheelName(fileName) ?? {};
    const isFor = (version: "3.11" | "3.14") => supportedTags(version).some((tag) => tags.includes(tag));
    assert.deepEqual([isFor("3.11"), isFor("3.14")], [on311, on314]);
  });
}

Deno.test("tryParseWheelName() reads builds and versions, and knows what is none", () => {
  const wheel = tryParseWheelName("Foo_Bar-1.0_1+x_y-7b-py3-none-any.WHL");
  assert.deepEqual([wheel?.name, wheel?.build], ["foo-bar", [7n, "b"]]);
  assert.equal(wheel && formatVersion(wheel.version), "1.0.post1+x.y");
  assert.ok(compareBuilds([10n, ""], [9n, "z"]) > 0 && compareBuilds(undefined, [0n, ""]) < 0);
  const none = [
    "a-1.zip",
    "a-1-py3-none.whl",
    "a-x-py3-none-any.whl",
    "a-1-b-py3-none-any.whl",
    "a-1-py3-none-a/b.whl",
  ];
  for (const fileName of none) assert.equal(tryParseWheelName(fileName), undefined, fileName);
});
