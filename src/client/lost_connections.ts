/**
 * Mends a hole in `@grpc/grpc-js`: a connection that is lost in the moment in which it has been made.
 *
 * Its transport says so before the channel listens, and never again. The channel then takes it for ready for ever, every call
 * fails to start on it, and is started again at once, in a loop that nothing interrupts: timers and deadlines never fire.
 *
 * @module
 */

import { Http2SubchannelConnector } from "@grpc/grpc-js/build/src/transport.js";

/** What of a transport counts here, beside a field that is private there: `disconnectHandled`. */
export interface ConnectedTransport {
  addDisconnectListener(listener: (tooManyPings: boolean) => void): void;
}

/** Has a transport tell listeners that come after its connection was lost. */
export function announceLoss(transport: ConnectedTransport): void {
  const add = transport.addDisconnectListener.bind(transport);
  transport.addDisconnectListener = (listener) => {
    add(listener);
    if (Reflect.get(transport, "disconnectHandled") === true) listener(false);
  };
}

/** Mends all channels of this program. */
export function mendLostConnections(): void {
  const { prototype } = Http2SubchannelConnector;
  const { connect } = prototype;
  prototype.connect = async function (this: Http2SubchannelConnector, ...args: Parameters<typeof connect>) {
    const transport = await connect.apply(this, args);
    announceLoss(transport);
    return transport;
  };
}
