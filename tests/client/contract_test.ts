import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { fromBinary } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  type FieldDescriptorProto,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  type FileDescriptorProto,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import { ReflectionService } from "@grpc/reflection";
import { fileDescriptors, reflectionPackage } from "../../protos/descriptors.ts";
import { DESCRIPTOR_SET_BASE64, SOURCE_DIGEST } from "../../protos/generated/descriptor_set.ts";
import { sourceDigest } from "../../scripts/gen_protos.ts";

const CONTRACT = await Deno.readTextFile(new URL("../data/wire_contract.md", import.meta.url));
/** What we add: fields from this number up, and what they need. The contract allows it; nothing of it may be touched. */
const FIRST_NUMBER_OF_OURS = 100;
const ENUMS_OF_OURS = ["FailureReason"];

const files = fromBinary(FileDescriptorSetSchema, Buffer.from(DESCRIPTOR_SET_BASE64, "base64")).file;
const ours = files.filter((file) => file.package === "remotemedia.execution");

Deno.test("protos/generated is generated from what lies in protos", async () => {
  assert.equal(SOURCE_DIGEST, await sourceDigest(), "run: deno task gen");
});

Deno.test("execution.proto and types.proto are the wire contract, to the name, number and type", () => {
  const expected = CONTRACT.split("\n").filter((line) => line.startsWith("- ")).sort();
  const actual = [
    ...ours.flatMap(describeMethods),
    ...ours.flatMap(({ enumType }) =>
      enumType.filter(({ name }) => !ENUMS_OF_OURS.includes(name)).map(({ name, value }) =>
        `- \`${name}\`: ${value.map((item) => `${item.number} ${item.name}`).join("; ")}`
      )
    ),
    ...ours.flatMap(({ messageType }) => messageType.map(describeMessage)),
  ].sort();
  assert.deepEqual(actual, expected);
});

Deno.test("every message, field, enum value and method of the contract has a comment", () => {
  for (const file of ours) {
    const commented = new Set(
      file.sourceCodeInfo?.location.filter((location) => location.leadingComments).map(({ path }) => path.join(".")),
    );
    const paths = [
      ...file.messageType.flatMap(({ field }, index) => [`4.${index}`, ...field.map((_, at) => `4.${index}.2.${at}`)]),
      ...file.enumType.flatMap(({ value }, index) => [`5.${index}`, ...value.map((_, at) => `5.${index}.2.${at}`)]),
      ...file.service.flatMap(({ method }, index) => [`6.${index}`, ...method.map((_, at) => `6.${index}.2.${at}`)]),
    ];
    assert.deepEqual(paths.filter((path) => !commented.has(path)), [], file.name);
  }
});

Deno.test("reflectionPackage() gives the reflection service every file as it is", () => {
  assert.deepEqual(files.map(({ name }) => name).sort(), [
    "execution.proto",
    "grpc/health/v1/health.proto",
    "types.proto",
    "watch.proto",
  ]);
  assert.equal(fileDescriptors().length, files.length);
  new ReflectionService(reflectionPackage());
});

function describeMethods({ service }: FileDescriptorProto): string[] {
  return service.flatMap(({ method }) =>
    method.map(({ name, inputType, outputType, clientStreaming, serverStreaming }) => {
      const [input, output] = [inputType, outputType].map((type) => type.split(".").at(-1));
      return `- \`${name}\`(${clientStreaming ? "stream " : ""}${input}) → ${
        serverStreaming ? "stream " : ""
      }${output}`;
    })
  );
}

function describeMessage(message: DescriptorProto): string {
  return `- \`${message.name}\`: ${
    message.field.filter(({ number }) => number < FIRST_NUMBER_OF_OURS).map((field) => describeField(field, message))
      .join("; ")
  }`;
}

function describeField(field: FieldDescriptorProto, { nestedType, oneofDecl }: DescriptorProto): string {
  const named = field.typeName.split(".").at(-1);
  const isMap = nestedType.some(({ name, options }) => name === named && options?.mapEntry);
  const scalar = Type[field.type].toLowerCase();
  const type = isMap ? "map<string,string>" : field.typeName === "" ? scalar : named;
  const repeated = field.label === Label.REPEATED && !isMap ? "repeated " : "";
  const oneof = oneofDecl[field.oneofIndex]?.name;
  const inOneof = Object.hasOwn(field, "oneofIndex") && oneof !== undefined ? ` (oneof ${oneof})` : "";
  return `${field.number} ${field.name}: ${repeated}${type}${inOneof}`;
}
