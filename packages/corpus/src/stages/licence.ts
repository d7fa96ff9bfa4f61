// eslint-disable-next-line @typescript-eslint/triple-slash-reference -- packages that import this one see no ambient types of its own
/// <reference path="../spdx-expression-parse.d.ts" />
import parseExpression from "spdx-expression-parse";
import type { LicenseFile, PooledDocument } from "../document-pool.ts";
import type { Documents, InnerStage } from "../inner-stage.ts";
import { identifyLicence } from "./licence-texts.ts";

/**
 * The licence of each document: its SPDX header, else the nearest licence file above it in its repository, else what its
 * row or card claims. What any copy of the text claims counts too: a permissive copy may be one of a file that is not.
 */
export const licence: InnerStage = {
  name: "licence",
  module: import.meta.filename,
  scope: "corpus",
  columns: { license: "text", found_in: "text", claimed: "text" },
  prepare: ({ licences }) => {
    if (licences === undefined) return undefined;
    return {
      settings: {},
      async *rows(pool) {
        const nearby = new NearbyLicences(pool.licenseFiles);
        for await (const document of pool.visit()) yield { doc_id: document.docId, ...licenceOf(document, pool, nearby) };
      },
    };
  },
  async *judge(rows, { licences }) {
    if (licences === undefined) return;
    const allowed = new Set(licences.allow.flatMap((id) => (id === "permissive" ? PERMISSIVE : [id])));
    for await (const { doc_id, license } of rows) {
      const verdict = isAllowed(license as string, allowed);
      if (verdict === true || (verdict === undefined && licences.unknown === "keep")) continue;
      yield { docId: doc_id as string, reason: "licence", rule: verdict === undefined ? "unknown" : "not-allowed", of: license as string };
    }
  },
};

function licenceOf(document: PooledDocument, pool: Documents, nearby: NearbyLicences) {
  const claimed = document.licenses.length === 1 ? document.licenses[0]! : document.licenses.map((each) => `(${each})`).join(" AND ");
  const header = headerOf(pool.text(document.docId));
  if (header !== undefined) return { license: header, found_in: "header", claimed };
  const file = nearby.of(document);
  if (file !== undefined) return { license: document.licenses.length === 1 ? file.license : claimed, found_in: file.path, claimed };
  return { license: claimed, found_in: "claim", claimed };
}

/** The expression of an `SPDX-License-Identifier` line among the first of a file. */
export function headerOf(text: string): string | undefined {
  return /SPDX-License-Identifier:[ \t]*([^\n]*[\w+)])/.exec(text.slice(0, HEADER_CHARACTERS))?.[1]?.trim();
}

const HEADER_CHARACTERS = 4096;

/** Licence files by the folder whose files they are of. */
class NearbyLicences {
  readonly #byFolder = new Map<string, { license: string; path: string }>();

  constructor(files: readonly LicenseFile[]) {
    for (const { source, repository, path, text } of files) {
      const license = identifyLicence(text);
      if (license !== undefined) this.#byFolder.set(keyOf(source, repository, folderOf(path)), { license, path });
    }
  }

  of({ source, repository, path }: PooledDocument): { license: string; path: string } | undefined {
    for (let folder = folderOf(path); ; folder = folderOf(folder.slice(0, -1))) {
      const found = this.#byFolder.get(keyOf(source, repository, folder));
      if (found !== undefined || folder === "") return found;
    }
  }
}

const keyOf = (source: string, repository: string | undefined, folder: string): string => [source, repository ?? "", folder].join("\n");

/** `a/b/` of `a/b/c`, the empty string of `c`. A wheel keeps its licence in a folder of metadata, which is of the whole. */
function folderOf(path: string): string {
  const metadata = /^(?:(.*?)\/)?[^/]+\.dist-info\//.exec(path);
  if (metadata !== null) return metadata[1] === undefined ? "" : `${metadata[1]}/`;
  return path.slice(0, path.lastIndexOf("/") + 1);
}

type Expression = ReturnType<typeof parseExpression>;

/**
 * Whether an SPDX expression can be met with these licences: one side of an `OR`, both of an `AND`.
 *
 * @returns nothing when it is no expression, or names licences outside the list of SPDX
 */
export function isAllowed(expression: string, allowed: ReadonlySet<string>): boolean | undefined {
  let parsed: Expression;
  try {
    parsed = parseExpression(expression);
  } catch {
    return undefined;
  }
  const verdictOf = (node: Expression): boolean | undefined => {
    if ("license" in node) return allowed.has(node.license) ? true : node.license.startsWith("LicenseRef") ? undefined : false;
    const sides = [verdictOf(node.left), verdictOf(node.right)];
    const [decisive, other] = node.conjunction === "or" ? [true, false] : [false, true];
    return sides.includes(decisive) ? decisive : sides.includes(undefined) ? undefined : other;
  };
  return verdictOf(parsed);
}

/** Licences that ask for little more than their notice: the model and gold to bronze ranks of the Blue Oak Council's list that code in public repositories carries. */
const PERMISSIVE = [
  "0BSD", "AFL-2.1", "AFL-3.0", "Apache-1.1", "Apache-2.0", "Artistic-2.0", "BlueOak-1.0.0", "BSD-1-Clause", "BSD-2-Clause", "BSD-2-Clause-Patent", "BSD-3-Clause",
  "BSD-3-Clause-Clear", "BSD-4-Clause", "BSL-1.0", "CC0-1.0", "curl", "ECL-2.0", "FTL", "HPND", "ICU", "ISC", "libtiff", "MIT", "MIT-0", "MIT-CMU", "MS-PL", "MulanPSL-2.0",
  "NCSA", "NTP", "OpenSSL", "PHP-3.01", "PostgreSQL", "PSF-2.0", "Python-2.0", "Ruby", "TCL", "Unicode-DFS-2016", "Unlicense", "UPL-1.0", "Vim", "W3C", "WTFPL", "X11", "Xnet", "Zlib",
  "ZPL-2.1",
];
