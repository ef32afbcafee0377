import assert from "node:assert/strict";
import { type PackageHint, peekPackage } from "../../src/execution/package_peek.ts";
import { evidenceInPickle, findPickle, type PythonEvidence } from "../../src/execution/python_evidence.ts";
import { bytesOf, concat, u, writeZip, type ZipSource } from "../support/zip_writer.ts";

/** `cloudpickle.dumps(lambda x: x + 1)` of CPython 3.11 with cloudpickle 2.1. */
const LAMBDA_OF_311 =
  "gAWVwAEAAAAAAACMF2Nsb3VkcGlja2xlLmNsb3VkcGlja2xllIwOX21ha2VfZnVuY3Rpb26Uk5QoaACMDV9idWlsdGluX3R5cGWUk5SMCENvZGVUeXBllIWUUpQoSwFLAEsASwFLAksDQwyXAHwAZAF6AAAAUwCUTksBhpQpjAF4lIWUjAg8c3RyaW5nPpSMCDxsYW1iZGE+lGgNSwhDDYAA0HN00Hd40XN4gACUQwCUKSl0lFKUfZQojAtfX3BhY2thZ2VfX5ROjAhfX25hbWVfX5SMCF9fbWFpbl9flHVOTk50lFKUjBxjbG91ZHBpY2tsZS5jbG91ZHBpY2tsZV9mYXN0lIwSX2Z1bmN0aW9uX3NldHN0YXRllJOUaBd9lH2UKGgUaA2MDF9fcXVhbG5hbWVfX5RoDYwPX19hbm5vdGF0aW9uc19flH2UjA5fX2t3ZGVmYXVsdHNfX5ROjAxfX2RlZmF1bHRzX1+UTowKX19tb2R1bGVfX5RoFYwHX19kb2NfX5ROjAtfX2Nsb3N1cmVfX5ROjBdfY2xvdWRwaWNrbGVfc3VibW9kdWxlc5RdlIwLX19nbG9iYWxzX1+UfZR1hpSGUjAu";

const OPTIONS = { entryPoint: "", defaultVersion: "3.14", maxFiles: 100 } as const;

function peek(sources: readonly ZipSource[], options: Partial<Parameters<typeof peekPackage>[1]> = {}): PackageHint {
  return peekPackage(writeZip(sources), { ...OPTIONS, ...options });
}

/** What matters of a hint: `deno`, `3.14`, or the fault. */
function told(hint: PackageHint): string {
  if (hint.runtime === "deno") return "deno";
  return "fault" in hint ? hint.fault : hint.version;
}

function manifest(fields: Readonly<Record<string, unknown>>): ZipSource {
  return {
    name: "manifest.json",
    data: JSON.stringify({ version: "1.0", type: "code_package", ...fields }),
    method: 8,
  };
}

const RUNTIMES: readonly [what: string, names: readonly string[], entryPoint: string, told: string][] = [
  ["Python below code/", ["code/main.py", "manifest.txt"], "", "3.14"],
  ["Python at the root", ["main.py", "lib/x.py"], "main:run", "3.14"],
  ["TypeScript", ["code/main.ts"], "", "deno"],
  ["TypeScript below code/, with Python outside of it", ["code/main.ts", "tool.py"], "", "deno"],
  ["both, with a module's path", ["main.ts", "main.py"], "main.ts:run", "deno"],
  ["both, with Python's form", ["main.ts", "main.py"], "main:run", "3.14"],
  ["both, with a dotted name", ["main.tsx", "main.py"], "pkg.main.run", "3.14"],
  ["both, with nothing that tells", ["main.ts", "main.py"], "", "deno"],
  ["nothing of either", ["data.csv"], "", "deno"],
  ["a serialized object alone", ["serialized_object.pkl"], "", "3.14"],
  ["a serialized object beside TypeScript", ["serialized_object.pkl", "code/a.ts"], "", "3.14"],
];

for (const [what, names, entryPoint, expected] of RUNTIMES) {
  Deno.test(`peekPackage() sends ${what} to ${expected}`, () => {
    assert.equal(told(peek(names.map((name) => ({ name, data: "x" })), { entryPoint })), expected);
  });
}

const MANIFESTS: readonly [fields: Readonly<Record<string, unknown>>, expected: string | RegExp][] = [
  [{ runtime: "python" }, "3.14"],
  [{ runtime: "python", python_version: "3.11" }, "3.11"],
  [{ runtime: "python", python_version: "3.11.2" }, "3.11"],
  [{ runtime: "python", python_version: "3.110" }, /asks for Python "3\.110" .*there are 3\.11 and 3\.14$/],
  [{ runtime: "python", python_version: "3.12.1" }, /"3\.12\.1" \(python_version\); there are 3\.11 and 3\.14$/],
  [{ runtime: "python", python_version: "x".repeat(1_000) }, /"x{20}…"/],
  [{ runtime: "python", python_version: 3.11 }, "3.14"],
  [{ runtime: "deno", python_version: "3.11" }, "deno"],
  [{ runtime: "ruby" }, "deno"],
];

