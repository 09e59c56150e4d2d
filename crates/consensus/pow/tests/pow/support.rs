//! A ledger that is nothing but Bitcoin's 80-byte header, and where the vectors lie.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use chainwright_chain::{
    Admission, Attributes, Block, BlockId, Codec, CompactTarget, DecodeError, Delta, Executed, Fault,
    HeadChange, Header, Headers, Jobs, Ledger, NoIndex, Pool, PoolContext, Prepared, Refusal, Reject,
    TableSpec, Timestamp, Transaction, TxId, View, Weight, Work,
};
use chainwright_pow::work_of;
use sha2::{Digest as _, Sha256};
use smallvec::SmallVec;

pub(crate) fn sha256d(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(Sha256::digest(bytes)).into()
}

/// Reversed, as Bitcoin prints ids.
pub(crate) fn show(id: BlockId) -> String {
    BlockId(core::array::from_fn(|at| id.0[31 - at])).to_string()
}

/// The bytes of a vector file; `None`, said loudly, where there are no vectors.
pub(crate) fn vector(path: &str) -> Option<Vec<u8>> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../../shared/vectors");
    let folder = std::env::var_os("CHAINWRIGHT_VECTORS").map_or_else(|| PathBuf::from(beside), PathBuf::from);
    match std::fs::read(folder.join(path)) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            assert!(
                std::env::var_os("CHAINWRIGHT_REQUIRE_VECTORS").is_none(),
                "vectors are required, {path}: {error}"
            );
            eprintln!("SKIPPED: vector {path}: {error}");
            None
        }
    }
}

/// All headers of a zstd file.
pub(crate) fn headers(path: &str) -> Option<Vec<Eighty>> {
    let bytes = zstd::decode_all(&*vector(path)?).expect("the vector is zstd");
    let (headers, rest) = bytes.as_chunks();
    assert!(rest.is_empty());
    Some(headers.iter().map(|bytes| Eighty(*bytes)).collect())
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Eighty(pub(crate) [u8; 80]);

impl Eighty {
    pub(crate) fn new(previous: BlockId, merkle_root: [u8; 32], time: u32, bits: u32) -> Self {
        let mut header = Self([0; 80]);
        header.0[..4].copy_from_slice(&0x2000_0000_u32.to_le_bytes());
        header.0[4..36].copy_from_slice(&previous.0);
        header.0[36..68].copy_from_slice(&merkle_root);
        header.0[68..72].copy_from_slice(&time.to_le_bytes());
        header.0[72..76].copy_from_slice(&bits.to_le_bytes());
        header
    }

    fn number(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.0[at..at + 4].try_into().unwrap())
    }
}

impl Codec for Eighty {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn decode(input: &Bytes) -> Result<Self, DecodeError> {
        input.as_ref().try_into().map(Self).map_err(|_| DecodeError::new("not 80 bytes"))
    }
}

impl Header for Eighty {
    fn id(&self) -> BlockId {
        BlockId(sha256d(&self.0))
    }

    fn parent(&self) -> BlockId {
        BlockId(self.0[4..36].try_into().unwrap())
    }

    fn time(&self) -> Timestamp {
        Timestamp(u64::from(self.number(68)))
    }

    fn carries(&self, on: &Attributes) -> bool {
        self.time() == on.time && Some(self.target()) == on.target
    }
}

impl Work for Eighty {
    fn target(&self) -> CompactTarget {
        CompactTarget(self.number(72))
    }

    fn sealed_bytes(&self) -> SmallVec<[u8; 128]> {
        SmallVec::from_slice(&self.0)
    }

    fn set_nonce(&mut self, nonce: u64) {
        self.0[76..].copy_from_slice(&u32::try_from(nonce).unwrap().to_le_bytes());
    }

    fn nonce_max(&self) -> u64 {
        u64::from(u32::MAX)
    }
}

/// There are no transactions.
#[derive(Clone)]
pub(crate) enum Never {}

