import assert from "node:assert/strict";
import { TaskError } from "../../workers/task_error.ts";
import { Tuple, type Value } from "../../workers/values.ts";
import { run, taskContext } from "./_run.ts";

/** A dict of Python, its ints written as bigint. */
function dict(fields: Readonly<Record<string, Value>>): Map<Value, Value> {
  return new Map(Object.entries(fields));
}

function transform(operations: unknown, input: Value, config: Readonly<Record<string, string>> = {}) {
  return run("DataTransform", input, { operations: JSON.stringify(operations), ...config });
}

const ORDER = dict({ id: 1n, item: "pen", price: 1.5, count: 4n });
const OTHER = dict({ id: 2n, item: "ink", price: 20, count: 1n });

const RESULTS: [string, unknown, Value, Value][] = [
  ["no operations", [], ORDER, ORDER],
  ["pick in the order named", [{ op: "pick", fields: ["count", "id", "nope"] }], ORDER, dict({ count: 4n, id: 1n })],
  ["drop", [{ op: "drop", fields: ["price", "nope"] }], ORDER, dict({ id: 1n, item: "pen", count: 4n })],
  [
    "rename in place",
    [{ op: "rename", fields: { item: "product" } }],
    ORDER,
    dict({ id: 1n, product: "pen", price: 1.5, count: 4n }),
  ],
  [
    "map to fields, from the record as it was",
    [{ op: "map", fields: { price: "price * count", double: "price * 2" } }],
    ORDER,
    dict({ id: 1n, item: "pen", price: 6, count: 4n, double: 3 }),
  ],
  ["map to something else", [{ op: "map", expression: "[id, upper(item)]" }], [ORDER, OTHER], [[1n, "PEN"], [
    2n,
    "INK",
  ]]],
  ["map over scalars", [{ op: "map", expression: "_ * 2" }], [1n, 1.5, "a"], [2n, 3, "aa"]],
  ["filter a list", [{ op: "filter", expression: "price > 2" }], [ORDER, OTHER], [OTHER]],
  ["filter a tuple", [{ op: "filter", expression: "price > 2" }], new Tuple([ORDER, OTHER]), new Tuple([OTHER])],
  ["filter a dict that stays", [{ op: "filter", expression: "count == 4" }], ORDER, ORDER],
  ["filter a dict that goes", [{ op: "filter", expression: "count == 5" }], ORDER, null],
  [
    "flatten dicts",
    [{ op: "flatten" }],
    dict({ a: dict({ b: 1n, c: dict({ d: [2n] }) }), e: new Map() }),
    dict({ "a.b": 1n, "a.c.d": [2n], e: new Map() }),
  ],
  [
    "flatten with another separator",
    [{ op: "flatten", separator: "_" }],
    dict({ a: dict({ b: 1n }) }),
    dict({ a_b: 1n }),
  ],
  ["flatten lists by one level", [{ op: "flatten" }], [[1n, [2n]], 3n, new Tuple([4n])], [1n, [2n], 3n, 4n]],
  [
    "flatten a field into records",
    [{ op: "flatten", field: "tags" }],
    dict({ id: 1n, tags: ["a", "b"] }),
    [dict({ id: 1n, tags: "a" }), dict({ id: 1n, tags: "b" })],
  ],
  [
    "cast",
    [{ op: "cast", fields: { a: "int", b: "float", c: "str", d: "bool", e: "bool", f: "int", none: "int" } }],
    dict({ a: " 42 ", b: 1n, c: 1, d: "false", e: 1n, f: 2.9, none: null }),
    dict({ a: 42n, b: 1, c: "1.0", d: false, e: true, f: 2n, none: null }),
  ],
  [
    "a pipeline",
    [
      { op: "filter", expression: "count >= 1" },
      { op: "map", fields: { total: "round(price * count, 1)" } },
      { op: "pick", fields: ["item", "total"] },
      { op: "rename", fields: { item: "name" } },
    ],
    [ORDER, OTHER],
    [dict({ name: "pen", total: 6 }), dict({ name: "ink", total: 20 })],
  ],
  [
    "a key of the prototype",
    [{ op: "pick", fields: ["__proto__"] }],
    new Map([["__proto__", 1n]]),
    new Map([["__proto__", 1n]]),
  ],
];
for (const [name, operations, input, expected] of RESULTS) {
  Deno.test(`DataTransform does: ${name}`, async () => assert.deepEqual(await transform(operations, input), expected));
}

