// openapi.test.mjs - Redocly finds nothing wrong with the document.

import assert from "node:assert/strict";
import test from "node:test";

import { createConfig, lintFromString } from "@redocly/openapi-core";

const rules = {
  // The paths are those of existing APIs, of which some take each other's shape.
  "no-ambiguous-paths": "off",
  // It does not see those of x-event and x-line; tests/api/test_openapi.py does.
  "no-unused-components": "off",
};

test("the document passes Redocly's recommended rules", async () => {
  const source = await (await fetch(process.env.MINUTED_URL + "/openapi.json")).text();
  const config = await createConfig({ extends: ["recommended"], rules });
  const found = await lintFromString({ source, absoluteRef: "openapi.json", config });
  const lines = found.map((problem) =>
    `${problem.severity} ${problem.ruleId}: ${problem.message} ${problem.location[0]?.pointer}`);
  assert.deepEqual(lines, []);
});
