/**
 * Names of Python packages (https://packaging.python.org/en/latest/specifications/name-normalization/).
 * @module
 */

/** Whether a text can name a package or an extra. */
export function isName(text: string): boolean {
  return text.length <= 128 && /^(?:[a-z0-9]|[a-z0-9][a-z0-9._-]*[a-z0-9])$/i.test(text);
}

/** The form in which names are compared: `Foo._bar` and `foo-bar` are one package. */
export function normalizeName(name: string): string {
  return name.replace(/[-_.]+/g, "-").toLowerCase();
}
