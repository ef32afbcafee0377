/**
 * The corpus' pickles (`pickle-…`), as the input of a node and of a task.
 * @module
 */

import { concat } from "../support/zip_writer.ts";
import { latin1 } from "./protocol_bodies.ts";
import type { ProtocolCase, ProtocolCases } from "./target.ts";

const MARKER = "/tmp/sandbox-test-pickle.txt";
const COMMAND = `touch ${MARKER}`;
const MILLION = 1_000_000;

export const PICKLES: ProtocolCases = {
  "pickle-os-system": pickles(() => [latin1(`cos\nsystem\n(S'${COMMAND}'\ntR.`)]),
  "pickle-stack-global": pickles(() => [
    latin1(`\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c${sized(COMMAND)}\x85R.`),
  ]),
  "pickle-builtins-eval": pickles(() => [
    latin1(`cbuiltins\neval\n(S'__import__("os").system("${COMMAND}")'\ntR.`),
    // The title names more than the program sends.
    latin1(`cbuiltins\nexec\n(S'import os; os.system("${COMMAND}")'\ntR.`),
    latin1("cbuiltins\ngetattr\n(cos\nsystem\nS'__call__'\ntR."),
    latin1("cbuiltins\n__import__\n(S'os'\ntR."),
  ]),
  "pickle-getattr-bypass": pickles(() => [
    latin1(`\x80\x04\x8c\x08builtins\x8c${sized("__import__.__call__")}\x93\x8c\x02os\x85R.`),
  ]),
  "pickle-ext": pickles(() => ["\x82\x01.", "\x83\x01\x00.", "\x84\x01\x00\x00\x00.", "Pid\n.", "K\x01Q."].map(latin1)),
  "pickle-deep": pickles(() => [
    concat(latin1("N"), repeated("\x85", MILLION), latin1(".")),
    concat(repeated("(", MILLION), repeated("l", MILLION), latin1(".")),
  ]),
  "pickle-stackbad": pickles(() => [
    ...["0.", "a.", "s.", "b.", "h\x07.", "K\x01", ""].map(latin1),
    concat(latin1("N"), repeated("2", 5 * MILLION)),
    ...["(((", "\x80\xff."].map(latin1),
  ]),
  "pickle-setitem-unhashable": pickles(() => [
    latin1("}]K\x01s."),
    latin1("\x80\x02}q\x00h\x00h\x00s."),
    latin1(`(dq\x00${collidingItems()}.`),
  ]),
};

function pickles(make: () => readonly Uint8Array[]): ProtocolCase {
  return {
    async attack(target) {
      const outcomes = [];
      for (const [index, pickle] of make().entries()) {
        const what = `pickle ${index}`;
        outcomes.push(
          await target.node({ nodeType: "PassThroughNode", serializationFormat: "pickle", inputData: pickle }, what),
          await target.task({ code: "export default () => 1;", serializationFormat: "pickle", input: pickle }, what),
        );
      }
      return outcomes;
    },
  };
}

/** A text behind its length in one byte, as SHORT_BINUNICODE has it. */
function sized(text: string): string {
  return String.fromCharCode(text.length) + text;
}

function repeated(opcode: string, count: number): Uint8Array {
  return new Uint8Array(count).fill(opcode.charCodeAt(0));
}

/** Multiples of CPython's hash modulus, 2⁶¹ − 1: all have the hash 0 there. */
function collidingItems(): string {
  let text = "";
  for (let i = 1n; i < 20_000n; i++) text += `I${i * (2n ** 61n - 1n)}\nNs`;
  return text;
}
