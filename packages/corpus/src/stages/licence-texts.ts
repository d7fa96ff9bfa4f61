/**
 * SPDX id of a licence's text, by sentences that no other licence has. Texts with notices of several licences are not
 * told: a file of third-party notices is no grant.
 */
export function identifyLicence(text: string): string | undefined {
  const words = text.toLowerCase().replaceAll(/[^a-z0-9.]+/g, " ");
  const found = SIGNS.filter(({ signs, without = [] }) => signs.every((sign) => words.includes(sign)) && !without.some((sign) => words.includes(sign)));
  return found.length === 1 ? found[0]!.id : undefined;
}

const BSD = "redistribution and use in source and binary forms with or without modification are permitted";
const ENDORSE = "to endorse or promote products derived";

/** Words of each, in small letters and without punctuation. */
const SIGNS: readonly { readonly id: string; readonly signs: readonly string[]; readonly without?: readonly string[] }[] = [
  { id: "MIT", signs: ["permission is hereby granted free of charge to any person obtaining a copy", "the above copyright notice and this permission notice"] },
  { id: "MIT-0", signs: ["permission is hereby granted free of charge to any person obtaining a copy"], without: ["the above copyright notice and this permission notice", "boost software license"] },
  { id: "BSL-1.0", signs: ["boost software license version 1.0"] },
  { id: "Apache-2.0", signs: ["apache license version 2.0"] },
  { id: "BSD-2-Clause", signs: [BSD], without: [ENDORSE, "all advertising materials"] },
  { id: "BSD-3-Clause", signs: [BSD, ENDORSE], without: ["all advertising materials", "apache software foundation"] },
  { id: "BSD-4-Clause", signs: [BSD, "all advertising materials"] },
  { id: "ISC", signs: ["permission to use copy modify and or distribute this software for any purpose with or without fee is hereby granted provided that"] },
  { id: "0BSD", signs: ["permission to use copy modify and or distribute this software for any purpose with or without fee is hereby granted."], without: ["provided that the above copyright"] },
  { id: "Zlib", signs: ["altered source versions must be plainly marked as such"] },
  { id: "Unlicense", signs: ["this is free and unencumbered software released into the public domain"] },
  { id: "CC0-1.0", signs: ["cc0 1.0 universal"] },
  { id: "PSF-2.0", signs: ["python software foundation license version 2"] },
  { id: "WTFPL", signs: ["do what the fuck you want to public license"] },
  { id: "MPL-2.0", signs: ["mozilla public license version 2.0"] },
  { id: "EPL-2.0", signs: ["eclipse public license v 2.0"] },
  { id: "AGPL-3.0-only", signs: ["gnu affero general public license version 3"] },
  { id: "LGPL-2.1-only", signs: ["gnu lesser general public license version 2.1"] },
  { id: "LGPL-3.0-only", signs: ["gnu lesser general public license version 3"] },
  { id: "GPL-2.0-only", signs: ["gnu general public license version 2 june 1991"] },
  { id: "GPL-3.0-only", signs: ["gnu general public license version 3 29 june 2007"], without: ["gnu lesser general public license version 3", "gnu affero general public license version 3"] },
];
