import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import type { TaskContext } from "../../workers/load_package.ts";
import { TaskError } from "../../workers/task_error.ts";
import { UserFailure, type UserOutput } from "../../workers/user_failure.ts";
import { UserObject, type UserObjectOptions } from "../../workers/user_object.ts";

const context: TaskContext = Object.freeze({ signal: new AbortController().signal, env: {} });

function make(exported: unknown, options: Partial<UserObjectOptions> = {}): Promise<UserObject> {
  return UserObject.create(exported, {
    name: "main.ts:default",
    config: {},
    context,
    mode: "stream",
    memoryLimitBytes: 1024 * 1024,
    ...options,
  });
}

function makeObject(exported: unknown): Promise<UserObject> {
  return make(exported, { mode: "object" });
}

async function all(outputs: AsyncIterable<UserOutput>): Promise<unknown[]> {
  return (await Array.fromAsync(outputs)).map(({ value }) => value);
}

async function call(object: UserObject, method: string, ...args: unknown[]): Promise<unknown> {
  return (await object.call(method, args)).value;
}

/** For `rejects`: a failure of the user's that carries exactly this. */
function threw(thrown: unknown): (error: unknown) => boolean {
  return (error) => error instanceof UserFailure && Object.is(error.thrown, thrown);
}

/** For `rejects`: a failure of the user's, whatever it is. */
function ofUser(error: unknown): boolean {
  return error instanceof UserFailure;
}

function refused(message: RegExp): (error: unknown) => boolean {
  return (error) => {
    ok(error instanceof TaskError, `${error}`);
    equal(error.code, "INVALID_TASK");
    match(error.message, message);
    return true;
  };
}

// ---- create

Deno.test("UserObject.create() constructs a class with config and context, and runs initialize once, before inputs", async () => {
  const events: unknown[] = [];
  class Gain {
    constructor(config: unknown, given: unknown) {
      events.push(config, given === context);
    }
    async initialize(...args: unknown[]) {
      await Promise.resolve();
      events.push(["initialize", args.length]);
    }
    process(item: unknown, ...more: unknown[]) {
      events.push(["process", more.length]);
      return item;
    }
  }
  const object = await make(Gain, { config: { gain: 2 } });
  deepEqual(events, [{ gain: 2 }, true, ["initialize", 0]]);
  deepEqual(await all(object.process(1)), [1]);
  deepEqual(events.at(-1), ["process", 0]);
});

Deno.test("UserObject.create() uses an object as it is, with its own this", async () => {
  const exported = {
    started: false,
    initialize() {
      this.started = true;
    },
    process(item: number) {
      return this.started ? item + 1 : "not started";
    },
  };
  deepEqual(await all((await make(exported)).process(1)), [2]);
  equal(exported.started, true);
});

for (
  const [what, exported, mode, message] of [
    [
      "a number",
      5,
      "stream",
      /^Cannot run "main.ts:default": the export is a number; allowed are a class or object with/,
    ],
    ["null", null, "object", /the export is null; allowed are a class and an object$/],
    ["nothing", undefined, "stream", /the export is undefined/],
    ["a symbol", Symbol("x"), "stream", /the export is a symbol/],
    ["a function as object", () => 1, "object", /the export is a function; allowed are a class and an object$/],
    ["a generator function as object", async function* () {}, "object", /the export is a function/],
    [
      "an object without process",
      { run() {}, _hidden() {}, value: 1 },
      "stream",
      /the export is an object without a public method process; it has run; allowed are/,
    ],
    [
      "a class without process",
      class {},
      "stream",
      /is a class without a public method process; it has no public methods/,
    ],
  ] as const
) {
  Deno.test(`UserObject.create() refuses ${what}`, async () => {
    await rejects(make(exported, { mode }), refused(message));
  });
}

Deno.test("UserObject.create() tells a class from functions whose source begins alike", async () => {
  const { classify, class: named } = {
    classify(item: string) {
      return `${item}!`;
    },
    class(item: string) {
      return `${item}?`;
    },
  };
  deepEqual(await all((await make(classify)).process("a")), ["a!"]);
  deepEqual(await all((await make(named)).process("a")), ["a?"]);
  deepEqual(await all((await make((class_: string) => `${class_}.`)).process("a")), ["a."]);
  class Disguised {
    static toString() {
      return "function () {}";
    }
    process() {
      return "disguised";
    }
  }
  deepEqual(await all((await make(Disguised)).process(0)), ["disguised"]);
});

