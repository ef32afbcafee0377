/**
 * Mends a hole in `@grpc/grpc-js`: messages that are written when the other side has ended the call already.
 *
 * The library ends its own side then, so that such a write fails, and takes that for the end of the call: answers that it
 * has, and has not handed out, are dropped, and in the place of the status that came there is INTERNAL. Nothing is wrong
 * with it by HTTP/2 (RFC 9113, section 8.1): a server may answer in full before it has read all.
 *
 * @module
 */

import { status, type StatusObject } from "@grpc/grpc-js";
import { Http2SubchannelCall } from "@grpc/grpc-js/build/src/subchannel-call.js";
import { nextTick } from "node:process";

/** What of a call counts here, most of it private there. */
interface EndingCall extends Pick<Http2SubchannelCall, "sendMessageWithContext"> {
  /** Trailers have come, or the stream is closed: that is what the call comes to. */
  readonly serverEndedCall: boolean;
  endCall(outcome: StatusObject): void;
}

/** Mends all calls of this program. */
export function mendLateWrites(): void {
  const prototype = Http2SubchannelCall.prototype as unknown as EndingCall; // Its types have these as private.
  const { sendMessageWithContext, endCall } = prototype;
  prototype.sendMessageWithContext = function (context, message) {
    if (this.serverEndedCall) nextTick(() => context.callback?.());
    else sendMessageWithContext.call(this, context, message);
  };
  prototype.endCall = function (outcome) {
    // Nobody but the other side ends a stream that is written to: its connection is lost.
    const isLoss = outcome.code === status.INTERNAL && outcome.details.startsWith("Write error");
    endCall.call(this, isLoss ? { ...outcome, code: status.UNAVAILABLE } : outcome);
  };
}
