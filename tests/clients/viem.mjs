// viem 2 against our node, as its users use it.
import assert from "node:assert/strict";
import {
  BaseError,
  ContractFunctionRevertedError,
  concat,
  createPublicClient,
  createTestClient,
  createWalletClient,
  decodeEventLog,
  encodeFunctionData,
  getContract,
  hashTypedData,
  http,
  keccak256,
  parseEther,
  parseGwei,
  parseSignature,
  webSocket,
} from "viem";
import { generatePrivateKey, mnemonicToAccount, privateKeyToAccount } from "viem/accounts";
import { hardhat } from "viem/chains";
import { artifacts, mnemonic, socketUrl, step, until, url, within } from "./scenario.mjs";

const chain = { ...hardhat, rpcUrls: { default: { http: [url], webSocket: [socketUrl] } } };
const publicClient = createPublicClient({ chain, transport: http(), pollingInterval: 50, cacheTime: 0 });
const account = (addressIndex) => mnemonicToAccount(mnemonic, { addressIndex });
const walletOf = (account) => createWalletClient({ account, chain, transport: http(), pollingInterval: 50 });
const [alice, bob, carol] = [0, 1, 2].map((index) => walletOf(account(index)));
const fresh = () => privateKeyToAccount(generatePrivateKey()).address;
const mined = async (sending) => {
  const receipt = await publicClient.waitForTransactionReceipt({ hash: await sending });
  assert.equal(receipt.status, "success");
  return receipt;
};
const deployed = async (name, ...args) => {
  const receipt = await mined(alice.deployContract({ ...artifacts[name], args }));
  return receipt.contractAddress;
};
/** The error a contract reverted with, out of the one viem threw. */
const reverted = async (calling) => {
  const error = await calling.then(() => assert.fail("it did not revert"), (thrown) => thrown);
  assert.ok(error instanceof BaseError, String(error));
  const inner = error.walk((it) => it instanceof ContractFunctionRevertedError);
  assert.ok(inner, error.message);
  return inner;
};
const token = { abi: artifacts.Token.abi, address: undefined };

await step("network, fees, blocks", async () => {
  assert.equal(await publicClient.getChainId(), 31337);
  assert.ok((await publicClient.getGasPrice()) > 0n);
  const fees = await publicClient.estimateFeesPerGas();
  assert.ok(fees.maxFeePerGas > fees.maxPriorityFeePerGas);
  const history = await publicClient.getFeeHistory({ blockCount: 4, rewardPercentiles: [25, 75] });
  assert.ok(history.baseFeePerGas.length >= 2);
  const genesis = await publicClient.getBlock({ blockTag: "earliest" });
  assert.equal(genesis.number, 0n);
  assert.equal((await publicClient.getBlock({ blockHash: genesis.hash })).stateRoot, genesis.stateRoot);
  assert.ok((await publicClient.getBlobBaseFee()) > 0n);
  const unlocked = createWalletClient({ chain, transport: http() });
  assert.equal((await unlocked.getAddresses())[0], alice.account.address);
});

await step("a transaction is prepared by the node (eth_fillTransaction)", async () => {
  const asked = [];
  const onFetchRequest = async (_, { body }) => {
    asked.push(JSON.parse(body));
  };
  const transport = http(url, { onFetchRequest });
  const client = createWalletClient({ account: alice.account, chain, transport });
  const to = fresh();
  const ready = await client.prepareTransactionRequest({ to, value: parseEther("1") });
  assert.equal(ready.gas, 21000n);
  assert.equal(ready.type, "eip1559");
  assert.ok(ready.maxFeePerGas > 0n && ready.maxPriorityFeePerGas > 0n);
  const methods = asked.flat().map((request) => request.method);
  assert.ok(methods.includes("eth_fillTransaction"), methods.join());
  const hash = await client.sendRawTransaction({ serializedTransaction: await alice.signTransaction(ready) });
  await mined(hash);
  assert.equal(await publicClient.getBalance({ address: to }), parseEther("1"));
});

