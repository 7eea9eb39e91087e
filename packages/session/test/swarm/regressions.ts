// Seeds that failed before something was fixed, by what they found. They are played in every run of the tests; what they do
// changes when the plan of a seed does (plan.ts), so each fix has a test of its own, too.

export const regressions: Readonly<Record<string, readonly number[]>> = {
  'onDrain after a destroy() in onSend': [18, 101],
  'listeners that took the events of sessions': [18, 33],
  'send buffers that all waited behind bytes that needed one': [7405, 9321],
  'a session that opened while its thread stopped, with the packet that ended the last one': [751],
};
