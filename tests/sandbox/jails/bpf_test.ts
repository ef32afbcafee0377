import assert from "node:assert/strict";
import { and, assemble, atLeast, equal, give, load, not, type Test, when } from "../../../src/sandbox/jails/bpf.ts";
import { runFilter } from "../../support/bpf_machine.ts";

const NUMBER = load(0);

const TESTS: readonly { name: string; test: Test; holds: readonly number[]; fails: readonly number[] }[] = [
  { name: "equal", test: equal(7), holds: [7], fails: [6, 8, 0x8000_0007] },
  { name: "not equal", test: not(equal(7)), holds: [6, 8], fails: [7] },
  { name: "atLeast", test: atLeast(7), holds: [7, 8, 0xffff_ffff], fails: [0, 6] },
  { name: "not atLeast", test: not(atLeast(7)), holds: [0, 6], fails: [7, 0xffff_ffff] },
  { name: "not not equal", test: not(not(equal(7))), holds: [7], fails: [8] },
];

for (const length of [1, 255, 256, 1_000]) {
  for (const { name, test, holds, fails } of TESTS) {
    Deno.test(`when() runs a body of ${length} instructions if a test holds, and goes on if not: ${name}`, () => {
      const body = [...new Array(length - 1).fill(and(0xffff_ffff)), give(1)];
      const program = assemble([NUMBER, ...when(test, body), give(2)]);
      assert.equal(program.length, 8 * (length + (length > 255 ? 4 : 3)));
      for (const number of holds) assert.equal(runFilter(program, { number, architecture: 0 }), 1, `${number}`);
      for (const number of fails) assert.equal(runFilter(program, { number, architecture: 0 }), 2, `${number}`);
    });
  }
}

Deno.test("assemble() refuses a program that the kernel would refuse", () => {
  assert.throws(() => assemble([]), RangeError);
  assert.throws(() => assemble(new Array(4_097).fill(give(0))), RangeError);
  assert.equal(assemble(new Array(4_096).fill(give(0))).length, 32_768);
});
