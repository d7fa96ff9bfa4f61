/** Why the bytes of a file cannot be a document. */
export type Unreadable = "too-large" | "binary" | "not-utf8" | "empty";

/**
 * Text of a file: UTF-8 without byte order mark, line ends as line feeds, one at the end.
 *
 * @returns the reason when it cannot be one
 */
export function cleanText(bytes: Uint8Array, largestBytes: number): { readonly text: string } | { readonly reason: Unreadable } {
  if (bytes.length > largestBytes) return { reason: "too-large" };
  if (bytes.includes(0)) return { reason: "binary" };
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return { reason: "not-utf8" };
  }
  const trimmed = text.replaceAll(/\r\n?/g, "\n").trimEnd();
  return trimmed === "" ? { reason: "empty" } : { text: `${trimmed}\n` };
}
