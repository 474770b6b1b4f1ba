// Numbers as the reports write them.

export const number = (value) => value.toLocaleString("en-US");

/** 0.773 -> "77.3%" */
export const percent = (value) => `${(100 * value).toFixed(1)}%`;

/** { value, low, high } -> "77.3% (72.3–82.3)" */
export const interval = ({ value, low, high }) =>
  low === undefined || low === null ? percent(value) : `${percent(value)} (${(100 * low).toFixed(1)}–${(100 * high).toFixed(1)})`;

/** 5025 -> "1 h 24 min" */
export function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** { value, low, high } -> "+3.1 (0.4 to 5.8)" in percentage points */
export function points({ value, low, high }) {
  const signed = (share) => `${share > 0 ? "+" : share < 0 ? "−" : ""}${Math.abs(100 * share).toFixed(1)}`;
  return `${signed(value)} (${signed(low)} to ${signed(high)})`;
}
