// A module without a default export, which no listener can use.

export const nothing = null;
