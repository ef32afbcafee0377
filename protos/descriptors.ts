/**
 * The contract's descriptors at run time, for server reflection.
 * @module
 */

import { Buffer } from "node:buffer";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import type { PackageDefinition } from "@grpc/proto-loader";
import { DESCRIPTOR_SET_BASE64 } from "./generated/descriptor_set.ts";

/** The serialized FileDescriptorProto of each file of the contract and of grpc.health.v1. */
export function fileDescriptors(): Buffer[] {
  const reader = new BinaryReader(Buffer.from(DESCRIPTOR_SET_BASE64, "base64"));
  const files: Buffer[] = [];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    // FileDescriptorSet has one field, `repeated FileDescriptorProto file = 1`.
    if (field === 1 && wireType === WireType.LengthDelimited) files.push(Buffer.from(reader.bytes()));
    else reader.skip(wireType, field);
  }
  return files;
}

/**
 * What `new ReflectionService(…)` of `@grpc/reflection` takes. That class reads nothing but `fileDescriptorProtos`, so
 * this passes the files as they are; loading them with proto-loader would merge files of one package into one.
 */
export function reflectionPackage(): PackageDefinition {
  return {
    "remotemedia.execution": {
      format: "Protocol Buffer 3 EnumDescriptorProto",
      type: {},
      fileDescriptorProtos: fileDescriptors(),
    },
  };
}
