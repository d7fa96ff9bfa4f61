import type { TokenDocument } from "@diffucoder/formats";
import type { TokenizeRecipe } from "./config.ts";

/** How a budget is spent on a source. */
export interface Spending {
  /** Its part of the budget, in tokens. */
  readonly planned: number;
  /** Tokens of its documents, each used once. */
  readonly available: number;
  /** How often each document is used: epochs, and a share of the documents for the fraction. */
  readonly times: number;
}

type Documents = readonly Pick<TokenDocument, "source" | "tokens">[];

/**
 * Epochs of each source under a budget of tokens. A source that is too small for its part is used `mostEpochs` times and
 * falls short: nobody else gets what it leaves. A smaller budget takes a subset of what a larger one does.
 */
export function planBudget(documents: Documents, { tokens, shares, mostEpochs }: NonNullable<TokenizeRecipe["budget"]>): Record<string, Spending> {
  const total = Object.values(shares).reduce((sum, part) => sum + part, 0);
  const available = tokensBySource(documents);
  return Object.fromEntries(
    Object.entries(available).map(([source, held]) => {
      const planned = total === 0 ? 0 : Math.round((tokens * (shares[source] ?? 0)) / total);
      return [source, { planned, available: held, times: Math.min(mostEpochs, planned / held) }];
    }),
  );
}

/** With the tokens that the mixture came to. */
export function withRealised(spending: Readonly<Record<string, Spending>>, mixed: Documents) {
  const realised = tokensBySource(mixed);
  return Object.fromEntries(Object.entries(spending).map(([source, plan]) => [source, { ...plan, realised: realised[source] ?? 0 }]));
}

function tokensBySource(documents: Documents): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { source, tokens } of documents) counts[source] = (counts[source] ?? 0) + tokens.length;
  return counts;
}
