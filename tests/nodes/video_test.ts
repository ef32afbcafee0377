import { deepStrictEqual, ok, rejects, strictEqual, throws } from "node:assert/strict";
import { toArray } from "../../workers/nodes/arrays.ts";
import videoBuffer from "../../workers/nodes/video_buffer.ts";
import videoResizer from "../../workers/nodes/video_resizer.ts";
import videoTransform from "../../workers/nodes/video_transform.ts";
import { TaskError } from "../../workers/task_error.ts";
import { DTYPES, NDArray, Tuple, type Value } from "../../workers/values.ts";
import { execute, seededRandom, streamThrough, TestContext } from "../support/nodes.ts";

function frameOf(pixels: Iterable<number>, shape: number[]): NDArray {
  return toArray(Uint8Array.from(pixels), shape, "numpy");
}

function arrayOf(value: Value | undefined): NDArray {
  ok(value instanceof NDArray);
  return value;
}

function noise(shape: number[], seed: number): NDArray {
  const random = seededRandom(seed);
  const size = shape.reduce((product, length) => product * length, 1);
  return frameOf(Array.from({ length: size }, () => Math.floor(random() * 256)), shape);
}

const METHODS = ["lanczos", "bicubic", "bilinear", "mitchell", "nearest"];

/** A red, a green, a blue and a dim pixel: two rows of two. */
const RGB = frameOf([255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30], [2, 2, 3]);
const RGBA = frameOf([255, 0, 0, 1, 0, 255, 0, 2, 0, 0, 255, 3, 10, 20, 30, 4], [2, 2, 4]);

for (const method of METHODS) {
  for (const channels of [1, 3, 4]) {
    Deno.test(`VideoResizer keeps a constant frame of ${channels} channels constant: ${method}`, async () => {
      const color = [200, 3, 77, 128].slice(0, channels);
      const frame = frameOf(Array(20 * 30).fill(color).flat(), [20, 30, channels]);
      for (const [width, height] of [[7, 5], [64, 48], [30, 40], [1, 1]] as const) {
        const run = { parameters: { target_resolution: [width, height], method } };
        const resized = arrayOf(await execute(videoResizer, frame, run));
        deepStrictEqual(resized.shape, [height, width, channels]);
        deepStrictEqual(resized.bytes, Uint8Array.from(Array(width * height).fill(color).flat()));
      }
    });
  }

  Deno.test(`VideoResizer keeps a gradient rising: ${method}`, async () => {
    const row = Array.from({ length: 64 }, (_, x) => 32 + 3 * x);
    const frame = frameOf(Array(8).fill(row).flat(), [8, 64]);
    for (const width of [16, 23, 150]) {
      const run = { parameters: { target_resolution: [width, 8], method } };
      const { shape, bytes } = arrayOf(await execute(videoResizer, frame, run));
      deepStrictEqual(shape, [8, width]);
      for (let x = 1; x < width; x++) {
        ok(bytes[x]! >= bytes[x - 1]!, `column ${x} of ${width}: ${bytes.subarray(0, width)}`);
      }
      ok(bytes[0]! < 48 && bytes[width - 1]! > 205);
    }
  });

  Deno.test(`VideoResizer treats each channel as if it were alone, alpha too: ${method}`, async () => {
    const frame = noise([9, 11, 4], 3);
    const run = { parameters: { target_resolution: [6, 5], method } };
    const together = arrayOf(await execute(videoResizer, frame, run)).bytes;
    for (let channel = 0; channel < 4; channel++) {
      const gray = frameOf(frame.bytes.filter((_, i) => i % 4 === channel), [9, 11, 1]);
      const alone = arrayOf(await execute(videoResizer, gray, run)).bytes;
      deepStrictEqual(alone, together.filter((_, i) => i % 4 === channel));
    }
  });
}

Deno.test("VideoResizer by nearest takes the pixel under each centre", async () => {
  const run = { parameters: { target_resolution: [4, 1], method: "nearest" } };
  const { bytes } = arrayOf(await execute(videoResizer, frameOf([1, 2, 3, 4, 5, 6, 7, 8], [1, 8]), run));
  // Centres at 1, 3, 5 and 7 pixels from the left.
  deepStrictEqual([...bytes], [2, 4, 6, 8]);
});

