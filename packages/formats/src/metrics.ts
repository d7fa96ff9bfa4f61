import { z } from "zod";
import { FormatError } from "./errors.ts";

/** One line of `metrics.jsonl`: figures of one step of one stage. No times, so that equal runs give equal files. */
const metricsLine = z.object({ stage: z.string(), step: z.int() }).catchall(z.union([z.number(), z.string()]));

export type MetricsLine = z.infer<typeof metricsLine>;

export function formatMetrics(lines: readonly MetricsLine[]): string {
  return lines.map((line) => `${JSON.stringify(line)}\n`).join("");
}

/** @throws FormatError `MetricsCorrupt` naming the file and line */
export function parseMetrics(text: string, file: string): MetricsLine[] {
  return text
    .split("\n")
    .map((line, index) => ({ line, number: index + 1 }))
    .filter(({ line }) => line !== "")
    .map(({ line, number }) => {
      try {
        const value: unknown = JSON.parse(line);
        metricsLine.parse(value);
        return value as MetricsLine; // not the schema's copy, whose keys are in another order: written again, it is the same line
      } catch {
        throw new FormatError("MetricsCorrupt", `${file}:${number}`, `expected {"stage", "step", figures}, found ${line.slice(0, 80)}`, "Delete the line");
      }
    });
}
