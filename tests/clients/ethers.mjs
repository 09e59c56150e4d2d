// ethers 6 against our node, as its users use it.
import assert from "node:assert/strict";
import * as ethers from "ethers";
import { artifacts, mnemonic, rpc, socketUrl, step, until, url, within } from "./scenario.mjs";

// On a chain that mines at once an answer kept for 250 ms is an old one, and 4 s between two looks are long.
const provider = new ethers.JsonRpcProvider(url, undefined, { cacheTimeout: -1, pollingInterval: 50 });
const wallet = (index) =>
  ethers.HDNodeWallet.fromPhrase(mnemonic, undefined, `m/44'/60'/0'/0/${index}`).connect(provider);
const [alice, bob, carol] = [wallet(0), wallet(1), wallet(2)];
const fresh = () => ethers.Wallet.createRandom().address;
const factory = (name, signer = alice) =>
  new ethers.ContractFactory(artifacts[name].abi, artifacts[name].bytecode, signer);
const deployed = async (name, ...values) => {
  const contract = await factory(name).deploy(...values);
  await contract.waitForDeployment();
  return contract;
};
/** ethers decodes custom errors of calls by itself; those of estimates are left to its user. */
const failsWith = (name, contract) => (error) => contract.interface.parseError(error.data)?.name === name;
const supply = ethers.parseEther("1000000");
let token;

await step("network, accounts and fees", async () => {
  assert.equal((await provider.getNetwork()).chainId, 31337n);
  const accounts = await provider.listAccounts();
  assert.equal(accounts.length, 10);
  assert.equal(accounts[0].address, alice.address);
  assert.ok((await provider.getBalance(alice.address)) > ethers.parseEther("9000"));
  const fees = await provider.getFeeData();
  assert.ok(fees.gasPrice > 0n && fees.maxFeePerGas > 0n && fees.maxPriorityFeePerGas > 0n);
});

await step("a transfer of coins, its receipt and its block", async () => {
  const to = fresh();
  const sent = await alice.sendTransaction({ to, value: ethers.parseEther("1.5") });
  const receipt = await sent.wait();
  assert.equal(receipt.status, 1);
  assert.equal(receipt.gasUsed, 21000n);
  assert.equal(await provider.getBalance(to), ethers.parseEther("1.5"));
  const block = await provider.getBlock(receipt.blockNumber, true);
  assert.deepEqual(block.transactions, [sent.hash]);
  const whole = block.prefetchedTransactions[0];
  assert.equal(whole.from, alice.address);
  assert.equal(whole.serialized, (await provider.getTransaction(sent.hash)).serialized);
  assert.equal(receipt.fee, receipt.gasUsed * receipt.gasPrice);
  assert.equal((await provider.waitForTransaction(sent.hash)).hash, sent.hash);
  assert.equal((await block.getTransaction(0)).hash, sent.hash);
});

await step("a token: deploy, transfer, read, logs", async () => {
  token = await deployed("Token", "Test Token", supply);
  assert.equal(await token.name(), "Test Token");
  assert.equal(await token.decimals(), 18n);
  const before = await provider.getBlockNumber();
  const receipt = await (await token.transfer(bob.address, 700n)).wait();
  assert.equal(receipt.logs[0].fragment.name, "Transfer");
  assert.deepEqual([...receipt.logs[0].args], [alice.address, bob.address, 700n]);
  assert.equal(await token.balanceOf(bob.address), 700n);
  assert.equal(await token.balanceOf(bob.address, { blockTag: before }), 0n, "the past stays readable");
  const logs = await token.queryFilter(token.filters.Transfer(null, bob.address), 0);
  assert.deepEqual(logs.map((log) => log.args.value), [700n]);
  const both = await token.queryFilter("*", receipt.blockNumber, receipt.blockNumber);
  assert.equal(both.length, 1);
  assert.equal(await token.transfer.estimateGas(bob.address, 1n) > 21000n, true);
});

