import assert from "node:assert/strict";
import { readTarball } from "../../workers/package/npm/tarball.ts";
import { tarball } from "../fakes/npm_registry.ts";

const LIMITS = { maxBytes: 2 ** 20, maxFiles: 10 };

async function read(...entries: Parameters<typeof tarball>[0]): Promise<Record<string, string>> {
  const files = await readTarball("test", await tarball(entries), LIMITS);
  return Object.fromEntries([...files].map(([path, bytes]) => [path, new TextDecoder().decode(bytes)]));
}

Deno.test("readTarball() gives files without the folder that they lie in, whatever its name", async () => {
  assert.deepEqual(
    await read(
      { path: "package/", type: "5" },
      { path: "package/a.js", content: "a".repeat(600) },
      { path: "other/lib/b.js", content: "" },
      { path: "package/old.js", content: "x", type: "\0" },
    ),
    { "a.js": "a".repeat(600), "lib/b.js": "", "old.js": "x" },
  );
});

Deno.test("readTarball() reads long paths of pax and of GNU, each for the next entry alone", async () => {
  const long = `package/${"d".repeat(90)}/${"e".repeat(90)}.js`;
  const record = ` path=${long}\n`;
  const pax = `${record.length + 3}${record}`;
  assert.deepEqual(
    await read(
      { path: "PaxHeader/x", type: "x", content: pax },
      { path: "package/short.js", content: "1" },
      { path: "package/b.js", content: "2" },
      { path: "././@LongLink", type: "L", content: `${long.replace("e.js", "f.js")}\0` },
      { path: "package/short.js", content: "3" },
    ),
    { [long.slice(8)]: "1", "b.js": "2", [long.slice(8).replace("e.js", "f.js")]: "3" },
  );
});

Deno.test("readTarball() sees through a long path that leads out", async () => {
  const record = " path=package/../../x.js\n";
  await assert.rejects(
    read({ path: "PaxHeader/x", type: "x", content: `${record.length + 2}${record}` }, { path: "package/a.js" }),
    { code: "SECURITY_VIOLATION", message: /holds a ".." segment/ },
  );
});

Deno.test("readTarball() refuses more files than there may be, and none", async () => {
  const many = Array.from({ length: 11 }, (_, index) => ({ path: `package/${index}.js` }));
  await assert.rejects(read(...many), { code: "RESOURCE_LIMIT", message: /more than 10 files/ });
  await assert.rejects(read(), { code: "INVALID_TASK", message: /no files/ });
  await assert.rejects(read({ path: "alone.js" }), { code: "SECURITY_VIOLATION", message: /lies outside/ });
});
