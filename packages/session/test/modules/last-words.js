// A session module for the tests of last words: it says why it goes, and its thread exits.

export default {
  onReceive(session) {
    session.send('going down');
    process.exit();
  },
};
