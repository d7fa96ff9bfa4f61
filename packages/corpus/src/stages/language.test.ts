import { beforeAll, expect, test } from "vitest";
import { LanguageDetector } from "./language.ts";

let detector: LanguageDetector;
beforeAll(async () => {
  detector = await LanguageDetector.create();
});

test.each([
  ["a/b.py", "x", "python", "extension"],
  ["a/b.PYI", "x", "python", "extension"],
  ["Makefile", "x", "makefile", "name"],
  ["a/CMakeLists.txt", "x", "cmake", "name"],
  ["a.rs", "fn main() {}\n", "rust", "content"],
  ["a.ts", "export const a = 1;\n", "typescript", "content"],
  ["a.ts", '<?xml version="1.0"?>\n', "xml", "content"],
  ["a.ts", "a b c\n", "typescript", "extension"],
  ["a.h", "int f(void);\n", "c", "extension"],
  ["a.h", "namespace a {\n", "c++", "content"],
  ["a.h", "@interface A\n", "objective-c", "content"],
  ["a.m", "function y = f(x)\n", "matlab", "content"],
  ["a.html.erb", "x", "html+erb", "extension"],
  ["script", "#!/usr/bin/env python3.11\n", "python", "shebang"],
  ["script", "#!/usr/bin/env -S A=1 node --x\n", "javascript", "shebang"],
  ["script", "#!/bin/sh\n", "shell", "shebang"],
  ["script", "import os\n", "python", "content"],
  ["script", "package main\n", "go", "content"],
  ["script", "<!DOCTYPE html>\n", "html", "content"],
  ["notes", "hello\n", "unknown", "none"],
  [".py", "hello\n", "unknown", "none"],
])("%s with %j is %s, by its %s", (path, text, language, by) => {
  expect(detector.detect(path, text)).toEqual({ language, by });
});