Deno.test("UserObject.create() lays what a constructor or initialize throws to the user, TaskErrors too", async () => {
  const forged = new TaskError("RESOURCE_LIMIT", "not mine");
  await rejects(
    make(
      class {
        constructor() {
          throw forged;
        }
        process() {}
      },
    ),
    threw(forged),
  );
  await rejects(make({ initialize: () => Promise.reject(undefined), process() {} }), threw(undefined));
});

Deno.test("UserObject.create() cleans up after an initialize that failed, and tells of its failure only", async () => {
  let cleanups = 0;
  const exported = {
    initialize() {
      throw "first";
    },
    process() {},
    cleanup() {
      cleanups++;
      throw "second";
    },
  };
  await rejects(make(exported), threw("first"));
  equal(cleanups, 1);
});

Deno.test("UserObject.create() does not take an object with a method then for a promise", async () => {
  let thens = 0;
  class Thenable {
    then(resolve: (value: unknown) => void) {
      thens++;
      resolve("replaced");
    }
    process(item: unknown) {
      return item;
    }
  }
  const object = await make(Thenable);
  deepEqual(await all(object.process(1)), [1]);
  equal(thens, 0);
  equal(await call(object, "then", () => {}), undefined);
  equal(thens, 1);
});

// ---- one call per input

Deno.test("UserObject.process() calls a function for each input, with the context", async () => {
  const object = await make((item: number, given: unknown) => given === context ? item * 2 : "no context");
  deepEqual(await all(object.process(2)), [4]);
  deepEqual(await all(object.process(3)), [6]);
  deepEqual(await all(object.flush()), []);
});

for (
  const [what, give, expected] of [
    ["undefined", () => undefined, []],
    ["null", () => null, []],
    ["a promise of nothing", () => Promise.resolve(null), []],
    ["false", () => false, [false]],
    ["an empty text", () => "", [""]],
    ["a list as one output", () => [1, 2], [[1, 2]]],
    ["a set as one output", () => new Set([1]), [new Set([1])]],
    ["a promise's value", () => Promise.resolve(7), [7]],
    ["a thenable's value", () => ({ then: (resolve: (value: number) => void) => resolve(8) }), [8]],
    ["an object with next only as one output", () => ({ next: 1 }), [{ next: 1 }]],
    ["each item of a sync generator", function* () {
      yield 1;
      yield Promise.resolve(2);
      yield null;
    }, [1, 2, null]],
    ["each item of an async generator that was returned", () =>
      (async function* () {
        yield 1;
        yield 2;
      })(), [1, 2]],
    ["each item of an iterator by hand, its promises awaited", () => {
      let count = 0;
      return {
        next: () => ({ done: ++count > 2, value: Promise.resolve(count) }),
        [Symbol.asyncIterator]() {
          return this;
        },
      };
    }, [1, 2]],
  ] as const
) {
  Deno.test(`UserObject.process() gives for what one call gives: ${what}`, async () => {
    deepEqual(await all((await make(give)).process("x")), expected);
    deepEqual(await all((await make({ process: give })).process("x")), expected);
  });
}

Deno.test("UserObject.process() pulls a generator of one input only as its outputs are asked for, and ends it early", async () => {
  const events: string[] = [];
  const object = await make(function* () {
    try {
      for (let count = 0;; count++) {
        events.push(`made ${count}`);
        yield count;
      }
    } finally {
      events.push("finally");
    }
  });
  for await (const { value } of object.process("x")) {
    if (value === 1) break;
  }
  deepEqual(events, ["made 0", "made 1", "finally"]);
});

Deno.test("UserObject.process() lays what a call throws to the user, and works for the next input", async () => {
  const object = await make((item: number) => {
    if (item === 0) throw new RangeError("zero");
    return 1 / item;
  });
  await rejects(all(object.process(0)), (error) => ofUser(error));
  deepEqual(await all(object.process(2)), [0.5]);
});

