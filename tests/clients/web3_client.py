"""web3.py 8 against our node, as its users use it."""

import asyncio
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data
from web3 import AsyncWeb3, HTTPProvider, Web3, WebSocketProvider
from web3.exceptions import (
    ContractCustomError,
    ContractLogicError,
    ContractPanicError,
    TransactionNotFound,
    Web3RPCError,
)
from web3.utils.subscriptions import LogsSubscription, NewHeadsSubscription, PendingTxSubscription

URL = os.environ.get("CHAINWRIGHT_URL", "http://127.0.0.1:8545")
MNEMONIC = "test test test test test test test test test test test junk"
with open("artifacts.json", encoding="utf-8") as file:
    ARTIFACTS = json.load(file)

Account.enable_unaudited_hdwallet_features()
w3 = Web3(HTTPProvider(URL))
alice, bob, carol, dave, erin = (
    Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}") for index in range(5)
)
ETHER = 10**18


def fresh():
    return Account.create().address


def mined(tx_hash):
    receipt = w3.eth.wait_for_transaction_receipt(tx_hash, timeout=20, poll_latency=0.02)
    assert receipt.status == 1, receipt
    return receipt


def send(account, call=None, **fields):
    """Signs here and sends; `call` is a prepared function of a contract."""
    base = {"from": account.address, "nonce": w3.eth.get_transaction_count(account.address), **fields}
    if call is None:
        base = {
            "value": 0,
            "chainId": 31337,
            "gas": 21_000,
            "maxFeePerGas": 10**11,
            "maxPriorityFeePerGas": 10**9,
            **base,
        }
        base.pop("from")
        signed = account.sign_transaction(base)
    else:
        signed = account.sign_transaction(call.build_transaction(base))
    return w3.eth.send_raw_transaction(signed.raw_transaction)


def contract(name, address=None):
    return w3.eth.contract(address=address, abi=ARTIFACTS[name]["abi"], bytecode=ARTIFACTS[name]["bytecode"])


def deployed(name, *args):
    receipt = mined(send(alice, contract(name).constructor(*args)))
    return contract(name, receipt.contractAddress)


def fails(kind, run, *words):
    """The error of that kind which `run` raises; it says all these words."""
    try:
        run()
    except kind as error:
        for word in words:
            assert word in str(error), f"{word!r} not in {error}"
        return error
    raise AssertionError(f"no {kind.__name__}")


STEPS = []


def step(name):
    def keep(run):
        STEPS.append((name, run))
        return run

    return keep


@step("network, fees, blocks")
def network():
    assert w3.is_connected(show_traceback=True)
    assert w3.eth.chain_id == 31337
    assert w3.eth.accounts[0] == alice.address
    assert w3.client_version.startswith("Chainwright/")
    assert w3.net.version == "31337"
    assert w3.eth.gas_price > 0 and w3.eth.max_priority_fee > 0
    history = w3.eth.fee_history(4, "latest", [25, 75])
    assert len(history.baseFeePerGas) >= 2
    genesis = w3.eth.get_block("earliest")
    assert genesis.number == 0 and w3.eth.get_block(genesis.hash) == genesis
    assert w3.eth.get_balance(alice.address) > 9_000 * ETHER
    assert w3.eth.syncing is False


