/**
 * Makes modules of npm packages into modules that run in a sandbox as they are: ECMAScript modules that import each other
 * by relative paths.
 *
 * A module of CommonJS becomes two. Its body exports a function that runs it once and gives its exports; bodies only
 * declare functions, so that modules that require each other, or require late, or under a condition, run in the order that
 * Node runs them in. What imports it imports its facade, which runs the body and exports what it has by name.
 *
 * @module
 */

import type { ScannedModule } from "./scan.ts";

/** A module that another one loads, ready to be written out. */
export interface Target {
  /** How to import it, relative to the importer. */
  readonly path: string;
  /** Whether it is a body, whose exports are had by a call; otherwise its namespace is what `require` gives. */
  readonly isBody: boolean;
}

/** Code that was not written for a browser's tools asks for this, and there is no `process` here. */
const PRODUCTION = '"production"';

/**
 * An ECMAScript module with its specifiers replaced. Lines stay where they are.
 * @param targets by specifier; what is not in it stays, and fails when it is loaded
 */
export function convertModule(text: string, scanned: ScannedModule, targets: ReadonlyMap<string, string>): string {
  const pieces = scanned.references.flatMap(({ specifier, by, start, end }) => {
    const target = by === "import" ? targets.get(specifier) : undefined;
    return target === undefined ? [] : [{ start, end, text: JSON.stringify(target) }];
  });
  return replacePieces(text, [...pieces, ...environment(scanned)]);
}

/** The body of a module of CommonJS. The source keeps its lines. */
export function convertScript(
  name: string,
  text: string,
  scanned: ScannedModule,
  { required, imported }: {
    readonly required: ReadonlyMap<string, Target>;
    readonly imported: ReadonlyMap<string, string>;
  },
): string {
  const targets = [...required];
  const imports = targets.map(([, { path }], index) => `import*as $r${index} from${JSON.stringify(path)};`);
  const cases = targets.map(([specifier, { isBody }], index) =>
    `case${JSON.stringify(specifier)}:return $r${index}${isBody ? ".$load()" : ""};`
  );
  const source = replacePieces(text, [
    ...scanned.references.flatMap(({ specifier, by, start, end }) => {
      const target = by === "import" ? imported.get(specifier) : undefined;
      return target === undefined ? [] : [{ start, end, text: JSON.stringify(target) }];
    }),
    ...environment(scanned),
  ]).replace(/^#!/, "//");
  const folder = name.slice(0, Math.max(0, name.lastIndexOf("/")));
  const prelude = [
    ...imports,
    "var $module;const global=globalThis;",
    `function $require($s){switch($s){${cases.join("")}}`,
    `const $e=new Error('Cannot find module "'+$s+'": the package does not declare it, or this sandbox does not offer it');$e.code="MODULE_NOT_FOUND";throw $e}`,
    `export function $load(){if($module===undefined){$module={exports:{},id:${JSON.stringify(name)},loaded:false};`,
    `try{$body.call($module.exports,$module.exports,$require,$module,${JSON.stringify(`/${name}`)},${
      JSON.stringify(`/${folder}`)
    });$module.loaded=true}catch($e){$module=undefined;throw $e}}return $module.exports}`,
    "function $body(exports,require,module,__filename,__dirname){",
  ].join("");
  return `${prelude}${source}\n}\n`;
}

/** The body of a JSON file that is required. */
export function convertJson(text: string): string {
  // Parsed where it is required, so that a broken file fails whom it concerns.
  return `var $value;export function $load(){return $value===undefined?$value=JSON.parse(${
    JSON.stringify(text)
  }):$value}\n`;
}

/** What importers of a module of CommonJS import. @param bodyPath relative to it */
export function facadeOf(bodyPath: string, names: Iterable<string>): string {
  const exported = [...names].filter((name) => name !== "default" && name.isWellFormed());
  const values = exported.map((name, index) => `const $${index}=$o[${JSON.stringify(name)}];`);
  const list = exported.map((name, index) => `$${index} as ${JSON.stringify(name)}`);
  return `import{$load}from${
    JSON.stringify(bodyPath)
  };const $exports=$load();export default $exports;const $o=$exports??{};${values.join("")}export{${
    list.join(",")
  }};\n`;
}

/** A module that cannot be converted: it fails when it is loaded, and nobody else does. */
export function failingModule(message: string): string {
  const error = `new Error(${JSON.stringify(message)})`;
  return `export function $load(){throw ${error}}\n`;
}

/** An ECMAScript module that cannot be converted. */
export function failingFacade(message: string): string {
  return `throw new Error(${JSON.stringify(message)});\n`;
}

/** Replaces pieces of a text, which do not overlap. */
export function replacePieces(
  text: string,
  pieces: readonly { readonly start: number; readonly end: number; readonly text: string }[],
): string {
  let result = "";
  let at = 0;
  for (const piece of pieces.toSorted((left, right) => left.start - right.start)) {
    if (piece.start < at) continue;
    result += text.slice(at, piece.start) + piece.text;
    at = piece.end;
  }
  return result + text.slice(at);
}

function environment({ environmentReads }: ScannedModule) {
  return environmentReads.map(({ start, end }) => ({ start, end, text: PRODUCTION }));
}
