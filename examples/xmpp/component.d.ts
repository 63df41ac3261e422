/** The package has no types. A component is a client with another kind of authentication. */
declare module '@xmpp/component' {
  import type { Client } from '@xmpp/client';

  export { jid, xml } from '@xmpp/client';
  export function component(options: { service: string; domain: string; password: string }): Client;
}