Deno.test("UserObject.flush() gives what the flush of an object gives", async () => {
  const buffered: unknown[] = [];
  const object = await make({
    process(item: unknown) {
      buffered.push(item);
    },
    *flush() {
      yield* buffered;
    },
  });
  deepEqual(await all(object.process(1)), []);
  deepEqual(await all(object.process(2)), []);
  deepEqual(await all(object.flush()), [1, 2]);
});

// ---- one call for all inputs

Deno.test("UserObject.process() gives what a generator yields until it asks for the next input", async () => {
  let calls = 0;
  const object = await make(async function* (inputs: AsyncIterable<number>, given: unknown) {
    calls++;
    yield given === context ? "header" : "no context";
    for await (const input of inputs) {
      for (let copy = 0; copy < input; copy++) yield `${input}.${copy}`;
    }
    yield "trailer";
  });
  equal(calls, 0);
  deepEqual(await all(object.process(2)), ["header", "2.0", "2.1"]);
  deepEqual(await all(object.process(0)), []);
  deepEqual(await all(object.process(1)), ["1.0"]);
  deepEqual(await all(object.flush()), ["trailer"]);
  equal(calls, 1);
});

Deno.test("UserObject.process() gives the input stream to a method that is an async generator, with its this", async () => {
  class Numbered {
    count = 0;
    async *process(inputs: AsyncIterable<string>, ...more: unknown[]) {
      for await (const input of inputs) yield `${++this.count} ${input} ${more.length}`;
    }
    flush() {
      return `flushed ${this.count}`;
    }
  }
  const object = await make(Numbered);
  deepEqual(await all(object.process("a")), ["1 a 0"]);
  deepEqual(await all(object.process("b")), ["2 b 0"]);
  deepEqual(await all(object.flush()), ["flushed 2"]);
});

Deno.test("UserObject.flush() runs a generator that never had an input", async () => {
  const object = await make(async function* (inputs: AsyncIterable<unknown>) {
    let count = 0;
    for await (const _ of inputs) count++;
    yield count;
  });
  deepEqual(await all(object.flush()), [0]);
});

Deno.test("UserObject.process() begins a new run after flush", async () => {
  const object = await make({
    async *process(inputs: AsyncIterable<unknown>) {
      yield "begin";
      for await (const input of inputs) yield input;
    },
  });
  deepEqual(await all(object.process(1)), ["begin", 1]);
  deepEqual(await all(object.flush()), []);
  deepEqual(await all(object.process(2)), ["begin", 2]);
});

Deno.test("UserObject.process() drops inputs once the generator has returned", async () => {
  const object = await make(async function* (inputs: AsyncIterator<unknown>) {
    yield (await inputs.next()).value;
  });
  deepEqual(await all(object.process(1)), [1]);
  deepEqual(await all(object.process(2)), []);
  deepEqual(await all(object.flush()), []);
  await object.cleanup();
});

Deno.test("UserObject.process() gives no more input to a generator that has left its loop", async () => {
  const object = await make(async function* (inputs: AsyncIterable<unknown>) {
    for await (const input of inputs) {
      yield input;
      break;
    }
    for await (const input of inputs) yield `again ${input}`;
    yield "end";
  });
  deepEqual(await all(object.process(1)), [1, "end"]);
  deepEqual(await all(object.process(2)), []);
});

Deno.test("UserObject.process() keeps an input from a generator that has said that it wants no more", async () => {
  const object = await make(async function* (inputs: AsyncIterable<unknown>) {
    for await (const _ of inputs) break;
    yield "a";
    yield "b";
    for await (const input of inputs) yield input;
  });
  deepEqual(await object.process(1).next(), { done: false, value: { value: "a" } });
  deepEqual(await all(object.process(2)), ["b"]);
});

Deno.test("UserObject.process() steps a generator that asks ahead only as far as its outputs are pulled", async () => {
  const made: number[] = [];
  const object = await make(async function* (inputs: AsyncIterator<unknown>) {
    await inputs.next();
    void inputs.next();
    for (let count = 0;; count++) {
      made.push(count);
      yield count;
    }
  });
  deepEqual(await all(object.process(1)), []);
  deepEqual(await object.process(2).next(), { done: false, value: { value: 0 } });
  deepEqual(made, [0]);
  await object.cleanup();
});

