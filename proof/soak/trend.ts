/** A straight line through points, by least squares. */
export interface Trend {
  /** The growth from the first to the last point. */
  growth: number;
  mean: number;
}

/** Fits a line to values at equal distances. */
export function fitTrend(values: number[]): Trend {
  const middle = (values.length - 1) / 2;
  const mean = sum(values) / values.length;
  const covariance = sum(values.map((value, index) => (index - middle) * (value - mean)));
  const variance = sum(values.map((_value, index) => (index - middle) ** 2));
  return { growth: (covariance / variance) * (values.length - 1), mean };
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
