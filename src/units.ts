/** A megabyte as settings and the wire count it, in bytes: 2²⁰. */
export const MEGABYTE = 1024 * 1024;
