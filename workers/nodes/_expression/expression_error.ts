/** What is wrong with an expression, or with what it was applied to. */
export class ExpressionError extends Error {
  override readonly name = "ExpressionError";

  /** @param at index of the character where it is wrong */
  constructor(message: string, readonly at: number, options?: ErrorOptions) {
    super(message, options);
  }
}
