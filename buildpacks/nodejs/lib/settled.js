// Says yes where the lock file alone settles what is installed: no script of the
// app or of a package runs, and no package is a folder of the app. Yarn's does not
// say which packages have scripts, so that it takes the folder where they are.
// usage: node settled.js PACKAGE.JSON LOCK [NODE_MODULES]
const fs = require("fs");
const path = require("path");

const [manifest, lock, modules] = process.argv.slice(2);
const read = (file) => fs.readFileSync(file, "utf8").replace(/^\uFEFF/, "");
const app = JSON.parse(read(manifest));
const runs = (scripts, names) => names.some((name) => scripts && scripts[name]);
const atInstall = ["preinstall", "install", "postinstall"];

const own = runs(app.scripts, [...atInstall, "prepublish", "preprepare", "prepare", "postprepare"]) ||
  fs.existsSync(path.join(path.dirname(manifest), "binding.gyp"));
const settled = !own && (path.basename(lock) === "yarn.lock" ? yarn(read(lock)) : npm(JSON.parse(read(lock))));
console.log(settled ? "yes" : "no");

function npm({ packages }) { // npm 7 and newer
  return packages && Object.values(packages).every((p) => !p.hasInstallScript && !p.link);
}

// yarn sees that all packages are a registry's, and that none has a script.
function yarn(text) {
  const asked = Object.values({ ...app.dependencies, ...app.devDependencies, ...app.optionalDependencies });
  const locked = (text.match(/^  version /gm) || []).length;
  const packed = (text.match(/^  resolved "https?:\/\/[^"]+\.tgz(#[0-9a-f]+)?"$/gm) || []).length;
  const folders = app.workspaces || asked.some((range) => /^(file:|link:|[.~]?\/|\.\.)/.test(range));
  return !folders && locked === packed && (!modules || !scripted(modules));
}

function scripted(folder) {
  const inside = fs.existsSync(folder) ? fs.readdirSync(folder, { withFileTypes: true }) : [];
  return inside.some((entry) => {
    const at = path.join(folder, entry.name);
    if (entry.isSymbolicLink() || !entry.isDirectory() || entry.name === ".bin") {
      return entry.isSymbolicLink();
    }
    if (entry.name.startsWith("@")) {
      return scripted(at);
    }
    const file = path.join(at, "package.json");
    return fs.existsSync(path.join(at, "binding.gyp")) || (fs.existsSync(file) && runs(JSON.parse(read(file)).scripts, atInstall)) ||
      scripted(path.join(at, "node_modules"));
  });
}
