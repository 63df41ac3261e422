import { describeMethod, describeServer } from '../../../plugins/telemetry/conventions.ts';
import { describeStatement } from '../../../plugins/telemetry/database.ts';
import { inHeaders, type Readers } from '../../src/readers.ts';

export const readers: Readers = {
  describeMethod: [inHeaders(describeMethod)],
  describeServer: [inHeaders((host) => describeServer(host, 80))],
  describeStatement: [describeStatement],
};
