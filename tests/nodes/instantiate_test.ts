import assert from "node:assert/strict";
import { z } from "zod";
import { TaskError } from "../../workers/task_error.ts";
import { Tuple, type Value } from "../../workers/values.ts";
import { createNode, executeNode } from "../../workers/nodes/instantiate.ts";
import { findNode } from "../../workers/nodes/mod.ts";
import { defineNode, type Node, type NodeContext, type NodeDefinition } from "../../workers/nodes/node.ts";
import { run, taskContext } from "./_run.ts";

function define(node: Partial<Node>, options: Partial<NodeDefinition> = {}): NodeDefinition {
  return defineNode({
    type: "Fake",
    category: "base",
    description: "A node for tests",
    parameters: z.object({}),
    streaming: false,
    create: () => ({ process: (item) => item, ...node }),
    ...options,
  });
}

const PARAMETERS = z.object({
  size: z.int().min(1),
  ratio: z.number().max(1).default(0.5),
  name: z.string().default("x"),
  mode: z.enum(["fast", "good"]).default("fast"),
  pair: z.tuple([z.int(), z.int()]).default([1, 2]),
  flag: z.boolean().default(false),
  map: z.record(z.string(), z.int()).default({}),
});

/** What the node of a config was created with. */
async function created(config: Readonly<Record<string, string>>) {
  let seen: { parameters: unknown; context: NodeContext } | undefined;
  const definition = defineNode({
    type: "Fake",
    category: "base",
    description: "A node for tests",
    parameters: PARAMETERS,
    streaming: false,
    create: (parameters, context) => {
      seen = { parameters, context };
      return { process: (item) => item };
    },
  });
  await createNode(definition, new Map(Object.entries(config)), taskContext());
  assert.ok(seen);
  return seen;
}

const DEFAULTS = { size: 5, ratio: 0.5, name: "x", mode: "fast", pair: [1, 2], flag: false, map: {} };

const CONFIGS: [string, Readonly<Record<string, string>>, Readonly<Record<string, unknown>>][] = [
  ["defaults", { size: "5" }, {}],
  ["a float for a float", { size: "5", ratio: "0.25" }, { ratio: 0.25 }],
  ["an int for a float", { size: "5", ratio: "1" }, { ratio: 1 }],
  ["Python's tuple and True", { size: "5", pair: "(3, 4)", flag: "True" }, { pair: [3, 4], flag: true }],
  ["JSON's list and true", { size: "5", pair: "[3, 4]", flag: "true" }, { pair: [3, 4], flag: true }],
  ["text without quotes", { size: "5", name: "abc", mode: "good" }, { name: "abc", mode: "good" }],
  ["text in quotes", { size: "5", name: '"abc"' }, { name: "abc" }],
  ["text that looks like a number", { size: "5", name: "123" }, { name: "123" }],
  ["a dict", { size: "5", map: '{"a": 1}' }, { map: { a: 1 } }],
];
for (const [name, config, expected] of CONFIGS) {
  Deno.test(`createNode() reads ${name}`, async () => {
    assert.deepEqual((await created(config)).parameters, { ...DEFAULTS, ...expected });
  });
}

Deno.test("createNode() gives a dict's keys nothing of the prototype", async () => {
  const { parameters } = await created({ size: "5", map: '{"__proto__": 1, "a": 2}' });
  assert.equal(({} as Record<string, unknown>)["a"], undefined);
  assert.deepEqual(Object.keys((parameters as z.output<typeof PARAMETERS>).map).includes("a"), true);
});

Deno.test("createNode() hands on the node's name and the parameters that it does not know", async () => {
  const { context } = await created({ size: "5", extra: "(1, 2.0)", __proto__x: "None" });
  assert.equal(context.name, "remote_Fake");
  assert.deepEqual(context.extraConfig, new Map<string, Value>([["extra", new Tuple([1n, 2])], ["__proto__x", null]]));
});

const FAULTS: [Readonly<Record<string, string>>, string][] = [
  [{}, "size: required"],
  [{ size: "0" }, "size: must be at least 1, is 0"],
  [{ size: "abc" }, 'size: must be a number, is "abc"'],
  [{ size: "1.5" }, "size: must be an int, is 1.5"],
  [{ size: "None" }, "size: must be a number, is null"],
  [{ size: "5", ratio: "2" }, "ratio: must be at most 1, is 2"],
  [{ size: "5", mode: "slow" }, 'mode: must be one of "fast", "good", is "slow"'],
  [{ size: "5", pair: "(1,)" }, "pair: must have at least 2 items, is [1]"],
  [{ size: "5", pair: "(1, 'a')" }, 'pair[1]: must be a number, is "a"'],
  [{ size: "5", flag: "1" }, "flag: must be a bool, is 1"],
  [{ size: "5", map: '{"a": "b"}' }, 'map.a: must be a number, is "b"'],
  [{ ratio: "x", flag: "2" }, 'size: required; ratio: must be a number, is "x"; flag: must be a bool, is 2'],
];
for (const [config, fault] of FAULTS) {
  Deno.test(`createNode() refuses ${JSON.stringify(config)} with "${fault}"`, async () => {
    await assert.rejects(created(config), (error) => {
      assert.ok(error instanceof TaskError);
      assert.equal(error.code, "INVALID_TASK");
      assert.equal(error.message, `Invalid config for Fake: ${fault}`);
      return true;
    });
  });
}

Deno.test("createNode() names what AudioBuffer needs", async () => {
  await assert.rejects(
    createNode(findNode("AudioBuffer"), new Map(), taskContext()),
    { message: "Invalid config for AudioBuffer: buffer_size_samples: required" },
  );
});

