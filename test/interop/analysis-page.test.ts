// The page of `diffucoder analyze` in headless Chromium: on a phone and on a desk, in light and in dark.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { stream } from "@diffucoder/random";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runChromium } from "./peers.ts";

const MINUTES = 60_000;
const folder = mkdtempSync(join(tmpdir(), "analysis-page-"));
let page: string;

beforeAll(() => {
  for (const steps of [24, 12]) writeEvaluation(join(folder, `${steps}-steps`), steps);
  const file = join(folder, "page.html");
  execFileSync(process.execPath, [join(import.meta.dirname, "../../packages/cli/bin/diffucoder.js"), "analyze", join(folder, "24-steps"), join(folder, "12-steps"), "--out", file], { stdio: "ignore" });
  page = readFileSync(file, "utf8");
}, 3 * MINUTES);
afterAll(() => rmSync(folder, { recursive: true }));

describe.each([
  ["a phone", 390],
  ["a desk", 1280],
])("on %s", (_, width) => {
  test.each([
    ["light", 1],
    ["dark", 0],
  ])(
    "in %s, nothing is cut off, set over each other, too small or too faint, and the screenshot shows it",
    (scheme, preferred) => {
      const settings = `--blink-settings=preferredColorScheme=${preferred}`;
      const measured = measure(frame(width), settings);
      expect(measured.figures).toBe(29);
      expect(measured.scrollWidth).toBeLessThanOrEqual(width);
      expect(measured).toMatchObject({ cut: [], overlapping: [] });
      expect(measured.smallestText).toBeGreaterThanOrEqual(9);
      expect(measured.contrasts).toHaveLength(7);
      for (const { name, contrast } of measured.contrasts) expect([name, contrast]).toEqual([name, expect.toSatisfy((value: number) => value >= (name === "text" ? 7 : 3))]);

      const screenshot = join(folder, `${width}-${scheme}.png`);
      runChromium([settings, `--window-size=${Math.max(width, 520)},2400`, `--screenshot=${screenshot}`, write("frame.html", frame(width))]);
      const { corner, colours } = pixels(screenshot);
      expect(corner).toSatisfy((brightness: number) => (scheme === "dark" ? brightness < 60 : brightness > 230));
      expect(colours).toBeGreaterThan(100);
    },
    3 * MINUTES,
  );
});

interface Measured {
  readonly figures: number;
  readonly scrollWidth: number;
  /** Texts of plots that stick out of the page. */
  readonly cut: readonly string[];
  /** Labels of an axis that touch. */
  readonly overlapping: readonly string[];
  /** In pixels, as shown. */
  readonly smallestText: number;
  readonly contrasts: readonly { readonly name: string; readonly contrast: number }[];
}

/** Windows have a least width above a phone's; frames have none. */
function frame(width: number): string {
  const escaped = page.replaceAll("&", "&amp;").replaceAll('"', "&quot;");
  return `<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark"><body style="margin:0"><iframe srcdoc="${escaped}" style="border:0;width:${width}px;height:2400px"></iframe>`;
}

function measure(html: string, settings: string): Measured {
  return inBrowser<Measured>(`${html}<script>onload = () => say((${measureFrame})(document.querySelector("iframe").contentWindow))</script>`, settings);
}

/** Runs in the browser. */
const measureFrame = String.raw`(frame) => {
  const { document } = frame;
  const width = document.documentElement.clientWidth;
  const texts = [...document.querySelectorAll("svg text")].filter((text) => text.textContent.trim() !== "");
  const boxOf = (text) => text.getBoundingClientRect();
  const overlapping = [];
  for (const axis of document.querySelectorAll("svg [aria-label$='tick label']")) {
    const boxes = [...axis.querySelectorAll("text")].map(boxOf);
    boxes.forEach((a, i) => boxes.slice(i + 1).forEach((b) => {
      if (a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom) overlapping.push(axis.closest("svg").getAttribute("aria-label"));
    }));
  }
  const probe = document.body.appendChild(document.createElement("i"));
  const luminance = (color) => {
    probe.style.color = color;
    const [r, g, b] = frame.getComputedStyle(probe).color.match(/[\d.]+/g).map((value) => { const share = value / 255; return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (color) => { const [a, b] = [luminance(color), luminance("Canvas")].sort((x, y) => y - x); return (a + 0.05) / (b + 0.05); };
  return {
    figures: document.querySelectorAll("figure svg").length,
    scrollWidth: document.documentElement.scrollWidth,
    cut: texts.filter((text) => boxOf(text).left < 0 || boxOf(text).right > width).map((text) => text.textContent),
    overlapping,
    smallestText: Math.min(...texts.map((text) => parseFloat(frame.getComputedStyle(text).fontSize) * text.getScreenCTM().a)),
    contrasts: [{ name: "text", contrast: contrast("CanvasText") }, ...[1, 2, 3, 4, 5, 6].map((i) => ({ name: "series " + i, contrast: contrast("var(--series-" + i + ")") }))],
  };
}`;

