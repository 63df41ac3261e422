import type { ClientBase } from 'pg';

/** Settings in place of those of the role, in milliseconds. 0 is no limit. */
const SETTINGS = {
  statement_timeout: 0,
  transaction_timeout: 0,
  lock_timeout: 0,
  idle_in_transaction_session_timeout: 0,
  // The server ends the statement of a release that was killed: the next release may run it too.
  client_connection_check_interval: 1_000,
};

/**
 * Lifts the limits of a release's session. A pooler's session has another process id: it keeps its
 * limits, because other clients share it. Only Linux is known to allow the last setting.
 */
export async function liftLimits(client: ClientBase): Promise<void> {
  const { processID } = client as ClientBase & { processID: number };
  await client.query(
    `select set_config(name, value, false)
      from json_each_text($1::json) as given (name, value) join pg_settings using (name)
      where pg_backend_pid() = $2
        and (name <> 'client_connection_check_interval' or version() like '%linux%')`,
    [JSON.stringify(SETTINGS), processID],
  );
}
