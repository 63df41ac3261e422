import { type Span, SpanStatusCode } from '@opentelemetry/api';
import { hideSecrets } from '../../src/redaction.ts';

/** Adds an error to a span, without the secrets that its message may carry. */
export function recordError(span: Span, error: Error & { code?: string | undefined }): void {
  const { name, code, message, stack } = error;
  const type = code ?? name;
  span.setAttribute('error.type', type);
  span.recordException({
    name: type,
    message: hideSecrets(message),
    stack: hideSecrets(stack ?? ''),
  });
  span.setStatus({ code: SpanStatusCode.ERROR });
}
