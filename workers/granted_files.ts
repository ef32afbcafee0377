/**
 * The file functions of Deno that a task with a scratch folder gets. Captured while the runtime is whole; what they may
 * touch is up to the permissions of the worker, which name that one folder.
 *
 * @module
 */

/**
 * Reading, writing and listing. Left out is what needs a right to all files (links), what tells of the machine
 * (temporary folders, file system facts), and what changes owners or rights.
 */
const FILE_FUNCTIONS = [
  ...["copyFile", "copyFileSync", "create", "createSync", "cwd", "lstat", "lstatSync", "mkdir", "mkdirSync"],
  ...["open", "openSync", "readDir", "readDirSync", "readFile", "readFileSync", "readTextFile", "readTextFileSync"],
  ...["remove", "removeSync", "rename", "renameSync", "stat", "statSync", "truncate", "truncateSync"],
  ...["writeFile", "writeFileSync", "writeTextFile", "writeTextFileSync", "errors", "SeekMode"],
  // Read by `statSync` and its like when they run.
  "build",
] as const satisfies readonly (keyof typeof Deno)[];

/** The functions, under their names. */
export function captureFileFunctions(): Readonly<Record<string, unknown>> {
  // `new file.constructor(2, Symbol.for("Deno.internal.FsFile"))` is a file of any resource, standard error among them.
  Reflect.deleteProperty(Deno.FsFile.prototype, "constructor");
  return Object.fromEntries(FILE_FUNCTIONS.map((name) => [name, Deno[name]]));
}
