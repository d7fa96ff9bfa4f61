import { curlySignals } from "./curly-signals.ts";
import { generalSignals, type Signals } from "./general-signals.ts";
import { htmlSignals } from "./html-signals.ts";
import { javascriptFacts, javascriptSignals } from "./javascript-signals.ts";
import { proseSignals } from "./prose-signals.ts";
import { pythonFacts, pythonSignals } from "./python-signals.ts";
import { SyntaxParser } from "./syntax.ts";
import { splitComments, viewOf } from "./text-view.ts";
import { familyOf, type Family } from "./thresholds.ts";

export interface Measured {
  readonly family: Family;
  readonly signals: Signals;
}

/** Measures the quality signals of texts, by the language each is in. */
export class SignalMeter {
  readonly #python: SyntaxParser;
  readonly #javascript: SyntaxParser;

  private constructor(python: SyntaxParser, javascript: SyntaxParser) {
    this.#python = python;
    this.#javascript = javascript;
  }

  static async create(): Promise<SignalMeter> {
    return new SignalMeter(await SyntaxParser.create("python"), await SyntaxParser.create("javascript"));
  }

  /** @param language Linguist's name in small letters */
  measure(text: string, language: string, path: string): Measured {
    const family = familyOf(language, text);
    if (family === "python") return { family, signals: this.#measurePython(text) };
    const view = viewOf(text, splitComments(text, language));
    const general = generalSignals(view);
    switch (family) {
      case "javascript":
        return { family, signals: { ...general, ...javascriptSignals(this.#javascript.parse(text, javascriptFacts), view.codeLines) } };
      case "html":
        return { family, signals: { ...general, ...htmlSignals(text) } };
      case "prose-en":
      case "prose-zh":
        return { family, signals: { ...general, ...proseSignals(view) } };
      default:
        return { family, signals: { ...general, ...curlySignals(family, path, view.code, view.codeLines) } };
    }
  }

  #measurePython(text: string): Signals {
    const facts = this.#python.parse(text, (root) => pythonFacts(text, root));
    const view = viewOf(text, facts);
    return { ...generalSignals(view), ...pythonSignals(facts, view.codeLines) };
  }

  close(): void {
    this.#python.close();
    this.#javascript.close();
  }
}
