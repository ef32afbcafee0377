/**
 * A small assembler for classic BPF, as seccomp(2) runs it: `struct sock_filter` of linux/filter.h.
 *
 * There are no labels. {@linkcode when} puts what follows from a test right behind it, and jumps over it otherwise, so
 * that a program is a sequence of self-contained parts and no jump can lead into another's middle.
 * @module
 */

/** One instruction: `struct sock_filter`. */
export interface Instruction {
  readonly code: number;
  /** Instructions to skip when the test holds, and when it does not; 255 at most. */
  readonly ifTrue: number;
  readonly ifFalse: number;
  readonly k: number;
}

/** A test of the accumulator. */
export interface Test {
  readonly code: number;
  readonly k: number;
  /** Whether it holds when the kernel's comparison does not. */
  readonly negated: boolean;
}

/** Opcodes of linux/bpf_common.h, put together as they are used here. */
const Op = {
  loadWord: 0x20, // BPF_LD | BPF_W | BPF_ABS
  and: 0x54, // BPF_ALU | BPF_AND | BPF_K
  jump: 0x05, // BPF_JMP | BPF_JA
  jumpEqual: 0x15, // BPF_JMP | BPF_JEQ | BPF_K
  jumpAtLeast: 0x35, // BPF_JMP | BPF_JGE | BPF_K
  give: 0x06, // BPF_RET | BPF_K
} as const;

const INSTRUCTION_BYTES = 8;
/** `BPF_MAXINSNS` of linux/bpf_common.h. */
const MAX_INSTRUCTIONS = 4_096;
/** Widest conditional jump: its offsets are bytes. */
const MAX_SKIP = 0xff;

/** Loads 32 bits of the data that the filter judges. */
export function load(offset: number): Instruction {
  return plain(Op.loadWord, offset);
}

/** Keeps some bits of the accumulator. */
export function and(mask: number): Instruction {
  return plain(Op.and, mask);
}

/** Ends the program with a verdict. */
export function give(action: number): Instruction {
  return plain(Op.give, action);
}

/** Holds when the accumulator is `value`. */
export function equal(value: number): Test {
  return { code: Op.jumpEqual, k: value, negated: false };
}

/** Holds when the accumulator is `value` or more, unsigned. */
export function atLeast(value: number): Test {
  return { code: Op.jumpAtLeast, k: value, negated: false };
}

/** The opposite of a test. */
export function not(test: Test): Test {
  return { ...test, negated: !test.negated };
}

/** `body` when a test holds; otherwise the program goes on behind it. A body of any length is fine. */
export function when({ code, k, negated }: Test, body: readonly Instruction[]): Instruction[] {
  // What is too far for a conditional jump is reached through an unconditional one, whose offset has 32 bits.
  const far = body.length > MAX_SKIP;
  const over = far ? [plain(Op.jump, body.length)] : [];
  const [held, failed] = far ? [1, 0] : [0, body.length];
  const test = negated ? { code, k, ifTrue: failed, ifFalse: held } : { code, k, ifTrue: held, ifFalse: failed };
  return [test, ...over, ...body];
}

/**
 * The bytes of a program, little-endian as x86-64 and aarch64 read them.
 * @throws {RangeError} when the kernel would not take it for its length
 */
export function assemble(program: readonly Instruction[]): Uint8Array<ArrayBuffer> {
  if (program.length === 0 || program.length > MAX_INSTRUCTIONS) {
    throw new RangeError(`Cannot assemble filter: it has ${program.length} instructions, allowed are 1 to 4096`);
  }
  const bytes = new Uint8Array(program.length * INSTRUCTION_BYTES);
  const view = new DataView(bytes.buffer);
  program.forEach(({ code, ifTrue, ifFalse, k }, index) => {
    const offset = index * INSTRUCTION_BYTES;
    view.setUint16(offset, code, true);
    view.setUint8(offset + 2, ifTrue);
    view.setUint8(offset + 3, ifFalse);
    view.setUint32(offset + 4, k, true);
  });
  return bytes;
}

function plain(code: number, k: number): Instruction {
  return { code, ifTrue: 0, ifFalse: 0, k };
}