Deno.test("UserObject.process() steps a generator that asks for no input only as far as its outputs are pulled", async () => {
  let made = 0;
  let isEnded = false;
  const object = await make(async function* () {
    try {
      for (;;) yield made++;
    } finally {
      isEnded = true;
    }
  });
  const outputs = object.process("x");
  equal(made, 0);
  for (let expected = 0; expected < 3; expected++) {
    deepEqual(await outputs.next(), { done: false, value: { value: expected } });
  }
  equal(made, 3);
  await object.cleanup();
  equal(isEnded, true);
  deepEqual(await outputs.next(), { done: true, value: undefined });
});

Deno.test("UserObject.process() gives what an earlier consumer left behind, in order", async () => {
  const object = await make(async function* (inputs: AsyncIterable<string>) {
    for await (const input of inputs) {
      yield `${input}1`;
      yield `${input}2`;
    }
  });
  for await (const { value } of object.process("a")) {
    equal(value, "a1");
    break;
  }
  deepEqual(await all(object.process("b")), ["a2", "b1", "b2"]);
});

Deno.test("UserObject.process() loses nothing of a generator that asks for several inputs at once", async () => {
  const object = await make(async function* (inputs: AsyncIterator<number, undefined>) {
    for (;;) {
      const batch = await Promise.all([inputs.next(), inputs.next(), inputs.next()]);
      const items = batch.filter(({ done }) => !done).map(({ value }) => value);
      if (items.length > 0) yield items;
      if (items.length < 3) return;
    }
  });
  deepEqual(await all(object.process(1)), []);
  deepEqual(await all(object.process(2)), []);
  deepEqual(await all(object.process(3)), [[1, 2, 3]]);
  deepEqual(await all(object.process(4)), []);
  deepEqual(await all(object.flush()), [[4]]);
});

Deno.test("UserObject.process() keeps the order of a generator that asks ahead", async () => {
  const object = await make(async function* (inputs: AsyncIterator<number, undefined>) {
    const asked = [inputs.next(), inputs.next(), inputs.next()];
    for (;;) {
      const next = await asked.shift();
      if (next === undefined || next.done) return;
      asked.push(inputs.next());
      yield next.value;
    }
  });
  const outputs: unknown[] = [];
  for (let input = 0; input < 20; input++) outputs.push(...await all(object.process(input)));
  // It may lag behind by what it asks ahead, but by no more.
  ok(outputs.length >= 15, `${outputs.length}`);
  outputs.push(...await all(object.flush()));
  deepEqual(outputs, Array.from({ length: 20 }, (_, index) => index));
});

Deno.test("UserObject.process() lays what a generator throws to the user; it gives nothing afterwards", async () => {
  const forged = new TaskError("SECURITY_VIOLATION", "not mine");
  const object = await make(async function* (inputs: AsyncIterable<unknown>) {
    for await (const _ of inputs) {
      yield 1;
      throw forged;
    }
  });
  const outputs = object.process("x");
  deepEqual(await outputs.next(), { done: false, value: { value: 1 } });
  await rejects(outputs.next(), threw(forged));
  deepEqual(await all(object.process("y")), []);
  await object.cleanup();
});

Deno.test("UserObject.process() hears of a generator that fails while it waits for input, without an unhandled rejection", async () => {
  const failed = Promise.withResolvers<void>();
  const object = await make(async function* (inputs: AsyncIterator<unknown>) {
    yield (await inputs.next()).value;
    void inputs.next();
    await Promise.resolve();
    queueMicrotask(() => failed.resolve());
    throw "late";
  });
  deepEqual(await all(object.process(1)), [1]);
  await failed.promise;
  await rejects(all(object.process(2)), threw("late"));
});

