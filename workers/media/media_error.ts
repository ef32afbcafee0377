/** A file that is not what its reader expects, or a value that its writer cannot express. The message says which. */
export class MediaError extends Error {
  override readonly name = "MediaError";
}
