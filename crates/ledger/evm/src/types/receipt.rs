//! What executing a block reported, one receipt per transaction.

use alloy_consensus::{Eip658Value, TxType};
use alloy_primitives::{Bloom, BloomInput, Log};
use alloy_rlp::{BufMut, Decodable, Encodable, Header, RlpDecodable, RlpEncodable};
use bytes::Bytes;
use chainwright_chain::{Codec, DecodeError};

use super::rlp;

/// The receipt of one transaction, without its bloom filter: that is computed on demand.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct EvmReceipt {
    /// The transaction's type.
    pub tx_type: TxType,
    /// Success since Byzantium (EIP-658), the state root after the transaction before.
    pub outcome: Eip658Value,
    /// Gas used by the block up to and including this transaction.
    pub cumulative_gas_used: u64,
    /// What contracts logged.
    pub logs: Vec<Log>,
}

impl EvmReceipt {
    /// Whether the transaction succeeded; before Byzantium receipts do not tell, and the answer is yes.
    pub fn succeeded(&self) -> bool {
        match self.outcome {
            Eip658Value::Eip658(success) => success,
            Eip658Value::PostState(_) => true,
        }
    }

    /// The filter of addresses and topics in the logs (yellow paper, § 4.3.1).
    pub fn bloom(&self) -> Bloom {
        bloom_of(&self.logs)
    }

    /// Appends the EIP-2718 encoding that the receipts' root commits to.
    pub fn encode_consensus(&self, out: &mut dyn BufMut) {
        let bloom = self.bloom();
        if self.tx_type != TxType::Legacy {
            out.put_u8(self.tx_type as u8);
        }
        let payload_length =
            self.outcome.length() + self.cumulative_gas_used.length() + bloom.length() + self.logs.length();
        Header { list: true, payload_length }.encode(out);
        self.outcome.encode(out);
        self.cumulative_gas_used.encode(out);
        bloom.encode(out);
        self.logs.encode(out);
    }
}

fn bloom_of<'a>(logs: impl IntoIterator<Item = &'a Log>) -> Bloom {
    let mut bloom = Bloom::ZERO;
    for log in logs {
        bloom.accrue(BloomInput::Raw(log.address.as_slice()));
        log.topics().iter().for_each(|topic| bloom.accrue(BloomInput::Raw(topic.as_slice())));
    }
    bloom
}

/// All receipts of a block, and the requests to the consensus layer it gave rise to.
#[derive(Clone, Debug, Default, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct EvmReceipts {
    /// One per transaction, in the block's order.
    pub receipts: Vec<EvmReceipt>,
    /// EIP-7685 requests with their type bytes, ascending by type, empty ones left out; none before Prague.
    pub requests: Vec<alloy_primitives::Bytes>,
}

impl EvmReceipts {
    /// The filter of all logs of the block.
    pub fn bloom(&self) -> Bloom {
        bloom_of(self.receipts.iter().flat_map(|receipt| &receipt.logs))
    }

    /// Gas used by transaction `index` alone; `None` when there is no such transaction.
    pub fn gas_used(&self, index: usize) -> Option<u64> {
        let upto = self.receipts.get(index)?.cumulative_gas_used;
        let before = index.checked_sub(1).and_then(|index| self.receipts.get(index));
        Some(upto.saturating_sub(before.map_or(0, |receipt| receipt.cumulative_gas_used)))
    }
}

/// The journal's own form: RLP, without bloom filters.
impl Codec for EvmReceipts {
    fn encode(&self, out: &mut Vec<u8>) {
        Encodable::encode(self, out);
    }

    fn decode(input: &Bytes) -> Result<Self, DecodeError> {
        let mut buffer = input.as_ref();
        let receipts = <Self as Decodable>::decode(&mut buffer).map_err(rlp::wrong("receipts"))?;
        rlp::end(buffer, "receipts")?;
        Ok(receipts)
    }
}
