/**
 * User code in Python that attacks what runs it: the answers of our library, the files that results pass through, the
 * interpreter's way to end, and the memory behind it.
 *
 * @module
 */

import assert from "node:assert/strict";
import { ExecutionOptions, ExecutionStatus } from "../../protos/generated/types.ts";
import { packageFiles } from "../../src/client/package.ts";
import { PYTHON_VERSIONS, type PythonVersion } from "../../workers/protocol.ts";
import { TestClient, unary } from "../support/client.ts";
import { startTestServer } from "../support/server.ts";
import { untilNothingIsLeft, usageAtRest } from "./leftovers.ts";

const NEWEST: PythonVersion = "3.14";
/** Attacks at once. */
const CONCURRENCY = 2;
/** Of attacks that are to run out of time. */
const SHORT_SECONDS = 2;
const PATIENT_SECONDS = 30;
/** Of a message and a traceback together, which the worker and the server both cut. */
const MAX_ERROR_LENGTH = 40 * 1024;

/** An attack, and how it may end: `STATUS` or `STATUS: message`. */
interface Attack {
  readonly name: string;
  readonly code: string;
  readonly ends: RegExp;
  readonly timeoutSeconds?: number;
  readonly memoryLimitMb?: number;
  /** Versions that it is tried on: the newest one where none is given. */
  readonly versions?: readonly PythonVersion[];
  /** What a successful one must give. */
  readonly result?: unknown;
}

/** Puts an answer of its own in the place of our library's. */
function forging(name: string, answer: string, ends: RegExp, rest: Partial<Attack> = {}): Attack {
  const code = `import sys
sys.modules["rexec_runtime.bridge"]._encode = lambda answer: ${answer}
def main(item):
    return 1
`;
  return { name: `answers ${name}`, code, ends, ...rest };
}

/** Does something to the output when it has been written, and says that it is done. */
function tampering(name: string, statement: string, ends: RegExp, rest: Partial<Attack> = {}): Attack {
  const code = `import os, sys
def encode(answer):
    ${statement}
    return '{"state": "done"}'
def main(item):
    sys.modules["rexec_runtime.bridge"]._encode = encode
    return 1
`;
  return { name: `has an output that ${name}`, code, ends, ...rest };
}

const OUTPUT = '"/run/output"';
const UNREADABLE_ANSWER = /^ERROR: The Python interpreter gave an answer that cannot be read/;
const NO_OUTPUT = /^ERROR: Cannot read output/;
const ENDED = /^ERROR: The Python interpreter ended/;