Deno.test("UserObject.process() takes the input that a generator gets for data, and hands out nothing to change", async () => {
  let isFrozen = false;
  const input = { then: "data" };
  const object = await make(async function* (inputs: AsyncIterableIterator<unknown>) {
    isFrozen = Object.isFrozen(inputs) && inputs[Symbol.asyncIterator]() === inputs;
    for await (const item of inputs) yield item === input;
  });
  deepEqual(await all(object.process(input)), [true]);
  equal(isFrozen, true);
});

// ---- cleanup

Deno.test("UserObject.cleanup() runs once, and later calls wait for the same end", async () => {
  let cleanups = 0;
  const object = await make({
    process() {},
    async cleanup() {
      await Promise.resolve();
      cleanups++;
    },
  });
  await Promise.all([object.cleanup(), object.cleanup()]);
  await object.cleanup();
  equal(cleanups, 1);
});

Deno.test("UserObject.cleanup() ends a generator that waits for input: finally runs, what follows the loop does not", async () => {
  const events: unknown[] = [];
  class Streaming {
    async *process(inputs: AsyncIterable<unknown>) {
      try {
        for await (const input of inputs) yield input;
        events.push("after the loop");
      } finally {
        await Promise.resolve();
        events.push("finally");
      }
    }
    cleanup() {
      events.push("cleanup");
    }
  }
  const object = await make(Streaming);
  deepEqual(await all(object.process(1)), [1]);
  await object.cleanup();
  deepEqual(events, ["finally", "cleanup"]);
});

Deno.test("UserObject.cleanup() ends outputs that somebody waits for", async () => {
  const asked = Promise.withResolvers<void>();
  const proceed = Promise.withResolvers<void>();
  const object = await make(async function* (inputs: AsyncIterator<unknown>) {
    await inputs.next();
    asked.resolve();
    await proceed.promise;
    await inputs.next();
    yield "never";
  });
  const outputs = all(object.process(1));
  await asked.promise;
  const cleanup = object.cleanup();
  proceed.resolve();
  deepEqual(await outputs, []);
  await cleanup;
});

Deno.test("UserObject.cleanup() ends the generator of one input that was left standing", async () => {
  let isEnded = false;
  const object = await make(function* () {
    try {
      yield 1;
      yield 2;
    } finally {
      isEnded = true;
    }
  });
  await object.process("x").next();
  await object.cleanup();
  equal(isEnded, true);
});

Deno.test("UserObject.cleanup() calls cleanup though a generator throws on its way out, and tells of the first failure", async () => {
  const events: string[] = [];
  class Throwing {
    async *process(inputs: AsyncIterable<unknown>) {
      try {
        for await (const input of inputs) yield input;
      } finally {
        events.push("finally");
        // deno-lint-ignore no-unsafe-finally -- what is tested
        throw "on return";
      }
    }
    cleanup() {
      events.push("cleanup");
      throw "in cleanup";
    }
  }
  const waiting = await make(Throwing);
  deepEqual(await all(waiting.process(1)), [1]);
  await rejects(waiting.cleanup(), threw("on return"));
  deepEqual(events, ["finally", "cleanup"]);

  const yielding = await make(Throwing);
  await yielding.process(1).next();
  await rejects(yielding.cleanup(), threw("on return"));
  deepEqual(events, ["finally", "cleanup", "finally", "cleanup"]);

  const idle = await make(Throwing);
  await rejects(idle.cleanup(), threw("in cleanup"));
});

Deno.test("UserObject refuses everything after its cleanup", async () => {
  let runs = 0;
  const object = await make({
    process() {
      runs++;
    },
    flush() {
      runs++;
    },
  });
  await object.cleanup();
  await rejects(all(object.process(1)), refused(/Cannot call "process" of "main.ts:default": it has been cleaned up/));
  await rejects(all(object.flush()), refused(/it has been cleaned up/));
  await rejects(call(object, "process", 1), refused(/it has been cleaned up/));
  equal(runs, 0);
});

// ---- call

class Base {
  initialize() {}
  add(): unknown {
    return "overridden";
  }
  ["#hash"]() {
    return "hash";
  }
  inherited() {
    return "inherited";
  }
}

