declare module "spdx-expression-parse" {
  interface License {
    readonly license: string;
    readonly plus?: true;
    readonly exception?: string;
  }
  interface Compound {
    readonly left: Expression;
    readonly conjunction: "and" | "or";
    readonly right: Expression;
  }
  type Expression = License | Compound;
  export default function parse(expression: string): Expression;
}
