import { PUBLISHED_PATTERN } from "../src/pre-tokenizer.ts";

/** The published pattern as a regular expression, with white space as the pattern's own engines have it. */
const published = new RegExp(PUBLISHED_PATTERN.replaceAll("\\s", "\\p{White_Space}").replaceAll("\\S", "\\P{White_Space}"), "gu");

/** Words of a text, as the published pattern splits it. */
export const publishedWords = (text: string): string[] => [...text.matchAll(published)].map(([word]) => word);
