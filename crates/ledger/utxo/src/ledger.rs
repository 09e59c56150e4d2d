//! The ledger itself: this crate's rules behind the seam of `chainwright-chain`.

use std::sync::Arc;

use bytes::Bytes;
use chainwright_chain::{
    Attributes, BlockId, Codec, CompactTarget, DecodeError, Delta, Executed, Headers, Jobs, Ledger, NoIndex,
    Prepared, Reject, TableSpec, Timestamp, TxId, View, Work,
};
use smallvec::SmallVec;

use crate::amount::Amount;
use crate::block::{Block, BlockHeader, HEADER_SIZE};
use crate::hash::BlockHash;
use crate::params::{Deployments, Parameters};
use crate::pool::{Policy, TransactionPool};
use crate::rules::{body, connect, context};
use crate::script_cache::ScriptCache;
use crate::tx::Transaction;
use crate::{build, coin};

/// Bitcoin's ledger with the parameters of one chain.
pub struct Utxo {
    /// What makes this chain differ from others.
    pub parameters: Parameters,
    /// What the pool takes.
    pub policy: Policy,
    /// What miners signal for, remembered per period.
    pub deployments: Deployments,
    pub(crate) scripts: ScriptCache,
}

impl Utxo {
    /// A ledger with these parameters and the usual pool policy.
    pub fn new(parameters: Parameters) -> Self {
        Self {
            parameters,
            policy: Policy::default(),
            deployments: Deployments::default(),
            scripts: ScriptCache::default(),
        }
    }

    /// The same ledger with another pool policy.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }
}

/// What executing a block found out; kept in the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receipts {
    /// The sum of all fees.
    pub fees: Amount,
    /// What all signature operations cost.
    pub sigop_cost: u32,
}

impl Codec for Receipts {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.fees.0.to_le_bytes());
        out.extend_from_slice(&self.sigop_cost.to_le_bytes());
    }

    fn decode(input: &Bytes) -> Result<Self, DecodeError> {
        let wrong = || DecodeError::new("receipts are 12 bytes");
        let (fees, sigop_cost) = input.split_first_chunk::<8>().ok_or_else(wrong)?;
        let sigop_cost = sigop_cost.try_into().map_err(|_| wrong())?;
        Ok(Self { fees: Amount(i64::from_le_bytes(*fees)), sigop_cost: u32::from_le_bytes(sigop_cost) })
    }
}

impl From<crate::codec::DecodeError> for DecodeError {
    fn from(error: crate::codec::DecodeError) -> Self {
        Self::new(error.to_string())
    }
}

impl Codec for BlockHeader {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&Self::encode(self));
    }

    fn decode(input: &Bytes) -> Result<Self, DecodeError> {
        let bytes = input.as_ref().try_into().map_err(|_| DecodeError::new("a header is 80 bytes"))?;
        Ok(Self::decode(bytes))
    }
}

impl chainwright_chain::Header for BlockHeader {
    fn id(&self) -> BlockId {
        BlockId(self.hash().0)
    }

    fn parent(&self) -> BlockId {
        BlockId(self.previous.0)
    }

    fn time(&self) -> Timestamp {
        Timestamp(u64::from(self.time))
    }

    fn carries(&self, on: &Attributes) -> bool {
        self.time() == on.time && on.target.is_none_or(|target| target.0 == self.bits)
    }
}

impl Work for BlockHeader {
    fn target(&self) -> CompactTarget {
        CompactTarget(self.bits)
    }

    fn sealed_bytes(&self) -> SmallVec<[u8; 128]> {
        let bytes: [u8; HEADER_SIZE] = Self::encode(self);
        SmallVec::from_slice(&bytes)
    }

    fn set_nonce(&mut self, nonce: u64) {
        self.nonce = nonce as u32;
    }

    fn nonce_max(&self) -> u64 {
        u64::from(u32::MAX)
    }
}

impl Codec for Transaction {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(Self::encode(self));
    }

    fn decode(input: &Bytes) -> Result<Self, DecodeError> {
        Ok(Self::decode(input.clone())?)
    }
}

impl chainwright_chain::Transaction for Transaction {
    fn id(&self) -> TxId {
        TxId(self.txid().0)
    }

    fn relay_id(&self) -> TxId {
        TxId(self.wtxid().0)
    }
}

impl Codec for Block {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&Self::encode(self));
    }

    fn decode(input: &Bytes) -> Result<Self, DecodeError> {
        Ok(Self::decode(input.clone())?)
    }
}

impl chainwright_chain::Block for Block {
    type Header = BlockHeader;
    type Tx = Transaction;

    fn header(&self) -> &BlockHeader {
        &self.header
    }

    fn header_mut(&mut self) -> &mut BlockHeader {
        &mut self.header
    }

    fn transactions(&self) -> &[Transaction] {
        &self.transactions
    }
}

impl Ledger for Utxo {
    const NAME: &'static str = "utxo";
    type Header = BlockHeader;
    type Tx = Transaction;
    type Block = Block;
    type Facts = body::BlockFacts;
    type Receipts = Receipts;
    type Index = NoIndex;
    type Pool = TransactionPool;

    fn tables(&self) -> &'static [TableSpec] {
        &coin::TABLES
    }

    fn genesis(&self) -> (Block, Delta) {
        // The first coinbase never entered Bitcoin Core's database, so nobody can spend it.
        (self.parameters.genesis.block(), Delta::empty())
    }

    fn check_header(&self, header: &BlockHeader, parent: &Headers<Self>) -> Result<(), Reject> {
        context::check_version(&self.parameters, header, parent)
    }

    fn prepare(&self, block: Block) -> Result<Prepared<Self>, Reject> {
        let facts = body::check_body(&self.parameters, &block)?;
        Ok(Prepared { id: BlockId(block.hash().0), block, facts })
    }

    fn check_body(&self, block: &Prepared<Self>, parent: &Headers<Self>) -> Result<(), Reject> {
        context::check_body(&self.parameters, block, parent)
    }

    fn execute(
        &self,
        parent: &View<Self>,
        block: &Arc<Prepared<Self>>,
        jobs: &mut Jobs,
    ) -> Result<Executed<Self>, Reject> {
        connect::execute(self, parent, block, jobs)
    }

    fn build(
        &self,
        parent: &View<Self>,
        on: &Attributes,
        pool: &TransactionPool,
    ) -> Result<(Block, Executed<Self>), Reject> {
        let built = build::block(self, parent, on, pool)?;
        Ok((built.block, built.executed))
    }

    fn show_id(bytes: &[u8; 32]) -> String {
        BlockHash(*bytes).to_string()
    }
}