Deno.test("createNode() parses the same config once, and other configs on their own", async () => {
  let parsed = 0;
  const definition = define({}, {
    parameters: z.object({ a: z.int().default(1).transform((value) => (parsed++, value)) }),
  });
  const create = (a: string) => createNode(definition, new Map([["a", a]]), taskContext());
  await create("1");
  await create("1");
  assert.equal(parsed, 1);
  for (let a = 2; a < 200; a++) await create(String(a));
  await create("1");
  assert.equal(parsed, 200); // The first was forgotten by then.
});

const STREAMS: [string, Value[], Value[], Value][] = [
  ["no output", [], [], null],
  ["one output of process", [1n], [], 1n],
  ["one output of flush", [], [2n], 2n],
  ["outputs of both", [1n], [2n, 3n], [1n, 2n, 3n]],
];
for (const [name, outputs, rest, expected] of STREAMS) {
  Deno.test(`executeNode() answers a streaming node's ${name}`, async () => {
    const sync = define({ process: () => outputs, flush: () => rest }, { streaming: true });
    assert.deepEqual(await executeNode(sync, new Map(), null, taskContext()), expected);
    const async = define({
      async *process() {
        yield* await Promise.resolve(outputs);
      },
      async *flush() {
        yield* await Promise.resolve(rest);
      },
    }, { streaming: true });
    assert.deepEqual(await executeNode(async, new Map(), null, taskContext()), expected);
  });
}

Deno.test("executeNode() does not flush a plain node", async () => {
  const node = define({
    flush: () => {
      throw new Error("flushed");
    },
  });
  assert.equal(await executeNode(node, new Map(), 5n, taskContext()), 5n);
});

Deno.test("executeNode() prefers the definition's own execute", async () => {
  const node = define({}, { streaming: true, execute: (_node, item) => [item, "own"] });
  assert.deepEqual(await executeNode(node, new Map(), 5n, taskContext()), [5n, "own"]);
});

const boom = () => {
  throw new RangeError("boom");
};
const THROWING: [string, NodeDefinition][] = [
  ["process", define({ process: boom })],
  ["create", define({}, { create: boom })],
  ["flush", define({ process: () => [], flush: boom }, { streaming: true })],
  ["execute", define({}, { execute: boom })],
];
for (const [name, definition] of THROWING) {
  Deno.test(`executeNode() reports what ${name} throws as TASK_FAILED, with its cause`, async () => {
    await assert.rejects(executeNode(definition, new Map(), null, taskContext()), (error) => {
      assert.ok(error instanceof TaskError);
      assert.equal(error.code, "TASK_FAILED");
      assert.equal(error.message, "Node execution failed: boom");
      assert.ok(error.cause instanceof RangeError);
      return true;
    });
  });
}

Deno.test("executeNode() leaves a TaskError as it is", async () => {
  const limit = new TaskError("RESOURCE_LIMIT", "too much");
  const node = define({
    process: () => {
      throw limit;
    },
  });
  await assert.rejects(executeNode(node, new Map(), null, taskContext()), limit);
});

Deno.test("executeNode() cleans up after success and after failure; what cleanup throws is a warning", async () => {
  let cleaned = 0;
  const cleanup = () => {
    cleaned++;
    throw new Error("stuck");
  };
  const context = taskContext();
  assert.equal(await executeNode(define({ cleanup }), new Map(), 1n, context), 1n);
  await assert.rejects(executeNode(define({ process: boom, cleanup }), new Map(), 1n, context), /boom/);
  assert.equal(cleaned, 2);
  assert.deepEqual(context.warnings, ["Cannot clean up node: stuck", "Cannot clean up node: stuck"]);
});

Deno.test("executeNode() stops when the task is cancelled", async () => {
  const controller = new AbortController();
  let cleaned = false;
  const endless = define({
    *process() {
      for (;;) {
        yield 1n;
        controller.abort(new Error("gone"));
      }
    },
    cleanup: () => void (cleaned = true),
  }, { streaming: true });
  const execution = executeNode(endless, new Map(), null, taskContext({ signal: controller.signal }));
  await assert.rejects(execution, (error) => error instanceof TaskError && error.code === "CANCELLED");
  assert.ok(cleaned);
});

Deno.test("PassThroughNode gives the very input", async () => {
  const input = new Map<Value, Value>([["a", new Tuple([1n])]]);
  assert.equal(await run("PassThroughNode", input), input);
});

Deno.test("BufferNode gives one item as a list, by flush", async () => {
  assert.deepEqual(await run("BufferNode", 1n), [1n]);
});

Deno.test("BufferNode gives full buffers as they fill and the rest at the end", async () => {
  const node = await createNode(findNode("BufferNode"), new Map([["buffer_size", "2"]]), taskContext());
  const outputs = [1n, 2n, 3n].map((item) => [...node.process(item) as Iterable<Value>]);
  assert.deepEqual(outputs, [[], [[1n, 2n]], []]);
  assert.deepEqual([...node.flush?.() as Iterable<Value>], [[3n]]);
  assert.deepEqual([...node.flush?.() as Iterable<Value>], []);
});

Deno.test("StatefulCounter counts from its initial value, in tuples", async () => {
  assert.deepEqual(await run("StatefulCounter", "x", { initial_value: "5" }), new Tuple([5n]));
  const node = await createNode(findNode("StatefulCounter"), new Map(), taskContext());
  const outputs = ["a", null].flatMap((item) => [...node.process(item) as Iterable<Value>]);
  assert.deepEqual(outputs, [new Tuple([0n]), new Tuple([1n])]);
});
