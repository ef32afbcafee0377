import assert from "node:assert/strict";
import { ExecutionStatus, FailureReason } from "../../protos/generated/types.ts";
import type { PackageTask } from "../../workers/protocol.ts";
import { ExecutionSectionOptions, PolicyOptions, PythonOptions } from "../../src/config/schema.ts";
import { AdmissionQueue } from "../../src/execution/admission.ts";
import type { DependencyRequest } from "../../src/packages/dependencies.ts";
import { Planner, type PlannerOptions, type TaskPlan } from "../../src/execution/plans.ts";
import type { CustomTaskExecution, SessionRequest } from "../../src/execution/requests.ts";
import { NO_GRANTS } from "../../src/sandbox/grants.ts";
import type { HostTask } from "../../src/sandbox/task.ts";
import type { TaskHostNeed } from "../../src/sandbox/task_host_pool.ts";
import { bytesOf, writeZip } from "../support/zip_writer.ts";

const LIMITS = {
  timeoutMs: 1_000,
  memoryBytes: 2 ** 26,
  cpuPercent: 100,
  cpuMs: 1_000,
  threads: 8,
  outputBytes: 1_000,
};
const EXECUTION = ExecutionSectionOptions.parse({});
const CONTEXT = { caller: "a", limits: LIMITS, policy: PolicyOptions.parse({}) };
const OF_TASK = { ...CONTEXT, grants: NO_GRANTS, packageDigest: "d1", reuseKey: null };
type OfTask = Omit<typeof OF_TASK, "reuseKey"> & Pick<TaskHostNeed, "reuseKey">;
const NOTHING = new Uint8Array();
// No sandbox is asked to run it.
const TASK = {} as unknown as HostTask;

const PYTHON_PACKAGE = writeZip([{ name: "code/main.py", data: "def main(x): return x" }]);
const TYPESCRIPT = bytesOf("export default 1;");

/** A planner over lanes that write down where a task was sent. */
class Setup {
  readonly sent: string[] = [];
  readonly reuseKeys: (string | null)[] = [];
  readonly asked: DependencyRequest[] = [];
  readonly planner: Planner;

  constructor(options: Partial<PlannerOptions> & { readonly hasPython?: boolean } = {}) {
    const { hasPython = true, ...rest } = options;
    const lane = (name: string) => ({
      queue: new AdmissionQueue(EXECUTION),
      tryRun: (_task: HostTask, { reuseKey }: TaskHostNeed) => {
        this.sent.push(name);
        this.reuseKeys.push(reuseKey);
        return undefined;
      },
    });
    const node = (nodeType: string, runtime: "typescript" | "python") => ({
      nodeType,
      runtime,
      category: "base",
      description: "",
      streaming: false,
      parameters: [],
    });
    const pool = {
      nodes: [node("PassThroughNode", "typescript"), node("CodeExecutorNode", "python")],
      tryRun: () => void this.sent.push("node"),
      tryOpen: () => void this.sent.push("node stream"),
    };
    this.planner = new Planner({
      lanes: {
        nodes: { queue: new AdmissionQueue(EXECUTION), pool },
        tasks: lane("typescript"),
        python: hasPython ? { lane: (version) => lane(`python ${version}`) } : undefined,
      },
      execution: EXECUTION,
      python: PythonOptions.parse({}),
      dependencies: {
        resolve: async (request) => {
          this.asked.push(request);
          return await Promise.resolve({ layers: [Uint8Array.of(1, 2)], installed: ["x==1"] });
        },
      },
      bounds: { maxInputBytes: 1_000 },
      creditBytes: () => 77,
      ...rest,
    });
  }

  planTask(request: Partial<CustomTaskExecution>, of: Partial<OfTask> = {}): TaskPlan {
    return this.planner.planTask({
      codePackage: PYTHON_PACKAGE,
      entryPoint: "",
      input: NOTHING,
      format: "json",
      dependencies: [],
      options: undefined,
      ...request,
    }, { ...OF_TASK, ...of });
  }

  /** Where a plan's task goes. */
  where(plan: TaskPlan): string | undefined {
    assert.equal(plan.refusal, undefined);
    plan.tryPlace(TASK);
    return this.sent.at(-1);
  }
}

/** Options of a plan's message, which must be one of user code. */
function packageOf(plan: TaskPlan): PackageTask {
  assert("codePackage" in plan.message);
  return plan.message;
}

const ROUTES: readonly [what: string, codePackage: Uint8Array, where: string][] = [
  ["TypeScript", TYPESCRIPT, "typescript"],
  ["Python", PYTHON_PACKAGE, "python 3.14"],
  [
    "Python of a version",
    writeZip([{ name: "manifest.json", data: '{"runtime":"python","python_version":"3.11"}' }, { name: "main.py" }]),
    "python 3.11",
  ],
];