impl Codec for Never {
    fn encode(&self, _: &mut Vec<u8>) {}

    fn decode(_: &Bytes) -> Result<Self, DecodeError> {
        Err(DecodeError::new("there are no transactions"))
    }
}

impl Transaction for Never {
    fn id(&self) -> TxId {
        match *self {}
    }
}

impl Block for Eighty {
    type Header = Self;
    type Tx = Never;

    fn header(&self) -> &Self {
        self
    }

    fn header_mut(&mut self) -> &mut Self {
        self
    }

    fn transactions(&self) -> &[Never] {
        &[]
    }
}

#[derive(Default)]
pub(crate) struct NoPool;

impl Pool<Plain> for NoPool {
    fn submit(
        &mut self,
        _: &Plain,
        tx: Arc<Never>,
        _: &PoolContext<'_, Plain>,
    ) -> Result<Admission, Refusal> {
        match *tx {}
    }

    fn head_changed(&mut self, _: &Plain, _: &HeadChange<'_, Plain>) -> Result<(), Fault> {
        Ok(())
    }

    fn get(&self, _: &TxId) -> Option<Arc<Never>> {
        None
    }

    fn len(&self) -> usize {
        0
    }

    fn all(&self) -> Vec<Arc<Never>> {
        Vec::new()
    }

    fn expire(&mut self, _: Timestamp) {}
}

/// The ledger without a state.
pub(crate) struct Plain(pub(crate) Eighty);

impl Ledger for Plain {
    const NAME: &'static str = "plain";
    type Header = Eighty;
    type Tx = Never;
    type Block = Eighty;
    type Facts = ();
    type Receipts = ();
    type Index = NoIndex;
    type Pool = NoPool;

    fn tables(&self) -> &'static [TableSpec] {
        &[]
    }

    fn genesis(&self) -> (Eighty, Delta) {
        (self.0, Delta::empty())
    }

    fn check_header(&self, _: &Eighty, _: &Headers<Self>) -> Result<(), Reject> {
        Ok(())
    }

    fn prepare(&self, block: Eighty) -> Result<Prepared<Self>, Reject> {
        Ok(Prepared { id: block.id(), block, facts: () })
    }

    fn check_body(&self, _: &Prepared<Self>, _: &Headers<Self>) -> Result<(), Reject> {
        Ok(())
    }

    fn execute(
        &self,
        _: &View<Self>,
        _: &Arc<Prepared<Self>>,
        _: &mut Jobs,
    ) -> Result<Executed<Self>, Reject> {
        Ok(Executed { delta: Delta::empty(), receipts: Arc::new(()) })
    }

    fn build(
        &self,
        parent: &View<Self>,
        on: &Attributes,
        _: &NoPool,
    ) -> Result<(Eighty, Executed<Self>), Reject> {
        let bits = on.target.unwrap().0;
        let block = Eighty::new(parent.headers.id(), [0; 32], on.time.0 as u32, bits);
        Ok((block, Executed { delta: Delta::empty(), receipts: Arc::new(()) }))
    }
}

/// A branch of one header.
pub(crate) fn genesis(header: Eighty) -> Headers<Plain> {
    Headers::genesis(header, work_of(header.target()))
}

/// The branch with one more header, unchecked.
pub(crate) fn child(parent: &Headers<Plain>, time: u64, bits: u32) -> Headers<Plain> {
    let header = Eighty::new(parent.id(), [0; 32], u32::try_from(time).unwrap(), bits);
    parent.child(header, work_of(header.target()))
}

/// The branch with blocks at the given times, all with the parent's target.
pub(crate) fn extend(mut branch: Headers<Plain>, times: impl IntoIterator<Item = u64>) -> Headers<Plain> {
    for time in times {
        branch = child(&branch, time, branch.header().target().0);
    }
    branch
}

/// More weight than any test has.
pub(crate) const UNREACHABLE: Weight = Weight(chainwright_chain::U256::MAX);
