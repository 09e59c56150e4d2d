//! A block: header, transactions, ommers and, since Shanghai, withdrawals.

use alloy_consensus::Header;
use alloy_eips::eip4895::Withdrawal;
use alloy_rlp::{Decodable, Encodable};
use bytes::Bytes;
use chainwright_chain::{Codec, DecodeError};

use super::{EvmHeader, EvmTx, rlp};

/// An Ethereum block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvmBlock {
    /// The header.
    pub header: EvmHeader,
    /// All transactions in order, none with a sidecar.
    pub transactions: Vec<EvmTx>,
    /// Headers of stale siblings of ancestors; none since the merge.
    pub ommers: Vec<Header>,
    /// Payments of the beacon chain since Shanghai (EIP-4895), amounts in gwei.
    pub withdrawals: Option<Vec<Withdrawal>>,
}

impl EvmBlock {
    /// The length of the RLP encoding in bytes (EIP-7934 limits it).
    pub fn encoded_length(&self) -> usize {
        list_length(self.payload_length())
    }

    fn transactions_payload(&self) -> usize {
        self.transactions.iter().map(transaction_length).sum()
    }

    fn payload_length(&self) -> usize {
        self.header.length()
            + list_length(self.transactions_payload())
            + self.ommers.length()
            + self.withdrawals.as_ref().map_or(0, Encodable::length)
    }

    /// Reads one block off the front of a buffer that holds several, back to back (geth's export files).
    ///
    /// # Errors
    /// When the bytes do not begin with a canonical encoding.
    pub fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        let mut rest = input.as_ref();
        rlp::item(&mut rest, "block")?;
        let block = input.split_to(input.len() - rest.len());
        Self::decode(&block)
    }
}

fn list_length(payload: usize) -> usize {
    payload + alloy_rlp::length_of_length(payload)
}

/// In a block's list a legacy transaction is a list, any other a string that holds its EIP-2718 bytes.
fn transaction_length(tx: &EvmTx) -> usize {
    if tx.is_legacy() { tx.raw().len() } else { tx.raw().as_ref().length() }
}

impl Codec for EvmBlock {
    fn encode(&self, out: &mut Vec<u8>) {
        let payload_length = self.payload_length();
        out.reserve(list_length(payload_length));
        alloy_rlp::Header { list: true, payload_length }.encode(out);
        self.header.header().encode(out);
        alloy_rlp::Header { list: true, payload_length: self.transactions_payload() }.encode(out);
        for tx in &self.transactions {
            if tx.is_legacy() {
                out.extend_from_slice(tx.raw());
            } else {
                tx.raw().as_ref().encode(out);
            }
        }
        self.ommers.encode(out);
        if let Some(withdrawals) = &self.withdrawals {
            withdrawals.encode(out);
        }
    }

    fn decode(input: &Bytes) -> Result<Self, DecodeError> {
        let mut buffer = input.as_ref();
        let mut fields = rlp::list(&mut buffer, "block")?;
        rlp::end(buffer, "block")?;
        let header = EvmHeader::take(&mut fields)?;
        let transactions = decode_transactions(input, rlp::list(&mut fields, "transactions")?)?;
        let ommers = Vec::decode(&mut fields).map_err(rlp::wrong("ommers"))?;
        let withdrawals = match fields {
            [] => None,
            _ => Some(Vec::decode(&mut fields).map_err(rlp::wrong("withdrawals"))?),
        };
        rlp::end(fields, "block")?;
        Ok(Self { header, transactions, ommers, withdrawals })
    }
}

/// `payload` is a part of `input`, so the transactions keep slices of it.
fn decode_transactions(input: &Bytes, mut payload: &[u8]) -> Result<Vec<EvmTx>, DecodeError> {
    let mut transactions = Vec::new();
    while !payload.is_empty() {
        let (whole, content, is_list) = rlp::item(&mut payload, "transactions")?;
        let raw = if is_list { whole } else { content };
        // A legacy transaction wrapped into a string would be a second encoding of the same block.
        if !is_list && content.first().is_none_or(|first| *first >= 0xc0) {
            return Err(DecodeError::new("transaction: a type was expected"));
        }
        transactions.push(EvmTx::decode_in_block(input.slice_ref(raw))?);
    }
    Ok(transactions)
}

impl chainwright_chain::Block for EvmBlock {
    type Header = EvmHeader;
    type Tx = EvmTx;

    fn header(&self) -> &EvmHeader {
        &self.header
    }

    fn header_mut(&mut self) -> &mut EvmHeader {
        &mut self.header
    }

    fn transactions(&self) -> &[EvmTx] {
        &self.transactions
    }
}
