import type { PostgresServer } from '../postgres.ts';
import type { Attempt } from './load.ts';

/** The results of a load, according to the clients and the database. */
export interface Balance {
  /** POSTs that answered 201. */
  acknowledged: Attempt[];
  /** Requests with a status other than 2xx. */
  refused: Attempt[];
  /** Requests without a complete answer. */
  unanswered: Attempt[];
  /** Acknowledged POSTs that the database does not have. */
  lost: Attempt[];
  /** POSTs that the database has more than once. */
  doneTwice: Attempt[];
  /** Refused POSTs that the database has. */
  doneAnyway: Attempt[];
}

/** Sorts the attempts by their answers, without the database. */
export function readAnswers(
  attempts: Attempt[],
): Pick<Balance, 'acknowledged' | 'refused' | 'unanswered'> {
  return {
    acknowledged: attempts.filter(({ method, status }) => method === 'POST' && status === 201),
    refused: attempts.filter(
      ({ status }) => status !== undefined && (status < 200 || status > 299),
    ),
    unanswered: attempts.filter(({ status }) => status === undefined),
  };
}

/** Compares the answers with the database. */
export async function settle(attempts: Attempt[], postgres: PostgresServer): Promise<Balance> {
  const rows = await postgres.query<{ title: string }>('select title from notes');
  const counts = new Map<string, number>();
  for (const { title } of rows) counts.set(title, (counts.get(title) ?? 0) + 1);
  const count = ({ title = '' }: Attempt) => counts.get(title) ?? 0;
  const answers = readAnswers(attempts);
  return {
    ...answers,
    lost: answers.acknowledged.filter((attempt) => count(attempt) === 0),
    doneTwice: attempts.filter((attempt) => count(attempt) > 1),
    doneAnyway: answers.refused.filter((attempt) => count(attempt) > 0),
  };
}
