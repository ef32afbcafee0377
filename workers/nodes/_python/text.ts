/**
 * Methods of Python's str.
 *
 * Letters are cased by the Unicode data of this V8, which is newer than CPython 3.11's 14.0; they differ in letters that
 * came since.
 *
 * @module
 */

/** What `str.split()` splits at, and `str.isspace()` accepts: not quite JavaScript's `\s`. */
const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const WORDS = new RegExp(`[^${SPACE}]+`, "g");
const EDGES = new RegExp(`^[${SPACE}]+|[${SPACE}]+$`, "g");

const CASED = /^[\p{Cased}]$/u;
const CASE_IGNORABLE = /^\p{Case_Ignorable}$/u;
/** Letters of two whose title form is of its own. */
const TITLE_DIGRAPHS: ReadonlyMap<string, string> = new Map(
  ["Ǆǅǆ", "Ǉǈǉ", "Ǌǋǌ", "Ǳǲǳ"].flatMap((forms) => {
    const title = forms.charAt(1);
    return [[forms.charAt(0), title], [title, title], [forms.charAt(2), title]];
  }),
);
/** Ligatures of which only the first letter is raised: ß becomes Ss. */
const LIGATURES = new Set("ßևﬀﬁﬂﬃﬄﬅﬆﬓﬔﬕﬖﬗ");

/** `text.split()`: the words between white space. */
export function splitWords(text: string): string[] {
  return text.match(WORDS) ?? [];
}

/** `text.strip()`. */
export function strip(text: string): string {
  return text.replace(EDGES, "");
}

/** `len(text)`: code points. */
export function codePointCount(text: string): number {
  let count = text.length;
  for (let at = 0; at + 1 < text.length; at++) {
    if ((text.charCodeAt(at) & 0xfc00) !== 0xd800 || (text.charCodeAt(at + 1) & 0xfc00) !== 0xdc00) continue;
    count--;
    at++;
  }
  return count;
}

/** `text[::-1]`: code points backwards. */
export function reverseText(text: string): string {
  return [...text].reverse().join("");
}

/** `text.title()`: a letter after one is lower case, any other letter has its title form. */
export function titleCase(text: string): string {
  const characters = [...text];
  let afterLetter = false;
  let result = "";
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at] ?? "";
    if (!afterLetter) result += titleForm(character);
    else result += character === "Σ" ? lowerSigma(characters, at) : character.toLowerCase();
    afterLetter = CASED.test(character);
  }
  return result;
}

function titleForm(character: string): string {
  if (character < "\x80") return character.toUpperCase();
  const digraph = TITLE_DIGRAPHS.get(character);
  if (digraph !== undefined) return digraph;
  if (/^[\p{Lt}\u10d0-\u10ff]$/u.test(character)) return character;
  if (LIGATURES.has(character)) {
    const upper = character.toUpperCase();
    return upper.charAt(0) + upper.slice(1).toLowerCase();
  }
  // Greek letters keep their iota subscript, which upper case writes out.
  const decomposed = character.normalize("NFD");
  if (decomposed.length > 1 && decomposed.endsWith("\u0345")) {
    return (decomposed.charAt(0).toUpperCase() + decomposed.slice(1)).normalize("NFC");
  }
  return character.toUpperCase();
}

/** The sigma of the end of a word: after a cased letter and before none, case-ignorable characters aside. */
function lowerSigma(characters: readonly string[], at: number): string {
  let before = at - 1;
  while (before >= 0 && CASE_IGNORABLE.test(characters[before] ?? "")) before--;
  let after = at + 1;
  while (after < characters.length && CASE_IGNORABLE.test(characters[after] ?? "")) after++;
  return CASED.test(characters[before] ?? "") && !CASED.test(characters[after] ?? "") ? "ς" : "σ";
}
