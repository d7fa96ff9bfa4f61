import { count, flag, share, type Signals } from "./general-signals.ts";
import { splitAt, type Node } from "./syntax.ts";

/** What a Python file consists of, as its syntax tree tells. */
export interface PythonFacts {
  readonly code: string;
  readonly comments: string;
  /** Whether it is Python 3 without a syntax error. */
  readonly parses: boolean;
  /** Definitions by `def`; those by `async def` are not counted, as the published filter does not. */
  readonly functions: number;
  /** Functions whose body is one `return`. */
  readonly trivialFunctions: number;
  readonly classes: number;
  /** Whether an assignment without a type binds a name, a loop runs over one, or a function takes one. */
  readonly hasVariables: boolean;
  /** Plain names that the bodies of outermost classes assign. */
  readonly classVariables: number;
}

const LOOKED_AT = ["comment", "expression_statement", "function_definition", "class_definition", "assignment", "for_statement", "print_statement", "exec_statement"];

/** @param root of the tree that tree-sitter-python makes of the text */
export function pythonFacts(text: string, root: Node): PythonFacts {
  const nodes: Record<string, Node[]> = Object.fromEntries(LOOKED_AT.map((type) => [type, []]));
  for (const node of root.descendantsOfType(LOOKED_AT)) nodes[node.type]!.push(node);
  const functions = nodes.function_definition!.filter((node) => node.firstChild?.type === "def");
  const documentation = nodes.expression_statement!.filter((node) => node.namedChildCount === 1 && node.firstNamedChild!.type === "string");
  return {
    ...splitAt(text, [...nodes.comment!, ...documentation]),
    parses: !root.hasError && nodes.print_statement!.length === 0 && nodes.exec_statement!.length === 0,
    functions: functions.length,
    trivialFunctions: functions.filter(isTrivial).length,
    classes: nodes.class_definition!.length,
    hasVariables: nodes.assignment!.some((node) => bindsName(node) && node.childForFieldName("type") === null) || nodes.for_statement!.some(bindsName) || functions.some(takesArguments),
    classVariables: nodes.class_definition!.filter((node) => !isWithinClass(node)).reduce((sum, node) => sum + classVariables(node), 0),
  };
}

const statementsOf = (node: Node): Node[] => node.childForFieldName("body")?.namedChildren.filter((child) => child.type !== "comment") ?? [];

function isTrivial(node: Node): boolean {
  const body = statementsOf(node);
  return body.length === 1 && body[0]!.type === "return_statement";
}

const bindsName = (assignment: Node): boolean => assignment.childForFieldName("left")?.type === "identifier";

/** Arguments that may be given by place and by name, as `ast.arguments.args` has them. */
function takesArguments(node: Node): boolean {
  const parameters = node.childForFieldName("parameters")?.namedChildren ?? [];
  const positionalOnly = parameters.findIndex(({ type }) => type === "positional_separator");
  const keywordOnly = parameters.findIndex((parameter) => /splat|keyword_separator/.test(parameter.type) || /splat/.test(parameter.firstChild?.type ?? ""));
  return parameters.slice(positionalOnly + 1, keywordOnly < 0 ? undefined : keywordOnly).some(({ type }) => type !== "comment");
}

function isWithinClass(node: Node): boolean {
  for (let parent = node.parent; parent !== null; parent = parent.parent) if (parent.type === "class_definition") return true;
  return false;
}

function classVariables(node: Node): number {
  return statementsOf(node).filter((child) => child.type === "expression_statement" && child.firstNamedChild?.type === "assignment" && bindsName(child.firstNamedChild)).length;
}

/** @source OpenCoder, arXiv:2411.04905v3, appendix A: the rules for Python */
export function pythonSignals(facts: PythonFacts, codeLines: readonly string[]): Signals {
  const { parses, functions, trivialFunctions, classes, hasVariables, classVariables } = facts;
  const lines = codeLines.length;
  const imports = count(codeLines, (line) => /import/i.test(line));
  const lexical = {
    cate_ast: flag(parses),
    frac_lines_pass: share(count(codeLines, (line) => /pass/i.test(line)), lines),
    frac_lines_import: share(imports, lines),
    frac_lines_print: share(count(codeLines, (line) => line.includes("print")), lines),
  };
  if (!parses) return lexical;
  const returns = facts.code.match(/^\s*return(\s+.+)?\s*$/gm)?.length ?? 0;
  return {
    ...lexical,
    frac_lines_func_ratio: share(functions, lines),
    cate_var_zero: flag(!hasVariables),
    frac_lines_simplefunc: share(trivialFunctions, lines),
    score_lines_no_logic: share(functions + imports + classes + returns + classVariables, lines),
  };
}