Deno.test("DataTransform leaves its input as it was", async () => {
  const input = dict({ a: 1n });
  await transform([{ op: "map", fields: { a: "a + 1" } }, { op: "cast", fields: { a: "str" } }], input);
  assert.deepEqual(input, dict({ a: 1n }));
});

Deno.test("DataTransform passes through with a warning what it cannot use", async () => {
  const context = taskContext();
  const config = { operations: '[{"op": "drop", "fields": ["a"]}]' };
  assert.equal(await run("DataTransform", 5n, config, context), 5n);
  assert.deepEqual(await run("DataTransform", [1n, dict({ a: 1n })], config, context), [1n, new Map()]);
  assert.deepEqual(context.warnings, [
    "DataTransform passed an item through: it is no dict and no list but int",
    "DataTransform: operations[0] (drop) passed 1 items through that are no dicts",
  ]);
});

Deno.test("DataTransform says which operation fails on which record, and where", async () => {
  const operations = [{ op: "pick", fields: ["a", "b"] }, { op: "map", fields: { c: "a / b" } }];
  await assert.rejects(transform(operations, [dict({ a: 1n, b: 1n }), dict({ a: 1n, b: 0n })]), (error) => {
    assert.ok(error instanceof TaskError);
    assert.equal(error.code, "TASK_FAILED");
    assert.equal(
      error.message,
      'Node execution failed: Cannot transform record 1: operations[1] (map) field "c": "a / b": division by zero, at ' +
        "character 3",
    );
    return true;
  });
});

Deno.test("DataTransform leaves failing records out when asked to", async () => {
  const context = taskContext();
  const config = { operations: '[{"op": "cast", "fields": {"a": "int"}}]', on_error: "skip" };
  assert.deepEqual(await run("DataTransform", [dict({ a: "x" }), dict({ a: "1" })], config, context), [
    dict({ a: 1n }),
  ]);
  assert.deepEqual(context.warnings, [
    "Cannot transform record 0: operations[0] (cast) field \"a\": invalid literal for int() with base 10: 'x'; it is left out",
  ]);
});

const INVALID: [string, unknown, RegExp][] = [
  [
    "an unknown operation",
    [{ op: "explode" }],
    /operations\[0\]\.op: must be one of "pick", "drop", .*"cast", is "explode"/,
  ],
  ["no op", [{ pick: ["a"] }], /operations\[0\]\.op: required: one of "pick"/],
  ["a missing field", [{ op: "pick" }], /operations\[0\]\.fields: required/],
  ["an unknown key", [{ op: "pick", fields: ["a"], field: 1 }], /operations\[0\]: does not know "field"/],
  [
    "a wrong cast",
    [{ op: "cast", fields: { a: "datetime" } }],
    /operations\[0\]\.fields\.a: must be one of "int", .* is "datetime"/,
  ],
  ["map of nothing", [{ op: "map" }], /operations\[0\]: needs either fields or expression/],
  ["no list", { op: "pick" }, /operations: must be a list, is \{"op":"pick"\}/],
  [
    "a broken expression",
    [{ op: "filter", expression: "a >" }],
    /operations\[0\] \(filter\): "a >": unexpected end, at character 4/,
  ],
];
for (const [name, operations, message] of INVALID) {
  Deno.test(`DataTransform refuses as INVALID_TASK: ${name}`, async () => {
    await assert.rejects(transform(operations, ORDER), (error) => {
      assert.ok(error instanceof TaskError);
      assert.equal(error.code, "INVALID_TASK");
      assert.match(error.message, /^Invalid config for DataTransform: /);
      assert.match(error.message, message);
      return true;
    });
  });
}

Deno.test("DataTransform stops growth across operations", async () => {
  const double = { op: "map", fields: { text: "text + text" } };
  await assert.rejects(
    transform(new Array(60).fill(double), dict({ text: "x".repeat(1000) })),
    (error) => error instanceof TaskError && error.code === "RESOURCE_LIMIT",
  );
});