@step("a transfer of coins, its receipt and its block")
def transfer():
    to = fresh()
    receipt = mined(send(alice, to=to, value=3 * ETHER // 2))
    assert receipt.gasUsed == 21_000 and receipt.type == 2
    assert w3.eth.get_balance(to) == 3 * ETHER // 2
    block = w3.eth.get_block(receipt.blockNumber, full_transactions=True)
    assert block.transactions[0] == w3.eth.get_transaction(receipt.transactionHash)
    assert w3.eth.get_block_receipts(receipt.blockNumber) == [receipt]
    raw = w3.eth.get_raw_transaction(receipt.transactionHash)
    assert Web3.keccak(raw) == receipt.transactionHash
    fails(TransactionNotFound, lambda: w3.eth.get_transaction(b"\x01" * 32))


@step("unlocked accounts")
def unlocked():
    to = fresh()
    tx_hash = w3.eth.send_transaction({"from": bob.address, "to": to, "value": 7})
    mined(tx_hash)
    assert w3.eth.get_balance(to) == 7
    signature = w3.eth.sign(alice.address, text="hello")
    assert signature == alice.sign_message(encode_defunct(text="hello")).signature
    fields = {"from": alice.address, "to": to, "value": 1, "gas": 21_000, "nonce": 99, "gasPrice": 10**10}
    signed = w3.eth.sign_transaction(fields)
    assert Account.recover_transaction(signed.raw) == alice.address


@step("a token: deploy, transfer, read, logs")
def token():
    global TOKEN
    TOKEN = deployed("Token", "Test Token", 10**6 * ETHER)
    assert TOKEN.functions.name().call() == "Test Token"
    before = w3.eth.block_number
    receipt = mined(send(alice, TOKEN.functions.transfer(bob.address, 700)))
    (event,) = TOKEN.events.Transfer().process_receipt(receipt)
    assert dict(event.args) == {"from": alice.address, "to": bob.address, "value": 700}
    balance = TOKEN.functions.balanceOf(bob.address)
    assert balance.call() == 700 and balance.call(block_identifier=before) == 0
    logs = TOKEN.events.Transfer().get_logs(from_block=0, argument_filters={"to": bob.address})
    assert [log.args.value for log in logs] == [700]
    supposed = {TOKEN.address: {"stateDiff": {"0x" + "00" * 31 + "01": "0x" + "00" * 31 + "05"}}}
    assert TOKEN.functions.totalSupply().call(state_override=supposed) == 5


@step("custom errors, reasons and panics are decoded")
def errors():
    poor = {"from": carol.address}
    move = TOKEN.functions.transfer(bob.address, 5)
    error = fails(ContractCustomError, lambda: move.call(poor))
    selector = Web3.keccak(text="InsufficientBalance(address,uint256,uint256)")[:4].hex()
    assert selector in str(error), error
    fails(ContractCustomError, lambda: move.estimate_gas(poor))
    fails(ContractLogicError, TOKEN.functions.failWith("no such luck").call, "execution reverted: no such luck")
    fails(ContractPanicError, TOKEN.functions.failToDivide(0).call, "0x12")
    fails(ContractLogicError, TOKEN.functions.failSilently().call, "execution reverted")


@step("errors of sending")
def refusals():
    nonce = w3.eth.get_transaction_count(alice.address)
    fails(Web3RPCError, lambda: send(alice, to=fresh(), nonce=nonce - 1), "nonce too low")
    fails(Web3RPCError, lambda: send(Account.create(), to=fresh(), value=1), "insufficient funds")
    fails(Web3RPCError, lambda: send(alice, to=fresh(), gas=20_000), "intrinsic gas too low")
    fails(Web3RPCError, lambda: send(alice, to=fresh(), gas=2**40), "transaction gas limit too high")
    to = fresh()
    waiting = send(carol, to=to, nonce=1_000)
    fails(Web3RPCError, lambda: send(carol, to=to, nonce=1_000), "already known")
    fails(Web3RPCError, lambda: send(carol, to=to, nonce=1_000, value=1), "replacement transaction underpriced")
    assert w3.eth.get_transaction(waiting).blockNumber is None
    assert str(1_000) in w3.geth.txpool.content().queued[carol.address]
    assert int(w3.geth.txpool.status().queued, 16) >= 1


@step("a permit: typed data signed here and by the node (EIP-712)")
def permit():
    fields = [("owner", "address"), ("spender", "address"), ("value", "uint256"), ("nonce", "uint256")]
    fields.append(("deadline", "uint256"))
    domain = [("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address")]
    named = [{"name": name, "type": kind} for name, kind in fields]
    data = {
        "types": {"EIP712Domain": [{"name": name, "type": kind} for name, kind in domain], "Permit": named},
        "primaryType": "Permit",
        "domain": {"name": "Test Token", "version": "1", "chainId": 31337, "verifyingContract": TOKEN.address},
        "message": {
            "owner": alice.address,
            "spender": bob.address,
            "value": 55,
            "nonce": 0,
            "deadline": 2**40,
        },
    }
    signed = alice.sign_message(encode_typed_data(full_message=data))
    assert w3.eth.sign_typed_data(alice.address, data) == signed.signature
    r, s = (number.to_bytes(32, "big") for number in (signed.r, signed.s))
    call = TOKEN.functions.permit(alice.address, bob.address, 55, 2**40, signed.v, r, s)
    mined(send(bob, call))
    mined(send(bob, TOKEN.functions.transferFrom(alice.address, carol.address, 55)))
    assert TOKEN.functions.balanceOf(carol.address).call() == 55
    fails(ContractCustomError, lambda: call.call({"from": bob.address}))


@step("a proxy and its upgrade")
def proxy():
    box = deployed("Box")
    start = box.encode_abi("initialize", args=[41])
    front = contract("BoxV2", deployed("BoxProxy", box.address, start).address)
    assert (front.functions.version().call(), front.functions.value().call()) == (1, 41)
    upgrade = front.functions.upgradeToAndCall(deployed("BoxV2").address, b"")
    fails(ContractCustomError, lambda: upgrade.call({"from": bob.address}))
    mined(send(alice, upgrade))
    mined(send(alice, front.functions.increment()))
    assert (front.functions.version().call(), front.functions.value().call()) == (2, 42)


@step("an account delegates to a contract (EIP-7702)")
def delegation():
    batch = deployed("Batch")
    own = Account.create()
    mined(send(alice, to=own.address, value=ETHER))
    authorization = own.sign_authorization({"chainId": 31337, "address": batch.address, "nonce": 0})
    receipt = mined(send(alice, to=fresh(), gas=100_000, authorizationList=[authorization]))
    assert receipt.type == 4
    assert w3.eth.get_code(own.address) == bytes.fromhex("ef0100") + bytes.fromhex(batch.address[2:])
    seen = w3.eth.get_transaction(receipt.transactionHash)
    assert seen.authorizationList[0].address == batch.address
    left, right = fresh(), fresh()
    calls = [(left, 7, b""), (right, 7, b"")]
    mined(send(own, contract("Batch", own.address).functions.execute(calls)))
    assert w3.eth.get_balance(left) == w3.eth.get_balance(right) == 7


@step("filters over HTTP")
def filters():
    to = fresh()
    blocks, pending = w3.eth.filter("latest"), w3.eth.filter("pending")
    events = TOKEN.events.Transfer.create_filter(from_block="latest", argument_filters={"to": to})
    assert events.get_new_entries() == []
    receipt = mined(send(alice, TOKEN.functions.transfer(to, 10)))
    assert blocks.get_new_entries() == [receipt.blockHash]
    assert [entry.args.value for entry in events.get_new_entries()] == [10]
    assert [entry.args.value for entry in events.get_all_entries()] == [10]
    for _ in range(100):
        if receipt.transactionHash in pending.get_new_entries():
            break
        time.sleep(0.02)
    else:
        raise AssertionError("the waiting transaction was not told")
    assert w3.eth.uninstall_filter(events.filter_id) is True
    fails(Web3RPCError, events.get_new_entries, "filter not found")


async def heard():
    async with AsyncWeb3(WebSocketProvider(URL.replace("http", "ws"))) as socket:
        assert await socket.eth.chain_id == 31337
        to, seen = fresh(), {}

        def handler(name, wanted):
            async def keep(context):
                seen[name] = context.result
                if len(seen) == wanted:
                    await context.subscription.manager.unsubscribe_all()

            return keep

        watched = socket.eth.contract(address=TOKEN.address, abi=ARTIFACTS["Token"]["abi"])
        topics = watched.events.Transfer().build_filter()
        topics.args["to"].match_single(to)
        await socket.subscription_manager.subscribe(
            [
                NewHeadsSubscription(handler=handler("head", 3)),
                PendingTxSubscription(handler=handler("pending", 3)),
                LogsSubscription(address=TOKEN.address, topics=topics.topics, handler=handler("log", 3)),
            ]
        )
        receipt = await asyncio.to_thread(lambda: mined(send(alice, TOKEN.functions.transfer(to, 9))))
        await asyncio.wait_for(socket.subscription_manager.handle_subscriptions(), 10)
        assert seen["head"]["hash"] == receipt.blockHash
        assert seen["pending"] == receipt.transactionHash
        assert watched.events.Transfer().process_log(seen["log"]).args.value == 9


@step("subscriptions over a WebSocket")
def subscriptions():
    asyncio.run(heard())


async def quick(nonce, to):
    async with AsyncWeb3(WebSocketProvider(URL.replace("http", "ws"))) as socket:

        async def one(index):
            fields = {
                "nonce": nonce + index,
                "to": to,
                "value": 1,
                "chainId": 31337,
                "gas": 21_000,
                "maxFeePerGas": 10**11,
                "maxPriorityFeePerGas": 10**9,
            }
            return await socket.eth.send_raw_transaction(dave.sign_transaction(fields).raw_transaction)

        return await asyncio.gather(*(one(index) for index in range(200)))


@step("200 quick sends over one WebSocket")
def race():
    to = fresh()
    nonce = w3.eth.get_transaction_count(dave.address)
    for tx_hash in asyncio.run(quick(nonce, to)):
        mined(tx_hash)
    assert w3.eth.get_balance(to) == 200
    assert w3.eth.get_transaction_count(dave.address) == nonce + 200


@step("200 quick sends from 20 threads, nonces chosen by the node")
def threads():
    to = fresh()
    nonce = w3.eth.get_transaction_count(erin.address)
    fields = {"from": erin.address, "to": to, "value": 1}
    with ThreadPoolExecutor(20) as pool:
        hashes = list(pool.map(lambda _: w3.eth.send_transaction(dict(fields)), range(200)))
    for tx_hash in hashes:
        mined(tx_hash)
    assert len(set(hashes)) == 200
    assert w3.eth.get_transaction_count(erin.address) == nonce + 200
    with w3.batch_requests() as requests:
        for tx_hash in hashes:
            requests.add(w3.eth.get_transaction_receipt(tx_hash))
        assert all(receipt.status == 1 for receipt in requests.execute())


@step("proofs, access lists, simulations")
def proofs():
    slot = 2
    proof = w3.eth.get_proof(TOKEN.address, [slot])
    assert proof.storageProof[0].proof
    data = TOKEN.encode_abi("transfer", args=[bob.address, 1])
    answer = w3.eth.create_access_list({"from": alice.address, "to": TOKEN.address, "data": data})
    assert answer.accessList[0].address == TOKEN.address
    listed = send(alice, TOKEN.functions.transfer(bob.address, 1), accessList=answer.accessList, gasPrice=10**11)
    assert mined(listed).type == 1


for name, run in STEPS:
    started = time.monotonic()
    try:
        run()
    except BaseException:
        print(f"FAILED: {name}", file=sys.stderr)
        raise
    print(f"ok {name} ({round((time.monotonic() - started) * 1000)} ms)", flush=True)
