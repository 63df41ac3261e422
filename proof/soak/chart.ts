import type { Sample } from './inspector.ts';

/** A sample and the number of requests before it. */
export interface Point extends Sample {
  requests: number;
}

const WIDTH = 800;
const HEIGHT = 400;
const MARGIN = { top: 48, right: 150, bottom: 48, left: 64 };

/** The y of the x-axis. */
const BOTTOM = HEIGHT - MARGIN.bottom;

type Place = [x: number, y: number];

const MEBIBYTE = 1024 ** 2;

/** The number of horizontal grid lines. */
const STEPS = 5;

const SERIES = [
  { name: 'RSS', color: '#3b6ea8', read: ({ rss }: Point) => rss },
  { name: 'heap after collection', color: '#b4441f', read: ({ heap }: Point) => heap },
];

/** Draws the memory over the requests, and the outages of the database, as SVG. */
export function drawChart(points: Point[], severedAt: number[]): string {
  const last = points.at(-1)!.requests;
  const step = Math.ceil(Math.max(...points.map(({ rss }) => rss)) / MEBIBYTE / STEPS / 10) * 10;
  const x = (requests: number) =>
    round(MARGIN.left + (requests / last) * (WIDTH - MARGIN.left - MARGIN.right));
  const y = (bytes: number) =>
    round(BOTTOM - (bytes / MEBIBYTE / (step * STEPS)) * (HEIGHT - MARGIN.top - MARGIN.bottom));
  const place = (point: Point, bytes: number): Place => [x(point.requests), y(bytes)];
  const lines = SERIES.map(({ name, color, read }) =>
    drawLine(
      points.map((point) => place(point, read(point))),
      name,
      color,
    ),
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}"
  font-family="system-ui, sans-serif" font-size="13" fill="#1d2433">
<title>Memory of one process over a run of mixed requests</title>
<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>
<text x="${MARGIN.left}" y="26" font-size="16">
  Memory of one process over ${formatCount(last)} mixed requests
</text>
${drawGrid(step, y)}
${severedAt.map((requests) => drawOutage(x(requests))).join('\n')}
${[0, 0.25, 0.5, 0.75, 1].map((part) => drawCount(x(part * last), part * last)).join('\n')}
<text x="${MARGIN.left}" y="${HEIGHT - 8}" fill="#5b6579">
  requests; a dotted line: the database was disconnected
</text>
${lines.join('\n')}
</svg>
`;
}

function drawGrid(step: number, y: (bytes: number) => number): string {
  const lines = Array.from({ length: STEPS + 1 }, (_, index) => {
    const height = y(index * step * MEBIBYTE);
    const right = WIDTH - MARGIN.right;
    const label = `${index * step} MiB`;
    return `<line x1="${MARGIN.left}" x2="${right}" y1="${height}" y2="${height}" stroke="#e4e0d6"/>
<text x="${MARGIN.left - 8}" y="${height + 4}" text-anchor="end">${label}</text>`;
  });
  return lines.join('\n');
}

function drawOutage(x: number): string {
  return `<line x1="${x}" x2="${x}" y1="${MARGIN.top}" y2="${BOTTOM}" stroke="#e4e0d6"
  stroke-dasharray="2 3"/>`;
}

function drawCount(x: number, requests: number): string {
  return `<text x="${x}" y="${BOTTOM + 20}" text-anchor="middle">${formatCount(requests)}</text>`;
}

function drawLine(places: Place[], name: string, color: string): string {
  const [x, y] = places.at(-1)!;
  return `<polyline fill="none" stroke="${color}" stroke-width="2" points="${places.join(' ')}"/>
<text x="${round(x + 8)}" y="${round(y + 4)}" fill="${color}">${name}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function formatCount(count: number): string {
  return Math.round(count).toLocaleString('en');
}
