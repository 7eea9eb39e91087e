// A session module for the tests of half-close: it answers by a timer, some time after the end of the peer.

export default {
  onEnd(session) {
    setTimeout(() => session.end('bye'), 5);
  },
};
