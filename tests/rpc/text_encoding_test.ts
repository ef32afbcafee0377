import assert from "node:assert/strict";
import { ExecuteNodeRequest } from "../../protos/generated/execution.ts";
import { installTextEncoding } from "../../src/rpc/text_encoding.ts";

Deno.test("installTextEncoding() changes no text", () => {
  installTextEncoding();
  const texts = ["", "PassThroughNode", "ä", "\u{1f600}", "\ufeffmark", "a".repeat(33), `${"a".repeat(31)}é`, "\0\x7f"];
  for (const nodeType of texts) {
    const bytes = ExecuteNodeRequest.encode(ExecuteNodeRequest.fromPartial({ nodeType })).finish();
    assert.equal(ExecuteNodeRequest.decode(bytes).nodeType, nodeType);
  }
});

Deno.test("installTextEncoding() decodes what is no UTF-8 as the platform does", () => {
  installTextEncoding();
  const bytes = ExecuteNodeRequest.encode(ExecuteNodeRequest.fromPartial({ nodeType: "abc" })).finish();
  bytes[bytes.length - 1] = 0xff;
  assert.equal(ExecuteNodeRequest.decode(bytes).nodeType, "ab\ufffd");
});
