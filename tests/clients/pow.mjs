// ethers and viem on a chain with proof of work: blocks come when work is found, not when somebody asks.
import assert from "node:assert/strict";
import * as ethers from "ethers";
import { createPublicClient, createWalletClient, defineChain, http, parseEther } from "viem";
import { mnemonicToAccount } from "viem/accounts";
import { artifacts, mnemonic, socketUrl, step, url, within } from "./scenario.mjs";

const provider = new ethers.JsonRpcProvider(url, undefined, { cacheTimeout: -1, pollingInterval: 50 });
const alice = ethers.HDNodeWallet.fromPhrase(mnemonic).connect(provider);

await step("a chain of its own, blocks with work", async () => {
  assert.equal((await provider.getNetwork()).chainId, 31338n);
  assert.deepEqual(await provider.send("eth_accounts", []), [], "nobody's keys are here");
  const socket = new ethers.WebSocketProvider(socketUrl);
  const numbers = [];
  const three = new Promise((resolve) => socket.on("block", (number) => numbers.push(number) === 3 && resolve()));
  await within(60, "three blocks", three);
  assert.deepEqual(numbers, [numbers[0], numbers[0] + 1, numbers[0] + 2]);
  const block = await provider.getBlock(numbers[2]);
  assert.ok(block.difficulty > 0n);
  assert.equal(block.parentHash, (await provider.getBlock(numbers[1])).hash);
  await socket.destroy();
});

await step("a token by ethers: deploy, transfer, logs", async () => {
  const { abi, bytecode } = artifacts.Token;
  const token = await new ethers.ContractFactory(abi, bytecode, alice).deploy("Test Token", 1_000_000n);
  await token.waitForDeployment();
  const to = ethers.Wallet.createRandom().address;
  const sends = [];
  const nonce = await alice.getNonce();
  for (let index = 0; index < 20; index += 1) sends.push(token.transfer(to, 5n, { nonce: nonce + index, gasLimit: 100_000n }));
  const receipts = await Promise.all((await Promise.all(sends)).map((sent) => sent.wait()));
  assert.ok(receipts.every((receipt) => receipt.status === 1));
  assert.equal(await token.balanceOf(to), 100n);
  const logs = await token.queryFilter(token.filters.Transfer(null, to), 0);
  assert.equal(logs.length, 20);
});

await step("a transfer by viem, its receipt at once", async () => {
  const rpcUrls = { default: { http: [url] } };
  const nativeCurrency = { name: "Ether", symbol: "ETH", decimals: 18 };
  const chain = defineChain({ id: 31338, name: "pow-evm", nativeCurrency, rpcUrls });
  const account = mnemonicToAccount(mnemonic, { addressIndex: 1 });
  const wallet = createWalletClient({ account, chain, transport: http() });
  const to = ethers.Wallet.createRandom().address;
  const receipt = await wallet.sendTransactionSync({ to, value: parseEther("2") });
  assert.equal(receipt.status, "success");
  const reader = createPublicClient({ chain, transport: http() });
  assert.equal(await reader.getBalance({ address: to }), parseEther("2"));
});

provider.destroy();
