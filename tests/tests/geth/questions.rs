//! Questions by chance: every method that reads, with right parameters mostly and wrong ones now and then.

use alloy_primitives::{Address, U256};
use serde_json::{Value, json};

use crate::chance::Chance;
use crate::contracts::{self, CALLER, ENDER, FACTORY, FAILURE, MEMO, MIRROR, STORE, words};
use crate::traffic::word_of;

/// The most gas a traced call may use, so that an endless one ends soon.
const TRACED_GAS: u64 = 200_000;

/// What can be asked about.
pub(crate) struct Asker {
    pub(crate) chance: Chance,
    /// Height of the head.
    pub(crate) head: u64,
    /// Hashes of all blocks, by height.
    pub(crate) blocks: Vec<Value>,
    /// Hashes of all transactions.
    pub(crate) transactions: Vec<Value>,
    pub(crate) accounts: Vec<Address>,
}

/// A method and its parameters.
pub(crate) type Question = (&'static str, Value);

fn quantity(number: impl core::fmt::LowerHex) -> String {
    format!("{number:#x}")
}

impl Asker {
    /// The next question. The more there is to get wrong, the more often it is asked.
    pub(crate) fn next(&mut self) -> Question {
        match self.chance.below(50) {
            0..=3 => self.about_block(),
            4..=7 => self.about_transaction(),
            8..=11 => self.about_account(),
            12 | 13 => self.about_raw_bytes(),
            14..=19 => ("eth_call", self.call_with_suppositions()),
            20..=24 => ("eth_estimateGas", self.estimation()),
            25..=27 => ("eth_createAccessList", json!([self.call(), self.tag()])),
            28..=31 => ("eth_getLogs", json!([self.filter()])),
            32..=37 => ("debug_traceTransaction", json!([self.transaction(), self.tracer()])),
            38..=41 => ("debug_traceCall", self.traced_call()),
            42 | 43 => self.traced_block(),
            44 | 45 => self.fees(),
            46 | 47 => self.about_node(),
            _ => self.nonsense(),
        }
    }

    fn height(&mut self) -> u64 {
        // Near the head more often than not.
        if self.chance.once_in(2) {
            self.head - self.chance.below(20)
        } else {
            self.chance.below(self.head + 1)
        }
    }

    fn number(&mut self) -> Value {
        match self.chance.below(12) {
            0 => json!("latest"),
            1 => json!("earliest"),
            2 => json!(quantity(self.head + 1 + self.chance.below(5))),
            _ => json!(quantity(self.height())),
        }
    }

    /// A block whose state is asked for: number, tag, hash or object.
    fn tag(&mut self) -> Value {
        match self.chance.below(8) {
            0 => json!("latest"),
            1 => self.block_hash(),
            2 => json!({ "blockHash": self.block_hash(), "requireCanonical": true }),
            3 => json!({ "blockNumber": quantity(self.height()) }),
            _ => json!(quantity(self.height())),
        }
    }

    fn block_hash(&mut self) -> Value {
        if self.chance.once_in(15) {
            return json!(alloy_primitives::B256::from(self.chance.word(u64::MAX)));
        }
        self.chance.pick(&self.blocks).clone()
    }

    fn transaction(&mut self) -> Value {
        if self.chance.once_in(15) {
            return json!(alloy_primitives::B256::from(self.chance.word(u64::MAX)));
        }
        self.chance.pick(&self.transactions).clone()
    }

    fn account(&mut self) -> Address {
        if self.chance.once_in(10) { self.chance.address() } else { *self.chance.pick(&self.accounts) }
    }

    fn index(&mut self) -> String {
        quantity(self.chance.below(4))
    }

    fn about_block(&mut self) -> Question {
        let whole = self.chance.once_in(2);
        match self.chance.below(9) {
            0 | 1 => ("eth_getBlockByNumber", json!([self.number(), whole])),
            2 => ("eth_getBlockByHash", json!([self.block_hash(), whole])),
            3 => ("eth_getHeaderByNumber", json!([self.number()])),
            4 => ("eth_getHeaderByHash", json!([self.block_hash()])),
            5 => ("eth_getBlockReceipts", json!([self.tag()])),
            6 => ("eth_getBlockTransactionCountByNumber", json!([self.number()])),
            7 => ("eth_getUncleCountByBlockHash", json!([self.block_hash()])),
            _ => ("eth_getUncleByBlockNumberAndIndex", json!([self.number(), self.index()])),
        }
    }

    fn about_transaction(&mut self) -> Question {
        match self.chance.below(7) {
            0 | 1 => ("eth_getTransactionByHash", json!([self.transaction()])),
            2 | 3 => ("eth_getTransactionReceipt", json!([self.transaction()])),
            4 => ("eth_getTransactionByBlockNumberAndIndex", json!([self.number(), self.index()])),
            5 => ("eth_getTransactionByBlockHashAndIndex", json!([self.block_hash(), self.index()])),
            _ => ("eth_getRawTransactionByHash", json!([self.transaction()])),
        }
    }

    fn about_account(&mut self) -> Question {
        let (account, tag) = (self.account(), self.tag());
        let slot = quantity(self.chance.below(80));
        match self.chance.below(6) {
            0 => ("eth_getBalance", json!([account, tag])),
            1 => ("eth_getTransactionCount", json!([account, tag])),
            2 => ("eth_getCode", json!([account, tag])),
            3 => ("eth_getStorageAt", json!([self.chance.pick(&[account, STORE]), slot, tag])),
            4 => ("eth_getProof", json!([account, [slot, "0x0"], tag])),
            _ => {
                let whole = alloy_primitives::B256::from(self.chance.word(80));
                ("eth_getProof", json!([STORE, [slot, whole], tag]))
            }
        }
    }

    fn about_raw_bytes(&mut self) -> Question {
        match self.chance.below(5) {
            0 => ("debug_getRawHeader", json!([self.number()])),
            1 => ("debug_getRawBlock", json!([self.number()])),
            2 => ("debug_getRawReceipts", json!([self.number()])),
            3 => ("debug_getRawTransaction", json!([self.transaction()])),
            _ => ("eth_getRawTransactionByBlockNumberAndIndex", json!([self.number(), self.index()])),
        }
    }

    /// Input for one of the contracts that are always there.
    fn contract_and_input(&mut self) -> (Address, Vec<u8>) {
        match self.chance.below(8) {
            0 => (STORE, words(&[self.chance.word(60), self.chance.word(8), self.chance.word(3)])),
            1 => (MIRROR, words(&[word_of(self.account())])),
            2 | 3 => (FAILURE, words(&[self.chance.word(11), self.chance.word(9)])),
            4 => {
                let (target, input) = match self.chance.below(4) {
                    0 => (Address::left_padding_from(&[self.chance.below(18) as u8]), vec![0; 96]),
                    1 => (FAILURE, words(&[self.chance.word(11)])),
                    2 => (MIRROR, words(&[word_of(STORE)])),
                    _ => (STORE, words(&[self.chance.word(60), self.chance.word(5), U256::from(9)])),
                };
                (CALLER, [words(&[self.chance.word(4), word_of(target), U256::ZERO]), input].concat())
            }
            5 => {
                let init =
                    if self.chance.once_in(2) { contracts::stillborn() } else { contracts::installing(&[0]) };
                (FACTORY, [words(&[self.chance.word(2), self.chance.word(9)]), init.to_vec()].concat())
            }
            6 => (MEMO, words(&[self.chance.word(9)])),
            _ => (ENDER, words(&[word_of(self.account())])),
        }
    }

    /// A transaction that is not signed.
    fn call(&mut self) -> Value {
        let (to, input) = self.contract_and_input();
        let from = self.account();
        let mut call = json!({ "from": from, "to": to, "input": alloy_primitives::Bytes::from(input), "gas": quantity(TRACED_GAS) });
        match self.chance.below(14) {
            0 => call["value"] = json!(quantity(self.chance.below(5))),
            1 => call["value"] = json!("0xffffffffffffffffffffffff"),
            2 => call["gasPrice"] = json!("0x4a817c800"),
            3 => {
                call["maxFeePerGas"] = json!("0x4a817c800");
                call["maxPriorityFeePerGas"] = json!("0x1");
            }
            4 => call["gas"] = json!(quantity(20_000 + self.chance.below(30_000))),
            5 => call = json!({ "from": from, "to": self.account(), "value": "0x1" }),
            6 => call = json!({ "from": from, "data": contracts::installing(&[0x5f]), "gas": "0x30d40" }),
            7 => {
                call["accessList"] =
                    json!([{ "address": STORE, "storageKeys": [alloy_primitives::B256::ZERO] }]);
            }
            8 => call["nonce"] = json!(quantity(self.chance.below(100))),
            9 => call["gasPrice"] = json!("0x1"),
            _ => {}
        }
        call
    }

    fn call_with_suppositions(&mut self) -> Value {
        let (call, tag) = (self.call(), self.tag());
        match self.chance.below(5) {
            0 => {
                let account = self.account();
                let supposed = match self.chance.below(4) {
                    0 => json!({ "balance": "0xde0b6b3a7640000", "nonce": "0x5" }),
                    1 => json!({ "code": contracts::installing(&[0x5f]) }),
                    2 => {
                        json!({ "stateDiff": { alloy_primitives::B256::ZERO.to_string(): alloy_primitives::B256::repeat_byte(7) } })
                    }
                    _ => json!({ "state": {} }),
                };
                json!([call, tag, { account.to_string(): supposed }])
            }
            1 => {
                let supposed = json!({
                    "number": quantity(self.chance.below(3000)), "time": quantity(1_900_000_000_u64), "gasLimit": "0x1312d00",
                    "feeRecipient": self.account(), "baseFeePerGas": quantity(self.chance.below(1 << 30)),
                });
                json!([call, tag, {}, supposed])
            }
            _ => json!([call, tag]),
        }
    }

    fn estimation(&mut self) -> Value {
        let (mut call, tag) = (self.call(), self.tag());
        if self.chance.once_in(2)
            && let Some(fields) = call.as_object_mut()
            && fields.get("to") != Some(&json!(FAILURE))
            && fields.get("to") != Some(&json!(CALLER))
        {
            fields.remove("gas");
        }
        json!([call, tag])
    }

    fn filter(&mut self) -> Value {
        let from = self.height();
        let to = from + self.chance.below(60);
        let mut filter = match self.chance.below(6) {
            0 => json!({ "blockHash": self.block_hash() }),
            1 => json!({ "fromBlock": quantity(from) }),
            _ => json!({ "fromBlock": quantity(from), "toBlock": quantity(to.min(self.head)) }),
        };
        match self.chance.below(5) {
            0 => filter["address"] = json!(STORE),
            1 => filter["address"] = json!([MIRROR, FACTORY]),
            2 => filter["topics"] = json!([null, alloy_primitives::B256::from(self.chance.word(60))]),
            3 => {
                let either: Vec<_> =
                    (0..20).map(|word| alloy_primitives::B256::from(U256::from(word))).collect();
                filter["topics"] = json!([either]);
            }
            _ => {}
        }
        filter
    }

    fn tracer(&mut self) -> Value {
        match self.chance.below(14) {
            0 => json!({ "tracer": "callTracer" }),
            1 => json!({ "tracer": "callTracer", "tracerConfig": { "withLog": true } }),
            2 => json!({ "tracer": "callTracer", "tracerConfig": { "onlyTopCall": true } }),
            3 => json!({ "tracer": "prestateTracer" }),
            4 => json!({ "tracer": "prestateTracer", "tracerConfig": { "diffMode": true } }),
            5 => {
                json!({ "tracer": "prestateTracer", "tracerConfig": { "disableCode": true, "disableStorage": true } })
            }
            6 => json!({ "tracer": "4byteTracer" }),
            7 => json!({ "tracer": "noopTracer" }),
            8 => json!({ "tracer": "flatCallTracer" }),
            9 => json!({ "tracer": "muxTracer", "tracerConfig": { "callTracer": {}, "4byteTracer": {} } }),
            10 => json!({ "enableMemory": true, "enableReturnData": true }),
            11 => json!({ "disableStack": true, "disableStorage": true }),
            12 => json!({ "limit": 5 }),
            _ => json!({}),
        }
    }

    fn traced_call(&mut self) -> Value {
        let (call, tag, mut tracer) = (self.call(), self.tag(), self.tracer());
        if self.chance.once_in(6) {
            let account = self.account();
            tracer["stateOverrides"] = json!({ account.to_string(): { "balance": "0xde0b6b3a7640000" } });
        }
        json!([call, tag, tracer])
    }

    fn traced_block(&mut self) -> Question {
        if self.chance.once_in(2) {
            ("debug_traceBlockByNumber", json!([self.number(), self.tracer()]))
        } else {
            ("debug_traceBlockByHash", json!([self.block_hash(), self.tracer()]))
        }
    }

    fn fees(&mut self) -> Question {
        let count = 1 + self.chance.below(12);
        let percentiles =
            *self.chance.pick(&[&[][..], &[10.0, 50.0, 90.0], &[0.0, 100.0], &[50.0, 20.0], &[101.0]]);
        match self.chance.below(6) {
            0 => ("eth_gasPrice", json!([])),
            1 => ("eth_maxPriorityFeePerGas", json!([])),
            2 => ("eth_blobBaseFee", json!([])),
            3 => ("eth_feeHistory", json!([quantity(count), self.number(), []])),
            _ => ("eth_feeHistory", json!([quantity(count), self.number(), percentiles])),
        }
    }

    fn about_node(&mut self) -> Question {
        match self.chance.below(9) {
            0 => ("eth_chainId", json!([])),
            1 => ("net_version", json!([])),
            2 => ("eth_syncing", json!([])),
            3 => ("web3_sha3", json!(["0x1234"])),
            4 => ("eth_config", json!([])),
            5 => ("txpool_status", json!([])),
            6 => ("txpool_content", json!([])),
            7 => ("net_peerCount", json!([])),
            _ => ("eth_blockNumber", json!([])),
        }
    }

    /// Calls that make no sense.
    fn nonsense(&mut self) -> Question {
        match self.chance.below(14) {
            0 => ("eth_getBalance", json!([])),
            1 => ("eth_getBalance", json!(["0x12", "latest"])),
            2 => ("eth_getBlockByNumber", json!(["0x01", false])),
            3 => ("eth_getBlockByNumber", json!(["latest"])),
            4 => ("eth_getBlockByHash", json!(["0x12", false])),
            5 => ("eth_call", json!([{ "to": "0x00" }, "latest"])),
            6 => ("eth_getLogs", json!([{ "fromBlock": "0x5", "toBlock": "0x1" }])),
            7 => ("eth_getStorageAt", json!([STORE, "0xzz", "latest"])),
            8 => ("debug_traceTransaction", json!([self.transaction(), { "tracer": "noSuchTracer" }])),
            9 => ("eth_noSuchMethod", json!([])),
            10 => ("eth_sendRawTransaction", json!(["0x02c0"])),
            11 => ("eth_call", json!([{ "to": STORE, "gasPrice": "0x1", "maxFeePerGas": "0x1" }, "latest"])),
            12 => ("eth_chainId", json!([1])),
            _ => ("eth_getTransactionCount", json!([STORE, "never"])),
        }
    }
}