Deno.test("VideoResizer by bilinear averages when it halves", async () => {
  const run = { parameters: { target_resolution: [4, 1], method: "bilinear" } };
  const { bytes } = arrayOf(await execute(videoResizer, frameOf([0, 0, 0, 0, 80, 80, 80, 80], [1, 8]), run));
  // The triangle of half the size spans four pixels, with weights of 1, 3, 3 and 1 eighths.
  deepStrictEqual([...bytes], [0, 10, 70, 80]);
});

for (const resolution of [[4, 2], "4x2", " 4 X 2 ", "4,2"]) {
  Deno.test(`VideoResizer reads the resolution ${JSON.stringify(resolution)}`, async () => {
    const run = { parameters: { target_resolution: resolution } };
    deepStrictEqual(arrayOf(await execute(videoResizer, RGB, run)).shape, [2, 4, 3]);
  });
}

for (const resolution of [[4], [0, 2], [4, -1], [1.5, 2], [65_536, 1], "4", "0x2", "99999x1", "big", 4, null]) {
  Deno.test(`VideoResizer refuses the resolution ${JSON.stringify(resolution)}`, () => {
    throws(() => videoResizer.parameters.parse({ target_resolution: resolution }), /target_resolution/);
  });
}

Deno.test("VideoResizer makes 1920 × 1080 when nobody says otherwise", async () => {
  deepStrictEqual(arrayOf(await execute(videoResizer, RGB)).shape, [1080, 1920, 3]);
});

Deno.test("VideoResizer answers nested lists with a list", async () => {
  const run = { parameters: { target_resolution: [1, 1] } };
  const resized = arrayOf(await execute(videoResizer, [[[9n, 8n, 7n], [9n, 8n, 7n]]], run));
  strictEqual(resized.form, "json-list");
  deepStrictEqual([...resized.bytes], [9, 8, 7]);
});

Deno.test("VideoResizer reads frames in Fortran order", async () => {
  const frame = new NDArray(DTYPES.uint8, [2, 3], Uint8Array.of(1, 4, 2, 5, 3, 6), true);
  const run = { parameters: { target_resolution: [3, 2] } };
  deepStrictEqual([...arrayOf(await execute(videoResizer, frame, run)).bytes], [1, 2, 3, 4, 5, 6]);
});

const NOT_FRAMES: [string, Value][] = [
  ["None", null],
  ["a string", "frame"],
  ["an array of floats", toArray(new Float32Array(4), [2, 2], "numpy")],
  ["a list of numbers beyond 255", [[256n]]],
  ["two channels", frameOf([1, 2], [1, 1, 2])],
  ["one dimension", frameOf([1, 2], [2])],
  ["no rows", frameOf([], [0, 2, 3])],
];

for (const definition of [videoResizer, videoTransform, videoBuffer]) {
  for (const [name, item] of NOT_FRAMES) {
    Deno.test(`${definition.type} passes ${name} through with a warning`, async () => {
      const context = new TestContext();
      deepStrictEqual(
        (await streamThrough(definition, [item], { context })).flat(),
        item === null && !definition.streaming ? [] : [item],
      );
      strictEqual(context.warnings.length, 1);
    });
  }
}

for (const definition of [videoResizer, videoTransform]) {
  Deno.test(`${definition.type} refuses to resize beyond the memory limit`, async () => {
    await rejects(
      execute(definition, RGB, { context: new TestContext(10 * 2 ** 20) }),
      (error) => error instanceof TaskError && error.code === "RESOURCE_LIMIT" && /1920 × 1080/.test(error.message),
    );
  });
}

const KEEP_SIZE = { resolution: null };

