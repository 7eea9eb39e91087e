// Seeds that failed once, by what they found. They are played in every run of the tests.

export const regressions: Readonly<Record<string, readonly number[]>> = {};