for (const [fields, expected] of MANIFESTS) {
  Deno.test(`peekPackage() follows the manifest ${JSON.stringify(fields).slice(0, 80)}`, () => {
    const hint = told(peek([manifest(fields), { name: "code/main.js", data: "" }]));
    if (typeof expected === "string") assert.equal(hint, expected);
    else assert.match(hint, expected);
  });
}

Deno.test("peekPackage() says where TypeScript may declare packages of npm, and where Python brings a pickle", () => {
  const code = { name: "code/main.ts", data: "" };
  assert.deepEqual(peek([code]), { runtime: "deno", declares: false });
  assert.deepEqual(peek([code, manifest({ dependencies: ["npm:zod@4"] })]), { runtime: "deno", declares: true });
  const object = { name: "serialized_object.pkl", data: LAMBDA_OF_311, method: 8 };
  assert.deepEqual(peek([object]), { runtime: "python", version: "3.11", hasPickle: true, requirements: [] });
  assert.deepEqual(peek([object, manifest({ python_version: "3.14" })]), {
    runtime: "python",
    version: "3.14",
    hasPickle: true,
    requirements: [],
  });
});

Deno.test("peekPackage() finds what Python's packages require, each once, and no line that is too long", () => {
  const hint = peek([
    manifest({ pip_requirements: ["numpy>=2", 5, "x".repeat(1_001), "six"] }),
    { name: "requirements.txt", data: "# ours\r\nsix # fast\n\n-r other.txt\nnumpy>=2\n" },
    { name: "code/a.py" },
  ]);
  assert.deepEqual("requirements" in hint && hint.requirements, ["numpy>=2", "six", "-r other.txt"]);
});

Deno.test("peekPackage() refuses an object that was made by a Python which there is not, and names it", () => {
  const of = (...codes: string[]) => {
    const data = codePickle(...codes).toBase64();
    return told(peek([{ name: "serialized_object.pkl", data }, { name: "code/a.py", data: "" }]));
  };
  assert.match(of("97007c007900"), /^its serialized object was made by Python 3\.12, .*there are 3\.11 and 3\.14\./);
  assert.match(of("7c0064011700"), /made by a Python before 3\.11 or after 3\.14/);
  assert.equal(of("8000"), "3.14");
});

/** A pickle as cloudpickle writes code objects, of these instructions in hexadecimal. */
function codePickle(...codes: readonly string[]): Uint8Array {
  const start = concat(Uint8Array.of(0x80, 5, 0x95), u(8, 1), Uint8Array.of(0x8c, 8), bytesOf("CodeType"));
  const objects = codes.map((code) => {
    const bytes = Uint8Array.fromHex(code);
    const numbers = Uint8Array.of(0x94, 0x28, 0x4b, 1, 0x4b, 0, 0x4b, 0, 0x4b, 1, 0x4b, 2, 0x4d, 3, 0);
    return concat(numbers, Uint8Array.of(0x43, bytes.length), bytes, Uint8Array.of(0x94));
  });
  return concat(start, ...objects, bytesOf("."));
}

/** `co_code` of functions as CPython 3.11.7 and 3.14.2 compiled them; of the others, as their opcode tables say. */
const BYTECODES: readonly [what: string, codes: readonly string[], expected: PythonEvidence | undefined][] = [
  ["nothing", [], undefined],
  ["3.11, or 3.12", ["97007c0064017a0000005300"], "3.11"],
  ["3.11 for its calls", ["97007401000000000000000000007c01a6010000ab010000000000000000010064005300"], "3.11"],
  ["3.11 with cells", ["8700970088006601640184087d017c015300"], "3.11"],
  ["3.11 with free variables", ["950197007c0089017a0000005300"], "3.11"],
  ["3.11 for its generator", ["4b00010097007c013200330064007b03560097038604"], "3.11"],
  ["3.12 for RETURN_CONST", ["97007c0064017a0000005300", "97007c007900"], "3.12"],
  ["3.13", ["950055002400"], "3.13"],
  ["3.14", ["800056005e012c00000000000000000000002300"], "3.14"],
  ["3.14 with cells", ["6100800056003301520017006c08700156012300"], "3.14"],
  ["3.14 for its generator", ["22001f00800056010e000f0052006a03"], "3.14"],
  ["3.14 with free variables", ["3c018000560053012c00000000000000000000002300"], "3.14"],
  ["3.10", ["7c0064011700", "6400"], "another"],
  ["3.14, beside bytes that are no code", ["0102", "800056005e01"], "3.14"],
];