/** Mean brightness, 0..255, of the screenshot's first pixel, and how many colours it has. */
function pixels(png: string): { readonly corner: number; readonly colours: number } {
  const image = `data:image/png;base64,${readFileSync(png, "base64")}`;
  return inBrowser(`<!doctype html><img src="${image}"><script>onload = () => {
    const { naturalWidth: width, naturalHeight: height } = document.images[0];
    const canvas = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d");
    canvas.drawImage(document.images[0], 0, 0);
    const pixels = new Uint32Array(canvas.getImageData(0, 0, width, height).data.buffer);
    const [first] = pixels;
    document.images[0].remove();
    say({ corner: ((first & 255) + ((first >> 8) & 255) + ((first >> 16) & 255)) / 3, colours: new Set(pixels).size });
  }</script>`);
}

/** Opens a page that says one value, and takes it from the document. */
function inBrowser<T>(html: string, ...args: readonly string[]): T {
  const said = `<script>const say = (value) => { const all = document.createElement("output"); all.textContent = JSON.stringify(value); document.body.replaceChildren(all); }</script>`;
  const dump = runChromium([...args, "--window-size=1400,2400", "--dump-dom", write("measured.html", html.replace(/(?=<script>onload)/, () => said))]);
  const output = /<output>([^]*?)<\/output>/.exec(dump)?.[1];
  if (output === undefined) throw new Error(`chromium: expected a value, found ${dump.slice(0, 500)}`);
  return JSON.parse(output.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&")) as T;
}

function write(name: string, html: string): string {
  const path = join(folder, name);
  writeFileSync(path, html);
  return pathToFileURL(path).href;
}

/** Two checkpoints' answers to 24 tasks, which tend from left to right, the more so the cooler. */
function writeEvaluation(directory: string, steps: number): void {
  const checkpoints = [
    { role: "baseline", stage: "instruction-tuning", step: 900, digest: "ab12".repeat(16) },
    { role: "candidate", stage: "coupled-grpo", step: 120, digest: "cd34".repeat(16) },
  ];
  const lines: string[] = [];
  for (const [later, { role }] of checkpoints.entries()) {
    for (const temperature of [0, 0.2, 1]) {
      for (let sample = 0; sample < (temperature === 0 ? 1 : 4); sample++) {
        for (let task = 0; task < 24; task++) {
          const draws = stream({ seed: 1, stage: "page", step: steps * 10 + later, sample: task * 10 + sample, purpose: String(temperature) });
          const length = 40 + task;
          const keys = Array.from({ length }, (_, position) => position + draws.uniform() * (8 + 30 * temperature));
          const order = [...keys.keys()].sort((a, b) => keys[a]! - keys[b]!);
          const trace = keys.map((_, position) => Math.floor((order.indexOf(position) * steps) / length));
          const confidences = keys.map((_, position) => -(position / length) * draws.uniform());
          const firstEntropies = keys.map((_, position) => 3 * (1 - Math.exp(-position / (6 + 6 * draws.uniform()))));
          lines.push(JSON.stringify({ ...(temperature === 0 ? { firstEntropies } : {}), checkpoint: role, benchmark: "held-out", task_id: `t${task}`, temperature, sample, seed: 1, passed: draws.uniform() < (0.3 + 0.2 * later) * (steps / 24), answerTokens: length - 10, order, trace, confidences }));
        }
      }
    }
  }
  mkdirSync(directory);
  writeFileSync(join(directory, "report.json"), JSON.stringify({ seed: 1, benchmarks: [{ name: "held-out", decoding: { canvasLength: 96, steps, algorithm: "entropy", topP: 1 } }], checkpoints }));
  writeFileSync(join(directory, "samples.jsonl"), `${lines.join("\n")}\n`);
}
