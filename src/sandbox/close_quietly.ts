/**
 * Closes what may be closed already.
 * @module
 */

/** Closes a connection or a listener that may be closed already. */
export function closeQuietly(closable: { close(): void }): void {
  try {
    closable.close();
  } catch {
    // It is closed already.
  }
}
