import assert from "node:assert/strict";
import { ExecutionOptions, ExecutionStatus, FailureReason } from "../../protos/generated/types.ts";
import type { ExecuteCustomTaskResponse } from "../../protos/generated/execution.ts";
import { packageFiles, type PackageManifest } from "../../src/client/mod.ts";
import { type Answer, TestClient, unary } from "../support/client.ts";
import { startTestServer } from "../support/server.ts";
import { resultOf } from "./run.ts";

/** A run of Python. */
interface PythonRun extends Partial<ExecutionOptions> {
  readonly entryPoint?: string;
  readonly input?: unknown;
  readonly manifest?: PackageManifest;
  readonly dependencies?: readonly string[];
}

type Files = Readonly<Record<string, string>>;

/** Runs files of Python with JSON in and out. */
function tryRun(client: TestClient, files: Files, options: PythonRun): Promise<Answer<ExecuteCustomTaskResponse>> {
  const { entryPoint = "", input = null, manifest = {}, dependencies = [], ...wishes } = options;
  const encoder = new TextEncoder();
  const contents = new Map(Object.entries(files).map(([path, text]) => [path, encoder.encode(text)]));
  return unary(client.stub, client.stub.executeCustomTask, {
    codePackage: packageFiles(contents, { runtime: "python", ...manifest }),
    entryPoint,
    inputData: encoder.encode(JSON.stringify(input)),
    serializationFormat: "json",
    dependencies: [...dependencies],
    options: ExecutionOptions.fromPartial(wishes),
  }).answer;
}

async function run(
  client: TestClient,
  code: string | Files,
  options: PythonRun = {},
): Promise<ExecuteCustomTaskResponse> {
  const answer = await tryRun(client, typeof code === "string" ? { "main.py": code } : code, options);
  assert(answer.ok, answer.ok ? "" : answer.details);
  return answer.response;
}

const RESULTS: readonly [name: string, code: string | Files, expected: unknown, run?: PythonRun][] = [
  ["a function", "def main(x):\n    return x + 1", 2, { input: 1 }],
  ["an async function", "import asyncio\nasync def main(x):\n    await asyncio.sleep(0.01)\n    return [x]", [1], {
    input: 1,
  }],
  ["a generator", "def main(x):\n    yield 1\n    yield {'a': True}", [1, { a: true }]],
  ["an async generator", "async def main(x):\n    yield 'a'\n    yield 'b'", ["a", "b"]],
  ["no result", "def main(x):\n    pass", null],
  [
    "a module of a package, and one that it imports",
    {
      "pkg/__init__.py": "",
      "pkg/a.py": "from .b import two\ndef f(x): return two()",
      "pkg/b.py": "def two(): return 2",
    },
    2,
    { entryPoint: "pkg.a:f" },
  ],
  ["a dotted entry point", { "pkg/__init__.py": "", "pkg/a.py": "def f(x): return 3" }, 3, { entryPoint: "pkg.a.f" }],
  ["a method of a class", { "a.py": "class A:\n    @staticmethod\n    def f(x): return 4" }, 4, {
    entryPoint: "a:A.f",
  }],
  [
    "a data file of the package",
    { "main.py": "def main(x):\n    return open('data/words.txt').read()", "data/words.txt": "übung" },
    "übung",
  ],
  [
    "the version that its manifest names",
    "import sys\ndef main(x):\n    return list(sys.version_info[:2])",
    [3, 11],
    { manifest: { pythonVersion: "3.11.2" } },
  ],
  [
    "asyncio.run",
    "import asyncio\nasync def f(x):\n    await asyncio.sleep(0.01)\n    return x\ndef main(x):\n    return asyncio.run(f(x))",
    7,
    { input: 7 },
  ],
  ...["3.11", "3.14"].map((pythonVersion): typeof RESULTS[number] => [
    `${pythonVersion} from modules that are seldom loaded`,
    "def main(x):\n    import logging.handlers, urllib.request, json.tool\n    return 'ä'.encode('cp1252').hex()",
    "e4",
    { manifest: { pythonVersion } },
  ]),
  ...["3.11", "3.14"].map((pythonVersion): typeof RESULTS[number] => [
    `${pythonVersion} where a module is missing`,
    "def main(x):\n    try:\n        import numpy\n    except ImportError as error:\n        return [type(error).__name__, error.name]",
    ["ModuleNotFoundError", "numpy"],
    { manifest: { pythonVersion } },
  ]),
  ["the default version", "import sys\ndef main(x):\n    return list(sys.version_info[:2])", [3, 14]],
];