const ATTACKS: readonly Attack[] = [
  forging("that it is done before anything ran", `'{"state": "done"}'`, /^SUCCESS$/, { result: 1 }),
  forging("that it waits, without end", `'{"state": "waiting", "seconds": 0}'`, /^TIMEOUT/, {
    timeoutSeconds: SHORT_SECONDS,
  }),
  forging("that it waits for longer than there is", `'{"state": "waiting", "seconds": 1e308}'`, /^TIMEOUT/, {
    timeoutSeconds: SHORT_SECONDS,
  }),
  forging("that it waits for less than nothing", `'{"state": "waiting", "seconds": -1}'`, /^TIMEOUT/, {
    timeoutSeconds: SHORT_SECONDS,
  }),
  forging("NaN", `'{"state": "waiting", "seconds": NaN}'`, UNREADABLE_ANSWER),
  forging("with outputs that nobody asked for", `'{"state": "output"}'`, /^ERROR: .*output that nobody asked for/),
  forging("what is no text", "lambda: 1", UNREADABLE_ANSWER),
  forging("more than memory holds", `"x" * (1 << 29)`, /^(RESOURCE_LIMIT|ERROR)/),
  forging("brackets in brackets", `"[" * 500_000`, UNREADABLE_ANSWER),
  forging("with a message that is no text", `'{"state": "raised", "message": {"toString": 1}}'`, UNREADABLE_ANSWER),
  forging(
    "with a message that nests",
    `'{"state": "invalid", "message": ' + "[" * 9999 + "]" * 9999 + "}"`,
    UNREADABLE_ANSWER,
  ),
  forging("with a message that is long", `'{"state": "invalid", "message": "' + "x" * 500_000 + '"}'`, /^ERROR: x/),
  tampering("is gone", `os.unlink(${OUTPUT})`, NO_OUTPUT),
  tampering("is a folder", `os.unlink(${OUTPUT}); os.mkdir(${OUTPUT})`, NO_OUTPUT),
  tampering("is a device", `os.unlink(${OUTPUT}); os.symlink("/dev/random", ${OUTPUT})`, NO_OUTPUT),
  tampering("is a link to itself", `os.unlink(${OUTPUT}); os.symlink(${OUTPUT}, ${OUTPUT})`, NO_OUTPUT),
  tampering("has 64 GB", `os.truncate(${OUTPUT}, 1 << 36)`, ENDED),
  tampering(
    "calls a function",
    `open(${OUTPUT}, "wb").write(b"cos\\nsystem\\n(S'id'\\ntR.")`,
    /^SECURITY_VIOLATION: Cannot unpickle: global "os\.system" is not allowed/,
  ),
  {
    name: "deletes every file and folder that there is",
    code: `import shutil
def main(item):
    for folder in ("/run", "/packages", "/dev", "/lib", "/home", "/tmp", "/proc"):
        shutil.rmtree(folder, ignore_errors=True)
    return 1
`,
    ends: /^ERROR: Cannot pickle the result/,
  },
  {
    name: "fills the files in memory",
    code: `def main(item):
    number = 0
    while True:
        number += 1
        with open(f"/tmp/{number}", "wb") as file: file.write(b"x" * (8 << 20))
`,
    ends: /^RESOURCE_LIMIT: .*memory/,
    memoryLimitMb: 96,
  },
  {
    name: "raises what lies about its class and cannot be looked at",
    code: `class Meta(type):
    def __getattribute__(cls, name): raise SystemExit
class Odd(Exception, metaclass=Meta):
    def __str__(self): raise SystemExit
    @property
    def __traceback__(self): raise KeyboardInterrupt
    @property
    def __cause__(self): return self
    @property
    def __class__(self): return KeyboardInterrupt
def main(item): raise Odd()
`,
    ends: /^ERROR: object: <exception str\(\) failed>/,
  },
  {
    name: "swallows every signal",
    code: `import signal, time
def main(item):
    signal.signal(signal.SIGINT, lambda *_: None)
    while True:
        try: time.sleep(100)
        except BaseException: pass
`,
    ends: /^TIMEOUT/,
    timeoutSeconds: SHORT_SECONDS,
  },
  { name: "aborts", code: "import os\ndef main(item): os.abort()\n", ends: ENDED, versions: PYTHON_VERSIONS },
  {
    name: "writes over all of the interpreter's memory, with a ctypes that it makes by hand",
    code: `import _imp, importlib.machinery as machinery
def main(item):
    spec = machinery.ModuleSpec("_ctypes", machinery.BuiltinImporter, origin="built-in")
    ctypes = _imp.create_builtin(spec)
    _imp.exec_builtin(ctypes)
    class Int(ctypes._SimpleCData): _type_ = "i"
    class Fill(ctypes.CFuncPtr):
        _flags_ = ctypes.FUNCFLAG_CDECL
        _restype_ = Int
    Fill(ctypes._memset_addr)(Int(0), Int(0x41), Int(16 << 20))
`,
    ends: /^(ERROR|TIMEOUT|RESOURCE_LIMIT)/,
    timeoutSeconds: SHORT_SECONDS,
    versions: PYTHON_VERSIONS,
  },
  {
    name: "looks for a way to JavaScript in all that the garbage collector knows, and makes the modules anew",
    code: `import _imp, gc, importlib.machinery as machinery, sys, types
def main(item):
    sys.meta_path.pop(0)
    found = [f.__name__ for f in gc.get_objects()
             if isinstance(f, types.BuiltinFunctionType) and str(f.__module__).startswith("_pyodide")]
    for name in ("js", "pyodide_js"):
        try: __import__(name)
        except Exception: pass
        else: found.append(name)
    core = _imp.create_builtin(machinery.ModuleSpec("_pyodide_core", machinery.BuiltinImporter, origin="built-in"))
    return found + [name for name in vars(core) if not name.startswith("__")]
`,
    ends: /^SUCCESS$/,
    result: [],
    versions: PYTHON_VERSIONS,
  },
];

