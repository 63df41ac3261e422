import pg from 'pg';
import { DatabaseUnavailable, translateError } from '../../../plugins/database/database-errors.ts';
import type { Readers } from '../../src/readers.ts';

export const readers: Readers = {
  'translateError of a message': [(text) => translate(text, '23503')],
  'translateError of a code': [(code) => translate('', code)],
  DatabaseUnavailable: [(text) => new DatabaseUnavailable(new Error(text))],
};

function translate(message: string, code: string): unknown {
  return translateError(Object.assign(new pg.DatabaseError(message, 0, 'error'), { code }));
}