await step("a transfer of coins, its receipt and its block", async () => {
  const to = fresh();
  const receipt = await mined(alice.sendTransaction({ to, value: parseEther("1.5") }));
  assert.equal(receipt.gasUsed, 21000n);
  const block = await publicClient.getBlock({ blockNumber: receipt.blockNumber, includeTransactions: true });
  assert.equal(block.transactions[0].hash, receipt.transactionHash);
  const seen = await publicClient.getTransaction({ hash: receipt.transactionHash });
  assert.equal(seen.value, parseEther("1.5"));
  assert.equal(await publicClient.getTransactionConfirmations({ transactionReceipt: receipt }), 1n);
  const at = await publicClient.getTransaction({ blockNumber: receipt.blockNumber, index: 0 });
  assert.deepEqual(at, seen);
});

await step("a token: deploy, transfer, read, logs", async () => {
  token.address = await deployed("Token", "Test Token", parseEther("1000000"));
  const contract = getContract({ ...token, client: { public: publicClient, wallet: alice } });
  assert.equal(await contract.read.name(), "Test Token");
  const before = await publicClient.getBlockNumber();
  const { request, result } = await publicClient.simulateContract({
    ...token,
    account: alice.account,
    functionName: "transfer",
    args: [bob.account.address, 700n],
  });
  assert.equal(result, true);
  const receipt = await mined(alice.writeContract(request));
  const event = decodeEventLog({ abi: token.abi, ...receipt.logs[0] });
  assert.deepEqual(event.args, { from: alice.account.address, to: bob.account.address, value: 700n });
  assert.equal(await contract.read.balanceOf([bob.account.address]), 700n);
  assert.equal(await contract.read.balanceOf([bob.account.address], { blockNumber: before }), 0n);
  const logs = await publicClient.getContractEvents({
    ...token,
    eventName: "Transfer",
    args: { to: bob.account.address },
    fromBlock: 0n,
    strict: true,
  });
  assert.deepEqual(logs.map((log) => [log.args.value, log.logIndex, log.removed]), [[700n, 0, false]]);
});

await step("several calls in one (multicall through eth_call)", async () => {
  const read = (functionName) => ({ ...token, functionName });
  const results = await publicClient.multicall({
    contracts: [read("name"), read("symbol"), read("totalSupply")],
    deployless: true,
    allowFailure: false,
  });
  assert.deepEqual(results, ["Test Token", "TKN", parseEther("1000000")]);
});

await step("custom errors, reasons and panics are decoded", async () => {
  const call = (functionName, args) =>
    reverted(publicClient.simulateContract({ ...token, account: carol.account, functionName, args }));
  const custom = await call("transfer", [bob.account.address, 5n]);
  assert.equal(custom.data.errorName, "InsufficientBalance");
  assert.deepEqual(custom.data.args, [carol.account.address, 0n, 5n]);
  assert.equal((await call("failWith", ["no such luck"])).reason, "no such luck");
  assert.match((await call("failToDivide", [0n])).reason, /[Dd]ivision.*by zero|divided by zero/);
  await call("failSilently", []);
  const writing = carol.writeContract({ ...token, functionName: "transfer", args: [bob.account.address, 5n] });
  assert.equal((await reverted(writing)).data.errorName, "InsufficientBalance");
});

await step("errors of sending have viem's names", async () => {
  const named = async (name, sending) => {
    const error = await sending.then(() => assert.fail("it was sent"), (thrown) => thrown);
    assert.ok(error.walk((it) => it.name === name), `${name} expected: ${error.message}`);
  };
  const nonce = await publicClient.getTransactionCount({ address: alice.account.address });
  const base = { to: fresh(), gas: 21000n, maxFeePerGas: parseGwei("10"), maxPriorityFeePerGas: 1n };
  await named("NonceTooLowError", alice.sendTransaction({ ...base, nonce: nonce - 1 }));
  const broke = walletOf(privateKeyToAccount(generatePrivateKey()));
  await named("InsufficientFundsError", broke.sendTransaction({ ...base, value: 1n }));
  await named("IntrinsicGasTooLowError", alice.sendTransaction({ ...base, gas: 20000n }));
  const stingy = { account: alice.account, ...base, maxFeePerGas: 1n };
  await named("FeeCapTooLowError", publicClient.call(stingy));
  const first = { ...base, nonce: 1000 };
  await carol.sendTransaction(first);
  await assert.rejects(carol.sendTransaction({ ...first, value: 1n }), /replacement transaction underpriced/);
});

