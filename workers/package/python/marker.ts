/**
 * Environment markers: when a requirement counts, `python_version < "3.12" and extra == "test"` (the dependency
 * specifiers specification, which was PEP 508).
 * @module
 */

import { fits, tryParseSpecifiers } from "./specifier.ts";
import { normalizeName } from "./name.ts";
import { tryParseVersion } from "./version.ts";

/** Variables of markers besides `extra`. */
export const MARKER_VARIABLES = [
  "python_version",
  "python_full_version",
  "os_name",
  "sys_platform",
  "platform_release",
  "platform_system",
  "platform_version",
  "platform_machine",
  "platform_python_implementation",
  "implementation_name",
  "implementation_version",
] as const;

/** What the variables of markers are. */
export type MarkerEnvironment = Readonly<Record<typeof MARKER_VARIABLES[number], string>>;

/** Spellings of before PEP 508, which old packages have still. */
const OLD_NAMES: Readonly<Record<string, keyof MarkerEnvironment>> = {
  "os.name": "os_name",
  "sys.platform": "sys_platform",
  "platform.version": "platform_version",
  "platform.machine": "platform_machine",
  "platform.python_implementation": "platform_python_implementation",
  "python_implementation": "platform_python_implementation",
};

type Operand =
  | { readonly kind: "variable"; readonly name: keyof MarkerEnvironment | "extra" }
  | { readonly kind: "text"; readonly text: string };

/** A parsed marker. */
export type Marker =
  | { readonly kind: "and" | "or"; readonly parts: readonly Marker[] }
  | { readonly kind: "compare"; readonly left: Operand; readonly operator: string; readonly right: Operand };

const TOKEN = /\s*(?:([()])|"([^"]*)"|'([^']*)'|(===|~=|==|!=|<=|>=|<|>)|not\s+(in)\b|([a-z_][a-z_.]*))/y;
const MAX_DEPTH = 32;

/**
 * Reads a marker.
 * @throws {SyntaxError} saying what is wrong with it
 */
export function parseMarker(text: string): Marker {
  return new MarkerParser(tokenize(text)).parse();
}

type Token =
  | { readonly kind: "(" | ")" | "operator" | "word"; readonly text: string }
  | { readonly kind: "text"; readonly text: string };

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  const pattern = new RegExp(TOKEN);
  const end = text.trimEnd().length;
  while (pattern.lastIndex < end) {
    const at = pattern.lastIndex;
    const match = pattern.exec(text);
    if (match === null) {
      throw new SyntaxError(`its marker cannot be read from ${JSON.stringify(text.slice(at, at + 40))}`);
    }
    const [, parenthesis, double, single, operator, notIn, word] = match;
    if (parenthesis === "(" || parenthesis === ")") tokens.push({ kind: parenthesis, text: parenthesis });
    else if (operator !== undefined) tokens.push({ kind: "operator", text: operator });
    else if (notIn !== undefined) tokens.push({ kind: "operator", text: "not in" });
    else if (word === "in") tokens.push({ kind: "operator", text: "in" });
    else if (word !== undefined) tokens.push({ kind: "word", text: word });
    else tokens.push({ kind: "text", text: double ?? single ?? "" });
  }
  return tokens;
}

/** `or` binds less than `and`; both take any number of parts. */
class MarkerParser {
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  parse(): Marker {
    const marker = this.#series("or", () => this.#series("and", () => this.#single()));
    const rest = this.#tokens[this.#at];
    if (rest !== undefined) throw new SyntaxError(`its marker goes on with ${JSON.stringify(rest.text)}`);
    return marker;
  }

  #series(kind: "and" | "or", parsePart: () => Marker): Marker {
    const first = parsePart();
    const parts = [first];
    while (this.#takeWord(kind)) parts.push(parsePart());
    return parts.length === 1 ? first : { kind, parts };
  }

  #takeWord(word: string): boolean {
    const token = this.#tokens[this.#at];
    if (token?.kind !== "word" || token.text !== word) return false;
    this.#at++;
    return true;
  }

  #single(): Marker {
    if (this.#tokens[this.#at]?.kind !== "(") return this.#comparison();
    this.#at++;
    if (++this.#depth > MAX_DEPTH) throw new SyntaxError(`its marker has more than ${MAX_DEPTH} nested parentheses`);
    const inner = this.#series("or", () => this.#series("and", () => this.#single()));
    if (this.#tokens[this.#at++]?.kind !== ")") throw new SyntaxError("its marker lacks a closing parenthesis");
    this.#depth--;
    return inner;
  }

  #comparison(): Marker {
    const left = this.#operand();
    const operator = this.#tokens[this.#at++];
    if (operator?.kind !== "operator") throw new SyntaxError("its marker lacks a comparison");
    const right = this.#operand();
    if (left.kind === "text" && right.kind === "text") {
      throw new SyntaxError("its marker compares two texts, and no variable");
    }
    return { kind: "compare", left, operator: operator.text, right };
  }

  #operand(): Operand {
    const token = this.#tokens[this.#at++];
    if (token?.kind === "text") return { kind: "text", text: token.text };
    if (token?.kind !== "word") throw new SyntaxError("its marker lacks a variable or a text in quotes");
    const name = Object.hasOwn(OLD_NAMES, token.text) ? OLD_NAMES[token.text] : token.text;
    if (name === "extra") return { kind: "variable", name };
    const known = MARKER_VARIABLES.find((variable) => variable === name);
    if (known === undefined) {
      throw new SyntaxError(`its marker names ${JSON.stringify(token.text)}, which is no variable`);
    }
    return { kind: "variable", name: known };
  }
}

/**
 * Whether a marker holds.
 * @param extra the extra that is asked for, normalised; empty for none
 */
export function holds(marker: Marker, environment: MarkerEnvironment, extra: string): boolean {
  switch (marker.kind) {
    case "and":
      return marker.parts.every((part) => holds(part, environment, extra));
    case "or":
      return marker.parts.some((part) => holds(part, environment, extra));
    case "compare":
      return compares(marker, environment, extra);
  }
}

function compares(
  { left, operator, right }: Extract<Marker, { kind: "compare" }>,
  environment: MarkerEnvironment,
  extra: string,
): boolean {
  const ofExtra = [left, right].some((operand) => operand.kind === "variable" && operand.name === "extra");
  const valueOf = (operand: Operand): string => {
    if (operand.kind === "text") return ofExtra ? normalizeName(operand.text) : operand.text;
    return operand.name === "extra" ? extra : environment[operand.name];
  };
  const [a, b] = [valueOf(left), valueOf(right)];
  const version = ofExtra ? undefined : tryParseVersion(a);
  const specifiers = version === undefined ? undefined : tryParseSpecifiers(`${operator}${b}`);
  // Versions compare as such, everything else as Python compares texts.
  if (version !== undefined && specifiers?.length === 1) return fits(version, specifiers);
  return compareTexts(a, operator, b);
}

function compareTexts(a: string, operator: string, b: string): boolean {
  switch (operator) {
    case "==":
    case "===":
      return a === b;
    case "!=":
      return a !== b;
    case "in":
      return b.includes(a);
    case "not in":
      return !b.includes(a);
    case "<":
      return a < b;
    case "<=":
      return a <= b;
    case ">":
      return a > b;
    case ">=":
      return a >= b;
    default:
      // What is no version is compatible with none.
      return false;
  }
}
