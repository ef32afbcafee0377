import assert from "node:assert/strict";
import { TaskError } from "../../workers/task_error.ts";
import { Complex, DTYPES, NDArray, NumpyScalar, Tuple, type Value } from "../../workers/values.ts";
import { run, taskContext } from "./_run.ts";

const BY = "CalculatorNode[remote_CalculatorNode]";

function calculate(operation: Value, args: Value): Promise<Value> {
  return run("CalculatorNode", new Map([["operation", operation], ["args", args]]));
}

const FLOAT32 = new NumpyScalar(DTYPES.float32, new Uint8Array(Float32Array.of(1.5).buffer));
const ARRAY = new NDArray(DTYPES.int64, [2], new Uint8Array(BigInt64Array.of(7n, 2n).buffer));

const RESULTS: [string, Value, Value][] = [
  ["add", [1n, 2n], 3n],
  ["add", [1n, 2], 3],
  ["add", new Tuple([true, true]), 2n],
  ["subtract", [1n, 0.5], 0.5],
  ["multiply", [2n ** 70n, 3n], 3n * 2n ** 70n],
  ["divide", [7n, 2n], 3.5],
  ["divide", [6n, 2n], 3],
  ["power", [2n, 100n], 2n ** 100n],
  ["power", [2n, -1n], 0.5],
  ["power", [-4, 0.5], new Complex(1.2246467991473532e-16, 2)],
  ["modulo", [-7n, 3n], 2n],
  ["modulo", [7n, -3n], -2n],
  ["modulo", [-7.5, 2n], 0.5],
  ["add", ["a", "b"], "ab"],
  ["add", [1n, 2n, 99n], 3n],
  ["multiply", [FLOAT32, 2n], 3],
  ["modulo", ARRAY, 1n],
  ["add", "xyz", "xy"],
];
for (const [operation, args, expected] of RESULTS) {
  Deno.test(`CalculatorNode gives ${String(expected)} for ${operation} of ${String(args)}`, async () => {
    assert.deepEqual(
      await calculate(operation, args),
      new Map<Value, Value>([
        ["operation", operation],
        ["args", args],
        ["result", expected],
        ["processed_by", BY],
        ["node_config", new Map()],
      ]),
    );
  });
}

const ERRORS: [Value, Value, string][] = [
  ["divide", [1n, 0n], "Division by zero"],
  ["divide", [1n, -0], "Division by zero"],
  ["divide", [1n, false], "Division by zero"],
  ["modulo", [1, 0n], "Modulo by zero"],
  ["power", [0n, -1n], "0.0 cannot be raised to a negative power"],
  ["power", [10, 400n], "(34, 'Numerical result out of range')"],
  ["divide", [10n ** 400n, 3n], "integer division result too large for a float"],
  ["add", [1n], "Operation 'add' requires at least 2 arguments"],
  ["sqrt", [], "Operation 'sqrt' requires at least 2 arguments"],
  ["sqrt", [1n, 2n], "Unknown operation: sqrt"],
  [null, [1n, 2n], "Unknown operation: None"],
  [["add"], [1n, 2n], "Unknown operation: ['add']"],
  ["add", [1n, "a"], "unsupported operand type(s) for +: 'int' and 'str'"],
  ["add", ["a", 1n], 'can only concatenate str (not "int") to str'],
  ["add", 5n, "object of type 'int' has no len()"],
  ["add", null, "object of type 'NoneType' has no len()"],
  ["add", new Set<Value>([1n, 2n]), "'set' object is not subscriptable"],
  ["add", new Map<Value, Value>([["a", 1n], ["b", 2n]]), "0"],
];
for (const [operation, args, message] of ERRORS) {
  Deno.test(`CalculatorNode answers ${String(operation)} of ${String(args)} with "${message}"`, async () => {
    assert.deepEqual(
      [...await calculate(operation, args) as Map<Value, Value>],
      [["error", message], ["operation", operation], ["args", args], ["processed_by", BY]],
    );
  });
}

const REFUSED: [string, Value, string][] = [
  ["a list", [1n], "Input must be a dictionary"],
  ["None", null, "Input must be a dictionary"],
  ["a dict without args", new Map([["operation", "add"]]), "Input must contain 'operation' and 'args' keys"],
  ["an empty dict", new Map(), "Input must contain 'operation' and 'args' keys"],
];
for (const [name, input, error] of REFUSED) {
  Deno.test(`CalculatorNode answers ${name} with an error and does not fail`, async () => {
    assert.deepEqual(
      [...await run("CalculatorNode", input) as Map<Value, Value>],
      [["error", error], ["input", input], ["processed_by", BY]],
    );
  });
}

Deno.test("CalculatorNode reports the config that it does not know, with Python's types", async () => {
  const input = new Map<Value, Value>([["operation", "add"], ["args", [1n, 1n]]]);
  const output = await run("CalculatorNode", input, { precision: "2", verbose: "True", tag: "x", pair: "(1, 2.0)" });
  assert.deepEqual(
    (output as Map<Value, Value>).get("node_config"),
    new Map<Value, Value>([["precision", 2n], ["verbose", true], ["tag", "x"], ["pair", new Tuple([1n, 2])]]),
  );
});

Deno.test("CalculatorNode refuses an exponent bomb with RESOURCE_LIMIT", async () => {
  const input = new Map<Value, Value>([["operation", "power"], ["args", [9n, 9n ** 9n]]]);
  await assert.rejects(
    run("CalculatorNode", input, {}, taskContext()),
    (error) => error instanceof TaskError && error.code === "RESOURCE_LIMIT",
  );
});
