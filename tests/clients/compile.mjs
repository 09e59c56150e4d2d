// Compiles contracts/*.sol with solc's JavaScript build into artifacts.json: name -> { abi, bytecode }.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const solc = createRequire(import.meta.url)("solc");
const read = (path) => readFileSync(path, "utf8");
const names = readdirSync("contracts").filter((name) => name.endsWith(".sol"));
const input = {
  language: "Solidity",
  sources: Object.fromEntries(names.map((name) => [name, { content: read(join("contracts", name)) }])),
  settings: {
    optimizer: { enabled: true },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
  },
};
const imported = (path) => ({ contents: read(join("node_modules", path)) });
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: imported }));
const errors = (output.errors ?? []).filter((error) => error.severity === "error");
if (errors.length > 0) throw new Error(errors.map((error) => error.formattedMessage).join("\n"));

const artifacts = {};
for (const name of names) {
  for (const [contract, { abi, evm }] of Object.entries(output.contracts[name])) {
    artifacts[contract] = { abi, bytecode: `0x${evm.bytecode.object}` };
  }
}
writeFileSync("artifacts.json", JSON.stringify(artifacts));
console.log(`${Object.keys(artifacts).join(", ")}: compiled by solc ${solc.version()}`);
