/**
 * Bearer tokens, of which the service keeps hashes only.
 *
 * A token is `rxt_<id>_<secret>`: 12 hexadecimal digits that name its record, and 32 random bytes as base64url. The file
 * is YAML (JSON will do):
 *
 * ```yaml
 * tokens:
 *   - id: 0f3a5b7c9d1e
 *     caller: build-farm
 *     sha256: 9b74…                       # of the whole token, as 64 hexadecimal digits
 *     created: 2030-01-31T12:00:00.000Z
 *     expires: 2030-05-01T12:00:00.000Z   # may be absent
 * ```
 *
 * A plain SHA-256 is right here, where for passwords it would not be: slow hashes make up for what people choose badly,
 * but nobody can try 2²⁵⁶ secrets, slowly or fast; and it is checked in the path of calls.
 * @module
 */

import { Buffer } from "node:buffer";
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { parse, stringify } from "yaml";
import { z } from "zod";
import { CALLER_NAME } from "../config/mod.ts";
import { messageOf, ServiceError } from "../errors.ts";
import { ANONYMOUS } from "../execution/callers.ts";

const ID_BYTES = 6;
const SECRET_BYTES = 32;
const TOKEN = /^rxt_([0-9a-f]{12})_[A-Za-z0-9_-]{43}$/;
const MAX_FILE_BYTES = 16 * 1024 * 1024;
const HEADER = "# Bearer tokens of the Remote Execution Service, as hashes. Made by: rexec token create\n";

/** What is kept of a token. */
export const TokenRecord = z.strictObject({
  id: z.string().regex(/^[0-9a-f]{12}$/),
  caller: z.string().regex(CALLER_NAME).refine((name) => name !== ANONYMOUS),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  created: z.iso.datetime(),
  expires: z.iso.datetime().optional(),
});
/** See {@linkcode TokenRecord}. */
export type TokenRecord = z.output<typeof TokenRecord>;

const TokenFile = z.strictObject({ tokens: z.array(TokenRecord).max(100_000) });

/** A token that was just made; the only time that it is seen. */
export interface NewToken {
  readonly token: string;
  readonly record: TokenRecord;
}

/**
 * Makes a token.
 *
 * @param caller whose it is
 * @param times in milliseconds since the epoch; without `expiresAt` it never expires
 * @throws {RangeError} for a name that no caller can have
 */
export function createToken(
  caller: string,
  { now, expiresAt }: { now: number; expiresAt: number | undefined },
): NewToken {
  if (!CALLER_NAME.test(caller) || caller === ANONYMOUS) {
    throw new RangeError(
      `Caller must be 1 to 128 letters, digits and ._@:/-, starting with a letter or digit, and not "${ANONYMOUS}"`,
    );
  }
  const id = randomBytes(ID_BYTES).toString("hex");
  const token = `rxt_${id}_${randomBytes(SECRET_BYTES).toString("base64url")}`;
  const record: TokenRecord = {
    id,
    caller,
    sha256: hashOf(token).toString("hex"),
    created: new Date(now).toISOString(),
    ...(expiresAt === undefined ? {} : { expires: new Date(expiresAt).toISOString() }),
  };
  return { token, record };
}

/**
 * Reads a file of tokens.
 *
 * @param onReadable called when other users of the machine can read the file
 * @throws {ServiceError} `CONFIG_INVALID` when it is missing, malformed, or others can write to it
 */
export function readTokenFile(path: string, { onReadable }: { onReadable?: () => void } = {}): TokenRecord[] {
  const fail = (problem: string, cause?: unknown) =>
    new ServiceError("CONFIG_INVALID", `Cannot use tokens file "${path}" (auth.tokensFile): ${problem}`, { cause });
  let text: string;
  try {
    const { mode, size } = Deno.statSync(path);
    if (size > MAX_FILE_BYTES) throw fail(`it has ${size} bytes, allowed are ${MAX_FILE_BYTES}`);
    if (mode !== null && (mode & 0o022) !== 0) {
      throw fail("other users can write to it, and so make tokens of their own: chmod 600 it");
    }
    if (mode !== null && (mode & 0o044) !== 0) onReadable?.();
    text = Deno.readTextFileSync(path);
  } catch (cause) {
    if (cause instanceof ServiceError) throw cause;
    if (cause instanceof Deno.errors.NotFound) {
      throw fail("there is no such file; make one with: rexec token create", cause);
    }
    throw fail(messageOf(cause), cause);
  }
  const result = TokenFile.safeParse(parseYaml(text, fail));
  if (!result.success) {
    const [issue] = result.error.issues;
    throw fail(`${issue?.path.join(".") || "the whole"}: ${issue?.message}`);
  }
  const { tokens } = result.data;
  const twice = tokens.find(({ id }, index) => tokens.findIndex((other) => other.id === id) !== index);
  if (twice !== undefined) throw fail(`the id "${twice.id}" stands there twice`);
  return tokens;
}

/** Writes a file of tokens in one step, readable for its owner only. */
export function writeTokenFile(path: string, tokens: readonly TokenRecord[]): void {
  const draft = `${path}.${randomBytes(4).toString("hex")}.tmp`;
  Deno.writeTextFileSync(draft, HEADER + stringify({ tokens }), { mode: 0o600, createNew: true });
  try {
    Deno.renameSync(draft, path);
  } catch (error) {
    Deno.removeSync(draft);
    throw error;
  }
}

/** Tokens by id, to check callers' against. */
export class TokenStore {
  readonly #records: ReadonlyMap<string, { caller: string; hash: Buffer; expiresAt: number }>;
  /** What an unknown id is compared with, so that it takes as long as a known one. */
  readonly #nobody = { caller: "", hash: randomBytes(32), expiresAt: 0 };

  constructor(records: readonly TokenRecord[]) {
    this.#records = new Map(records.map(({ id, caller, sha256, expires }) => [id, {
      caller,
      hash: Buffer.from(sha256, "hex"),
      expiresAt: expires === undefined ? Infinity : Date.parse(expires),
    }]));
  }

  /** How many there are. */
  get size(): number {
    return this.#records.size;
  }

  /**
   * Whose token this is, and until when, in milliseconds since the epoch; the caller of this checks that.
   * @returns `undefined` when it is nobody's
   */
  find(token: string): { readonly caller: string; readonly expiresAt: number } | undefined {
    const id = TOKEN.exec(token)?.[1];
    if (id === undefined) return undefined;
    const record = this.#records.get(id) ?? this.#nobody;
    return timingSafeEqual(hashOf(token), record.hash) ? record : undefined;
  }
}

function hashOf(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

function parseYaml(text: string, fail: (problem: string, cause?: unknown) => ServiceError): unknown {
  try {
    return parse(text, { maxAliasCount: 0 });
  } catch (cause) {
    throw fail(`not valid YAML: ${messageOf(cause)}`, cause);
  }
}
