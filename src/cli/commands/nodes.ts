import type { Command } from "commander";
import type { NodeInfo } from "../../../protos/generated/execution.ts";
import { UsageError } from "../errors.ts";
import type { Session } from "../session.ts";
import { printable, table } from "../terminal.ts";

const EXAMPLES = `
Examples:
  rexec nodes                      every node
  rexec nodes --category audio     those of one category
  rexec nodes AudioTransform       one node with its parameters
  rexec --json nodes               for programs`;

/** `rexec nodes [NODE]` */
export function addNodes(program: Command, start: (command: Command) => Session): void {
  program.command("nodes")
    .argument("[node]", "show this node with its parameters")
    .description("list the nodes that the service has")
    .option("--category <name>", "only nodes of this category")
    .addHelpText("after", EXAMPLES)
    .action(async (name: string | undefined, options: { category?: string }, command: Command) => {
      const session = start(command);
      using client = await session.connect();
      const nodes = await client.listNodes({ category: options.category, signal: session.signal });
      if (name !== undefined) await showNode(find(nodes, name), session);
      else if (session.options.json) await session.printJson(nodes);
      else await showTable(nodes, session);
    });
}

function find(nodes: readonly NodeInfo[], name: string): NodeInfo {
  const node = nodes.find(({ nodeType }) => nodeType === name) ??
    nodes.find(({ nodeType }) => nodeType.toLowerCase() === name.toLowerCase());
  if (node !== undefined) return node;
  const available = nodes.map(({ nodeType }) => printable(nodeType)).join(", ");
  throw new UsageError(`The service has no node ${JSON.stringify(name)}`, `Available: ${available || "none"}`);
}

async function showTable(nodes: readonly NodeInfo[], session: Session): Promise<void> {
  if (nodes.length === 0) return await session.note("No nodes");
  const rows = nodes.map(({ nodeType, category, description }) => [nodeType, category, description].map(printable));
  await session.print(table([["NODE", "CATEGORY", "DESCRIPTION"], ...rows]));
}

async function showNode(node: NodeInfo, session: Session): Promise<void> {
  if (session.options.json) return await session.printJson(node);
  const { bold, dim } = session.style;
  await session.print(`${bold(printable(node.nodeType))} ${dim(`(${printable(node.category)})`)}\n`);
  await session.print(`${printable(node.description)}\n`);
  if (node.parameters.length === 0) return;
  const rows = node.parameters.map(({ name, type, description, required, defaultValue }) => {
    return [`  ${name}`, type, required ? "required" : defaultValue, description].map(printable);
  });
  await session.print(`\n${bold("Parameters")}\n${table([["  name", "type", "default", "meaning"], ...rows])}`);
}
