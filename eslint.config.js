// The viewer's scripts: plain ES modules in a browser, without a build step.

import js from "@eslint/js";
import globals from "globals";

export default [
  // Of all else in the tree, environments and what they hold included, nothing is looked at.
  { ignores: ["*", "!serving/", "serving/*", "!serving/viewer/", "serving/viewer/vendor/"] },
  {
    files: ["serving/viewer/**/*.js"],
    ...js.configs.recommended,
    languageOptions: { ecmaVersion: 2024, sourceType: "module", globals: globals.browser },
    rules: {
      ...js.configs.recommended.rules,
      eqeqeq: "error",
      "no-implicit-globals": "error",
      "no-shadow": "error",
      "no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
      // What could let text of a slide or a report become markup, or run as a script; the policy of the pages forbids it too.
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-restricted-properties": ["error", { property: "innerHTML" }, { property: "outerHTML" }, { property: "insertAdjacentHTML" }],
      "max-lines": ["error", { max: 350 }],
    },
  },
];
