/**
 * The sockets that fronts accept from. The supervisor binds them and keeps a descriptor of each for as long as it lives:
 * a socket that is not closed keeps what waits in its queue, whoever comes and goes.
 * @module
 */

import net from "node:net";
import { cannotListen } from "../rpc/connections.ts";
import { lookup } from "node:dns/promises";

/** `UV_TCP_REUSEPORT` of libuv: the kernel spreads connections over all sockets of the port (socket(7)). */
const REUSE_PORT = 4;

/** A bound TCP socket of Deno's, which can be sent to a child. */
export interface SocketHandle {
  listen(backlog: number): number;
  getsockname(out: { port?: number }): number;
  close(): void;
}

/** Sockets on one port. */
export class ListenSockets implements Disposable {
  private constructor(readonly port: number, readonly handles: readonly SocketHandle[]) {}

  /**
   * Binds sockets to one port, which may be 0 for a free one.
   * @throws {ServiceError} `CONFIG_INVALID` when the address cannot be had, or another program listens on it
   */
  static async bind(
    { host, port, count }: { readonly host: string; readonly port: number; readonly count: number },
  ): Promise<ListenSockets> {
    const address = await lookup(host).catch((cause) => {
      throw cannotListen(host, port, cause.code ?? "no such host", { cause });
    });
    const bind = (on: number, flags: number): SocketHandle => {
      const made = createServerHandle(address.address, on, address.family, flags);
      if (typeof made === "number") throw cannotListen(host, port, errorName(made));
      return made;
    };
    // Sockets that share a port would share it with another service of the same user, too, and each get half the calls.
    // One that does not share finds out whether there is one.
    const alone = bind(port, 0);
    const taken = alone.listen(1);
    alone.close();
    if (taken !== 0) throw cannotListen(host, port, errorName(taken));
    using opened = new DisposableStack();
    const handles: SocketHandle[] = [];
    let actual = port;
    for (let index = 0; index < count; index++) {
      const handle = bind(actual, REUSE_PORT);
      opened.defer(() => handle.close());
      handles.push(handle);
      const name: { port?: number } = {};
      const error = handle.getsockname(name);
      if (error !== 0 || name.port === undefined) throw cannotListen(host, port, errorName(error));
      actual = name.port;
    }
    opened.move();
    return new ListenSockets(actual, handles);
  }

  [Symbol.dispose](): void {
    for (const handle of this.handles) handle.close();
  }
}

/**
 * Binds without listening, which no public function of `node:net` does: a server that listened here would accept here.
 * Node's cluster does the same.
 */
function createServerHandle(address: string, port: number, family: number, flags: number): SocketHandle | number {
  const create: unknown = Reflect.get(net, "_createServerHandle");
  if (typeof create !== "function") throw new TypeError("Cannot bind: this Deno has no net._createServerHandle");
  return create(address, port, family, -1, flags);
}

function errorName(error: number): string {
  return `${ERROR_NAMES.get(error) ?? `error ${-error}`}`;
}

/** Errors of bind(2) and listen(2) that an operator can do something about. */
const ERROR_NAMES: ReadonlyMap<number, string> = new Map([
  [-98, "the port is in use (EADDRINUSE)"],
  [-99, "this machine has no such address (EADDRNOTAVAIL)"],
  [-13, "permission denied (EACCES)"],
]);