class Counter extends Base {
  #count = 0;
  arrow = (by: number) => this.#count += by;
  value = 5;
  override add(by = 1) {
    return this.#count += by;
  }
  async addLater(by: number) {
    await Promise.resolve();
    return this.add(by);
  }
  *list(length: number) {
    for (let index = 0; index < length; index++) yield index;
  }
  async *listLater() {
    yield "a";
    yield "b";
  }
  get computed(): () => string {
    throw new Error("a getter ran");
  }
  _private() {
    return "private";
  }
  [Symbol.for("add")]() {
    return "symbol";
  }
  static make() {
    return "static";
  }
}

Deno.test("UserObject.call() calls methods of the object and of the user's classes behind it, with state", async () => {
  const object = await makeObject(Counter);
  equal(await call(object, "add", 2), 2);
  equal(await call(object, "addLater", 3), 5);
  equal(await call(object, "arrow", 1), 6);
  equal(await call(object, "inherited"), "inherited");
  deepEqual(await call(object, "list", 3), [0, 1, 2]);
  deepEqual(await call(object, "listLater"), ["a", "b"]);
});

for (
  const name of [
    "_private",
    "#count",
    "#hash",
    "constructor",
    "__proto__",
    "__defineGetter__",
    "toString",
    "hasOwnProperty",
    "valueOf",
    "computed",
    "value",
    "missing",
    "make",
    "Symbol(add)",
    "prototype",
    "",
  ]
) {
  Deno.test(`UserObject.call() refuses "${name}"`, async () => {
    await rejects(
      call(await makeObject(Counter), name),
      refused(/it has no such public method; it has arrow, add, addLater, list, listLater, inherited$/),
    );
  });
}

Deno.test("UserObject.call() of initialize does nothing: it ran when the object was made", async () => {
  let runs = 0;
  const object = await makeObject(
    class {
      initialize() {
        return ++runs;
      }
    },
  );
  deepEqual(await call(object, "initialize"), undefined);
  equal(runs, 1);
});

for (
  const [what, exported, name] of [
    ["Array", Array, "push"],
    ["Map", Map, "get"],
    ["EventTarget, which is written in JavaScript", EventTarget, "addEventListener"],
    ["AbortController, which is written in JavaScript", AbortController, "abort"],
    ["Error", Error, "toString"],
    [
      "Intl.Locale, which is no global",
      class extends Intl.Locale {
        constructor() {
          super("en");
        }
      },
      "maximize",
    ],
    ["Function", Function, "call"],
  ] as const
) {
  Deno.test(`UserObject.call() refuses what a class has from ${what}`, async () => {
    const mine = class extends (exported as new () => object) {
      constructor() {
        super();
      }
      mine() {}
    };
    await rejects(call(await makeObject(mine), name), refused(/it has mine$/));
  });
}

for (
  const [what, exported, name] of [
    ["a list", [], "push"],
    ["an object behind an object", Object.create({ hidden() {} }), "hidden"],
    ["an object without a prototype", Object.create(null), "toString"],
  ] as const
) {
  Deno.test(`UserObject.call() refuses what comes from ${what}`, async () => {
    await rejects(call(await makeObject(exported), name), refused(/it has no public methods$/));
  });
}

Deno.test("UserObject.call() lists at most 20 methods, each cut short", async () => {
  const many: Record<string, () => void> = { ["long".repeat(100)]: () => {} };
  for (let index = 0; index < 1_000; index++) many[`method${index}`] = () => {};
  const object = await makeObject(many);
  await rejects(call(object, "x".repeat(10_000)), (error) => {
    ok(error instanceof TaskError);
    match(
      error.message,
      /^Cannot call "x{200}" of "main.ts:default": .* it has (?:long){20}, method0, .*method18 and more$/,
    );
    return true;
  });
});

Deno.test("UserObject.call() calls what a class overrides, toString say", async () => {
  const object = await makeObject(
    class {
      toString() {
        return "mine";
      }
    },
  );
  equal(await call(object, "toString"), "mine");
});

Deno.test("UserObject.call() gives process its arguments, or a stream of them where it is an async generator", async () => {
  const plain = await makeObject({ process: (a: number, b: number) => [a, b] });
  deepEqual(await call(plain, "process", 1, 2), [1, 2]);
  const streaming = await makeObject({
    async *process(inputs: AsyncIterable<number>) {
      for await (const input of inputs) yield input * 2;
      yield "end";
    },
  });
  deepEqual(await call(streaming, "process", 1, 2), [2, 4, "end"]);
  deepEqual(await call(streaming, "process"), ["end"]);
});

