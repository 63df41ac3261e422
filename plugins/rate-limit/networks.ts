/** Addresses that are counted together. They may send `share` times the requests of a client. */
export interface Network {
  name: string;
  share: number;
}

/** How many clients a /48 stands for. It may be one customer, or many customers of a carrier. */
const CLIENTS_OF_48 = 10;

/** An IPv6 customer may have 65,536 networks (/64), so they are counted in their /48 too. */
export function readNetworks(address: string): Network[] {
  if (!address.includes(':')) return [{ name: address, share: 1 }];
  const groups = readGroups(address);
  return [
    { name: `${groups.slice(0, 4).join(':')}::/64`, share: 1 },
    { name: `${groups.slice(0, 3).join(':')}::/48`, share: CLIENTS_OF_48 },
  ];
}

/** All eight groups of an IPv6 address, without leading zeros and without `::`. */
function readGroups(address: string): string[] {
  const [before = [], after = []] = address
    .split('::')
    .map((part) => part.split(':').filter(Boolean));
  const missing = Array(Math.max(0, 8 - before.length - after.length)).fill('0');
  return [...before, ...missing, ...after].map((group) => parseInt(group, 16).toString(16));
}