await step("a permit: typed data signed here and by the node (EIP-712)", async () => {
  const message = {
    owner: alice.account.address,
    spender: bob.account.address,
    value: 55n,
    nonce: 0n,
    deadline: 2n ** 40n,
  };
  const field = (name, type) => ({ name, type });
  const typed = {
    domain: { name: "Test Token", version: "1", chainId: 31337, verifyingContract: token.address },
    types: {
      Permit: [
        field("owner", "address"),
        field("spender", "address"),
        field("value", "uint256"),
        field("nonce", "uint256"),
        field("deadline", "uint256"),
      ],
    },
    primaryType: "Permit",
    message,
  };
  const signature = await alice.signTypedData(typed);
  const unlocked = createWalletClient({ account: alice.account.address, chain, transport: http() });
  assert.equal(await unlocked.signTypedData(typed), signature);
  assert.equal(await unlocked.signMessage({ message: "hello" }), await alice.signMessage({ message: "hello" }));
  assert.ok(await publicClient.verifyTypedData({ ...typed, address: alice.account.address, signature }));
  assert.ok(await publicClient.verifyHash({ hash: hashTypedData(typed), address: alice.account.address, signature }));
  const { v, r, s } = parseSignature(signature);
  const args = [message.owner, message.spender, 55n, message.deadline, Number(v), r, s];
  await mined(bob.writeContract({ ...token, functionName: "permit", args }));
  const spent = [alice.account.address, carol.account.address, 55n];
  await mined(bob.writeContract({ ...token, functionName: "transferFrom", args: spent }));
  const again = bob.writeContract({ ...token, functionName: "permit", args });
  assert.equal((await reverted(again)).data.errorName, "WrongSigner");
});

await step("a proxy and its upgrade", async () => {
  const { abi } = artifacts.BoxV2;
  const data = encodeFunctionData({ abi, functionName: "initialize", args: [41n] });
  const address = await deployed("BoxProxy", await deployed("Box"), data);
  const read = (functionName) => publicClient.readContract({ abi, address, functionName });
  assert.deepEqual([await read("version"), await read("value")], [1n, 41n]);
  const upgrade = { abi, address, functionName: "upgradeToAndCall", args: [await deployed("BoxV2"), "0x"] };
  assert.equal((await reverted(bob.writeContract(upgrade))).data.errorName, "NotTheOwner");
  await mined(alice.writeContract(upgrade));
  await mined(alice.writeContract({ abi, address, functionName: "increment" }));
  assert.deepEqual([await read("version"), await read("value")], [2n, 42n]);
});

await step("an account delegates to a contract (EIP-7702)", async () => {
  const batch = await deployed("Batch");
  const own = walletOf(privateKeyToAccount(generatePrivateKey()));
  await mined(alice.sendTransaction({ to: own.account.address, value: parseEther("1") }));
  const authorization = await own.signAuthorization({ contractAddress: batch, executor: "self" });
  const { abi } = artifacts.Batch;
  const [left, right] = [fresh(), fresh()];
  const calls = [left, right].map((to) => ({ to, value: 7n, data: "0x" }));
  const address = own.account.address;
  const sending = own.writeContract({
    abi,
    address,
    functionName: "execute",
    args: [calls],
    authorizationList: [authorization],
  });
  const receipt = await mined(sending);
  assert.equal(receipt.type, "eip7702");
  assert.equal(await publicClient.getCode({ address }), concat(["0xef0100", batch]).toLowerCase());
  assert.equal((await publicClient.getDelegation({ address })).toLowerCase(), batch.toLowerCase());
  assert.equal(await publicClient.getBalance({ address: left }), 7n);
  const seen = await publicClient.getTransaction({ hash: receipt.transactionHash });
  assert.equal(seen.authorizationList[0].address.toLowerCase(), batch.toLowerCase());
});

