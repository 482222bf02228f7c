// Numbers as they are read.

/** With its sign, as in print: +1.50, −0.25, 0.00. */
export function signed(value, digits = 2) {
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return (value < 0 ? "−" : "+") + text;
}

/** What a cell adds may be small: enough digits to see it. */
export const contribution = (value) => signed(value, Math.abs(value) < 0.0995 ? 4 : 3);

/** A probability in percent, finer near 0 and 1. */
export function percent(probability) {
  const value = 100 * probability;
  const digits = value > 99 || value < 1 ? 2 : 1;
  return `${value.toFixed(digits)} %`;
}