Deno.test("Python that attacks what runs it harms itself alone", async (test) => {
  const folder = Deno.makeTempDirSync({ prefix: "rexec-attacks-" });
  const server = await startTestServer({
    settings: {
      "pool.maxWorkers": 1,
      "sandbox.probe": false,
      "python.maxSandboxes": CONCURRENCY,
      "python.readySandboxes": 0,
    },
    env: { TMPDIR: folder },
  });
  try {
    using client = new TestClient(server.address);
    for (const version of PYTHON_VERSIONS) await assertHonest(client, version);
    const atRest = await usageAtRest(server, folder);
    const waiting = ATTACKS.flatMap((attack) => (attack.versions ?? [NEWEST]).map((version) => ({ attack, version })));
    const attacks = [...waiting];
    const faults = new Map<object, string | undefined>();
    await Promise.all(Array.from({ length: CONCURRENCY }, async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        faults.set(next, await faultOf(client, next.attack, next.version));
      }
    }));

    for (const attack of attacks) {
      await test.step(`${attack.attack.name} (Python ${attack.version})`, () => {
        assert(faults.has(attack));
        assert.equal(faults.get(attack), undefined);
      });
    }
    await test.step("the next tasks succeed, and nothing is left", async () => {
      for (const version of PYTHON_VERSIONS) await assertHonest(client, version);
      await untilNothingIsLeft(server, folder, atRest);
    });
  } finally {
    await server[Symbol.asyncDispose]();
    await Deno.remove(folder, { recursive: true }).catch(() => {});
  }
});

/** @returns what is wrong with how an attack ended, if anything is */
async function faultOf(client: TestClient, attack: Attack, version: PythonVersion): Promise<string | undefined> {
  const { status, message, result, length } = await run(client, attack, version);
  const end = message === "" ? status : `${status}: ${message}`;
  if (!attack.ends.test(end)) return `it ends in ${end.slice(0, 500)}`;
  if (length > MAX_ERROR_LENGTH) return `it says ${length} characters`;
  if ("result" in attack && JSON.stringify(result) !== JSON.stringify(attack.result)) {
    return `its result is ${JSON.stringify(result)}`;
  }
  return undefined;
}

async function assertHonest(client: TestClient, version: PythonVersion): Promise<void> {
  const honest = { code: "def main(item):\n    return item['n'] * 2\n" };
  const { status, message, result } = await run(client, honest, version);
  assert.deepEqual([status, message, result], ["SUCCESS", "", 2]);
}

async function run(
  client: TestClient,
  { code, timeoutSeconds = PATIENT_SECONDS, memoryLimitMb = 0 }: Pick<
    Attack,
    "code" | "timeoutSeconds" | "memoryLimitMb"
  >,
  pythonVersion: PythonVersion,
) {
  const files = new Map([["main.py", new TextEncoder().encode(code)]]);
  const answer = await unary(client.stub, client.stub.executeCustomTask, {
    codePackage: packageFiles(files, { runtime: "python", pythonVersion }),
    entryPoint: "",
    inputData: new TextEncoder().encode('{"n": 1}'),
    serializationFormat: "json",
    dependencies: [],
    options: ExecutionOptions.fromPartial({ timeoutSeconds, memoryLimitMb }),
  }).answer;
  if (!answer.ok) return { status: `the call: ${answer.details}`, message: "", result: undefined, length: 0 };
  const { status, errorMessage, errorTraceback, outputData } = answer.response;
  return {
    status: ExecutionStatus[status],
    message: errorMessage,
    result: outputData.length === 0 ? undefined : JSON.parse(new TextDecoder().decode(outputData)) as unknown,
    length: errorMessage.length + errorTraceback.length,
  };
}
