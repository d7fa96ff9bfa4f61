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

/**
 * Epochs of each source under a budget of tokens. A source that is too small for its part is used `mostEpochs` times and
 * falls short: nobody else gets what it leaves. A smaller budget takes a subset of what a larger one does.
 *
 * @param available tokens of each source's documents, each used once
 */
export function planBudget(available: TokenCounts, { tokens, shares, mostEpochs }: NonNullable<TokenizeRecipe["budget"]>): Record<string, Spending> {
  const total = Object.values(shares).reduce((sum, part) => sum + part, 0);
  return Object.fromEntries(
    Object.entries(available).map(([source, held]) => {
      const planned = total === 0 ? 0 : Math.round((tokens * (shares[source] ?? 0)) / total);
      return [source, { planned, available: held, times: Math.min(mostEpochs, planned / held) }];
    }),
  );
}

/** With the tokens that the mixture came to. */
export function withRealised(spending: Readonly<Record<string, Spending>>, realised: TokenCounts) {
  return Object.fromEntries(Object.entries(spending).map(([source, plan]) => [source, { ...plan, realised: realised[source] ?? 0 }]));
}

/** Tokens by source. */
export type TokenCounts = Readonly<Record<string, number>>;
