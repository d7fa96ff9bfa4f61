import nx from "@nx/eslint-plugin";
import tseslint from "typescript-eslint";

/** What each layer may import; see the README's tree. A stage never imports a stage, and nothing but tests the test kit. */
const layers = [
  { sourceTag: "layer:foundation", onlyDependOnLibsWithTags: ["layer:foundation"] },
  { sourceTag: "layer:library", onlyDependOnLibsWithTags: ["layer:foundation", "layer:library"] },
  { sourceTag: "layer:test-kit", onlyDependOnLibsWithTags: ["layer:foundation", "layer:library"] },
  { sourceTag: "layer:training", onlyDependOnLibsWithTags: ["layer:foundation", "layer:library"] },
  // What makes and what judges the data of a training knows nothing of it.
  { sourceTag: "no-training", notDependOnLibsWithTags: ["layer:training"] },
  { sourceTag: "layer:stage", onlyDependOnLibsWithTags: ["layer:foundation", "layer:library", "layer:training"] },
  {
    sourceTag: "layer:app",
    onlyDependOnLibsWithTags: ["layer:foundation", "layer:library", "layer:training", "layer:stage", "layer:app"],
  },
];

const layersInTests = layers.map(({ onlyDependOnLibsWithTags: below, ...layer }) => (below ? { ...layer, onlyDependOnLibsWithTags: [...below, "layer:test-kit"] } : layer));

const boundaries = (depConstraints) => ["error", { depConstraints, allow: [], enforceBuildableLibDependency: false, banTransitiveDependencies: true }];

export default tseslint.config(
  { ignores: ["**/dist", "**/node_modules", ".nx"] },
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.recommended],
    plugins: { "@nx": nx },
    rules: {
      "@nx/enforce-module-boundaries": boundaries(layers),
      "@typescript-eslint/no-non-null-assertion": "off",
      // The stage registry holds stages of every recipe type.
      "@typescript-eslint/no-explicit-any": "off",
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/no-unused-vars": ["error", { ignoreRestSiblings: true, argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
    },
  },
  { files: ["**/*.test.ts", "packages/*/test/**/*.ts"], rules: { "@nx/enforce-module-boundaries": boundaries(layersInTests) } },
);
