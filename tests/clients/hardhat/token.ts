// Run by `hardhat test nodejs --network chainwright`.
import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { network } from "hardhat";

const { ethers, provider } = await network.create();
const [alice, bob, carol] = await ethers.getSigners();
const deployed = async (name: string, ...values: unknown[]) => {
  const contract = await ethers.deployContract(name, values);
  return await contract.waitForDeployment();
};

describe("a node of ours under Hardhat", () => {
  it("has the accounts Hardhat's users expect", async () => {
    const signers = await ethers.getSigners();
    assert.equal(signers.length, 10);
    assert.equal(alice.address, "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
    assert.equal(await provider.request({ method: "eth_chainId" }), "0x7a69");
  });

  it("deploys, transfers, reads and finds logs", async () => {
    const token = await deployed("Token", "Test Token", 1_000_000n);
    await (await token.transfer(bob.address, 700n)).wait();
    assert.equal(await token.balanceOf(bob.address), 700n);
    const logs = await token.queryFilter(token.filters.Transfer(null, bob.address));
    assert.deepEqual(logs.map((log) => log.args.value), [700n]);
    const failing = token.connect(carol).transfer.staticCall(bob.address, 5n);
    await assert.rejects(failing, (error: any) => {
      return token.interface.parseError(error.data?.data ?? error.data)?.name === "InsufficientBalance";
    });
    await assert.rejects(token.failWith("no such luck"), /no such luck/);
  });

  it("upgrades a proxy", async () => {
    const first = await deployed("Box");
    const data = first.interface.encodeFunctionData("initialize", [41n]);
    const proxy = await deployed("BoxProxy", await first.getAddress(), data);
    const box = await ethers.getContractAt("BoxV2", await proxy.getAddress());
    const second = await deployed("BoxV2");
    await (await box.upgradeToAndCall(await second.getAddress(), "0x")).wait();
    await (await box.increment()).wait();
    assert.deepEqual([await box.version(), await box.value()], [2n, 42n]);
  });

  it("takes 200 quick sends, nonces chosen by the node", async () => {
    const to = ethers.Wallet.createRandom().address;
    const sends = Array.from({ length: 200 }, () => carol.sendTransaction({ to, value: 1n }));
    await Promise.all((await Promise.all(sends)).map((sent) => sent.wait()));
    assert.equal(await ethers.provider.getBalance(to), 200n);
  });

  it("signs typed data and messages", async () => {
    const signature = await alice.signMessage("hello");
    assert.equal(ethers.verifyMessage("hello", signature), alice.address);
    const types = { Mail: [{ name: "text", type: "string" }] };
    const typed = await alice.signTypedData({ name: "Test" }, types, { text: "hello" });
    assert.equal(ethers.verifyTypedData({ name: "Test" }, types, { text: "hello" }, typed), alice.address);
  });

  it("takes Hardhat's own methods", async () => {
    const ask = (method: string, ...params: unknown[]) => provider.request({ method, params });
    const snapshot = await ask("evm_snapshot");
    const someone = ethers.Wallet.createRandom().address;
    await ask("hardhat_setBalance", someone, "0xde0b6b3a7640000");
    await ask("hardhat_impersonateAccount", someone);
    const signer = await ethers.getSigner(someone);
    await (await signer.sendTransaction({ to: bob.address, value: 1n })).wait();
    assert.equal(await ethers.provider.getTransactionCount(someone), 1);
    const before = await ethers.provider.getBlock("latest");
    await ask("evm_increaseTime", 3600);
    await ask("hardhat_mine", "0x5");
    const after = await ethers.provider.getBlock("latest");
    assert.equal(after?.number, before!.number + 5);
    // Counted from the clock, as anvil does; many quick blocks may have run a little ahead of it.
    assert.ok(after!.timestamp >= Math.floor(Date.now() / 1000) + 3600 - 5);
    assert.equal(await ask("evm_revert", snapshot), true);
    assert.equal(await ethers.provider.getBalance(someone), 0n);
  });
});
