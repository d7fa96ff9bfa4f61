import { Option } from "commander";

export type OutputFormat = "text" | "json";

/** `-o json` on every verb that reads. */
export function outputOption(): Option {
  return new Option("-o, --output <format>", "form of what is printed on standard output").choices(["text", "json"]).default("text");
}

/** Prints a verb's result on standard output, where nothing else goes. */
export function print<T>(format: OutputFormat, value: T, render: (value: T) => string): void {
  process.stdout.write(format === "json" ? `${JSON.stringify(value, null, 2)}\n` : withLineEnd(render(value)));
}

/** Tells the person at the terminal something that is no result. */
export function say(text: string): void {
  process.stderr.write(withLineEnd(text));
}

function withLineEnd(text: string): string {
  return text === "" || text.endsWith("\n") ? text : `${text}\n`;
}

/** Columns under their headings, two spaces apart; numbers, as strings that begin with a digit or sign, to the right. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = headings.map((heading, column) => Math.max(heading.length, ...rows.map((row) => row[column]!.length)));
  const isNumeric = headings.map((_, column) => rows.length > 0 && rows.every((row) => /^([+-]?\d|-?$)/.test(row[column]!)));
  const lineOf = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => (isNumeric[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
      .join("  ")
      .trimEnd();
  return [headings, ...rows].map(lineOf).join("\n");
}
