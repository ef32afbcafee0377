import assert from "node:assert/strict";
import { DEFAULT_PACKAGE_LIMITS, type PackageLimits } from "../../workers/package/mod.ts";
import { readZip } from "../../workers/package/read_zip.ts";
import { TaskError, type TaskErrorCode } from "../../workers/task_error.ts";
import packages from "../data/packages.json" with { type: "json" };
import {
  bytesOf,
  concat,
  descriptor,
  extra,
  u,
  writeZip,
  type ZipOptions,
  type ZipSource,
} from "../support/zip_writer.ts";
import { crc32 } from "../../workers/package/_inflate.ts";
import { deflateSync } from "fflate";

const SMALL: PackageLimits = {
  ...DEFAULT_PACKAGE_LIMITS,
  maxCompressedBytes: 50_000,
  maxUnpackedBytes: 2_000_000,
  maxFiles: 5,
  maxPathBytes: 60,
  maxPathDepth: 4,
};
const DATA = "export default 1;\n".repeat(20);
const PACKED = deflateSync(bytesOf(DATA));
const CRC = crc32(bytesOf(DATA));

function textOf(files: Map<string, Uint8Array>): Record<string, string> {
  return Object.fromEntries([...files].map(([path, data]) => [path, new TextDecoder().decode(data)]));
}

const GOOD: [string, ZipSource[], ZipOptions, Record<string, string>][] = [
  ["deflated and stored entries", [{ name: "a.ts", data: DATA }, { name: "b/c.ts", data: "x", method: 0 }], {}, {
    "a.ts": DATA,
    "b/c.ts": "x",
  }],
  ["folders", [{ name: "b/", method: 0, mode: 0o040755, dosAttributes: 0x10 }, { name: "b/c", data: "x" }], {}, {
    "b/c": "x",
  }],
  ["names in UTF-8", [{ name: "ä/ß.ts", data: "x" }], {}, { "ä/ß.ts": "x" }],
  ["an empty file", [{ name: "a", method: 0 }], {}, { a: "" }],
  ["no mode at all, as writers on Windows", [{ name: "a", data: "x", mode: 0, dosAttributes: 0x20 }], {}, { a: "x" }],
  ["a comment", [{ name: "a", data: "x" }], { comment: bytesOf("hello PK") }, { a: "x" }],
  ["a zip64 end record", [{ name: "a", data: "x" }], { zip64: {} }, { a: "x" }],
  [
    "sizes after the data",
    [{
      name: "a",
      data: DATA,
      flags: 8,
      local: { crc: 0, size: 0, packedSize: 0 },
      after: descriptor(CRC, PACKED.length, DATA.length),
    }],
    {},
    { a: DATA },
  ],
  [
    "sizes after the data without signature",
    [{ name: "a", data: DATA, flags: 8, after: descriptor(CRC, PACKED.length, DATA.length).subarray(4) }],
    {},
    { a: DATA },
  ],
  [
    "sizes after the data in 64 bits",
    [{ name: "a", data: DATA, flags: 8, after: descriptor(CRC, PACKED.length, DATA.length, 8) }],
    {},
    { a: DATA },
  ],
  [
    "sizes in a zip64 field",
    [{
      name: "a",
      data: "xy",
      method: 0,
      local: { size: 0xffffffff, packedSize: 0xffffffff, extra: extra(1, concat(u(8, 2), u(8, 2))) },
    }],
    {},
    { a: "xy" },
  ],
  ["unknown extra fields and padding", [{ name: "a", data: "x", extra: concat(extra(0x5455, u(4, 0)), u(2, 0)) }], {}, {
    a: "x",
  }],
];

for (const [title, sources, options, expected] of GOOD) {
  Deno.test(`readZip() reads ${title}`, () => {
    assert.deepEqual(textOf(readZip(writeZip(sources, options), SMALL)), expected);
  });
}

for (const [title, base64] of Object.entries(packages.good)) {
  Deno.test(`readZip() reads what CPython wrote: ${title}`, () => {
    const files = readZip(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)), SMALL);
    assert.ok([...files.keys()].some((path) => path.startsWith("code/")), [...files.keys()].join());
  });
}

function names(...list: (string | Uint8Array)[]): ZipSource[] {
  return list.map((name) => ({ name, data: "x" }));
}

