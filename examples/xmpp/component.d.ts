/** The package comes without types; it is a client that says who it is in another way. */
declare module '@xmpp/component' {
  import type { Client } from '@xmpp/client';

  export { jid, xml } from '@xmpp/client';
  export function component(options: { service: string; domain: string; password: string }): Client;
}
