/** Node's HTTP module. On Node 26, an import of it loads all of fetch: 10 to 40 ms of a start. */
export const http = process.getBuiltinModule('node:http');
