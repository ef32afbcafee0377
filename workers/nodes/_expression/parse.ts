/**
 * The safe expression language of DataTransform: Python's expressions without everything that could reach out of them.
 *
 * Literals, lists, `+ - * / // % **`, comparisons (chained, too), `in`, `is`, `and`, `or`, `not`, `a if b else c`, `x[i]`,
 * `x[a:b]`, `x.key` and calls of the functions of {@linkcode FUNCTIONS}. Names are the keys of the record, `_` is the
 * record itself. There are no attributes, no methods, no definitions, no loops; members are looked up as dict keys only.
 *
 * The grammar and its precedences are Python's (https://docs.python.org/3/reference/expressions.html), which is why there
 * is a parser of its own here: parsers of JavaScript's expressions read `-a ** 2` and `not a == b` in another way, and
 * know no chained comparisons.
 *
 * An expression is compiled into closures, no code is made of it.
 *
 * @module
 */

import type { Value } from "../../values.ts";
import { binaryOperation, type Operator } from "../_python/arithmetic.ts";
import { equals, ordered, truth } from "../_python/compare.ts";
import { PythonError } from "../_python/error.ts";
import { ExpressionError } from "./expression_error.ts";
import { FUNCTIONS } from "./functions.ts";
import { contains, item, lookUp, member, negate, slice } from "./operations.ts";
import type { Scope } from "./scope.ts";
import { type Token, tokenize } from "./tokens.ts";

/** A compiled expression. @throws {ExpressionError} for what it cannot compute */
export type Expression = (scope: Scope) => Value;

/** UTF-16 units that an expression may have. */
const MAX_LENGTH = 4_000;
/** Levels of nesting that an expression may have. */
const MAX_DEPTH = 64;

const CONSTANTS: ReadonlyMap<string, Value> = new Map<string, Value>([
  ["True", true],
  ["False", false],
  ["None", null],
  ["true", true],
  ["false", false],
  ["null", null],
]);
const KEYWORDS = new Set(["and", "or", "not", "in", "is", "if", "else", "lambda", "for", "await", "yield"]);
const ADDITIVE = new Set(["+", "-"]);
const MULTIPLICATIVE = new Set(["*", "/", "//", "%"]);

/**
 * Compiles an expression.
 * @throws {ExpressionError} for what is no expression of the language
 */
export function parseExpression(source: string): Expression {
  if (source.length > MAX_LENGTH) {
    throw new ExpressionError(`it is longer than ${MAX_LENGTH} characters`, MAX_LENGTH);
  }
  const parser = new Parser(tokenize(source));
  return parser.parse();
}

