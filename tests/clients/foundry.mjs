// Foundry's forge and cast against our node, as their users use them.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { rpc, socketUrl, step, url } from "./scenario.mjs";

const run = promisify(execFile);
const env = { ...process.env, ETH_RPC_URL: url, FOUNDRY_DISABLE_NIGHTLY_WARNING: "1", NO_COLOR: "1" };
const key = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const alice = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
const bob = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
const bobKey = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";

/** Runs a program; what it printed, without the last line's end. */
async function tool(program, ...words) {
  const { stdout } = await run(program, words, { env, maxBuffer: 1 << 26 });
  return stdout.trimEnd();
}
const cast = (...words) => tool("cast", ...words);
const forge = (...words) => tool("forge", ...words);
/** A transaction that must succeed; its receipt. */
async function sent(...words) {
  const receipt = JSON.parse(await cast("send", "--json", "--private-key", key, ...words));
  assert.equal(receipt.status, "0x1");
  return receipt;
}
async function failure(running) {
  const error = await running.then(() => assert.fail("it did not fail"), (thrown) => thrown);
  return `${error.stdout}${error.stderr}`;
}
async function created(name, ...words) {
  const args = words.length > 0 ? ["--constructor-args", ...words] : [];
  const place = `contracts/${name.startsWith("Box") ? "Box" : name}.sol:${name}`;
  const said = await forge("create", place, "--broadcast", "--json", "--private-key", key, ...args);
  return JSON.parse(said.slice(said.indexOf("{"))).deployedTo;
}
let token;

await step("forge build and create", async () => {
  token = await created("Token", "Test Token", "1000000000000000000000000");
  assert.equal(await cast("call", token, "name()(string)"), '"Test Token"');
  assert.equal(await cast("code", token), await rpc("eth_getCode", [token, "latest"]));
});

await step("cast send, call, receipt, logs", async () => {
  const receipt = await sent(token, "transfer(address,uint256)", bob, "700");
  assert.equal(receipt.logs.length, 1);
  assert.equal(await cast("call", token, "balanceOf(address)(uint256)", bob), "700");
  const block = Number(receipt.blockNumber);
  const before = await cast("call", token, "balanceOf(address)(uint256)", bob, "--block", `${block - 1}`);
  assert.equal(before, "0");
  const logs = JSON.parse(
    await cast("logs", "--json", "--from-block", "0", "--address", token, "Transfer(address indexed,address indexed,uint256)", alice, bob),
  );
  assert.equal(logs.length, 1);
  assert.equal(await cast("receipt", receipt.transactionHash, "status"), "true");
  assert.equal(await cast("tx", receipt.transactionHash, "from"), alice);
});

