/** What counts together for the limit: `share` times what one client may ask. */
export interface Network {
  name: string;
  share: number;
}

/**
 * How many clients one /48 is: a customer may have that many networks, a carrier puts many
 * customers into it.
 */
const CLIENTS_OF_48 = 10;

/**
 * Of an IPv6 address, its customer's /64 and the /48 around it, or 65,536 networks would be as many
 * clients.
 */
export function readNetworks(address: string): Network[] {
  if (!address.includes(':')) return [{ name: address, share: 1 }];
  const groups = readGroups(address);
  return [
    { name: `${groups.slice(0, 4).join(':')}::/64`, share: 1 },
    { name: `${groups.slice(0, 3).join(':')}::/48`, share: CLIENTS_OF_48 },
  ];
}

/** The groups of an IPv6 address without leading zeros, those that `::` stands for too. */
function readGroups(address: string): string[] {
  const [before = [], after = []] = address
    .split('::')
    .map((part) => part.split(':').filter(Boolean));
  const missing = Array(Math.max(0, 8 - before.length - after.length)).fill('0');
  return [...before, ...missing, ...after].map((group) => parseInt(group, 16).toString(16));
}
