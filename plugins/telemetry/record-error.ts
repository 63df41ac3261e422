import { type Span, SpanStatusCode } from '@opentelemetry/api';
import { hideSecrets } from '../../src/redaction.ts';

/** Adds an error to a span, without the secrets that its message may carry. */
export function recordError(span: Span, error: Error): void {
  const { message, stack } = error;
  const type = readErrorType(error);
  span.setAttribute('error.type', type);
  span.recordException({
    name: type,
    message: hideSecrets(message),
    stack: hideSecrets(stack ?? ''),
  });
  span.setStatus({ code: SpanStatusCode.ERROR });
}

/** A DOMException, such as an AbortError, has a number as its code. */
export function readErrorType({ name, code }: Error & { code?: unknown }): string {
  return typeof code === 'string' ? code : name;
}
