import type { CurvePoint } from "./charts.ts";

export interface NamedCurve {
  readonly name: string;
  readonly points: readonly CurvePoint[];
}

/**
 * Where curves differ by more than chance: each against the one with most points, wherever both have one. Intervals that overlap count
 * as inside the noise, which asks for more than a test task by task does.
 *
 * @param unit what x is, such as `k`
 */
export function noiseNotes(curves: readonly NamedCurve[], unit: string): string[] {
  const first = curves.reduce<NamedCurve | undefined>((most, curve) => (most === undefined || curve.points.length > most.points.length ? curve : most), undefined);
  return curves.filter((curve) => curve !== first).flatMap(({ name, points }) => {
    const reference = new Map(first!.points.map((point) => [point.x, point]));
    const shared = points.filter(({ x, interval }) => interval !== undefined && reference.get(x)?.interval !== undefined);
    if (shared.length === 0) return [];
    const apart = shared.filter((point) => areApart(point.interval!, reference.get(point.x)!.interval!));
    const against = `${name} against ${first!.name}`;
    if (apart.length === 0) return [`${against}: the difference is inside the noise ${everywhere(shared, unit)}.`];
    if (apart.length === shared.length) return [`${against}: apart ${everywhere(shared, unit)}.`];
    const where = apart.length > MOST_NAMED ? `${apart.length} of ${shared.length} points` : `${unit} = ${apart.map(({ x }) => x).join(", ")}`;
    return [`${against}: apart at ${where}, inside the noise elsewhere.`];
  });
}

const MOST_NAMED = 9;

function everywhere(shared: readonly CurvePoint[], unit: string): string {
  return shared.length === 1 ? `at ${unit} = ${shared[0]!.x}` : `at each of ${shared.length} points`;
}

function areApart([lower, upper]: readonly [number, number], [otherLower, otherUpper]: readonly [number, number]): boolean {
  return lower > otherUpper || upper < otherLower;
}