await step("subscriptions over a WebSocket", async () => {
  const transport = webSocket(socketUrl);
  const client = createPublicClient({ chain, transport });
  const to = fresh();
  const stops = [];
  const heard = (watch) => new Promise((resolve, onError) => stops.push(watch(resolve, onError)));
  const block = heard((onBlock, onError) => client.watchBlocks({ onBlock, onError }));
  const number = heard((onBlockNumber, onError) => client.watchBlockNumber({ onBlockNumber, onError }));
  const pending = heard((onTransactions, onError) => client.watchPendingTransactions({ onTransactions, onError }));
  const event = heard((onLogs, onError) =>
    client.watchContractEvent({ ...token, eventName: "Transfer", args: { to }, onLogs, onError }),
  );
  const { unsubscribe } = await client.transport.subscribe({ params: ["syncing"], onData: () => {}, onError: assert.fail });
  await new Promise((resolve) => setTimeout(resolve, 200));
  const receipt = await mined(alice.writeContract({ ...token, functionName: "transfer", args: [to, 9n] }));
  assert.equal((await within(10, "a block", block)).hash, receipt.blockHash);
  assert.equal(await within(10, "a number", number), receipt.blockNumber);
  assert.deepEqual(await within(10, "a waiting transaction", pending), [receipt.transactionHash]);
  assert.equal((await within(10, "an event", event))[0].args.value, 9n);
  stops.forEach((stop) => stop());
  await unsubscribe();
  const rpcClient = await client.transport.getRpcClient();
  rpcClient.close();
});

await step("filters over HTTP", async () => {
  const blocks = await publicClient.createBlockFilter();
  const pending = await publicClient.createPendingTransactionFilter();
  const to = fresh();
  const events = await publicClient.createContractEventFilter({ ...token, eventName: "Transfer", args: { to } });
  assert.deepEqual(await publicClient.getFilterChanges({ filter: events }), []);
  const receipt = await mined(alice.writeContract({ ...token, functionName: "transfer", args: [to, 10n] }));
  assert.deepEqual(await publicClient.getFilterChanges({ filter: blocks }), [receipt.blockHash]);
  const logs = await publicClient.getFilterChanges({ filter: events });
  assert.deepEqual(logs.map((log) => log.args.value), [10n]);
  assert.deepEqual(await publicClient.getFilterChanges({ filter: events }), []);
  await until("the waiting transaction", async () =>
    (await publicClient.getFilterChanges({ filter: pending })).includes(receipt.transactionHash),
  );
  assert.equal(await publicClient.uninstallFilter({ filter: events }), true);
  await assert.rejects(publicClient.getFilterChanges({ filter: events }), /filter not found/);
});

await step("200 quick sends, each over a connection of its own", async () => {
  const to = fresh();
  const sender = walletOf(account(3));
  const first = await publicClient.getTransactionCount({ address: sender.account.address });
  const price = { gas: 21000n, maxFeePerGas: parseGwei("100"), maxPriorityFeePerGas: parseGwei("1") };
  const send = (_, index) => sender.sendTransaction({ to, value: 1n, nonce: first + index, ...price });
  const hashes = await Promise.all(Array.from({ length: 200 }, send));
  const wait = (hash) => publicClient.waitForTransactionReceipt({ hash, retryCount: 100, timeout: 60_000 });
  const receipts = await Promise.all(hashes.map(wait));
  assert.ok(receipts.every((receipt) => receipt.status === "success"));
  assert.equal(await publicClient.getBalance({ address: to }), 200n);
});

await step("200 quick sends, nonces chosen by the node", async () => {
  const to = fresh();
  const from = account(4).address;
  const unlocked = createWalletClient({ account: from, chain, transport: http() });
  const first = await publicClient.getTransactionCount({ address: from });
  const hashes = await Promise.all(Array.from({ length: 200 }, () => unlocked.sendTransaction({ to, value: 1n })));
  assert.equal(new Set(hashes).size, 200);
  await until("all of them", async () => (await publicClient.getBalance({ address: to })) === 200n);
  assert.equal(await publicClient.getTransactionCount({ address: from }), first + 200);
});

await step("receipts at once, proofs, access lists", async () => {
  const receipt = await alice.sendTransactionSync({ to: fresh(), value: 1n });
  assert.equal(receipt.status, "success");
  const proof = await publicClient.getProof({ address: token.address, storageKeys: [`0x${"0".repeat(64)}`] });
  assert.ok(proof.storageProof[0].proof.length > 0);
  const data = encodeFunctionData({ ...token, functionName: "transfer", args: [bob.account.address, 1n] });
  const call = { account: alice.account.address, to: token.address, data };
  const { accessList } = await publicClient.createAccessList(call);
  assert.equal(accessList.length, 1);
  const old = await mined(alice.sendTransaction({ to: fresh(), value: 1n, gasPrice: parseGwei("50"), type: "legacy" }));
  assert.equal(old.type, "legacy");
});