for (const [what, codePackage, where] of ROUTES) {
  Deno.test(`Planner sends ${what} to ${where}, once and as a stream`, () => {
    const setup = new Setup();
    assert.equal(setup.where(setup.planTask({ codePackage })), where);
    const session: SessionRequest = {
      mode: "object",
      staysOpen: true,
      nodeType: "custom",
      config: new Map([["entry_point", "main:Thing"]]),
      codePackage,
      entryPoint: "",
      options: undefined,
    };
    const plan = setup.planner.planPackageStream(session, { ...CONTEXT, grants: NO_GRANTS, packageDigest: "d1" });
    assert.equal(setup.where(plan), where);
    const { entryPoint, stream } = packageOf(plan).options;
    assert.deepEqual([entryPoint, stream?.mode, stream?.creditBytes], ["main:Thing", "object", 77]);
  });
}

Deno.test("Planner has a package validated once for each caller and entry point, if its sandbox says that it passed", () => {
  const setup = new Setup();
  const plan = (of: Partial<OfTask> = {}, entryPoint = "") =>
    setup.planTask({ codePackage: TYPESCRIPT, entryPoint }, of);
  const validated = (...args: Parameters<typeof plan>) => packageOf(plan(...args)).options.validated;
  const first = plan();
  assert.deepEqual([packageOf(first).options.validated, validated()], [false, false], "nobody has said so yet");
  first.onValidated?.();
  assert.equal(validated(), true);
  assert.equal(validated({}, "other"), false);
  assert.equal(validated({ packageDigest: "d2" }), false);
  assert.equal(validated({ caller: "b" }), false);
  const stricter = PolicyOptions.parse({ imports: { blocked: ["fs"] } });
  assert.equal(validated({ policy: stricter }), false);
});

Deno.test("Planner believes no sandbox of Python that a package passed", () => {
  assert.equal(new Setup().planTask({ codePackage: PYTHON_PACKAGE }).onValidated, undefined);
});

Deno.test("Planner sends nodes to their pool, but those of Python as user code without a package", () => {
  const setup = new Setup();
  const request = { config: new Map([["enable_safe_imports", "true"]]), input: bytesOf("{}"), format: "json" };
  assert.equal(setup.where(setup.planner.planNode({ ...request, nodeType: "PassThroughNode" }, CONTEXT)), "node");
  const plan = setup.planner.planNode({ ...request, nodeType: "CodeExecutorNode" }, CONTEXT);
  assert.equal(setup.where(plan), "python 3.14");
  assert.deepEqual([plan.subject, plan.maxRestarts], ["Node execution", 0]);
  const { codePackage, input, options } = packageOf(plan);
  assert.deepEqual([codePackage.length, input], [0, bytesOf("{}")]);
  assert.deepEqual(options.pythonNode, { nodeType: "CodeExecutorNode", config: { enable_safe_imports: "true" } });
  assert.equal(options.stream, undefined);
});

Deno.test("Planner opens streams with nodes of both kinds", () => {
  const setup = new Setup();
  const open = (nodeType: string) =>
    setup.planner.planNodeStream({
      mode: "stream",
      staysOpen: false,
      nodeType,
      config: new Map(),
      codePackage: NOTHING,
      entryPoint: "",
      options: undefined,
    }, CONTEXT);
  assert.equal(setup.where(open("PassThroughNode")), "node stream");
  const plan = open("CodeExecutorNode");
  assert.equal(setup.where(plan), "python 3.14");
  assert.deepEqual(packageOf(plan).options.stream, { mode: "stream", config: {}, creditBytes: 77 });
});

Deno.test("Planner has TypeScript share a sandbox where the policy says so, and Python never", () => {
  const setup = new Setup();
  for (const codePackage of [TYPESCRIPT, PYTHON_PACKAGE]) {
    setup.planTask({ codePackage }, { reuseKey: "key" }).tryPlace(TASK);
  }
  assert.deepEqual(setup.sent, ["typescript", "python 3.14"]);
  assert.deepEqual(setup.reuseKeys, ["key", null]);
});

Deno.test("Planner sends a node's pickled object to the Python that made it, or says that there is none", () => {
  const setup = new Setup();
  const planOf = (code: string) => {
    // A code object as cloudpickle writes it, as far as its bytecode.
    const numbers = "4b014b004b004b014b024d0300";
    const pickle = `80058c08${bytesOf("CodeType").toHex()}9428${numbers}43${
      (code.length / 2).toString(16).padStart(2, "0")
    }${code}942e`;
    const object = Uint8Array.fromHex(pickle).toBase64();
    const input = bytesOf(JSON.stringify({ serialized_object: object, method_name: "add" }));
    return setup.planner.planNode({ nodeType: "CodeExecutorNode", config: new Map(), input, format: "json" }, CONTEXT);
  };
  assert.equal(setup.where(planOf("97007c00a601")), "python 3.11");
  const { refusal } = planOf("950055002400");
  assert.equal(refusal?.status, ExecutionStatus.ERROR);
  assert.match(refusal?.errorMessage ?? "", /^Cannot run task: its serialized object was made by Python 3\.13/);
});

