/**
 * What programs outside the sandbox need of arrays to make media files of them.
 * @module
 */

export { isReal, readFloat32, readNumbers, tryArray } from "../nodes/arrays.ts";
