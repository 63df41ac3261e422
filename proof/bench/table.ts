import { compare, isHeld, median, type Result, readGoalValue } from './rounds.ts';

/**
 * Formats all results as one table: medians, ratios to the baseline with their range, and goals.
 */
export function formatTable(results: Result[]): string {
  const rows = [['', 'median', 'ratio', 'rounds', 'goal'], ...results.flatMap(formatResult)];
  const widths = rows[0]!.map((_, column) =>
    Math.max(...rows.map((row) => (row.length > 1 ? row[column]!.length : 0))),
  );
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
  return lines.join('\n');
}

function formatResult(result: Result): string[][] {
  const rows = Object.keys(result.rounds).map((contestant) => [
    `  ${contestant}`,
    formatFigure(result, median(result.rounds[contestant]!)),
    ...formatRatio(result, contestant),
    result.goal?.contestant === contestant ? formatGoal(result) : '',
  ]);
  return [[result.title], ...rows];
}

export function formatFigure({ unit, decimals = 0 }: Result, figure: number): string {
  if (Number.isNaN(figure)) return 'unknown';
  const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  return `${figure.toLocaleString('en', digits)} ${unit}`.trimEnd();
}

function formatRatio(result: Result, contestant: string): string[] {
  if (!result.baseline || contestant === result.baseline) return ['', ''];
  const ratios = compare(result, contestant);
  if (ratios.some(Number.isNaN)) return ['', ''];
  return [
    median(ratios).toFixed(2),
    `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`,
  ];
}

/** Describes the goal, and whether it holds. */
export function formatGoal(result: Result): string {
  const { atLeast, atMost } = result.goal!;
  const goal = (atLeast ?? atMost)!;
  const limit = result.baseline
    ? goal.toFixed(2)
    : formatFigure({ ...result, decimals: Number.isInteger(goal) ? 0 : 1 }, goal);
  const held = isHeld(result);
  const verdict = held === undefined ? 'unknown' : held ? 'holds' : 'DOES NOT HOLD';
  return `at ${atLeast === undefined ? 'most' : 'least'} ${limit}: ${verdict}`;
}

/** How far a goal is reached: 1 is just reached, more is better. */
export function measureGoal(result: Result): number {
  const { atLeast, atMost = Number.NaN } = result.goal!;
  const value = readGoalValue(result);
  return atLeast === undefined ? atMost / value : value / atLeast;
}
