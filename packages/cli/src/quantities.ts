/** `4.2 s`, `1:05`, `2:03:04`. */
export function formatDuration(ms: number): string {
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const clock = `${minutes}:${String(seconds % 60).padStart(2, "0")}`;
  return hours === 0 ? clock : `${hours}:${clock.padStart(5, "0")}`;
}

/** Decimal multiples: `512 B`, `1.5 MB`. */
export function formatBytes(bytes: number): string {
  return withPrefix(bytes, "B");
}

/** `6.55e10` as `65.5 G`. */
export function formatCount(count: number): string {
  return withPrefix(count, "").trimEnd();
}

export function formatFlops(flops: number): string {
  return withPrefix(flops, "FLOP");
}

function withPrefix(value: number, unit: string): string {
  const index = Math.min(PREFIXES.length - 1, value < 1000 ? 0 : Math.floor(Math.log10(value) / 3));
  const scaled = value / 1000 ** index;
  const digits = index === 0 || scaled >= 100 ? 0 : scaled >= 10 ? 1 : 2;
  return `${scaled.toFixed(digits)} ${PREFIXES[index]}${unit}`;
}

const PREFIXES = ["", "k", "M", "G", "T", "P", "E", "Z", "Y"];

/** `0.1234` as `12.3 %`. */
export function formatShare(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
