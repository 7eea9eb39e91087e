// Types of notes.js for the tests.

export const ENDS: Readonly<Record<'none' | 'ECHILD' | 'EMSGSIZE' | 'EPROTO' | 'ENOBUFS' | 'ETIMEDOUT', number>>;
