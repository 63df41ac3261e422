import { type Span, SpanStatusCode } from '@opentelemetry/api';
import { hideSecrets } from '../../src/redaction.ts';

/** Adds an error to a span, without the secrets that its message may carry. */
export function recordError(span: Span, error: Error & { code?: unknown }): void {
  const { name, code, message, stack } = error;
  // A DOMException, such as an AbortError, has a number.
  const type = typeof code === 'string' ? code : name;
  span.setAttribute('error.type', type);
  span.recordException({
    name: type,
    message: hideSecrets(message),
    stack: hideSecrets(stack ?? ''),
  });
  span.setStatus({ code: SpanStatusCode.ERROR });
}
