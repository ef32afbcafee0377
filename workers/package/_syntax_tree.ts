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
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
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

/**
 * Visits all nodes of a tree, parents before children, in the order of the source.
 * @returns the first node that lies too deep, where the walk ends; `undefined` when none does
 */
export function visitNodes(root: Node, visit: (node: Node) => void): Node | undefined {
  const nodes: Node[] = [root];
  const depths: number[] = [0];
  for (let node = nodes.pop(); node !== undefined; node = nodes.pop()) {
    const depth = depths.pop() ?? 0;
    if (depth > MAX_DEPTH) return node;
    visit(node);
    const first = nodes.length;
    for (const field in node) {
      const value = node[field];
      if (typeof value !== "object" || value === null || NO_CHILDREN.has(field)) continue;
      const children: readonly unknown[] = Array.isArray(value) ? value : [value];
      for (const child of children) {
        if (!isNode(child)) continue;
        nodes.push(child);
        depths.push(depth + costOf(node, field));
      }
    }
    reverseFrom(nodes, first);
    reverseFrom(depths, first);
  }
  return undefined;
}

function reverseFrom<T>(items: T[], start: number): void {
  for (let low = start, high = items.length - 1; low < high; low++, high--) {
    // Both are in range: low and high lie between start and the end.
    [items[low], items[high]] = [items[high]!, items[low]!];
  }
}