await step("cast block, balance, nonce, rpc", async () => {
  assert.equal(await cast("chain-id"), "31337");
  assert.equal(await cast("block-number"), String(Number(await rpc("eth_blockNumber"))));
  const block = JSON.parse(await cast("block", "--json"));
  assert.equal(block.hash, (await rpc("eth_getBlockByNumber", ["latest", false])).hash);
  assert.match(await cast("block"), /baseFeePerGas/);
  assert.ok(BigInt(await cast("balance", alice)) > 9000n * 10n ** 18n);
  assert.equal(await cast("nonce", bob), "0");
  assert.equal(JSON.parse(await cast("rpc", "eth_chainId")), "0x7a69");
  assert.ok(BigInt(await cast("gas-price")) > 0n && BigInt(await cast("base-fee")) > 0n);
  assert.match(await cast("client"), /^Chainwright\//);
  assert.equal(await cast("storage", token, "1"), await rpc("eth_getStorageAt", [token, "0x1", "latest"]));
  assert.ok(Number(await cast("estimate", token, "transfer(address,uint256)", bob, "1", "--from", alice)) > 21000);
  assert.ok(JSON.parse(await cast("proof", token, "1")).storageProof.length === 1);
  assert.match(await cast("access-list", token, "transfer(address,uint256)", bob, "1", "--from", alice), /access list/);
  assert.equal(JSON.parse(await cast("tx-pool", "status")).queued ?? "0x0", "0x0");
  const over = await tool("cast", "block-number", "--rpc-url", socketUrl);
  assert.equal(over, await cast("block-number"), "over a WebSocket");
});

await step("errors are decoded", async () => {
  const broke = cast("call", token, "transfer(address,uint256)", alice, "5", "--from", "0x00000000000000000000000000000000000000ff");
  assert.match(await failure(broke), /InsufficientBalance|0xdb42144d/);
  const sending = cast("send", token, "failWith(string)", "no such luck", "--private-key", key);
  assert.match(await failure(sending), /no such luck/);
  assert.match(await failure(cast("call", token, "failToDivide(uint256)", "0")), /division|0x12/);
  const late = cast("send", bob, "--value", "1", "--nonce", "0", "--private-key", key);
  assert.match(await failure(late), /nonce too low/);
});

await step("accounts the node signs for", async () => {
  const words = ["send", "--json", "--unlocked", "--from", bob, alice, "--value", "7"];
  assert.equal(JSON.parse(await cast(...words)).status, "0x1");
});

await step("cast run: a transaction again, call by call", async () => {
  const receipt = await sent(token, "transfer(address,uint256)", bob, "1");
  const trace = await cast("run", receipt.transactionHash);
  assert.match(trace, /Transaction successfully executed/);
  assert.match(trace, /Transfer|0xddf252ad/);
  await sent(token, "transfer(address,uint256)", alice, "1");
});

await step("a permit: typed data signed by cast (EIP-712)", async () => {
  const field = (name, type) => ({ name, type });
  const data = {
    types: {
      EIP712Domain: [field("name", "string"), field("version", "string"), field("chainId", "uint256"), field("verifyingContract", "address")],
      Permit: [field("owner", "address"), field("spender", "address"), field("value", "uint256"), field("nonce", "uint256"), field("deadline", "uint256")],
    },
    primaryType: "Permit",
    domain: { name: "Test Token", version: "1", chainId: 31337, verifyingContract: token },
    message: { owner: alice, spender: bob, value: "55", nonce: "0", deadline: "1099511627776" },
  };
  const signature = await cast("wallet", "sign", "--private-key", key, "--data", JSON.stringify(data));
  assert.equal(await rpc("eth_signTypedData_v4", [alice, data]), signature);
  const [r, s, v] = [signature.slice(0, 66), `0x${signature.slice(66, 130)}`, Number(`0x${signature.slice(130)}`)];
  const permit = "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)";
  await sent(token, permit, alice, bob, "55", "1099511627776", `${v}`, r, s);
  assert.equal(await cast("call", token, "allowance(address,address)(uint256)", alice, bob), "55");
});

await step("a proxy and its upgrade", async () => {
  const data = await cast("calldata", "initialize(uint256)", "41");
  const proxy = await created("BoxProxy", await created("Box"), data);
  assert.equal(await cast("call", proxy, "version()(uint256)"), "1");
  const second = await created("BoxV2");
  await sent(proxy, "upgradeToAndCall(address,bytes)", second, "0x");
  assert.equal((await cast("implementation", proxy)).toLowerCase(), second.toLowerCase());
  await sent(proxy, "increment()");
  assert.equal(await cast("call", proxy, "value()(uint256)"), "42");
});

await step("an account delegates to a contract (EIP-7702)", async () => {
  const batch = await created("Batch");
  const authorization = await cast("wallet", "sign-auth", batch, "--private-key", bobKey);
  await sent(alice, "--auth", authorization);
  assert.equal(await cast("code", bob), `0xef0100${batch.slice(2).toLowerCase()}`);
});

await step("forge test on a copy of the chain", async () => {
  const other = await created("Token", "Test Token", "1000000");
  await sent(other, "transfer(address,uint256)", bob, "700");
  env.TOKEN = other;
  const said = await forge("test", "--fork-url", url);
  assert.match(said, /4 passed; 0 failed/);
});