class Parser {
  readonly #tokens: readonly Token[];
  #next = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  parse(): Expression {
    const expression = this.#expression();
    const token = this.#peek();
    if (token.kind !== "end") throw unexpected(token);
    return expression;
  }

  /** `a if condition else b` */
  #expression(): Expression {
    return this.#nested(() => {
      const value = this.#or();
      if (!this.#take("name", "if")) return value;
      const condition = this.#or();
      this.#expect("else");
      const other = this.#expression();
      return (scope) => truth(condition(scope)) ? value(scope) : other(scope);
    });
  }

  #or(): Expression {
    let left = this.#and();
    while (this.#take("name", "or")) {
      const [first, second] = [left, this.#and()];
      left = (scope) => {
        const value = first(scope);
        return truth(value) ? value : second(scope);
      };
    }
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    while (this.#take("name", "and")) {
      const [first, second] = [left, this.#not()];
      left = (scope) => {
        const value = first(scope);
        return truth(value) ? second(scope) : value;
      };
    }
    return left;
  }

  #not(): Expression {
    if (!this.#take("name", "not")) return this.#comparison();
    return this.#nested(() => {
      const operand = this.#not();
      return (scope) => !truth(operand(scope));
    });
  }

  /** Comparisons chain: `0 < a < b` compares twice and evaluates `a` once. */
  #comparison(): Expression {
    const first = this.#additive();
    const rest: { test: (a: Value, b: Value) => boolean; operand: Expression }[] = [];
    for (;;) {
      const { at } = this.#peek();
      const test = this.#comparator();
      if (test === undefined) break;
      rest.push({ test: (a, b) => located(at, () => test(a, b)), operand: this.#additive() });
    }
    if (rest.length === 0) return first;
    return (scope) => {
      let left = first(scope);
      for (const { test, operand } of rest) {
        const right = operand(scope);
        scope.step();
        if (!test(left, right)) return false;
        left = right;
      }
      return true;
    };
  }

  #comparator(): ((a: Value, b: Value) => boolean) | undefined {
    const token = this.#peek();
    if (token.kind === "sign") {
      const { text } = token;
      switch (text) {
        case "==":
          this.#next++;
          return (a, b) => equals(a, b);
        case "!=":
          this.#next++;
          return (a, b) => !equals(a, b);
        case "<":
        case "<=":
        case ">":
        case ">=":
          this.#next++;
          return (a, b) => ordered(text, a, b);
        default:
          return undefined;
      }
    }
    if (this.#take("name", "in")) return (a, b) => contains(b, a);
    if (this.#take("name", "is")) {
      const negated = this.#take("name", "not");
      return (a, b) => (a === b) !== negated;
    }
    const after = this.#tokens[this.#next + 1];
    if (token.kind === "name" && token.text === "not" && after?.kind === "name" && after.text === "in") {
      this.#next += 2;
      return (a, b) => !contains(b, a);
    }
    return undefined;
  }

  #additive(): Expression {
    return this.#leftAssociative(ADDITIVE, () => this.#multiplicative());
  }

  #multiplicative(): Expression {
    return this.#leftAssociative(MULTIPLICATIVE, () => this.#unary());
  }

  #leftAssociative(operators: ReadonlySet<string>, operand: () => Expression): Expression {
    let left = operand();
    for (;;) {
      const token = this.#peek();
      if (token.kind !== "sign" || !operators.has(token.text)) return left;
      this.#next++;
      // The sets hold operators only.
      left = binary(token.text as Operator, token.at, left, operand());
    }
  }

  /** A sign binds weaker than `**` on its right: `-a ** 2` is `-(a ** 2)`. */
  #unary(): Expression {
    const { at } = this.#peek();
    const minus = this.#take("sign", "-");
    if (!minus && !this.#take("sign", "+")) return this.#power();
    return this.#nested(() => {
      const operand = this.#unary();
      return (scope) => located(at, () => negate(operand(scope), minus ? "-" : "+"));
    });
  }

  #power(): Expression {
    const base = this.#postfix();
    const { at } = this.#peek();
    if (!this.#take("sign", "**")) return base;
    return this.#nested(() => binary("**", at, base, this.#unary()));
  }

  #postfix(): Expression {
    let value = this.#atom();
    for (;;) {
      const { at } = this.#peek();
      const target = value;
      if (this.#take("sign", ".")) {
        const name = this.#peek();
        if (name.kind !== "name") throw unexpected(name);
        this.#next++;
        value = (scope) => located(at, () => member(target(scope), name.text));
      } else if (this.#take("sign", "[")) {
        value = this.#subscript(target, at);
      } else return value;
    }
  }

  #subscript(target: Expression, at: number): Expression {
    const isBound = () => !this.#isSign(":") && !this.#isSign("]");
    const start = isBound() ? this.#expression() : undefined;
    if (!this.#take("sign", ":")) {
      this.#expect("]");
      if (start === undefined) throw new ExpressionError("an index is missing", at);
      return (scope) => located(at, () => item(target(scope), start(scope)));
    }
    const end = isBound() ? this.#expression() : undefined;
    this.#expect("]");
    return (scope) =>
      located(at, () => {
        const part = slice(target(scope), { start: start?.(scope) ?? null, end: end?.(scope) ?? null });
        return scope.charge(part);
      });
  }

  #atom(): Expression {
    const token = this.#peek();
    this.#next++;
    switch (token.kind) {
      case "int": {
        const value = BigInt(token.text);
        return () => value;
      }
      case "float": {
        const value = Number(token.text);
        return () => value;
      }
      case "string":
        return () => token.text;
      case "name":
        return this.#name(token.text, token.at);
      case "sign":
        if (token.text === "(") {
          const value = this.#expression();
          this.#expect(")");
          return value;
        }
        if (token.text === "[") {
          const items = this.#list("]");
          return (scope) => scope.charge(items.map((item) => item(scope)));
        }
        throw unexpected(token);
      case "end":
        throw unexpected(token);
    }
  }

  #name(name: string, at: number): Expression {
    const constant = CONSTANTS.get(name);
    if (constant !== undefined) return () => constant;
    if (KEYWORDS.has(name)) throw new ExpressionError(`unexpected ${name}`, at);
    if (!this.#take("sign", "(")) return (scope) => located(at, () => lookUp(scope.record, name));
    const call = FUNCTIONS.get(name);
    if (call === undefined) {
      throw new ExpressionError(`there is no function ${name}; there are ${[...FUNCTIONS.keys()].join(", ")}`, at);
    }
    const args = this.#list(")");
    const { min, max } = call;
    if (args.length < min || args.length > max) {
      const wanted = min === max ? `${min}` : max === Infinity ? `at least ${min}` : `${min} to ${max}`;
      throw new ExpressionError(
        `${name}() takes ${wanted} argument${wanted === "1" ? "" : "s"}, not ${args.length}`,
        at,
      );
    }
    return (scope) => {
      const values = args.map((arg) => arg(scope));
      scope.step();
      return located(at, () => scope.charge(call.run(values, scope)));
    };
  }

  /** Expressions up to the closing sign; a comma may follow the last. */
  #list(close: string): Expression[] {
    const items: Expression[] = [];
    while (!this.#take("sign", close)) {
      items.push(this.#expression());
      if (this.#isSign(close)) continue;
      this.#expect(",");
    }
    return items;
  }

  #nested(parse: () => Expression): Expression {
    if (++this.#depth > MAX_DEPTH) {
      throw new ExpressionError(`it is nested deeper than ${MAX_DEPTH} levels`, this.#peek().at);
    }
    const expression = parse();
    this.#depth--;
    return expression;
  }

  #peek(): Token {
    return this.#tokens[this.#next] ?? { kind: "end", text: "", at: this.#tokens.at(-1)?.at ?? 0 };
  }

  #isSign(text: string): boolean {
    const token = this.#peek();
    return token.kind === "sign" && token.text === text;
  }

  #take(kind: "name" | "sign", text: string): boolean {
    const token = this.#peek();
    if (token.kind !== kind || token.text !== text) return false;
    this.#next++;
    return true;
  }

  #expect(text: string): void {
    const token = this.#peek();
    if ((token.kind !== "sign" && token.kind !== "name") || token.text !== text) {
      throw new ExpressionError(`expected ${text}, found ${token.text === "" ? "the end" : token.text}`, token.at);
    }
    this.#next++;
  }
}

function unexpected(token: Token): ExpressionError {
  return new ExpressionError(token.kind === "end" ? "unexpected end" : `unexpected ${token.text}`, token.at);
}

function binary(operator: Operator, at: number, left: Expression, right: Expression): Expression {
  return (scope) => {
    const a = left(scope);
    const b = right(scope);
    scope.step();
    return located(at, () => scope.charge(binaryOperation(operator, a, b, scope)));
  };
}

/** Adds the place to what Python would raise. */
function located<T>(at: number, compute: () => T): T {
  try {
    return compute();
  } catch (error) {
    if (!(error instanceof PythonError)) throw error;
    throw new ExpressionError(error.message, at, { cause: error });
  }
}
