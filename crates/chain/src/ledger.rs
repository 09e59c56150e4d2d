//! The ledger's side of the seam: what a transaction does to the state, and what its bytes look like.
//!
//! Call order, per block: [`Ledger::check_header`] → [`Ledger::prepare`] (once, any thread, far ahead) →
//! [`Ledger::check_body`] (the body may now be stored) → [`Ledger::execute`] → the jobs it deferred.
//! Everything here is pure: no clock, no disk, no network, no randomness. The driver undoes what has to be
//! undone; a ledger never does. The smallest implementation is `docs/guide/your-ledger.md`; the chain laws
//! (`chainwright-sim`) prove one.

use std::sync::Arc;

use crate::{
    Attributes, BlockId, Codec, Delta, Epoch, Fault, Hash, Headers, Jobs, Pool, Reject, StateView, TableSpec,
    Task, Timestamp, TxId, ValidatorSet, Weight,
};

/// A native block header. It has no height of its own: [`Headers`] knows it.
pub trait Header: Codec + Clone + Send + Sync + 'static {
    /// The hash everyone knows the block by.
    fn id(&self) -> BlockId;
    /// The block before; genesis names one that does not exist.
    fn parent(&self) -> BlockId;
    /// When it was made, as it claims itself.
    fn time(&self) -> Timestamp;
    /// Whether the engine-owned fields (time, target, randomness) are those of `on`.
    fn carries(&self, on: &Attributes) -> bool;
    /// What the header says it adds to its branch, for engines that take its word for it. Nothing, unless headers say so.
    fn claimed_weight(&self) -> Weight {
        Weight::ZERO
    }
    /// The root of the state after the block, where headers carry one; the driver compares it with [`Index::root`].
    fn state_root(&self) -> Option<Hash> {
        None
    }
    /// Fills the state root in while building.
    fn set_state_root(&mut self, _root: Hash) {}
}

/// A header with a place for work.
pub trait Work: Header {
    /// The target the work must reach.
    fn target(&self) -> crate::CompactTarget;
    /// The bytes that are hashed, nonce included.
    fn sealed_bytes(&self) -> smallvec::SmallVec<[u8; 128]>;
    /// Tries another nonce.
    fn set_nonce(&mut self, nonce: u64);
    /// How many nonces there are, as the largest one.
    fn nonce_max(&self) -> u64;
    /// The target a header carries where a rule asks for `target`: the nearest one it can express, not below it. All of them,
    /// unless said otherwise; what was expressed once stays as it is, and a greater target never becomes a smaller one.
    fn expressible(target: crate::CompactTarget) -> crate::CompactTarget {
        target
    }
}

/// A native transaction.
pub trait Transaction: Codec + Clone + Send + Sync + 'static {
    /// What other transactions and people call it.
    fn id(&self) -> TxId;
    /// What peers announce; differs where the id does not commit to all bytes.
    fn relay_id(&self) -> TxId {
        self.id()
    }
    /// What judging it will need, depends on nothing else, and takes long: who has it from a peer does this first, on another
    /// thread than the driver's. What it finds stays with the transaction. `None` unless said otherwise.
    fn work_ahead(&self) -> Option<Task> {
        None
    }
}

/// A native block: a header and transactions.
pub trait Block: Codec + Clone + Send + Sync + 'static {
    /// The header's type.
    type Header: Header;
    /// The transactions' type.
    type Tx: Transaction;
    /// The header.
    fn header(&self) -> &Self::Header;
    /// The header, for sealing.
    fn header_mut(&mut self) -> &mut Self::Header;
    /// All transactions in order.
    fn transactions(&self) -> &[Self::Tx];
}

/// A block whose bytes alone have been checked, with what was found on the way.
pub struct Prepared<L: Ledger> {
    /// The header's id.
    pub id: BlockId,
    /// The block.
    pub block: L::Block,
    /// Transaction ids, senders, merkle results: proven once, used by every later stage.
    pub facts: L::Facts,
}

/// What executing a block gave.
pub struct Executed<L: Ledger> {
    /// All changes to the state.
    pub delta: Delta,
    /// What execution reported, for RPC and events.
    pub receipts: Arc<L::Receipts>,
}

impl<L: Ledger> Clone for Executed<L> {
    fn clone(&self) -> Self {
        Self { delta: self.delta.clone(), receipts: Arc::clone(&self.receipts) }
    }
}

/// The chain as it stands at one block: its headers and its state. Cheap to clone, never changes.
pub struct View<L: Ledger> {
    /// The branch up to the block.
    pub headers: Headers<L>,
    /// The state after the block.
    pub state: StateView,
}

impl<L: Ledger> Clone for View<L> {
    fn clone(&self) -> Self {
        Self { headers: self.headers.clone(), state: self.state.clone() }
    }
}