/** What goes wrong, and what the answer says: its status, its reason, its message. */
const FAILURES: readonly [
  name: string,
  code: string | Files,
  status: ExecutionStatus,
  reason: FailureReason,
  message: RegExp,
  run?: PythonRun,
][] = [
  [
    "an exception",
    "def deep():\n    raise ValueError('x is wrong')\ndef main(x):\n    deep()",
    ExecutionStatus.ERROR,
    FailureReason.EXCEPTION,
    /ValueError: x is wrong/,
  ],
  [
    "SystemExit",
    "import sys\ndef main(x):\n    sys.exit(3)",
    ExecutionStatus.ERROR,
    FailureReason.EXCEPTION,
    /SystemExit: 3/,
  ],
  [
    "a function that is not there",
    "def main(x):\n    pass",
    ExecutionStatus.ERROR,
    FailureReason.INVALID_TASK,
    /gone/,
    { entryPoint: "main:gone" },
  ],
  [
    "a Python that is not there",
    "def main(x):\n    pass",
    ExecutionStatus.ERROR,
    FailureReason.INVALID_TASK,
    /asks for Python "3\.9" \(python_version\); there are 3\.11 and 3\.14$/,
    { manifest: { pythonVersion: "3.9" } },
  ],
  [
    "a loop that does not end",
    "def main(x):\n    while True: pass",
    ExecutionStatus.TIMEOUT,
    FailureReason.TIME_LIMIT,
    /the limit is 1 s \(options\.timeout_seconds\)/,
    { timeoutSeconds: 1 },
  ],
  [
    "memory without a bound",
    "def main(x):\n    kept = []\n    while True: kept.append(bytearray(1 << 20))",
    ExecutionStatus.RESOURCE_LIMIT,
    FailureReason.MEMORY_LIMIT,
    /memory/,
    { memoryLimitMb: 64 },
  ],
  [
    "what stops when its CPU time is nearly used up",
    "def main(x):\n    while True: pass",
    ExecutionStatus.RESOURCE_LIMIT,
    FailureReason.CPU_LIMIT,
    /CPU time, the limit is 1 s \(options\.cpu_time_seconds\); it ended when it was told that this is near$/,
    { cpuTimeSeconds: 1, timeoutSeconds: 60 },
  ],
  [
    "what stops when its memory is nearly full",
    "import time\ndef main(x):\n    kept = []\n    while True:\n        kept.append(bytearray(1 << 20))\n        time.sleep(0.02)",
    ExecutionStatus.RESOURCE_LIMIT,
    FailureReason.MEMORY_LIMIT,
    /memory, the limit is 128 MB \(options\.memory_limit_mb\); it ended when it was told that this is near$/,
    { memoryLimitMb: 128, timeoutSeconds: 60 },
  ],
  [
    "a package that nobody has",
    "def main(x):\n    pass",
    ExecutionStatus.ERROR,
    FailureReason.INVALID_TASK,
    /no-such-package/,
    { dependencies: ["no-such-package"] },
  ],
];

Deno.test("ExecuteCustomTask runs Python in a sandbox of its own", async (test) => {
  await using server = await startTestServer({
    settings: {
      "pool.maxWorkers": 1,
      "python.readySandboxes": 1,
      // The first task of each version waits until one is ready, on a busy machine for long.
      "execution.queueTimeoutMs": 0,
      "policy.environment.allowedNames": ["GREETING"],
      "policy.network.allowed": true,
      "policy.filesystem.allowed": true,
    },
  });
  using client = new TestClient(server.address);

  for (const [name, code, expected, options] of RESULTS) {
    await test.step(`gives the result of ${name}`, async () => {
      assert.deepEqual(resultOf(await run(client, code, options)), expected);
    });
  }

  for (const [name, code, status, reason, message, options] of FAILURES) {
    await test.step(`says what is wrong: ${name}`, async () => {
      const response = await run(client, code, options);
      assert.match(response.errorMessage, message);
      assert.deepEqual([response.status, response.failureReason], [status, reason]);
      assert.equal(response.outputData.length, 0);
    });
  }

  await test.step("gives Python's traceback with the user's files, and nothing of ours", async () => {
    const files = {
      "main.py": "from lib import deep\ndef main(x):\n    deep()\n",
      "lib.py": "def deep():\n    1 / 0\n",
    };
    const { errorTraceback } = await run(client, files);
    assert.match(errorTraceback, /^Traceback \(most recent call last\):\n {2}File "main\.py", line 3, in main\n/);
    assert.match(errorTraceback, /File "lib\.py", line 2, in deep\n[\s\S]*ZeroDivisionError: division by zero/);
    assert(!errorTraceback.includes("rexec_runtime"), errorTraceback);
  });

  await test.step("returns what was printed and logged, by stream", async () => {
    const { stdout, stderr } = await run(
      client,
      "import sys\ndef main(x):\n    print('a', 1)\n    print('b', file=sys.stderr)",
    );
    assert.deepEqual([stdout, stderr], ["a 1\n", "b\n"]);
  });

  await test.step("gives the environment that the request names, and no other", async () => {
    const code = "import os\ndef main(x):\n    return [os.environ.get('GREETING'), os.environ.get('PATH')]";
    assert.deepEqual(resultOf(await run(client, code, { environment: { GREETING: "hello" } })), ["hello", null]);
  });

  for (const [field, wish] of [["enable_networking", "enableNetworking"], ["enable_filesystem", "enableFilesystem"]]) {
    await test.step(`refuses ${field}, which is for TypeScript`, async () => {
      const response = await run(client, "def main(x): pass", { [String(wish)]: true });
      assert.equal(response.failureReason, FailureReason.INVALID_TASK);
      assert.match(response.errorMessage, new RegExp(`options\\.${field} is for TypeScript only`));
    });
  }

  await test.step("shares nothing between two tasks", async () => {
    const code =
      "import builtins\ndef main(x):\n    seen = getattr(builtins, 'seen', 0)\n    builtins.seen = 1\n    return seen";
    for (let round = 0; round < 2; round++) assert.equal(resultOf(await run(client, code)), 0);
  });
});

Deno.test("Sandboxes of Python have hash seeds of their own where the service is told so", async () => {
  await using server = await startTestServer({
    settings: { "pool.maxWorkers": 1, "python.ownHashSeeds": true, "python.readySandboxes": 0 },
  });
  using client = new TestClient(server.address);
  const code =
    "import sys\ndef main(_):\n    return [sys.version_info.minor, str(hash('a')), str(hash(b'a')), list({*'abcdef'})]";
  const results = [await run(client, code), await run(client, code)].map((response) => resultOf(response) as unknown[]);
  assert.deepEqual(results.map(([minor]) => minor), [14, 14]);
  assert.notEqual(results[0]?.[1], results[1]?.[1]);
  assert.notEqual(results[0]?.[2], results[1]?.[2]);
});
