/**
 * Floats as Python writes them.
 * @module
 */

/**
 * `repr(value)` of a finite Python float: the shortest digits that read back as the same number, with `.0` where it is
 * integral and with an exponent under 1e-4 and from 1e16 on. The digits are those of JavaScript, which chooses its
 * exponents elsewhere.
 */
export function pythonFloat(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e16 || size < 1e-4 && size > 0) {
    return value.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
  }
  if (!Number.isInteger(value)) return String(value);
  return Object.is(value, -0) ? "-0.0" : value + ".0";
}
