import type { Analysis } from "./analyze.ts";

/** Draws an analysis as a page, see `renderAnalysisPage`. Workers import this package too, so plots are loaded when they are asked for. */
export async function drawAnalysis(analysis: Analysis): Promise<string> {
  const { renderAnalysisPage } = await import("./analysis-page.ts");
  return renderAnalysisPage(analysis);
}
