/**
 * Runs classic BPF programs as the kernel runs them for seccomp(2): linux/filter.h, net/core/filter.c.
 * @module
 */

/** `struct seccomp_data`. */
export interface SeccompData {
  readonly number: number;
  /** `AUDIT_ARCH_*`. */
  readonly architecture: number;
  readonly args?: readonly (number | bigint)[];
}

/**
 * The verdict of a program.
 * @throws {Error} for what the kernel would not accept: unknown opcodes, jumps out of the program, no verdict
 */
export function runFilter(program: Uint8Array, { number, architecture, args = [] }: SeccompData): number {
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, number, true);
  data.setUint32(4, architecture, true);
  args.forEach((value, index) => data.setBigUint64(16 + 8 * index, BigInt.asUintN(64, BigInt(value)), true));
  const code = new DataView(program.buffer, program.byteOffset, program.byteLength);
  let accumulator = 0;
  for (let at = 0; at < program.length; at += 8) {
    const k = code.getUint32(at + 4, true);
    const jump = (held: boolean): void => void (at += 8 * code.getUint8(at + (held ? 2 : 3)));
    switch (code.getUint16(at, true)) {
      case 0x20:
        accumulator = data.getUint32(k, true);
        break;
      case 0x54:
        accumulator = (accumulator & k) >>> 0;
        break;
      case 0x05:
        at += 8 * k;
        break;
      case 0x15:
        jump(accumulator === k);
        break;
      case 0x35:
        jump(accumulator >= k);
        break;
      case 0x06:
        return k;
      default:
        throw new Error(`Unknown opcode ${code.getUint16(at, true)} at instruction ${at / 8}`);
    }
  }
  throw new Error("The program ends without a verdict");
}