await step("custom errors, reasons and panics are decoded", async () => {
  const poor = token.connect(carol);
  const expected = { code: "CALL_EXCEPTION" };
  const custom = await poor.transfer.staticCall(bob.address, 5n).then(assert.fail, (error) => error);
  assert.equal(custom.code, expected.code);
  assert.equal(custom.revert.name, "InsufficientBalance");
  assert.deepEqual([...custom.revert.args], [carol.address, 0n, 5n]);
  await assert.rejects(poor.transfer(bob.address, 5n), failsWith("InsufficientBalance", token));
  await assert.rejects(token.failWith("no such luck"), { ...expected, reason: "no such luck" });
  await assert.rejects(token.failToDivide(0), (error) => /DIVIDE_BY_ZERO/.test(error.reason));
  await assert.rejects(token.failSilently(), expected);
  const forced = await poor.transfer(bob.address, 5n, { gasLimit: 100_000n });
  const failed = await forced.wait().then(assert.fail, (error) => error);
  assert.equal(failed.code, expected.code);
  assert.equal(failed.receipt.status, 0);
});

await step("errors of sending have ethers' codes", async () => {
  const nonce = await alice.getNonce();
  const to = fresh();
  await assert.rejects(alice.sendTransaction({ to, nonce: nonce - 1 }), { code: "NONCE_EXPIRED" });
  const broke = ethers.Wallet.createRandom(provider);
  const price = { gasLimit: 21000n, maxFeePerGas: 10n ** 10n, maxPriorityFeePerGas: 1n };
  await assert.rejects(broke.sendTransaction({ to, value: 1n, ...price }), { code: "INSUFFICIENT_FUNDS" });
  await assert.rejects(broke.sendTransaction({ to, value: 1n }), { code: "INSUFFICIENT_FUNDS" });
  const waiting = await carol.sendTransaction({ to, nonce: 1000, ...price, maxPriorityFeePerGas: 100n });
  await assert.rejects(carol.sendTransaction({ to, nonce: 1000, ...price, value: 1n }), {
    code: "REPLACEMENT_UNDERPRICED",
  });
  assert.equal((await provider.getTransaction(waiting.hash)).blockNumber, null);
});

await step("a permit: typed data signed here and by the node (EIP-712)", async () => {
  const domain = { name: "Test Token", version: "1", chainId: 31337, verifyingContract: await token.getAddress() };
  const field = (name, type) => ({ name, type });
  const Permit = [
    field("owner", "address"),
    field("spender", "address"),
    field("value", "uint256"),
    field("nonce", "uint256"),
    field("deadline", "uint256"),
  ];
  assert.equal(await token.DOMAIN_SEPARATOR(), ethers.TypedDataEncoder.hashDomain(domain));
  const value = { owner: alice.address, spender: bob.address, value: 55n, nonce: 0n, deadline: 2n ** 40n };
  const signature = await alice.signTypedData(domain, { Permit }, value);
  const unlocked = await provider.getSigner(alice.address);
  assert.equal(await unlocked.signTypedData(domain, { Permit }, value), signature);
  assert.equal(await unlocked.signMessage("hello"), await alice.signMessage("hello"));
  assert.equal(await unlocked._legacySignMessage("hello"), await alice.signMessage("hello"));
  const { v, r, s } = ethers.Signature.from(signature);
  await (await token.connect(bob).permit(alice.address, bob.address, 55n, value.deadline, v, r, s)).wait();
  assert.equal(await token.allowance(alice.address, bob.address), 55n);
  await (await token.connect(bob).transferFrom(alice.address, carol.address, 55n)).wait();
  assert.equal(await token.balanceOf(carol.address), 55n);
  const again = token.connect(bob).permit(alice.address, bob.address, 55n, value.deadline, v, r, s);
  await assert.rejects(again, failsWith("WrongSigner", token));
});

