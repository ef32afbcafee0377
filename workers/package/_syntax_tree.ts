/**
 * Walking a Babel syntax tree (https://github.com/babel/babel/blob/main/packages/babel-parser/ast/spec.md) without
 * recursion, whatever its depth.
 *
 * @module
 */

/** A node; which further fields it has depends on its type, so each is looked at before it is used. */
export interface Node {
  readonly type: string;
  readonly loc?: { readonly start?: unknown } | null;
  readonly [field: string]: unknown;
}

/** Whether a value is a node of a tree. */
export function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && typeof Reflect.get(value, "type") === "string";
}

/** Fields of nodes that hold no nodes of the program. */
const NO_CHILDREN: ReadonlySet<string> = new Set([
  "type",
  "loc",
  "start",
  "end",
  "range",
  "extra",
  "errors",
  "comments",
  "tokens",
  "leadingComments",
  "trailingComments",
  "innerComments",
]);

function* childrenOf(node: Node): Generator<[field: string, child: Node]> {
  for (const field in node) {
    if (NO_CHILDREN.has(field)) continue;
    const value = node[field];
    if (Array.isArray(value)) {
      for (const item of value) if (isNode(item)) yield [field, item];
    } else if (isNode(value)) yield [field, value];
  }
}

/** All nodes of a tree, parents before children, in the order of the source. */
export function* nodesOf(root: Node): Generator<Node> {
  const stack: Node[] = [root];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    yield node;
    const children: Node[] = [];
    for (const [, child] of childrenOf(node)) children.push(child);
    for (const child of children.reverse()) stack.push(child);
  }
}

/** Depth that a tree may have, in units: a node inside another one costs {@linkcode NESTING_COST}, a link of a chain 1. */
export const MAX_DEPTH = 1_000;
/** See {@linkcode MAX_DEPTH}. Deno 2.9.3 survives 700 nested nodes and 5,000 links of any kind that was tried. */
export const NESTING_COST = 4;

/** `a + b + c`, `a.b().c()`, `else if`, `a ? b : c ? d : e`, `a as T as U`: long in real programs, and cheaper to bear. */
const CHAINS: ReadonlySet<string> = new Set([
  "BinaryExpression.left",
  "LogicalExpression.left",
  "MemberExpression.object",
  "CallExpression.callee",
  "OptionalMemberExpression.object",
  "OptionalCallExpression.callee",
  "ConditionalExpression.alternate",
  "IfStatement.alternate",
  "TSAsExpression.expression",
  "TSNonNullExpression.expression",
  "TSArrayType.elementType",
]);

/** What a class within the `extends` of another costs: Deno 2.9.3 takes twice as long for each, a second at 22. */
const HERITAGE_COST = 100;

function costOf(parent: Node, field: string): number {
  if (field === "superClass") return HERITAGE_COST;
  return CHAINS.has(`${parent.type}.${field}`) ? 1 : NESTING_COST;
}

/** Finds a node that lies too deep; `undefined` when none does. */
export function depthFault(root: Node): { node: Node } | undefined {
  const stack: [node: Node, depth: number][] = [[root, 0]];
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const [node, depth] = top;
    if (depth > MAX_DEPTH) return { node };
    for (const [field, child] of childrenOf(node)) {
      stack.push([child, depth + costOf(node, field)]);
    }
  }
  return undefined;
}
