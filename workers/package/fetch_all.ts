/**
 * Fetching many things, a few at once.
 * @module
 */

/** Archives that are fetched at once. */
const MAX_FETCHES = 6;

/** Has each item fetched. @throws the first failure; what is under way then goes on unheard */
export async function fetchAll<Item>(items: Iterable<Item>, fetchOne: (item: Item) => Promise<void>): Promise<void> {
  // One iterator for all, which gives each item once.
  const waiting = [...items].values();
  const fetchSome = async () => {
    for (const item of waiting) await fetchOne(item);
  };
  await Promise.all(Array.from({ length: MAX_FETCHES }, fetchSome));
}