Deno.test("UserObject.call() of cleanup is its cleanup, once; of flush an ordinary call", async () => {
  let cleanups = 0;
  const object = await makeObject({
    flush: () => "flushed",
    cleanup() {
      cleanups++;
      return "ignored";
    },
  });
  equal(await call(object, "flush"), "flushed");
  equal(await call(object, "cleanup"), undefined);
  await object.cleanup();
  equal(cleanups, 1);
  await rejects(call(await makeObject({}), "cleanup"), refused(/no such public method/));
});

Deno.test("UserObject.call() bounds the list that a generator is collected in by the task's memory", async () => {
  let made = 0;
  const object = await make(
    class {
      *endless() {
        for (;;) yield made++;
      }
    },
    { mode: "object", memoryLimitBytes: 800 },
  );
  await rejects(call(object, "endless"), ofUser);
  ok(made <= 102, `${made}`);
});

Deno.test("UserObject of mode object takes a stream too, and refuses one where there is no process", async () => {
  let count = 0;
  const object = await makeObject({
    process(item: number) {
      return count += item;
    },
  });
  deepEqual(await all(object.process(2)), [2]);
  equal(await call(object, "process", 3), 5);
  const other = await makeObject({ add() {} });
  await rejects(all(other.process(1)), refused(/Cannot call "process" .*it has add$/));
  deepEqual(await all(other.flush()), []);
});

Deno.test("UserObject of a function has no methods to call", async () => {
  await rejects(call(await make(() => 1), "call"), refused(/Cannot call "call" .*it is a function$/));
});

// ---- hostile shapes

Deno.test("UserObject lays to the user what the traps of a proxy throw", async () => {
  const proxy = (trap: keyof ProxyHandler<object>) =>
    new Proxy({ process() {}, add() {} }, {
      [trap]() {
        throw "trap";
      },
    });
  await rejects(makeObject(proxy("getOwnPropertyDescriptor")), threw("trap"));
  const late = new Proxy({ process() {} }, {
    getOwnPropertyDescriptor(target, key) {
      if (key === "late") throw "late trap";
      return Reflect.getOwnPropertyDescriptor(target, key);
    },
  });
  await rejects(call(await makeObject(late), "late"), threw("late trap"));
  const object = await makeObject(proxy("ownKeys"));
  await rejects(call(object, "missing"), threw("trap"));
  await rejects(
    make(
      new Proxy(() => 1, {
        getPrototypeOf: () => {
          throw "trap";
        },
      }),
    ),
    threw("trap"),
  );
  await rejects(
    all((await make(
      new Proxy(() => 1, {
        apply: () => {
          throw "trap";
        },
      }),
    )).process(1)),
    threw("trap"),
  );
});

Deno.test("UserObject works with a proxy that behaves", async () => {
  const object = await makeObject(new Proxy(new Counter(), {}));
  equal(await call(object, "inherited"), "inherited");
  const stream = await make(
    new Proxy(async function* (inputs: AsyncIterable<unknown>) {
      for await (const input of inputs) yield input;
    }, {}),
  );
  deepEqual(await all(stream.process(1)), [1]);
});

Deno.test("UserObject lays revoked proxies to the user", async () => {
  const object = Proxy.revocable({}, {});
  object.revoke();
  await rejects(make(object.proxy), ofUser);
  await rejects(makeObject(object.proxy), ofUser);
  const callable = Proxy.revocable(() => {}, {});
  callable.revoke();
  await rejects(make(callable.proxy), ofUser);
  const constructor = Proxy.revocable(class {}, {});
  constructor.revoke();
  await rejects(make(constructor.proxy), ofUser);
  const result = Proxy.revocable({}, {});
  result.revoke();
  await rejects(all((await make(() => result.proxy)).process(1)), ofUser);
});

Deno.test("UserObject.call() ends where a proxy claims to be its own prototype", async () => {
  const endless: object = new Proxy({ constructor: class {} }, { getPrototypeOf: () => endless });
  await rejects(call(await makeObject(endless), "missing"), refused(/no such public method/));
});

