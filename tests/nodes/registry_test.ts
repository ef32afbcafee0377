import assert from "node:assert/strict";
import { withReference } from "../../scripts/gen_node_docs.ts";
import { generateRegistry } from "../../scripts/gen_nodes.ts";
import { TaskError } from "../../workers/task_error.ts";
import { parseConfig } from "../../workers/nodes/_config.ts";
import { describeNodes, findNode, nodeDefinitions } from "../../workers/nodes/mod.ts";

const FOLDER = new URL("../../workers/nodes/", import.meta.url);

Deno.test("_registry.ts lists every file that has a node", async () => {
  assert.equal(await Deno.readTextFile(new URL("_registry.ts", FOLDER)), await generateRegistry(FOLDER));
});

Deno.test("nodeDefinitions has every node that is due, and none that is not", () => {
  assert.deepEqual([...nodeDefinitions.keys()], [
    "AudioBuffer",
    "AudioResampler",
    "AudioTransform",
    "BufferNode",
    "CalculatorNode",
    "CodeExecutorNode",
    "DataTransform",
    "ExtractAudioDataNode",
    "FormatConverter",
    "PassThroughNode",
    "SerializedClassExecutorNode",
    "StatefulCounter",
    "TextProcessorNode",
    "VideoBuffer",
    "VideoResizer",
    "VideoTransform",
    "VoiceActivityDetector",
  ]);
});

Deno.test("findNode() refuses an unknown type and lists what there is", () => {
  assert.equal(findNode("BufferNode").type, "BufferNode");
  for (const type of ["NoSuchNode", "constructor", "__proto__", ""]) {
    assert.throws(() => findNode(type), (error) => {
      assert.ok(error instanceof TaskError);
      assert.equal(error.code, "INVALID_TASK");
      const start = `Unknown node type: ${type}. Available: ['AudioBuffer', 'AudioResampler', `;
      assert.ok(error.message.startsWith(start), error.message);
      return true;
    });
  }
});

Deno.test("describeNodes() gives records that survive structured clone", () => {
  const descriptions = describeNodes();
  assert.deepEqual(structuredClone(descriptions), descriptions);
  assert.equal(descriptions.length, nodeDefinitions.size);
});

Deno.test("describeNodes() describes parameters as Python's users know them", () => {
  const found = new Map(
    describeNodes().flatMap(({ nodeType, parameters }) =>
      parameters.map((
        { name, type, required, defaultValue },
      ) => [`${nodeType}.${name}`, { type, required, defaultValue }])
    ),
  );
  assert.deepEqual(found.get("BufferNode.buffer_size"), { type: "int", required: false, defaultValue: "10" });
  assert.deepEqual(found.get("AudioBuffer.buffer_size_samples"), { type: "int", required: true, defaultValue: "" });
  assert.deepEqual(found.get("VideoResizer.target_resolution"), {
    type: "tuple | str",
    required: false,
    defaultValue: "(1920, 1080)",
  });
  assert.deepEqual(found.get("DataTransform.operations"), { type: "list", required: false, defaultValue: "[]" });
  assert.deepEqual(found.get("DataTransform.on_error"), {
    type: "Literal['fail', 'skip']",
    required: false,
    defaultValue: "fail",
  });
  assert.deepEqual(found.get("VoiceActivityDetector.energy_threshold"), {
    type: "float",
    required: false,
    defaultValue: "0.02",
  });
  assert.deepEqual(found.get("VoiceActivityDetector.filter_mode"), {
    type: "bool",
    required: false,
    defaultValue: "false",
  });
});

Deno.test("describeNodes() gives defaults that, sent as config, mean the default", () => {
  for (const { nodeType, parameters } of describeNodes()) {
    const definition = findNode(nodeType);
    const required = parameters.filter((parameter) => parameter.required).map((
      { name },
    ): [string, string] => [name, "1"]);
    const expected = parseConfig(definition, new Map(required)).parameters;
    for (const { name, defaultValue, required: isRequired } of parameters) {
      if (isRequired) continue;
      const { parameters: actual } = parseConfig(definition, new Map([...required, [name, defaultValue]]));
      assert.deepEqual(actual, expected, `${nodeType}.${name} = ${defaultValue}`);
    }
  }
});

Deno.test("describeNodes() has a text for every node and parameter", () => {
  for (const { nodeType, description, parameters } of describeNodes()) {
    assert.notEqual(description, "", nodeType);
    for (const parameter of parameters) assert.notEqual(parameter.description, "", `${nodeType}.${parameter.name}`);
  }
});

Deno.test("docs/nodes.md has the reference that the definitions make", async () => {
  const document = await Deno.readTextFile(new URL("../../docs/nodes.md", import.meta.url));
  assert.equal(document, withReference(document, describeNodes()));
});
