/**
 * The sandbox host's part of a task's network access: carries bytes from a loopback port to the Unix socket of the egress
 * proxy, and looks into none. Deno's HTTP client does not tunnel through a Unix socket, and in a network namespace of its
 * own the host's loopback is all that there is.
 *
 * @module
 */

/** Options of {@linkcode startEgressRelay}. */
export interface EgressRelayOptions {
  /** The egress proxy's Unix socket. */
  readonly socketPath: string;
  /** Loopback address to listen on. */
  readonly hostname: string;
  /** Connections at once; further ones wait. Each takes two files. */
  readonly maxConnections: number;
}

/** A relay that listens. */
export interface EgressRelay {
  readonly port: number;
  /** Ends it, and every connection. */
  close(): Promise<void>;
}

const BUFFER_BYTES = 32 * 1024;

/** Starts to listen, on a port that the system chooses. Needs the right to listen there, and to connect to the socket. */
export function startEgressRelay({ socketPath, hostname, maxConnections }: EgressRelayOptions): EgressRelay {
  const listener = Deno.listen({ hostname, port: 0 });
  const open = new Set<Promise<void>>();
  const connections = new Set<Deno.Conn>();
  let closing = false;

  async function carry(inner: Deno.Conn): Promise<void> {
    connections.add(inner);
    let outer: Deno.Conn | undefined;
    try {
      outer = await Deno.connect({ transport: "unix", path: socketPath });
      connections.add(outer);
      if (closing) return;
      await Promise.all([pipe(inner, outer), pipe(outer, inner)]);
    } catch {
      // One side went away, or the proxy is gone: the other one sees its connection close.
    } finally {
      for (const connection of [inner, outer]) {
        if (connection === undefined) continue;
        connections.delete(connection);
        closeQuietly(connection);
      }
    }
  }

  async function accept(): Promise<void> {
    while (!closing) {
      while (open.size >= maxConnections) await Promise.race(open);
      if (closing) return;
      const inner = await listener.accept();
      const carried = carry(inner).finally(() => open.delete(carried));
      open.add(carried);
    }
  }

  // It fails when the listener closes, and there is nobody to tell when it fails for another reason.
  const accepting = accept().catch(() => {});
  return {
    port: listener.addr.port,
    async close() {
      if (!closing) closeQuietly(listener);
      closing = true;
      for (const connection of connections) closeQuietly(connection);
      await accepting;
      await Promise.all(open);
    },
  };
}

/** One way, at the pace of the one who reads, to its end. */
async function pipe(from: Deno.Conn, to: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(BUFFER_BYTES);
  for (let count = await from.read(buffer); count !== null; count = await from.read(buffer)) {
    for (let at = 0; at < count;) at += await to.write(buffer.subarray(at, count));
  }
  await to.closeWrite();
}

function closeQuietly(closable: { close(): void }): void {
  try {
    closable.close();
  } catch {
    // It is closed already.
  }
}
