/** An error with a complete message for the operator. It is logged without its stack. */
export class OperatorError extends Error {
  override name = 'OperatorError';
}
