import { expect, test } from "vitest";
import { findCopyrightHeader } from "./copyright-headers.ts";

/** What is left of a text. */
function stripped(text: string): string {
  const { start, end } = findCopyrightHeader(text) ?? { start: 0, end: 0 };
  return text.slice(0, start) + text.slice(end);
}

test.each([
  ["# Copyright 2020 The Authors\n# Licensed under the Apache License\n\nimport os\n", "import os\n"],
  ["#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n# Copyright (c) 2019, A. Person\nx = 1\n", "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\nx = 1\n"],
  ["/*\n * Copyright (C) 2001 by A\n * All rights reserved.\n */\n#include <stdio.h>\n", "#include <stdio.h>\n"],
  ["\n// SPDX-License-Identifier: MIT\npackage main\n", "package main\n"],
  ["-- (c) 1999 Somebody\nmodule Main where\n", "module Main where\n"],
  ["# Copyright 2020 A\n\n# What it does.\nx = 1\n", "# What it does.\nx = 1\n"],
  [";; Permission is hereby granted, free of charge\n(defun f ())\n", "(defun f ())\n"],
])("the header of %j goes, with the empty lines behind it", (text, rest) => expect(stripped(text)).toBe(rest));

test.each([
  "# What it does.\nx = 1\n# Copyright 2020 A\n",
  "# Adds the copyright to files.\nx = 1\n",
  "#ifndef COPYRIGHT_2020_H\n#define COPYRIGHT_2020_H\nint x;\n",
  'COPYRIGHT = "Copyright 2020 A"\n',
  '"""Copyright 2020 A"""\nx = 1\n',
  "/* Copyright 2020 A, never closed\nint x;\n",
  "# Copyright 2020 A\n# All rights reserved.\n",
  "",
])("%j stays as it is", (text) => expect(findCopyrightHeader(text)).toBeUndefined());

test("a long comment that is never closed costs no more than one look", () => {
  const begun = performance.now();
  expect(findCopyrightHeader(`/*${" *\n".repeat(300_000)}`)).toBeUndefined();
  expect(findCopyrightHeader(`${"# \n".repeat(300_000)}x`)).toBeUndefined();
  expect(findCopyrightHeader(`${"\n".repeat(300_000)}x`)).toBeUndefined();
  expect(performance.now() - begun).toBeLessThan(2000);
});