await step("a proxy and its upgrade", async () => {
  const first = await deployed("Box");
  const data = first.interface.encodeFunctionData("initialize", [41n]);
  const proxy = await deployed("BoxProxy", await first.getAddress(), data);
  const box = new ethers.Contract(await proxy.getAddress(), artifacts.BoxV2.abi, alice);
  assert.deepEqual([await box.version(), await box.value()], [1n, 41n]);
  const second = await deployed("BoxV2");
  const stranger = box.connect(bob).upgradeToAndCall(await second.getAddress(), "0x");
  await assert.rejects(stranger, failsWith("NotTheOwner", box));
  await (await box.upgradeToAndCall(await second.getAddress(), "0x")).wait();
  await (await box.increment()).wait();
  assert.deepEqual([await box.version(), await box.value()], [2n, 42n]);
  const slot = "0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc";
  const stored = await provider.getStorage(await proxy.getAddress(), slot);
  assert.equal(ethers.getAddress(ethers.dataSlice(stored, 12)), await second.getAddress());
});

await step("an account delegates to a contract (EIP-7702)", async () => {
  const batch = await deployed("Batch");
  const account = ethers.Wallet.createRandom(provider);
  await (await alice.sendTransaction({ to: account.address, value: ethers.parseEther("1") })).wait();
  const authorization = await account.authorize({ address: await batch.getAddress(), nonce: 0 });
  const sent = await alice.sendTransaction({ type: 4, to: fresh(), authorizationList: [authorization] });
  assert.equal((await sent.wait()).type, 4);
  const seen = await provider.getTransaction(sent.hash);
  assert.equal(seen.authorizationList[0].address, await batch.getAddress());
  const code = await provider.getCode(account.address);
  assert.equal(code, ethers.concat(["0xef0100", await batch.getAddress()]));
  const [left, right] = [fresh(), fresh()];
  const calls = [left, right].map((to) => ({ to, value: 7n, data: "0x" }));
  const own = new ethers.Contract(account.address, artifacts.Batch.abi, account);
  const receipt = await (await own.execute(calls)).wait();
  assert.deepEqual([...receipt.logs[0].args], [account.address, 2n]);
  assert.deepEqual([await provider.getBalance(left), await provider.getBalance(right)], [7n, 7n]);
});

await step("subscriptions over a WebSocket", async () => {
  const socket = new ethers.WebSocketProvider(socketUrl);
  const watched = new ethers.Contract(await token.getAddress(), artifacts.Token.abi, socket);
  const to = fresh();
  const block = new Promise((resolve) => socket.on("block", resolve));
  const pending = new Promise((resolve) => socket.on("pending", resolve));
  const event = new Promise((resolve) => watched.on(watched.filters.Transfer(null, to), resolve));
  // Calls of one socket are answered in turn: the subscriptions stand once this is.
  await new Promise((resolve) => setTimeout(resolve, 100));
  await socket.getBlockNumber();
  const sent = await token.transfer(to, 9n);
  assert.equal(await within(10, "a waiting transaction", pending), sent.hash);
  assert.equal(await within(10, "a block", block), (await sent.wait()).blockNumber);
  const payload = await within(10, "an event", event);
  assert.deepEqual([...payload.args], [alice.address, to, 9n]);
  assert.equal(payload.log.transactionHash, sent.hash);
  await socket.removeAllListeners();
  assert.equal(await socket.send("eth_blockNumber", []), await rpc("eth_blockNumber"), "calls share the socket");
  await socket.destroy();
});

await step("filters over HTTP", async () => {
  const asking = new ethers.JsonRpcProvider(url, 31337, { polling: false, pollingInterval: 50, staticNetwork: true });
  const watched = new ethers.Contract(await token.getAddress(), artifacts.Token.abi, asking);
  const to = fresh();
  const event = new Promise((resolve) => watched.on(watched.filters.Transfer(null, to), resolve));
  const pending = new Promise((resolve) => asking.on("pending", resolve));
  await new Promise((resolve) => setTimeout(resolve, 300));
  const sent = await token.transfer(to, 10n);
  assert.equal((await within(10, "an event", event)).args[2], 10n);
  assert.equal(await within(10, "a waiting transaction", pending), sent.hash);
  asking.destroy();
});

