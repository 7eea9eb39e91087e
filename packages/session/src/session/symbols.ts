// Keys of the session's methods that the other modules of this package call. They are symbols, so that no method of a user's
// subclass replaces one by accident, and `@internal`, so that the published declarations do not have them.

/** Attaches a socket and calls onConnected. */
export const kOpen: unique symbol = Symbol('overlapped.open');
/** Whether the session has never had a connection. */
export const kIsNew: unique symbol = Symbol('overlapped.isNew');
/** Whether the session receives: it is open, the peer has not ended, and nothing stops it (pause(), a limit). */
export const kReceives: unique symbol = Symbol('overlapped.receives');
/** Releases a receive buffer that the stream has kept. */
export const kRelease: unique symbol = Symbol('overlapped.release');
/** Whether received bytes go to onReceive now. */
export const kDelivers: unique symbol = Symbol('overlapped.delivers');
/** Bytes received from the peer, including those that onReceive has not been given yet. */
export const kBytesArrived: unique symbol = Symbol('overlapped.bytesArrived');
/** Takes back the last part of the bytes that onReceive has just got. It is delivered again before anything else. */
export const kUnread: unique symbol = Symbol('overlapped.unread');
/** Number of the incomplete frame, counted from 1; 0 if there is none. PacketSession overrides it. */
export const kPartialFrame: unique symbol = Symbol('overlapped.partialFrame');
/** Watches the value that a handler returned: the rejection of a promise fails the session. */
export const kFollow: unique symbol = Symbol('overlapped.follow');
/** Whether nothing is queued and nothing is being sent. */
export const kSentAll: unique symbol = Symbol('overlapped.sentAll');
/** Queues a shared message, which other sessions send too. */
export const kSendMessage: unique symbol = Symbol('overlapped.sendMessage');
/** Sends bytes of the stream without a packet, as far as the kernel takes them at once. */
export const kSendNow: unique symbol = Symbol('overlapped.sendNow');
/** Whether the session is used as a stream other than by `for await`. */
export const kIsStream: unique symbol = Symbol('overlapped.isStream');
/** end(), for the stream: it does not go through the stream again. */
export const kEnd: unique symbol = Symbol('overlapped.end');
/** destroy(), for the stream: it says whether bytes are lost. */
export const kClose: unique symbol = Symbol('overlapped.close');
/** The time limit for a stream to be taken, or for handlers to settle, has expired. */
export const kWaitExpired: unique symbol = Symbol('overlapped.waitExpired');
