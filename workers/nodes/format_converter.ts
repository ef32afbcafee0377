/**
 * FormatConverter.
 * @module
 */

import * as z from "zod";
import { encodeUtf8 } from "../codecs/utf8.ts";
import { pythonTypeName } from "../codecs/type_name.ts";
import { ByteArray, NDArray, Tuple, type Value } from "../values.ts";
import { base64, fromBase64 } from "./_formats/base64.ts";
import { csv } from "./_formats/csv.ts";
import { type Format, FormatError, type FormatOptions } from "./_formats/format.ts";
import { json } from "./_formats/json.ts";
import { msgpack } from "./_formats/msgpack.ts";
import { png } from "./_formats/png.ts";
import { wav } from "./_formats/wav.ts";
import { yaml } from "./_formats/yaml.ts";
import { defineNode, type Node, type NodeContext } from "./node.ts";
import { tryArray } from "./arrays.ts";

const FORMATS = { json, yaml, csv, msgpack, base64, wav, png } as const satisfies Record<string, Format>;
const FormatName = z.enum(["json", "yaml", "csv", "msgpack", "base64", "wav", "png"]);

const PARAMETERS = z.object({
  target_format: z.enum([...FormatName.options, "data"]).default("json").describe(
    "What the data is converted to; data: the data itself, a wav's (samples, sample_rate) say",
  ),
  source_format: FormatName.nullable().default(null).describe(
    "What the input, bytes or str, is read as first; None: the input itself is the data",
  ),
  sample_format: z.enum(["int16", "float32"]).default("int16").describe("How wav holds the samples"),
  delimiter: z.string().regex(/^[^"\r\n]$/, "must be one character, no quote").default(",").describe(
    "What separates the columns of csv",
  ),
  binary_as: z.enum(["auto", "bytes", "base64"]).default("auto").describe(
    "How msgpack, wav and png are answered: as bytes, or as base64 in a str for clients whose format has no bytes; " +
      "auto: as base64 when the input's array came in one of JSON's forms",
  ),
});

/**
 * Converts data to a format, or from one format to another. What the target cannot express, or what is not of the
 * source's format, passes through with a warning.
 */
class FormatConverter implements Node {
  readonly #parameters: z.output<typeof PARAMETERS>;
  readonly #context: NodeContext;
  readonly #options: FormatOptions;

  constructor(parameters: z.output<typeof PARAMETERS>, context: NodeContext) {
    this.#parameters = parameters;
    this.#context = context;
    this.#options = {
      memoryLimitBytes: context.memoryLimitBytes,
      delimiter: parameters.delimiter,
      sampleFormat: parameters.sample_format,
    };
  }

  async process(input: Value): Promise<Value> {
    const { source_format, target_format } = this.#parameters;
    try {
      const data = source_format === null ? input : await this.#read(FORMATS[source_format], input);
      if (target_format === "data") return data;
      const output = FORMATS[target_format].write(data, this.#options);
      return output instanceof Uint8Array && this.#wantsText(input) ? output.toBase64() : output;
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      const route = source_format === null ? target_format : `${source_format} to ${target_format}`;
      this.#context.warn(`FormatConverter (${route}) passed an item through: ${error.message}`);
      return input;
    }
  }

  #read(format: Format, input: Value): Value | Promise<Value> {
    if (input instanceof Uint8Array) return format.read(input, this.#options);
    if (input instanceof ByteArray) return format.read(input.bytes, this.#options);
    if (typeof input !== "string") throw new FormatError(`a ${pythonTypeName(input)} is neither bytes nor str`);
    // A str cannot hold a binary format but as base64.
    return format.read(format.binary ? fromBase64(input) : encodeUtf8(input), this.#options);
  }

  #wantsText(input: Value): boolean {
    const { binary_as } = this.#parameters;
    if (binary_as !== "auto") return binary_as === "base64";
    if (typeof input === "string") return this.#parameters.source_format !== null;
    const pair = input instanceof Tuple ? input.items : input;
    const array = tryArray(input) ?? (Array.isArray(pair) && pair.length === 2 ? tryArray(pair[0] ?? null) : undefined);
    return array instanceof NDArray && array.form !== "numpy";
  }
}

export default defineNode({
  type: "FormatConverter",
  category: "transform",
  description: "Converts data to JSON, YAML, CSV, MessagePack or base64, audio to WAV, frames to PNG, and back",
  parameters: PARAMETERS,
  streaming: false,
  create: (parameters, context) => new FormatConverter(parameters, context),
});
