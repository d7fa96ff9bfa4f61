import { expect, test } from "vitest";
import { differenceChart, heatMap, lineChart, seriesColor } from "./charts.ts";

const points = (count: number) => Array.from({ length: count }, (_, i) => ({ x: i + 1, mean: 0.5, interval: [0.4, 0.6] as const }));
const axes = { x: { label: "k →" }, y: { label: "↑ share", domain: [0, 1] as [number, number] } };
const count = (svg: string, pattern: RegExp) => (svg.match(pattern) ?? []).length;
const marks = (svg: string, kind: string) => [...svg.matchAll(new RegExp(`<g[^>]*aria-label="${kind}"[^>]*>[^]*?</g>`, "g"))].map(([mark]) => mark);

test("few points have bars and dots, which stand beside those of other series", () => {
  const svg = lineChart("title", { ...axes, curves: [{ color: 0, points: points(3) }, { color: 1, points: points(3) }] });
  expect(svg).toMatch(/^<svg aria-label="title"/);
  expect(marks(svg, "rule").map((mark) => count(mark, /<line/g))).toEqual([3, 3]);
  expect(marks(svg, "dot").map((mark) => count(mark, /<circle/g))).toEqual([3, 3]);
  expect(marks(svg, "line").map((mark) => /stroke="(var[^"]*)"/.exec(mark)![1])).toEqual([seriesColor(0), seriesColor(1)]);
  expect(marks(svg, "line").map((mark) => /transform="translate\((-?\d+)/.exec(mark)![1])).toEqual(["-1", "1"]);
  expect(marks(svg, "area")).toEqual([]);
  expect(marks(svg, "x-axis tick label")[0]!.match(/>\d</g)).toEqual([">1<", ">2<", ">3<"]);
});

test("many points have a band", () => {
  const svg = lineChart("title", { ...axes, curves: [{ color: 0, points: points(20) }] });
  expect([marks(svg, "area").length, marks(svg, "rule").length, marks(svg, "dot").length]).toEqual([1, 0, 0]);
  expect(count(marks(svg, "x-axis tick label")[0]!, /<text/g)).toBeLessThan(11);
});

test("what is no series is dotted, without interval", () => {
  const svg = lineChart("title", { ...axes, curves: [{ points: [{ x: 1, mean: 0.1 }, { x: 2, mean: 0.2 }] }] });
  expect(marks(svg, "line")[0]).toMatch(/stroke-dasharray="2,3"/);
  expect(marks(svg, "dot")).toEqual([]);
});

test("a heat map is stronger where there is more, and goes from the top down", () => {
  const cell = (at: number, strength: number) => ({ positions: { from: at, to: at + 1 }, steps: { from: at, to: at + 1 }, strength });
  const [rects] = marks(heatMap("title", [cell(0, 1), cell(1, 0.25)], 2), "rect");
  expect(rects).toContain(seriesColor(2));
  expect([...rects!.matchAll(/fill-opacity="([\d.]+)"/g)].map(([, opacity]) => Number(opacity))).toEqual([1, 0.25]);
  const [top, below] = [...rects!.matchAll(/ y="([\d.]+)"/g)].map(([, y]) => Number(y));
  expect(top).toBeLessThan(below!);
});

test("a difference inside the noise is hollow", () => {
  const row = { mean: 0.1, interval: [-0.1, 0.3] as const };
  const [dots] = marks(differenceChart("title", [{ label: "a", ...row, isClear: true }, { label: "b", ...row, isClear: false }], "x"), "dot");
  expect([...dots!.matchAll(/<circle[^>]* fill="([^"]+)"/g)].map(([, fill]) => fill)).toEqual([seriesColor(0), "Canvas"]);
});

test("colours repeat behind the sixth", () => {
  expect([0, 5, 6].map(seriesColor)).toEqual(["var(--series-1)", "var(--series-6)", "var(--series-1)"]);
});