await step("200 quick sends, nonces chosen here", async () => {
  const to = fresh();
  const manager = new ethers.NonceManager(wallet(3));
  const first = await manager.getNonce();
  const price = { gasLimit: 21000n, maxFeePerGas: 10n ** 11n, maxPriorityFeePerGas: 10n ** 9n };
  const sends = Array.from({ length: 200 }, () => manager.sendTransaction({ to, value: 1n, ...price }));
  const receipts = await Promise.all((await Promise.all(sends)).map((sent) => sent.wait()));
  assert.ok(receipts.every((receipt) => receipt.status === 1));
  assert.equal(await provider.getTransactionCount(wallet(3).address), first + 200);
  await until("the last coin", async () => (await provider.getBalance(to)) === 200n);
});

await step("200 quick sends, nonces chosen by the node", async () => {
  const to = fresh();
  const from = wallet(4).address;
  const first = await provider.getTransactionCount(from);
  const value = "0x1";
  const hashes = await Promise.all(
    Array.from({ length: 200 }, () => provider.send("eth_sendTransaction", [{ from, to, value }])),
  );
  assert.equal(new Set(hashes).size, 200);
  // Not `waitForTransaction`: where no more blocks come it waits for ever, if the last one came between its two questions.
  for (const hash of hashes) {
    await until("a receipt", async () => (await provider.getTransactionReceipt(hash)) !== null);
  }
  assert.equal(await provider.getTransactionCount(from), first + 200);
});

await step("proofs, access lists, receipts at once", async () => {
  const proof = await provider.send("eth_getProof", [alice.address, ["0x0"], "latest"]);
  assert.ok(proof.accountProof.length > 0);
  const data = token.interface.encodeFunctionData("transfer", [bob.address, 1n]);
  const call = { from: alice.address, to: await token.getAddress(), data };
  const { accessList } = await provider.send("eth_createAccessList", [call]);
  assert.equal(accessList.length, 1);
  const sent = await token.transfer(bob.address, 1n, { accessList, type: 1 });
  assert.equal((await sent.wait()).type, 1);
  const ready = await alice.populateTransaction({ to: bob.address, value: 1n });
  const receipt = await rpc("eth_sendRawTransactionSync", [await alice.signTransaction(ready)]);
  assert.equal(receipt.status, "0x1");
  const gap = { ...ready, nonce: ready.nonce + 9 };
  const late = rpc("eth_sendRawTransactionSync", [await alice.signTransaction(gap), 100]);
  await assert.rejects(late, { code: 4, data: ethers.keccak256(await alice.signTransaction(gap)) });
});

await step("blocks that are taken back: their logs are told again, as removed", async () => {
  const address = await token.getAddress();
  const socket = new WebSocket(socketUrl);
  const told = [];
  socket.addEventListener("message", ({ data }) => told.push(JSON.parse(data)));
  await within(10, "a connection", new Promise((resolve) => socket.addEventListener("open", resolve)));
  const params = ["logs", { address }];
  socket.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_subscribe", params }));
  await until("a subscription", () => told.length === 1);
  const filter = await rpc("eth_newFilter", [{ address }]);
  const snapshot = await rpc("evm_snapshot");
  const { hash } = await token.transfer(fresh(), 11n);
  await until("the log", () => told.length === 2);
  const [log] = await rpc("eth_getFilterChanges", [filter]);
  assert.deepEqual([log.transactionHash, log.removed], [hash, false]);
  assert.equal(await rpc("evm_revert", [snapshot]), true);
  await until("its removal", () => told.length === 3);
  assert.deepEqual(told.slice(1).map((message) => message.params.result), [log, { ...log, removed: true }]);
  assert.deepEqual(await rpc("eth_getFilterChanges", [filter]), [{ ...log, removed: true }]);
  assert.equal(await rpc("eth_getTransactionReceipt", [hash]), null);
  socket.close();
});

provider.destroy();
