// Hardhat takes this folder for its project; the network is our node, the compiler solc's JavaScript build.
import { resolve } from "node:path";

import hardhatEthers from "@nomicfoundation/hardhat-ethers";
import hardhatNetworkHelpers from "@nomicfoundation/hardhat-network-helpers";
import hardhatNodeTestRunner from "@nomicfoundation/hardhat-node-test-runner";
import { defineConfig } from "hardhat/config";

export default defineConfig({
  plugins: [hardhatEthers, hardhatNetworkHelpers, hardhatNodeTestRunner],
  paths: { tests: "hardhat", sources: "contracts" },
  solidity: {
    version: "0.8.37",
    path: resolve("node_modules/solc/soljson.js"),
    settings: { optimizer: { enabled: true } },
  },
  networks: {
    chainwright: { type: "http", chainType: "l1", url: process.env.CHAINWRIGHT_URL ?? "http://127.0.0.1:8545" },
  },
});
