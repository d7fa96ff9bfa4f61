import fc from "fast-check";
import { expect, test } from "vitest";
import { identifyLicence } from "./licence-texts.ts";
import { headerOf, isAllowed } from "./licence.ts";

const ALLOWED = new Set(["MIT", "Apache-2.0"]);

test.each([
  ["MIT", true],
  ["GPL-3.0-only", false],
  ["MIT OR GPL-3.0-only", true],
  ["MIT AND GPL-3.0-only", false],
  ["(GPL-2.0-only OR MIT) AND Apache-2.0", true],
  ["(GPL-2.0-only AND MIT) OR LGPL-3.0-only", false],
  ["Apache-2.0 WITH LLVM-exception", true],
  ["LicenseRef-various", undefined],
  ["MIT OR LicenseRef-x", true],
  ["MIT AND LicenseRef-x", undefined],
  ["GPL-3.0-only AND LicenseRef-x", false],
  ["the MIT one", undefined],
  ["", undefined],
])("%s: allowed is %s", (expression, expected) => {
  expect(isAllowed(expression, ALLOWED)).toBe(expected);
});

test("what is allowed stays so when more licences are", () => {
  const id = fc.constantFrom("MIT", "Apache-2.0", "ISC", "GPL-3.0-only", "LicenseRef-x");
  const { expression } = fc.letrec<{ expression: string }>((tie) => ({
    expression: fc.oneof({ depthSize: "small" }, id, fc.tuple(tie("expression"), fc.constantFrom("AND", "OR"), tie("expression")).map(([a, word, b]) => `(${a} ${word} ${b})`)),
  }));
  fc.assert(
    fc.property(expression, fc.uniqueArray(id), fc.uniqueArray(id), (each, some, more) => {
      if (isAllowed(each, new Set(some)) === true) expect(isAllowed(each, new Set([...some, ...more]))).toBe(true);
    }),
  );
});

test.each([
  ["# SPDX-License-Identifier: MIT\n", "MIT"],
  ["/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */\n", "(GPL-2.0-only OR MIT)"],
  ["// SPDX-License-Identifier: GPL-2.0+\nx", "GPL-2.0+"],
  [`${"# x\n".repeat(1100)}# SPDX-License-Identifier: MIT\n`, undefined],
  ["x = 1\n", undefined],
])("the header of %j is %s", (text, expected) => {
  expect(headerOf(text)).toBe(expected);
});

test("licence texts are told apart, whatever their line breaks, and notices of several licences are no licence", () => {
  const apache = "Apache License\n   Version 2.0, January 2004";
  const mit = "MIT License\n\nPermission is hereby granted, free of charge, to any person\nobtaining a copy of this software ... The above copyright notice and this permission notice shall be included";
  const bsd = "Redistribution and use in source and binary forms, with or without\nmodification, are permitted provided that ...";
  expect(identifyLicence(apache)).toBe("Apache-2.0");
  expect(identifyLicence(mit)).toBe("MIT");
  expect(identifyLicence(bsd)).toBe("BSD-2-Clause");
  expect(identifyLicence(`${bsd} Neither the name of X may be used to endorse or promote products derived from`)).toBe("BSD-3-Clause");
  expect(identifyLicence("GNU GENERAL PUBLIC LICENSE\n Version 3, 29 June 2007")).toBe("GPL-3.0-only");
  expect(identifyLicence("GNU GENERAL PUBLIC LICENSE\n Version 2, June 1991")).toBe("GPL-2.0-only");
  expect(identifyLicence("GNU LESSER GENERAL PUBLIC LICENSE Version 3, 29 June 2007. This version incorporates the GNU General Public License, version 3, 29 June 2007")).toBe("LGPL-3.0-only");
  expect(identifyLicence(`${mit}\n${bsd}`)).toBeUndefined();
  expect(identifyLicence("All rights reserved.")).toBeUndefined();
});
