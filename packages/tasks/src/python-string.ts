/** A Python literal for a text. JSON escapes are Python escapes, and other characters stand for themselves in both. */
export function pythonString(text: string): string {
  return JSON.stringify(text);
}
