import type { Report } from './report.ts';
import { isHeld, type Result, readGoalValue } from './rounds.ts';
import { formatFigure, formatGoal, measureGoal } from './table.ts';

const WIDTH = 900;
const ROW = 34;
const TOP = 76;
const LABEL = 360;

/** The chart ends at twice the goal. */
const MOST = 2;

/** Draws each result with a goal as a bar. All goals are one line; bars to its right hold. */
export function drawChart({ results, ...report }: Report): string {
  const bars = results.filter(({ goal }) => goal);
  const height = TOP + bars.length * ROW + 20;
  const goal = LABEL + (WIDTH - LABEL - 20) / MOST;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img"
  aria-labelledby="title">
<title id="title">How the figures of ${report.date} stand to their goals</title>
<style>
text { font: 13px system-ui, sans-serif; fill: #1d2433 }
.small { font-size: 11px; fill: #5b6579 }
.holds { fill: #2f7d5b }
.fails { fill: #b4441f }
</style>
<rect width="${WIDTH}" height="${height}" fill="#fff"/>
<text x="16" y="28" font-weight="600">${report.date}, Node ${report.node}</text>
<text x="16" y="48" class="small">${escapeXml(`${report.machine}; ${report.load}`)}</text>
<text x="${goal}" y="${TOP - 10}" class="small" text-anchor="middle">goal</text>
${bars.map((result, row) => drawBar(result, TOP + row * ROW)).join('\n')}
<line x1="${goal}" x2="${goal}" y1="${TOP - 4}" y2="${height - 16}" stroke="#1d2433"
  stroke-dasharray="3 3"/>
</svg>
`;
}

function drawBar(result: Result, y: number): string {
  const length = (Math.min(measureGoal(result) || 0, MOST) / MOST) * (WIDTH - LABEL - 20);
  const figure = result.baseline
    ? readGoalValue(result).toFixed(2)
    : formatFigure(result, readGoalValue(result));
  return `<text x="16" y="${y + 14}">${escapeXml(result.title)}</text>
<text x="16" y="${y + 28}" class="small">${escapeXml(`${figure}, ${formatGoal(result)}`)}</text>
<rect x="${LABEL}" y="${y + 4}" width="${length.toFixed(0)}" height="18" rx="3"
  class="${isHeld(result) ? 'holds' : 'fails'}"/>`;
}

function escapeXml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
