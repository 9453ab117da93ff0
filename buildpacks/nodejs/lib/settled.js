// Says yes where the lock file alone settles what npm ci makes: no script of
// the app or of a package runs, and no package is a folder of the app.
// usage: node settled.js PACKAGE.JSON LOCK
const fs = require("fs");
const path = require("path");

const [manifest, lock] = process.argv.slice(2);
const read = (file) => JSON.parse(fs.readFileSync(file, "utf8").replace(/^\uFEFF/, ""));
const run = ["preinstall", "install", "postinstall", "prepublish", "preprepare", "prepare", "postprepare"];

const { scripts } = read(manifest);
const { packages } = read(lock); // npm 7 and newer
const own = run.some((name) => scripts && scripts[name]) || fs.existsSync(path.join(path.dirname(manifest), "binding.gyp"));
const settled = packages && !own && Object.values(packages).every((p) => !p.hasInstallScript && !p.link);
console.log(settled ? "yes" : "no");