Deno.test("UserObject runs no getter that is named like a method", async () => {
  let reads = 0;
  const exported: Record<string, unknown> = { process: () => 1 };
  for (const name of ["initialize", "flush", "cleanup", "then", "add"]) {
    Object.defineProperty(exported, name, { get: () => (reads++, () => 2), enumerable: true });
  }
  const object = await make(exported);
  deepEqual(await all(object.process(0)), [1]);
  deepEqual(await all(object.flush()), []);
  await rejects(call(object, "add"), refused(/it has process$/));
  await object.cleanup();
  equal(reads, 0);
});

Deno.test("UserObject lays to the user a value whose then throws, at whichever reading", async () => {
  for (let reading = 1; reading <= 4; reading++) {
    let reads = 0;
    const value = {
      get then() {
        if (++reads === reading) throw new TaskError("RESOURCE_LIMIT", "not mine");
        return undefined;
      },
    };
    const uses = [
      async () => all((await make(() => value)).process(0)),
      async () => (await makeObject({ get: () => value })).call("get", []),
      async () =>
        all((await make(async function* () {
          yield value;
        })).process(0)),
      async () =>
        all((await make(function* () {
          yield value;
        })).process(0)),
    ];
    for (const use of uses) {
      reads = 0;
      try {
        await use();
      } catch (error) {
        ok(error instanceof UserFailure, `${error} at reading ${reading}`);
      }
    }
  }
});

Deno.test("UserObject awaits what a disguised generator gives as a promise", async () => {
  const results = [{ done: false, value: Promise.resolve(1) }, { done: true, value: undefined }];
  const object = await make(new Proxy(async function* () {}, { apply: () => ({ next: () => results.shift() }) }));
  deepEqual(await all(object.process(1)), [1]);
});

Deno.test("UserObject lays to the user a generator function whose object is none", async () => {
  const disguised = (result: unknown) => new Proxy(async function* () {}, { apply: () => result });
  for (
    const result of [undefined, 5, {}, { next: 1 }, { next: () => undefined }, { next: () => Promise.reject("no") }]
  ) {
    const object = await make(disguised(result));
    await rejects(all(object.process(1)), ofUser);
    await object.cleanup();
  }
});

Deno.test("UserObject stands what user code does to the primordials", async () => {
  const forgeries: [object, PropertyKey, () => unknown][] = [
    [Function.prototype, "toString", () => "class Forged {}"],
    [Object, "getPrototypeOf", () => null],
    [Reflect, "apply", () => "forged"],
    [Reflect, "getOwnPropertyDescriptor", () => undefined],
    [Reflect, "get", () => undefined],
    [Reflect, "ownKeys", () => []],
    [String.prototype, "startsWith", () => true],
    [Set.prototype, "has", () => true],
    [Array.prototype, "shift", () => undefined],
    [Array.prototype, "push", () => 0],
    [globalThis, "Promise", () => {}],
  ];
  const replaced = forgeries.map(([target, key]) => Object.getOwnPropertyDescriptor(target, key));
  let calledAs: unknown;
  let outputs: unknown;
  let message = "";
  const counter = await makeObject(Counter);
  const stream = await make(async function* (inputs: AsyncIterable<unknown>) {
    for await (const input of inputs) yield input;
  });
  try {
    for (const [target, key, value] of forgeries) {
      Object.defineProperty(target, key, { value, configurable: true, writable: true });
    }
    calledAs = (await counter.call("add", [4])).value;
    outputs = [await stream.process(1).next(), await stream.process(2).next()];
    await counter.call("toString", []).catch((error) => message = error.message);
    await stream.cleanup();
  } finally {
    forgeries.forEach(([target, key], index) => {
      const descriptor = replaced[index];
      if (descriptor !== undefined) Object.defineProperty(target, key, descriptor);
    });
  }
  equal(calledAs, 4);
  deepEqual(outputs, [{ done: false, value: { value: 1 } }, { done: false, value: { value: 2 } }]);
  match(message, /no such public method; it has arrow, add/);
});
