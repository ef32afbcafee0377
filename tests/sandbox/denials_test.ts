import assert from "node:assert/strict";
import { DenialAudit } from "../../src/sandbox/denials.ts";
import { TestFolder } from "../fakes/folder.ts";

const INSIDE = {
  bundle: null,
  socket: "/s",
  cache: "/c",
  code: "/code",
  scratch: "/scratch",
  audit: "/a",
  egress: null,
  snapshot: null,
};
const GRANTED = entry("read", "/scratch/f");
const DENIED = entry("env", "HOME");
/** The end of a line. */
const REMAINDER = '"value":"/scratch/f"}\n';
const UNREADABLE = { permission: "any", target: "an entry that cannot be read", count: 1 };

Deno.test("DenialAudit empties a long file, and takes no line whose beginning went with it for a denial", async () => {
  await using audited = await Audited.begin();
  audited.write(GRANTED.repeat(30_000));
  assert.deepEqual(audited.audit.read(), []);
  assert.equal(audited.size, 0);
  audited.write(REMAINDER + GRANTED + DENIED);
  assert.deepEqual(audited.audit.read(), [{ permission: "env", target: "HOME", count: 1 }]);
});

Deno.test("DenialAudit takes every other line that it cannot read for a denial", async () => {
  await using audited = await Audited.begin();
  audited.write(GRANTED + REMAINDER);
  assert.deepEqual(audited.audit.read(), [UNREADABLE]);
  audited.write(GRANTED.repeat(30_000));
  audited.audit.read();
  assert.equal(audited.size, 0);
  audited.write(GRANTED + REMAINDER);
  assert.deepEqual(audited.audit.read(), [{ ...UNREADABLE, count: 2 }]);
});

Deno.test("DenialAudit takes a line too long to be read for a denial, after the file was emptied too", async () => {
  await using audited = await Audited.begin();
  audited.write(GRANTED.repeat(30_000));
  audited.audit.read();
  audited.write(entry("env", "x".repeat(100_000)));
  assert.deepEqual(audited.audit.read(), [UNREADABLE]);
});

Deno.test("DenialAudit takes the first read of a module of the host's own for the host's, and no other", async () => {
  await using audited = await Audited.begin();
  audited.write(
    entry("read", "/sandbox/own.js") + entry("read", "/sandbox/own.js") + entry("write", "/sandbox/own.js"),
  );
  assert.deepEqual(audited.audit.read(), [
    { permission: "read", target: "/sandbox/own.js", count: 1 },
    { permission: "write", target: "/sandbox/own.js", count: 1 },
  ]);
});

function entry(permission: string, value: string): string {
  return `${JSON.stringify({ permission, value })}\n`;
}

/** An audit of a task that has begun. */
class Audited implements AsyncDisposable {
  private constructor(readonly folder: TestFolder, readonly audit: DenialAudit) {}

  static async begin(): Promise<Audited> {
    const folder = await TestFolder.make({ audit: "" });
    const granted = {
      inside: INSIDE,
      workingDirectory: "",
      isNetPermitted: () => false,
      ownReads: ["/sandbox/own.js"],
    };
    const audited = new Audited(folder, new DenialAudit(folder.file("audit"), granted));
    audited.audit.begin();
    return audited;
  }

  get size(): number {
    return Deno.statSync(this.folder.file("audit")).size;
  }

  write(text: string): void {
    Deno.writeTextFileSync(this.folder.file("audit"), text, { append: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.audit[Symbol.dispose]();
    await this.folder[Symbol.asyncDispose]();
  }
}
