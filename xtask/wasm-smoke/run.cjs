// Runs the program given. It traps if anything goes wrong. What it imports (the browser's randomness) it
// doesn't call.
const module_ = new WebAssembly.Module(require("fs").readFileSync(process.argv[2]));
const imports = {};
for (const { module, name } of WebAssembly.Module.imports(module_)) {
  (imports[module] ??= {})[name] = () => {
    throw new Error(`${name} was called`);
  };
}
process.exit(new WebAssembly.Instance(module_, imports).exports.main(0, 0));