for (
  const [name, frame, parameters, shape, pixels] of [
    ["keeps colours", RGB, {}, [2, 2, 3], [...RGB.bytes]],
    ["keeps rgb as rgb", RGB, { color: "rgb" }, [2, 2, 3], [...RGB.bytes]],
    ["swaps red and blue for bgr", RGB, { color: "bgr" }, [2, 2, 3], [0, 0, 255, 0, 255, 0, 255, 0, 0, 30, 20, 10]],
    // 0.299, 0.587 and 0.114 of 255, and 0.299 · 10 + 0.587 · 20 + 0.114 · 30 = 18.15.
    ["takes the luma for gray", RGB, { color: "gray" }, [2, 2, 1], [76, 150, 29, 18]],
    ["takes the luma without alpha", RGBA, { color: "gray" }, [2, 2, 1], [76, 150, 29, 18]],
    ["drops alpha for rgb", RGBA, { color: "rgb" }, [2, 2, 3], [...RGB.bytes]],
    ["drops alpha for bgr", RGBA, { color: "bgr" }, [2, 2, 3], [0, 0, 255, 0, 255, 0, 255, 0, 0, 30, 20, 10]],
    ["repeats gray for rgb", frameOf([1, 2], [1, 2]), { color: "rgb" }, [1, 2, 3], [1, 1, 1, 2, 2, 2]],
    ["repeats gray for bgr", frameOf([1, 2], [1, 2, 1]), { color: "bgr" }, [1, 2, 3], [1, 1, 1, 2, 2, 2]],
    ["keeps gray as gray, flat", frameOf([1, 2], [1, 2]), { color: "gray" }, [1, 2], [1, 2]],
    ["flips left to right", frameOf([1, 2, 3, 4, 5, 6], [2, 3]), { flip: "horizontal" }, [2, 3], [3, 2, 1, 6, 5, 4]],
    ["flips top to bottom", frameOf([1, 2, 3, 4, 5, 6], [2, 3]), { flip: "vertical" }, [2, 3], [4, 5, 6, 1, 2, 3]],
    ["flips both ways", frameOf([1, 2, 3, 4, 5, 6], [2, 3]), { flip: "both" }, [2, 3], [6, 5, 4, 3, 2, 1]],
    ["does not turn", frameOf([1, 2, 3, 4, 5, 6], [2, 3]), { rotate: 0 }, [2, 3], [1, 2, 3, 4, 5, 6]],
    ["turns clockwise", frameOf([1, 2, 3, 4, 5, 6], [2, 3]), { rotate: 90 }, [3, 2], [4, 1, 5, 2, 6, 3]],
    ["turns upside down", frameOf([1, 2, 3, 4, 5, 6], [2, 3]), { rotate: 180 }, [2, 3], [6, 5, 4, 3, 2, 1]],
    ["turns by three quarters", frameOf([1, 2, 3, 4, 5, 6], [2, 3]), { rotate: 270 }, [3, 2], [3, 6, 2, 5, 1, 4]],
    ["turns counter-clockwise", frameOf([1, 2, 3, 4, 5, 6], [2, 3]), { rotate: -90 }, [3, 2], [3, 6, 2, 5, 1, 4]],
    ["turns more than once round", frameOf([1, 2, 3, 4, 5, 6], [2, 3]), { rotate: -630 }, [3, 2], [4, 1, 5, 2, 6, 3]],
    ["moves whole pixels", RGB, { rotate: 90 }, [2, 2, 3], [0, 0, 255, 255, 0, 0, 10, 20, 30, 0, 255, 0]],
    [
      "flips before it turns",
      frameOf([1, 2, 3, 4], [2, 2]),
      { flip: "horizontal", rotate: 90 },
      [2, 2],
      [4, 2, 3, 1],
    ],
    ["resizes before it turns", frameOf([5, 5], [1, 2]), { resolution: [3, 1], rotate: 90 }, [3, 1], [5, 5, 5]],
    ["takes None for every optional", RGB, { color: null, flip: null, rotate: null, fps: null }, [2, 2, 3], [
      ...RGB.bytes,
    ]],
  ] as [string, NDArray, Record<string, unknown>, number[], number[]][]
) {
  Deno.test(`VideoTransform ${name}`, async () => {
    const run = { parameters: { ...KEEP_SIZE, ...parameters } };
    const { shape: actual, bytes } = arrayOf(await execute(videoTransform, frame, run));
    deepStrictEqual(actual, shape);
    deepStrictEqual([...bytes], pixels);
  });
}

Deno.test("VideoTransform makes 1920 × 1080 when nobody says otherwise", async () => {
  deepStrictEqual(arrayOf(await execute(videoTransform, RGB)).shape, [1080, 1920, 3]);
});

for (const parameters of [{ color: "cmyk" }, { flip: "diagonal" }, { rotate: 45 }, { fps: 0 }]) {
  Deno.test(`VideoTransform refuses ${JSON.stringify(parameters)}`, () => {
    throws(() => videoTransform.parameters.parse(parameters), new RegExp(Object.keys(parameters)[0]!));
  });
}

