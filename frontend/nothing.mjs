// In place of a module that the page does not use.
export const create = undefined;
export const convert = undefined;
