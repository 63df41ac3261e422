import { styleText } from 'node:util';
import type { Contestant } from './contestants.ts';

/** A figure of several contestants, measured in rounds. */
export interface Result {
  title: string;
  unit: string;
  /** The number of decimals to show. */
  decimals?: number;
  /** The contestant that the others are compared with. */
  baseline?: string;
  /** The goal for the ratio to the baseline, or for the figure itself without a baseline. */
  goal?: Goal;
  /** One figure per round, by contestant. */
  rounds: Record<string, number[]>;
}

export interface Goal {
  contestant: string;
  atLeast?: number;
  atMost?: number;
}

/**
 * Measures all contestants in turn, every other round backwards, so that disturbances affect all of
 * them.
 */
export async function measureRounds<Figures>(
  rounds: number,
  contestants: Contestant[],
  measure: (contestant: Contestant) => Promise<Figures>,
): Promise<Map<string, Figures[]>> {
  const measured = new Map<string, Figures[]>(contestants.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const contestant of round % 2 === 0 ? contestants : contestants.toReversed()) {
      process.stderr.write(
        styleText('dim', `round ${round + 1} of ${rounds}: ${contestant.name}\n`),
      );
      measured.get(contestant.name)!.push(await measure(contestant));
    }
  }
  return measured;
}

/** Picks one of the figures that were measured together. */
export function pick<Figures>(
  measured: Map<string, Figures[]>,
  read: (figures: Figures) => number | undefined,
): Record<string, number[]> {
  const entries = [...measured].map(([name, rounds]) => [
    name,
    rounds.map((figures) => read(figures) ?? Number.NaN),
  ]);
  return Object.fromEntries(entries);
}

/** The ratios to the baseline, round by round. */
export function compare({ rounds, baseline }: Result, contestant: string): number[] {
  return rounds[contestant]!.map(
    (value, round) => value / (rounds[baseline ?? '']?.[round] ?? Number.NaN),
  );
}

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2;
}

/** Whether a result's goal holds; undefined without a goal or a figure. */
export function isHeld(result: Result): boolean | undefined {
  if (!result.goal) return undefined;
  const { contestant, atLeast = 0, atMost = Number.POSITIVE_INFINITY } = result.goal;
  const value = readGoalValue(result);
  return Number.isNaN(value) || !result.rounds[contestant]
    ? undefined
    : value >= atLeast && value <= atMost;
}

/** The ratio to the baseline, or the figure itself without a baseline. */
export function readGoalValue(result: Result): number {
  const contestant = result.goal!.contestant;
  return median(result.baseline ? compare(result, contestant) : result.rounds[contestant]!);
}
