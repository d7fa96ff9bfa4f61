import { count, flag, share, type Signals } from "./general-signals.ts";
import type { Node } from "./syntax.ts";

export interface JavascriptFacts {
  readonly parses: boolean;
  readonly functions: number;
  readonly variables: number;
  readonly plainVariables: number;
  readonly plainReturns: number;
  readonly imports: number;
  readonly classes: number;
}

const PLAIN = new Set(["string", "number", "true", "false", "null", "undefined", "identifier", "regex", "template_string", "unary_expression"]);

const FUNCTIONS = ["function_declaration", "generator_function_declaration", "method_definition", "function_expression", "arrow_function"];

/** @param root of the tree that tree-sitter-javascript makes of a text */
export function javascriptFacts(root: Node): JavascriptFacts {
  const ofType = (...types: string[]) => root.descendantsOfType(types);
  const variables = ofType("variable_declarator");
  return {
    parses: !root.hasError,
    // Nameless functions count where something names them.
    functions: ofType(...FUNCTIONS).filter(({ type, parent }) => !/_expression|arrow/.test(type) || ["variable_declarator", "assignment_expression", "pair"].includes(parent?.type ?? "")).length,
    variables: variables.length,
    plainVariables: variables.filter((node) => isPlain(node.childForFieldName("value"))).length,
    plainReturns: ofType("return_statement").filter((node) => isPlain(node.firstNamedChild)).length,
    imports: ofType("import_statement").length,
    classes: ofType("class_declaration").length,
  };
}

const isPlain = (node: Node | null): boolean => node === null || PLAIN.has(node.type);

/** @source OpenCoder, arXiv:2411.04905v3, appendix A: the rules for JavaScript */
export function javascriptSignals(facts: JavascriptFacts, codeLines: readonly string[]): Signals {
  const { parses, functions, variables, plainVariables, plainReturns, imports, classes } = facts;
  const lines = codeLines.length;
  const printed = { cate_ast: flag(parses), frac_lines_print: share(count(codeLines, (line) => line.includes("console.log")), lines) };
  if (!parses) return printed;
  return { ...printed, frac_lines_func_ratio: share(functions, lines), cate_var_zero: flag(variables === 0), score_lines_no_logic: share(functions + imports + plainVariables + plainReturns + classes, lines) };
}