for (const [what, codes, expected] of BYTECODES) {
  Deno.test(`evidenceInPickle() reads the bytecode of ${what}`, () => {
    assert.equal(evidenceInPickle(codePickle(...codes)), expected);
  });
}

Deno.test("evidenceInPickle() takes no bytes for code where no code object is made", () => {
  const pickle = codePickle("7c0064011700");
  const at = pickle.indexOf(0x43);
  pickle[at] = 0x44;
  assert.equal(evidenceInPickle(pickle), undefined);
});

Deno.test("findPickle() finds an object in an input, as JSON and as a pickle, and nothing elsewhere", () => {
  const inJson = bytesOf(JSON.stringify({ method_name: "add", serialized_object: LAMBDA_OF_311, method_args: [1] }));
  assert.equal(new TextDecoder().decode(findPickle(inJson)).slice(0, 4), "gAWV");
  const inPickle = concat(bytesOf("\x80\x04}\x94\x8c\x11serialized_object\x94X"), u(4, 9), bytesOf(LAMBDA_OF_311));
  assert.equal(new TextDecoder().decode(findPickle(inPickle)).slice(0, 4), "gAWV");
  assert.equal(findPickle(bytesOf('{"other": "gAWV"}')), undefined);
  assert.equal(findPickle(bytesOf(`{"serialized_object": 1, "x": "${"-".repeat(200)}gAWV"}`)), undefined);
  assert.equal(findPickle(new Uint8Array()), undefined);
});

const LONG = "x".repeat(300 * 1024);
const HOSTILE: readonly [what: string, bytes: () => Uint8Array, expected: string][] = [
  ["nothing", () => new Uint8Array(), "deno"],
  ["a text", () => bytesOf("export default 1;"), "deno"],
  ["the end of a zip alone", () => writeZip([]), "deno"],
  ["a zip cut short", () => writeZip([{ name: "a.py", data: "x" }]).subarray(0, 60), "deno"],
  ["a directory beyond the file", () => writeZip([{ name: "a.py" }], { end: { start: 0xfffffff0 } }), "deno"],
  ["more entries than there are", () => writeZip([{ name: "a.py" }], { end: { count: 9, countHere: 9 } }), "deno"],
  [
    "more entries than may be",
    () => writeZip(Array.from({ length: 211 }, (_, index) => ({ name: `${index}.py` }))),
    "deno",
  ],
  ["a manifest that is no JSON", () => writeZip([{ name: "manifest.json", data: "{" }, { name: "a.py" }]), "3.14"],
  ["a manifest that is a list", () => writeZip([{ name: "manifest.json", data: "[1]" }, { name: "a.py" }]), "3.14"],
  ["a manifest that is null", () => writeZip([{ name: "manifest.json", data: "null" }, { name: "a.py" }]), "3.14"],
  [
    "a manifest that unpacks to more than it may",
    () => writeZip([{ name: "manifest.json", data: `{"runtime":"deno"}${LONG}`, method: 8 }, { name: "a.py" }]),
    "3.14",
  ],
  [
    "a manifest that does not unpack",
    () => writeZip([{ name: "manifest.json", data: "{}", packed: Uint8Array.of(7, 7), method: 8 }, { name: "a.py" }]),
    "3.14",
  ],
  [
    "a manifest packed in another way",
    () => writeZip([{ name: "manifest.json", data: '{"runtime":"deno"}', method: 12 }, { name: "a.py" }]),
    "3.14",
  ],
  [
    "a manifest whose header is elsewhere",
    () => writeZip([{ name: "manifest.json", data: "{}", central: { offset: 0xffffffff } }, { name: "a.py" }]),
    "3.14",
  ],
  ["an object that is no base64", () => writeZip([{ name: "serialized_object.pkl", data: "\xff*" }]), "3.14"],
  ["an object that is too short", () => writeZip([{ name: "serialized_object.pkl", data: "gAWVwAEAAA" }]), "3.14"],
  [
    "an object without an end",
    () => writeZip([{ name: "serialized_object.pkl", data: "A".repeat(2 * 1024 * 1024), method: 8 }]),
    "3.14",
  ],
];

for (const [what, bytes, expected] of HOSTILE) {
  Deno.test(`peekPackage() survives ${what}`, () => {
    assert.equal(told(peekPackage(bytes(), OPTIONS)), expected);
  });
}

Deno.test("peekPackage() never throws, whatever byte of a package is another one", () => {
  const whole = writeZip([
    manifest({ runtime: "python" }),
    { name: "serialized_object.pkl", data: LAMBDA_OF_311, method: 8 },
    { name: "code/main.py", data: "x = 1" },
  ]);
  for (let at = 0; at < whole.length; at++) {
    for (const byte of [0, 0xff, (whole[at] ?? 0) ^ 0x10]) {
      assert(["deno", "python"].includes(peekPackage(whole.with(at, byte), OPTIONS).runtime));
    }
  }
});
