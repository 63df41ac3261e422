/*
 * Names of OpenTelemetry's semantic conventions 1.45 that are not stable yet:
 * https://opentelemetry.io/docs/specs/semconv/database/database-metrics
 */
export const POOL_NAME = 'db.client.connection.pool.name';
export const POOL_STATE = 'db.client.connection.state';
export const POOL_CONNECTIONS = 'db.client.connection.count';
export const POOL_WAITING = 'db.client.connection.pending_requests';

/** Buckets of durations in seconds, as the conventions of HTTP metrics advise. */
export const DURATION_BUCKETS = [
  0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
];

/** The methods that RFC 9110 and RFC 5789 know: another could be anything that a client writes. */
export const METHODS = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
  'CONNECT',
  'TRACE',
];
