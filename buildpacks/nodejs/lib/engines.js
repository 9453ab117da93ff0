// Says whether this node is what engines.node of package.json asks for: yes,
// no, invalid, unspecified, or unknown where npm, whose version library is
// used, is not the usual one; and, in lines of their own, what engines.node and
// engines.npm ask for. usage: node engines.js PACKAGE.JSON NPM
const fs = require("fs");
const path = require("path");

const [file, npm] = process.argv.slice(2);
const { engines } = JSON.parse(fs.readFileSync(file, "utf8").replace(/^\uFEFF/, ""));
console.log(answer(engines && engines.node));
for (const wanted of [engines && engines.node, engines && engines.npm]) {
  console.log(wanted ? String(wanted).replace(/\s+/g, " ") : "unspecified");
}

function answer(wanted) {
  if (!wanted) return "unspecified";
  let semver;
  try {
    semver = require(path.resolve(path.dirname(npm), "../node_modules/semver"));
  } catch {
    return "unknown";
  }
  if (semver.validRange(wanted) === null) return "invalid";
  return semver.satisfies(process.version, wanted) ? "yes" : "no";
}