const SCRATCH = { ...NO_GRANTS, scratchBytes: 1 };
const NETWORK = { ...NO_GRANTS, networkHosts: ["*"] };
const REFUSED: readonly [what: string, plan: (setup: Setup) => TaskPlan, message: RegExp][] = [
  [
    "a version that there is not",
    (setup) =>
      setup.planTask({
        codePackage: writeZip([{ name: "manifest.json", data: '{"runtime":"python","python_version":"3.9"}' }]),
      }),
    /^Cannot run task: its manifest asks for Python "3\.9" .*there are 3\.11 and 3\.14$/,
  ],
  [
    "network",
    (setup) => setup.planTask({}, { grants: NETWORK }),
    /options\.enable_networking is for TypeScript only/,
  ],
  [
    "a scratch folder",
    (setup) => setup.planTask({}, { grants: SCRATCH }),
    /options\.enable_filesystem is for TypeScript only/,
  ],
];

for (const [what, plan, message] of REFUSED) {
  Deno.test(`Planner refuses Python with ${what} as an invalid task`, () => {
    const { refusal } = plan(new Setup());
    assert.deepEqual([refusal?.status, refusal?.failureReason], [ExecutionStatus.ERROR, FailureReason.INVALID_TASK]);
    assert.match(refusal?.errorMessage ?? "", message);
  });
}

Deno.test("Planner refuses all of Python where it is off, and lets TypeScript have its rights", () => {
  const setup = new Setup({ hasPython: false });
  const node = { nodeType: "CodeExecutorNode", config: new Map(), input: NOTHING, format: "json" };
  assert.match(
    setup.planner.planNode(node, CONTEXT).refusal?.errorMessage ?? "",
    /CodeExecutorNode is run by Python, which this service does not run \(python\.enabled\)$/,
  );
  assert.match(setup.planTask({}).refusal?.errorMessage ?? "", /its package is Python's/);
  assert.equal(setup.where(setup.planTask({ codePackage: TYPESCRIPT }, { grants: NETWORK })), "typescript");
});

Deno.test("Planner refuses an input, a package and a node's config that are too long, before it looks into them", () => {
  const setup = new Setup();
  const policy = PolicyOptions.parse({ packages: { maxCompressedMb: 1 } });
  const plans = [
    setup.planTask({ input: new Uint8Array(1_001) }),
    setup.planTask({ codePackage: new Uint8Array(2 ** 20 + 1) }, { policy }),
    setup.planner.planNode({
      nodeType: "CodeExecutorNode",
      config: new Map([["a", "x".repeat(2 ** 20)]]),
      input: NOTHING,
      format: "",
    }, CONTEXT),
  ];
  for (const { refusal } of plans) assert.equal(refusal?.status, ExecutionStatus.RESOURCE_LIMIT);
});

Deno.test("Planner asks for what Python and declared packages of TypeScript depend on, and for nothing else", async () => {
  const setup = new Setup();
  assert.equal(setup.planTask({ codePackage: TYPESCRIPT }).prepare, undefined);
  const { signal } = new AbortController();
  const plans = [
    setup.planTask({ dependencies: ["numpy"] }),
    setup.planTask({ codePackage: TYPESCRIPT, dependencies: ["npm:zod@4"] }),
    setup.planTask({
      codePackage: writeZip([{ name: "serialized_object.pkl" }, { name: "requirements.txt", data: "six\nattrs" }]),
      dependencies: ["six"],
    }),
  ];
  for (const plan of plans) {
    const prepared = await plan.prepare?.(signal);
    assert.deepEqual([prepared?.installed, prepared?.message.layers], [["x==1"], [Uint8Array.of(1, 2)]]);
    assert.deepEqual(prepared?.message.codePackage, packageOf(plan).codePackage);
  }
  assert.deepEqual(setup.asked.map(({ codePackage: _, ...asked }) => asked), [
    { runtime: "python", version: "3.14", implied: [], requirements: ["numpy"] },
    { runtime: "deno", version: undefined, implied: [], requirements: ["npm:zod@4"] },
    { runtime: "python", version: "3.14", implied: ["cloudpickle"], requirements: ["six", "attrs"] },
  ]);
});
