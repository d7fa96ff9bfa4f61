import type { Estimate } from "./report.ts";

/** One self-contained HTML page: light and dark, readable on a phone, no scripts or links. */
export function page(title: string, body: string, style = ""): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)}</title>
<style>${STYLE}${style}</style>
<h1>${escape(title)}</h1>
${body}
</html>
`;
}

/** What a reader of bootstrap intervals has to know about those of no width. */
export const NO_WIDTH = "Where all tasks score alike, resampling has nothing to vary and an interval has no width: that is no certainty.";

/** A difference with its interval; says so when it is inside the noise. */
export function describeDifference({ mean, interval: [lower, upper] }: Estimate, format: (difference: number) => string): string {
  return `${format(mean)} (${format(lower)} to ${format(upper)})${isClear({ interval: [lower, upper] }) ? "" : "; zero is inside the interval, so this may be chance"}`;
}

/** Whether a difference is told from chance: zero lies outside its interval. */
export function isClear({ interval: [lower, upper] }: Pick<Estimate, "interval">): boolean {
  return lower > 0 || upper < 0;
}

/** A difference of shares. */
export const inPoints = (share: number): string => `${share > 0 ? "+" : ""}${(100 * share).toFixed(1)} points`;

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

export function escape(text: string): string {
  return text.replace(/[&<>"]/g, (char) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[char]!);
}

const STYLE = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; }
th, td { padding: 0.35rem 0.75rem; text-align: left; border-bottom: 1px solid color-mix(in srgb, currentcolor 20%, transparent); }
small { opacity: 0.7; }
.scroll { overflow-x: auto; }
`;