/// What a transaction does to the state, and what its bytes look like.
pub trait Ledger: Send + Sync + Sized + 'static {
    /// Written to disk and to the chain file; refused on mismatch.
    const NAME: &'static str;
    /// The native header.
    type Header: Header;
    /// The native transaction.
    type Tx: Transaction;
    /// The native block.
    type Block: Block<Header = Self::Header, Tx = Self::Tx>;
    /// What [`Ledger::prepare`] proves.
    type Facts: Send + Sync + 'static;
    /// What [`Ledger::execute`] reports; kept in the journal. The default is what genesis reports.
    type Receipts: Codec + Default + Send + Sync + 'static;
    /// A resident structure that follows deltas; [`NoIndex`] where headers carry no root.
    type Index: Index;
    /// Transactions that wait for a block.
    type Pool: Pool<Self>;

    /// The tables of the state; [`crate::TableId`] is the position in this list.
    fn tables(&self) -> &'static [TableSpec];

    /// The first block and what it does to the empty state.
    fn genesis(&self) -> (Self::Block, Delta);

    /// The ledger's own header fields; time, target and seal are the engine's. Nothing to check unless said otherwise.
    ///
    /// # Errors
    /// [`Reject::Invalid`].
    fn check_header(&self, _header: &Self::Header, _parent: &Headers<Self>) -> Result<(), Reject> {
        Ok(())
    }

    /// What bytes alone prove. Two bodies that both pass under one id are equal.
    ///
    /// # Errors
    /// [`Reject::Mutated`] when another body may belong to the same id, else [`Reject::Invalid`].
    fn prepare(&self, block: Self::Block) -> Result<Prepared<Self>, Reject>;

    /// What bytes and headers prove, without state. A body that passes may be stored. Nothing to check unless said
    /// otherwise.
    ///
    /// # Errors
    /// As [`Ledger::prepare`].
    fn check_body(&self, _block: &Prepared<Self>, _parent: &Headers<Self>) -> Result<(), Reject> {
        Ok(())
    }

    /// Applies the block to its parent's state. Checks that are slow and independent of each other go to `jobs`;
    /// the block is valid once they all pass.
    ///
    /// # Errors
    /// [`Reject::Invalid`], or [`Reject::Fault`] when reading the state failed.
    fn execute(
        &self,
        parent: &View<Self>,
        block: &Arc<Prepared<Self>>,
        jobs: &mut Jobs,
    ) -> Result<Executed<Self>, Reject>;

    /// A block on `parent` with the engine's attributes and the best of the pool; `execute` accepts it
    /// once it is sealed.
    ///
    /// # Errors
    /// [`Reject::Fault`], or [`Reject::Invalid`] when the attributes are unusable (an impossible payee).
    fn build(
        &self,
        parent: &View<Self>,
        on: &Attributes,
        pool: &Self::Pool,
    ) -> Result<(Self::Block, Executed<Self>), Reject>;

    /// Whether whoever runs the node may change the state by hand and go back to older blocks: on a development chain, which
    /// nobody else follows. See [`Command::Amend`](crate::Command::Amend).
    fn is_amendable(&self) -> bool {
        false
    }

    /// Who validates in an epoch, read from the ledger's own state. Chains without validators have none.
    ///
    /// # Errors
    /// A [`Fault`] of the disk.
    fn validators(&self, _at: &View<Self>, _epoch: Epoch) -> Result<ValidatorSet, Fault> {
        Ok(ValidatorSet::default())
    }

    /// Rows of a state that came from outside, whose root has been found right: whatever the root does not speak for has to follow
    /// from what it does (contract code from its hash, say). Without a check nobody may begin with such a state.
    ///
    /// # Errors
    /// [`Reject::Invalid`] with what does not follow, or [`Reject::Fault`] when reading the state failed.
    fn check_state(&self, _at: &View<Self>) -> Result<(), Reject> {
        Err(Reject::invalid("state-cannot-be-checked"))
    }

    /// How people write a 32-byte id of this ledger.
    fn show_id(bytes: &[u8; 32]) -> String {
        Hash(*bytes).to_string()
    }
}

/// A resident structure that only follows deltas: a Merkle trie. Rewinding is following the inverse.
///
/// There is one per chain. The driver loads it at start from the rows of the head, moves it to whatever block it needs a root
/// of, and asks for the root on any thread, one at a time. After `load`, and after any path of deltas and inverses that leads
/// to a state, `root` is that state's, whatever the path was.
pub trait Index: Sized + Send + 'static {
    /// The index of a state, read from its rows. Keeps nothing of the view.
    ///
    /// # Errors
    /// A [`Fault`] when the rows cannot be read or mean nothing.
    fn load(state: &StateView) -> Result<Self, Fault>;
    /// Takes one step.
    fn follow(&mut self, delta: &Delta);
    /// The root of the state stood at, if this kind of index has one.
    ///
    /// # Errors
    /// A [`Fault`] when a delta held rows that mean nothing: our own failure, which says nothing of any block.
    fn root(&mut self) -> Result<Option<Hash>, Fault>;
}

/// The index of ledgers whose headers carry no root.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoIndex;

impl Index for NoIndex {
    fn load(_: &StateView) -> Result<Self, Fault> {
        Ok(Self)
    }

    fn follow(&mut self, _: &Delta) {}

    fn root(&mut self) -> Result<Option<Hash>, Fault> {
        Ok(None)
    }
}
