// Prints what an expression over package.json gives: node -e THIS FILE EXPRESSION.
const [file, expression] = process.argv.slice(1);
const p = JSON.parse(require("fs").readFileSync(file, "utf8").replace(/^\uFEFF/, ""));
if (p === null || typeof p !== "object" || Array.isArray(p)) throw new Error("package.json is not an object");
const value = new Function("p", `return ${expression}`)(p);
if (value !== undefined && value !== null && value !== "" && typeof value !== "object") console.log(String(value));
