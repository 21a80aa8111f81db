// Builds page.js into the package, beside the HTML and the style that are written there: node build.mjs.
// What it was built from stands in sources.sha256, which a test compares.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const out = "../src/intervalchange/serving/page";
await build({
  entryPoints: ["src/main.ts"],
  outfile: `${out}/page.js`,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "linked",
  // Comes with vtk.js for writing XML files, which the page never does.
  alias: { xmlbuilder2: "./nothing.mjs" },
  loader: { ".wasm": "empty" },
  define: { "process.env.NODE_ENV": '"production"', global: "globalThis" },
  logLevel: "warning",
});
const hash = createHash("sha256");
for (const name of ["package.json", "package-lock.json", "build.mjs", "nothing.mjs", ...readdirSync("src").sort().map((file) => `src/${file}`)]) {
  hash.update(`${name}\0`).update(readFileSync(name)).update("\0");
}
writeFileSync(`${out}/sources.sha256`, hash.digest("hex") + "\n");
