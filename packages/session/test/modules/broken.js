// A module that throws while it is loaded.

const cause = Object.assign(new Error('no such file'), { code: 'ENOENT' });
throw Object.assign(new RangeError('a bug of the module', { cause }), { code: 'E_BUG' });