const LONG = "export ".repeat(1000);
const ZEROS = new Uint8Array(1_500_000);
const A: ZipSource = { name: "a", data: DATA };

const BAD: [string, ZipSource[], ZipOptions, TaskErrorCode, RegExp][] = [
  // Names
  ["a parent folder", names("../a"), {}, "SECURITY_VIOLATION", /"\.\.\/a" holds a "\.\." segment/],
  ["a parent folder inside", names("a/../b"), {}, "SECURITY_VIOLATION", /"\.\." segment/],
  ["a dot segment", names("./a"), {}, "SECURITY_VIOLATION", /"\." segment/],
  ["an absolute path", names("/a"), {}, "SECURITY_VIOLATION", /absolute/],
  ["a drive letter", names("C:/a"), {}, "SECURITY_VIOLATION", /colon/],
  ["a backslash", names("a\\..\\b"), {}, "SECURITY_VIOLATION", /backslash/],
  ["NUL", names("a.ts\0.png"), {}, "SECURITY_VIOLATION", /"a\.ts\\u0000\.png" holds a control/],
  ["a line break", names("a\nb"), {}, "SECURITY_VIOLATION", /control/],
  ["a delete character", names("a\x7fb"), {}, "SECURITY_VIOLATION", /control/],
  ["an empty segment", names("a//b"), {}, "SECURITY_VIOLATION", /empty segment/],
  ["an empty name", names(""), {}, "SECURITY_VIOLATION", /is empty/],
  ["a slash alone", names("/"), {}, "SECURITY_VIOLATION", /is empty/],
  ["an encoded parent folder", names("%2E%2e/a"), {}, "SECURITY_VIOLATION", /percent-encoded/],
  ["a trailing dot", names("a.ts."), {}, "SECURITY_VIOLATION", /ends in a dot/],
  ["a right-to-left override", names("a\u202est.js"), {}, "SECURITY_VIOLATION", /"a\\u202est\.js" holds an invisible/],
  ["bytes that are not UTF-8", [{ name: Uint8Array.of(0xff), flags: 1 << 11 }], {}, "INVALID_TASK", /not UTF-8/],
  ["overlong UTF-8", [{ name: Uint8Array.of(0xc0, 0xae), flags: 1 << 11 }], {}, "INVALID_TASK", /not UTF-8/],
  ["letters beyond ASCII without flag", [{ name: "ä", flags: 0 }], {}, "INVALID_TASK", /"ä" is not marked as UTF-8/],
  ["a second name", [{ name: "a", extra: extra(0x7075, bytesOf("evil")) }], {}, "INVALID_TASK", /second name/],
  ["twins", names("a", "a"), {}, "SECURITY_VIOLATION", /one and the same/],
  ["twins by case", names("Main.ts", "main.ts"), {}, "SECURITY_VIOLATION", /one and the same/],
  ["twins by folding", names("ß", "SS"), {}, "SECURITY_VIOLATION", /one and the same/],
  ["twins by normalisation", names("\u00e9", "e\u0301"), {}, "SECURITY_VIOLATION", /one and the same/],
  ["folders that are twins", names("a/b", "A/c"), {}, "SECURITY_VIOLATION", /one and the same/],
  ["a file below a file", names("a", "a/b"), {}, "SECURITY_VIOLATION", /lies below/],
  ["a file that is a folder already", names("a/b", "a"), {}, "SECURITY_VIOLATION", /one and the same/],
  // Kinds
  ["a symbolic link", [{ name: "a", data: "/etc", mode: 0o120777 }], {}, "SECURITY_VIOLATION", /symbolic link/],
  ["a device", [{ name: "a", mode: 0o020666 }], {}, "SECURITY_VIOLATION", /device/],
  ["a folder without slash", [{ name: "a", mode: 0o040755 }], {}, "SECURITY_VIOLATION", /disagree/],
  ["a file with slash", [{ name: "a/", mode: 0o100644 }], {}, "SECURITY_VIOLATION", /disagree/],
  [
    "a folder with something packed in it that unpacks to nothing",
    [{ name: "a/", mode: 0o040755, packed: bytesOf("hidden bytes") }],
    {},
    "INVALID_TASK",
    /"a" is damaged/,
  ],
  ["a folder with content", [{ name: "a/", mode: 0o040755, data: "x" }], {}, "INVALID_TASK", /has content/],
  ["an encrypted entry", [{ ...A, flags: 1 }], {}, "INVALID_TASK", /encrypted/],
  ["strong encryption", [{ ...A, flags: 1 << 6 }], {}, "INVALID_TASK", /encrypted/],
  ["AES", [{ ...A, extra: extra(0x9901, u(8, 0)) }], {}, "INVALID_TASK", /encrypted/],
  ["patched data", [{ ...A, flags: 1 << 5 }], {}, "INVALID_TASK", /not supported/],
  ["bzip2", [{ ...A, method: 12 }], {}, "INVALID_TASK", /method 12/],
  // Sizes and contents
  ["a wrong checksum", [{ ...A, local: { crc: 1 }, central: { crc: 1 } }], {}, "INVALID_TASK", /checksum/],
  [
    "less than declared",
    [{ ...A, local: { size: 400 }, central: { size: 400 } }],
    {},
    "SECURITY_VIOLATION",
    /too short/,
  ],
  ["more than declared", [{ ...A, local: { size: 9 }, central: { size: 9 } }], {}, "SECURITY_VIOLATION", /too long/],
  ["damaged data", [{ ...A, packed: bytesOf("\x07garbage") }], {}, "INVALID_TASK", /damaged/],
  [
    "sizes that deflate cannot reach",
    [{ ...A, local: { size: 999_999 }, central: { size: 999_999 } }],
    {},
    "SECURITY_VIOLATION",
    /cannot be true/,
  ],
  [
    "a stored entry of two sizes",
    [{ name: "a", data: "x", method: 0, local: { size: 5 }, central: { size: 5 } }],
    {},
    "SECURITY_VIOLATION",
    /cannot be true/,
  ],
  // Two views
  ["another name in the header", [{ ...A, local: { name: "b" } }], {}, "SECURITY_VIOLATION", /the name of entry "a"/],
  ["another size in the header", [{ ...A, local: { size: 1 } }], {}, "SECURITY_VIOLATION", /the size of/],
  ["another checksum in the header", [{ ...A, local: { crc: 1 } }], {}, "SECURITY_VIOLATION", /the checksum of/],
  ["another method in the header", [{ ...A, local: { method: 0 } }], {}, "SECURITY_VIOLATION", /packing method/],
  ["other flags in the header", [{ ...A, local: { flags: 2 } }], {}, "SECURITY_VIOLATION", /the kind of/],
  [
    "a descriptor that says otherwise",
    [{ ...A, flags: 8, after: descriptor(CRC, PACKED.length, 1) }],
    {},
    "SECURITY_VIOLATION",
    /contradicts/,
  ],
  [
    "a descriptor of another signature",
    [{ ...A, flags: 8, after: concat(u(4, 7), descriptor(CRC, PACKED.length, DATA.length).subarray(4)) }],
    {},
    "INVALID_TASK",
    /belong to none/,
  ],
  ["no descriptor where one is announced", [{ ...A, flags: 8 }], {}, "INVALID_TASK", /belong to none/],
  ["bytes after an entry", [{ ...A, after: u(4, 7) }], {}, "INVALID_TASK", /after entry "a"/],
  ["bytes before all", [A], { before: bytesOf("#!/bin/sh\n") }, "INVALID_TASK", /before entry "a"/],
  ["bytes before the directory", [A], { beforeDirectory: u(8, 1) }, "INVALID_TASK", /belong to none/],
  ["bytes after the directory", [A], { afterDirectory: u(8, 1) }, "INVALID_TASK", /does not end where/],
  ["bytes after the end", [A], { after: u(2, 0) }, "INVALID_TASK", /after its end/],
  ["a comment that is cut off", [A], { end: { commentLength: 3 } }, "INVALID_TASK", /comment is cut off/],
  ["bytes but no entries", [], { before: u(8, 1) }, "INVALID_TASK", /no entries/],
  ["entries that overlap", [A, { ...A, name: "b", central: { offset: 0 } }], {}, "SECURITY_VIOLATION", /overlaps/],
  [
    "an entry quoted by another",
    [
      { name: "a", packed: concat(u(2, 1), u(8, 0x04034b50)), method: 0, local: { size: 10 }, central: { size: 10 } },
      { ...A, name: "b", central: { offset: 33 } },
    ],
    {},
    "SECURITY_VIOLATION",
    /overlaps what follows/,
  ],
  ["an offset outside the file", [{ ...A, central: { offset: 0x7fffffff } }], {}, "INVALID_TASK", /belong to none/],
  ["several disks", [A], { end: { disk: 1 } }, "INVALID_TASK", /several disks/],
  ["an entry on another disk", [{ ...A, central: { disk: 1 } }], {}, "INVALID_TASK", /several disks/],
  ["two counts", [A], { end: { countHere: 2, count: 1 } }, "INVALID_TASK", /several disks/],
  ["more entries than it claims", names("a", "b"), { end: { count: 1 } }, "INVALID_TASK", /more entries than the 1/],
  [
    "fewer entries than it claims",
    names("a", "b"),
    { end: { count: 3 } },
    "INVALID_TASK",
    /claims 3 entries and has 2/,
  ],
  // zip64
  ["a zip64 end elsewhere", [A], { zip64: { at: 0 } }, "INVALID_TASK", /not where it should be/],
  ["a zip64 count that differs", [A], { zip64: {}, end: { count: 2 } }, "SECURITY_VIOLATION", /contradicts/],
  ["an impossible zip64 size", [A], { zip64: { size: 2 ** 53 } }, "SECURITY_VIOLATION", /impossibly large/],
  [
    "a zip64 field that is too short",
    [{ ...A, central: { size: 0xffffffff, extra: extra(1, u(4, 1)) } }],
    {},
    "INVALID_TASK",
    /too short/,
  ],
  [
    "a zip64 field for nothing",
    [{ ...A, central: { extra: extra(1, u(8, 1)) } }],
    {},
    "SECURITY_VIOLATION",
    /says more/,
  ],
  [
    "a zip64 field with other sizes",
    [{ ...A, local: { extra: extra(1, concat(u(8, 1), u(8, 1))) } }],
    {},
    "SECURITY_VIOLATION",
    /says more/,
  ],
  [
    "two zip64 fields",
    [{ ...A, central: { size: 0xffffffff, extra: concat(extra(1, u(8, 1)), extra(1, u(8, 2))) } }],
    {},
    "SECURITY_VIOLATION",
    /two zip64/,
  ],
  ["an extra field that is cut off", [{ ...A, extra: concat(u(2, 9), u(2, 9)) }], {}, "INVALID_TASK", /extra fields/],
  // Limits
  ["a large zip", [{ name: "a", data: new Uint8Array(60_000), method: 0 }], {}, "RESOURCE_LIMIT", /50000 bytes/],
  ["too many files", names("a", "b", "c", "d", "e", "f"), {}, "RESOURCE_LIMIT", /limited to 5 entries, and it has 6/],
  ["a long path", names("x".repeat(61)), {}, "RESOURCE_LIMIT", /limited to 60 bytes, and it has 61/],
  ["a deep path", names("a/b/c/d/e"), {}, "RESOURCE_LIMIT", /limited to 4 segments, and it has 5/],
  [
    "too much unpacked",
    [{ name: "a", data: ZEROS }, { name: "b", data: ZEROS }],
    {},
    "RESOURCE_LIMIT",
    /unpacked size is limited to 2000000 bytes, and it has 3000000/,
  ],
  ["a bomb", [{ name: "a", data: ZEROS }], {}, "RESOURCE_LIMIT", /ratio .* limited to 100 to 1, and it has \d{3}/],
];

for (const [title, sources, options, code, message] of BAD) {
  Deno.test(`readZip() refuses ${title}`, () => {
    assert.throws(() => readZip(writeZip(sources, options), SMALL), (error) => {
      assert.ok(error instanceof TaskError, String(error));
      assert.match(error.message, message);
      assert.equal(error.code, code);
      return true;
    });
  });
}

Deno.test("readZip() refuses every zip that is cut off", () => {
  const zip = writeZip([A, { name: "b", data: LONG }]);
  for (let length = 0; length < zip.length; length++) {
    assert.throws(() => readZip(zip.subarray(0, length), SMALL), (error) => error instanceof TaskError);
  }
});

Deno.test("readZip() reads a zip that lies in the middle of a buffer", () => {
  const zip = writeZip([A]);
  const buffer = concat(u(4, 1), zip, u(4, 2));
  assert.deepEqual(textOf(readZip(buffer.subarray(4, -4), SMALL)), { a: DATA });
});
