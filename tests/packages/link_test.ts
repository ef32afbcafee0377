import assert from "node:assert/strict";
import { DEFAULT_PACKAGE_LIMITS, linkPackage, openPackage } from "../../workers/package/mod.ts";
import { encodeLayer } from "../../workers/package/npm/layer_index.ts";
import { TaskError } from "../../workers/task_error.ts";
import { textOf } from "../support/packages.ts";

const INDEX = {
  roots: [{ name: "a", wanted: null, key: "a@1.0.0" }],
  packages: { "a@1.0.0": {} },
  modules: { "a@1.0.0/index.js": "a@1.0.0/index.js" },
  loads: { "a@1.0.0/index.js": ["b@1.0.0/b.js"] },
};
const FILES = { "a@1.0.0/index.js": "1", "b@1.0.0/b.js": "2", "b@1.0.0/unused.js": "3" };

/** A layer of the files above, whatever its index says. */
function layerOf(index: typeof INDEX): Uint8Array {
  return encodeLayer(index, new Map(Object.entries(FILES).map(([path, text]) => [path, textOf(text)])));
}

/** A layer with this text for an index. */
function layerWith(index: string): Uint8Array {
  const head = textOf(index);
  const bytes = new Uint8Array(4 + head.length);
  new DataView(bytes.buffer).setUint32(0, head.length, true);
  bytes.set(head, 4);
  return bytes;
}

function link(
  layer: Uint8Array,
  source = 'import a from "npm:a";\nexport default a;',
  limits = DEFAULT_PACKAGE_LIMITS,
) {
  const opened = openPackage(textOf(source), { dependencies: ["a"] });
  assert(opened.runtime === "deno");
  const files = linkPackage(opened, layer, limits);
  return new Map([...files].map(([path, bytes]) => [path, new TextDecoder().decode(bytes)]));
}

Deno.test("linkPackage() replaces imports where they stand, and adds what they lead to", () => {
  const source =
    `\ufeff// "npm:a" 😀\nimport type { T } from "a";\nimport a, { type U } from 'npm:a'; export * from "a";\n` +
    'export default () => import(`npm:/a`) && "npm:a";\n';
  assert.deepEqual([...link(layerOf(INDEX), source)], [
    [
      "main.ts",
      `// "npm:a" 😀\nimport type { T } from "a";\nimport a, { type U } from "./.packages/a@1.0.0/index.js"; ` +
      'export * from "./.packages/a@1.0.0/index.js";\nexport default () => import("./.packages/a@1.0.0/index.js") && "npm:a";\n',
    ],
    [".packages/a@1.0.0/index.js", "1"],
    [".packages/b@1.0.0/b.js", "2"],
    [".packages/package.json", '{"type":"module"}'],
  ]);
});

const STORED = { ...INDEX, files: {} };
const BROKEN: Readonly<Record<string, unknown>> = {
  "no index": null,
  "files that lie nowhere": { ...INDEX, files: { "a@1.0.0/index.js": [-1, 5] } },
  "an index without its parts": { ...STORED, loads: undefined },
  "a module that leads out": { ...STORED, modules: { "a@1.0.0/index.js": "../../etc/passwd" } },
  "an absolute module": { ...STORED, modules: { "a@1.0.0/index.js": "/etc/passwd" } },
  "a load that leads out": { ...STORED, loads: { "a@1.0.0/index.js": ["a/../../x"] } },
  "roots that are none": { ...STORED, roots: [{ name: 1 }] },
};

for (const [what, index] of Object.entries(BROKEN)) {
  Deno.test(`linkPackage() refuses a layer with ${what}`, () => {
    const layer = layerWith(JSON.stringify(index));
    assert.throws(() => link(layer), (error) => error instanceof TaskError && error.code === "INVALID_TASK");
  });
}

Deno.test("linkPackage() refuses a layer that is none, and a package that is too large with what it imports", () => {
  for (const layer of [textOf("PK"), layerWith("{"), textOf("PK\x03\x04PK"), layerOf(INDEX).subarray(0, 20)]) {
    assert.throws(() => link(layer), { code: "INVALID_TASK", message: /of its packages is/ });
  }
  const limits = { ...DEFAULT_PACKAGE_LIMITS, maxUnpackedBytes: 60 };
  assert.throws(() => link(layerOf(INDEX), undefined, limits), {
    code: "RESOURCE_LIMIT",
    message: /packages that it imports/,
  });
});
