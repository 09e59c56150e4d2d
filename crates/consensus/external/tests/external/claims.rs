//! The smallest ledger whose headers claim a weight: the state is one row, the colour of the last block.

use std::sync::Arc;

use bytes::Bytes;
use chainwright_chain::*;

pub(crate) const COLOUR: TableId = TableId(0);
/// No block may have this colour.
pub(crate) const BLACK: u8 = 0;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClaimHeader {
    pub(crate) parent: BlockId,
    pub(crate) time: u64,
    pub(crate) claim: u64,
    pub(crate) colour: u8,
}

impl Codec for ClaimHeader {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.parent.0);
        out.extend_from_slice(&self.time.to_le_bytes());
        out.extend_from_slice(&self.claim.to_le_bytes());
        out.push(self.colour);
    }

    fn decode(input: &Bytes) -> Result<Self, DecodeError> {
        let short = || DecodeError::new("a header has 49 bytes");
        let whole: [u8; 49] = input[..].try_into().map_err(|_| short())?;
        let number = |at: usize| u64::from_le_bytes(whole[at..at + 8].try_into().unwrap());
        let parent = BlockId(whole[..32].try_into().unwrap());
        Ok(Self { parent, time: number(32), claim: number(40), colour: whole[48] })
    }
}

impl Header for ClaimHeader {
    /// Readable: time, claim and colour, and the first bytes of the parent.
    fn id(&self) -> BlockId {
        let mut id = [0; 32];
        id[0] = self.colour;
        id[1..9].copy_from_slice(&self.time.to_le_bytes());
        id[9..17].copy_from_slice(&self.claim.to_le_bytes());
        id[17..].copy_from_slice(&self.parent.0[..15]);
        BlockId(id)
    }
    fn parent(&self) -> BlockId {
        self.parent
    }
    fn time(&self) -> Timestamp {
        Timestamp(self.time)
    }
    fn carries(&self, on: &Attributes) -> bool {
        on.time == self.time()
    }
    fn claimed_weight(&self) -> Weight {
        Weight(U256::from(self.claim))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct NoTx;

impl Codec for NoTx {
    fn encode(&self, _: &mut Vec<u8>) {}
    fn decode(_: &Bytes) -> Result<Self, DecodeError> {
        Ok(Self)
    }
}

impl Transaction for NoTx {
    fn id(&self) -> TxId {
        TxId::ZERO
    }
}

#[derive(Clone, Debug)]
pub(crate) struct ClaimBlock(pub(crate) ClaimHeader);

impl Codec for ClaimBlock {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
    fn decode(input: &Bytes) -> Result<Self, DecodeError> {
        ClaimHeader::decode(input).map(Self)
    }
}

impl Block for ClaimBlock {
    type Header = ClaimHeader;
    type Tx = NoTx;
    fn header(&self) -> &ClaimHeader {
        &self.0
    }
    fn header_mut(&mut self) -> &mut ClaimHeader {
        &mut self.0
    }
    fn transactions(&self) -> &[NoTx] {
        &[]
    }
}

#[derive(Default)]
pub(crate) struct NoPool;

impl Pool<Claims> for NoPool {
    fn submit(
        &mut self,
        _: &Claims,
        _: Arc<NoTx>,
        _: &PoolContext<'_, Claims>,
    ) -> Result<Admission, Refusal> {
        Err(Refusal::Policy(Reason::new("no-pool")))
    }
    fn head_changed(&mut self, _: &Claims, _: &HeadChange<'_, Claims>) -> Result<(), Fault> {
        Ok(())
    }
    fn all(&self) -> Vec<Arc<NoTx>> {
        Vec::new()
    }
}

/// Times strictly increase; no block is black.
pub(crate) struct Claims;

impl Ledger for Claims {
    const NAME: &'static str = "claims";
    type Header = ClaimHeader;
    type Tx = NoTx;
    type Block = ClaimBlock;
    type Facts = ();
    type Receipts = ();
    type Index = NoIndex;
    type Pool = NoPool;

    fn tables(&self) -> &'static [TableSpec] {
        const { &[table("colour", TableKind::Point)] }
    }
    fn genesis(&self) -> (ClaimBlock, Delta) {
        (ClaimBlock(ClaimHeader { claim: 5, colour: 1, ..ClaimHeader::default() }), Delta::empty())
    }
    fn check_header(&self, header: &ClaimHeader, parent: &Headers<Self>) -> Result<(), Reject> {
        if header.time > parent.header().time { Ok(()) } else { Err(Reject::invalid("time-too-old")) }
    }
    fn prepare(&self, block: ClaimBlock) -> Result<Prepared<Self>, Reject> {
        Ok(Prepared { id: block.0.id(), block, facts: () })
    }
    fn execute(
        &self,
        parent: &View<Self>,
        block: &Arc<Prepared<Self>>,
        _: &mut Jobs,
    ) -> Result<Executed<Self>, Reject> {
        if block.block.0.colour == BLACK {
            return Err(Reject::invalid("black"));
        }
        let mut draft = Draft::new(&parent.state);
        draft.put(COLOUR, b"last", &[block.block.0.colour])?;
        Ok(Executed { delta: draft.finish(), receipts: Arc::new(()) })
    }
    fn build(
        &self,
        parent: &View<Self>,
        on: &Attributes,
        _: &NoPool,
    ) -> Result<(ClaimBlock, Executed<Self>), Reject> {
        let parent_id = parent.headers.id();
        let block = ClaimBlock(ClaimHeader { parent: parent_id, time: on.time.0, claim: 0, colour: 77 });
        let prepared = Arc::new(self.prepare(block)?);
        let executed = self.execute(parent, &prepared, &mut Jobs::skipped())?;
        Ok((prepared.block.clone(), executed))
    }
}