/** Numbers of the frames that stay. */
async function kept(items: Value[], fps: number): Promise<number[]> {
  const outputs = await streamThrough(videoTransform, items, { parameters: { ...KEEP_SIZE, fps } });
  return outputs.flatMap((values, index) => values.length > 0 ? [index] : []);
}

for (
  const [name, item, fps, expected] of [
    ["of pairs at three times the rate", () => new Tuple([RGB, 30n]), 10, [0, 3, 6, 9]],
    ["of pairs at one and a half times", () => [RGB, 30.0], 20, [0, 2, 3, 5, 6, 8, 9]],
    ["of pairs at a lower rate", () => new Tuple([RGB, 5n]), 10, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
    ["of dicts with their rate", () => new Map<Value, Value>([["frame", RGB], ["fps", 20n]]), 10, [0, 2, 4, 6, 8]],
    ["of dicts with their time", (i) => new Map<Value, Value>([["frame", RGB], ["timestamp", i / 30]]), 10, [
      0,
      3,
      6,
      9,
    ]],
    [
      // 0.29 · 100 is 28.999999999999996.
      "of dicts with a rounded time",
      (i) => new Map<Value, Value>([["frame", RGB], ["timestamp", (i + 20) / 100]]),
      100,
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    ],
    ["without a time", () => RGB, 10, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
  ] as [string, (index: number) => Value, number, number[]][]
) {
  Deno.test(`VideoTransform thins out a stream ${name}`, async () => {
    deepStrictEqual(await kept(Array.from({ length: 10 }, (_, i) => item(i)), fps), expected);
  });
}

Deno.test("VideoTransform says the new rate beside the frame, and keeps the rest of a dict", async () => {
  const run = { parameters: { ...KEEP_SIZE, fps: 10 } };
  deepStrictEqual(await execute(videoTransform, new Tuple([RGB, 30n]), run), new Tuple([RGB, 10]));
  deepStrictEqual(await execute(videoTransform, new Tuple([RGB, 5n]), run), new Tuple([RGB, 5n]));
  const dict = new Map<Value, Value>([["id", 7n], ["frame", RGB], ["fps", 30n]]);
  deepStrictEqual(
    await execute(videoTransform, dict, run),
    new Map<Value, Value>([["id", 7n], ["frame", RGB], ["fps", 10]]),
  );
});

Deno.test("VideoTransform warns once that frames come without a time", async () => {
  const context = new TestContext();
  await streamThrough(videoTransform, [RGB, RGB], { parameters: { ...KEEP_SIZE, fps: 10 }, context });
  strictEqual(context.warnings.length, 1);
});

Deno.test("VideoBuffer groups frames and gives the rest at the end", async () => {
  const frames = Array.from({ length: 5 }, (_, i) => frameOf(Array(12).fill(i), [2, 2, 3]));
  const outputs = await streamThrough(videoBuffer, frames, { parameters: { buffer_size: 2 } });
  deepStrictEqual(outputs.map((values) => values.map((value) => arrayOf(value).shape)), [
    [],
    [[2, 2, 2, 3]],
    [],
    [[2, 2, 2, 3]],
    [],
    [[1, 2, 2, 3]],
  ]);
  deepStrictEqual([...arrayOf(outputs[1]![0]).bytes], [...Array(12).fill(0), ...Array(12).fill(1)]);
});

Deno.test("VideoBuffer groups ten frames when nobody says otherwise, gray ones with their channel", async () => {
  const outputs = await streamThrough(videoBuffer, Array(10).fill(frameOf([1, 2], [1, 2])));
  deepStrictEqual(outputs.flat().map((value) => arrayOf(value).shape), [[10, 1, 2, 1]]);
});

Deno.test("VideoBuffer gives the rest first when the shape changes", async () => {
  const context = new TestContext();
  const items = [RGB, RGBA, RGBA];
  const outputs = await streamThrough(videoBuffer, items, { parameters: { buffer_size: 2 }, context });
  deepStrictEqual(outputs.map((values) => values.map((value) => arrayOf(value).shape)), [[], [[1, 2, 2, 3]], [[
    2,
    2,
    2,
    4,
  ]], []]);
  strictEqual(context.warnings.length, 1);
});

Deno.test("VideoBuffer refuses to hold more than the memory limit", async () => {
  await rejects(
    streamThrough(videoBuffer, [RGB, RGB, RGB], { context: new TestContext(50) }),
    (error) => error instanceof TaskError && error.code === "RESOURCE_LIMIT",
  );
});
