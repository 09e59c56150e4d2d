//! What the laws have to know of one engine on one ledger.

use std::sync::Arc;

use chainwright_chain::{Consensus, Headers, Ledger, Proof, Timestamp, View};
use chainwright_network::Parameters;

use crate::Random;

/// How the head is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The heaviest branch leads; every node may write blocks.
    Weight,
    /// One node writes and says what is final.
    Proof,
}

/// An engine on a ledger, with everything a simulation needs to make blocks and transactions.
pub trait Cell: Sized + Send + Sync + 'static {
    /// The ledger.
    type Ledger: Ledger;
    /// The state as a naive program would keep it.
    type Model: Model<Self::Ledger>;

    /// As in `--cell`.
    const NAME: &'static str;
    /// How the head is chosen.
    const CHOICE: Choice;

    /// Transactions of one family (dependent on each other, directly or not) that its pool holds at most; beyond that some have to
    /// go when a reorganisation brings them back.
    const FAMILY_MAX: usize = usize::MAX;

    /// The cell with its keys, which may follow from the seed.
    fn new(seed: u64) -> Self;

    /// A fresh ledger: one for each life of each node, so that nothing is shared by accident.
    fn ledger(&self) -> Arc<Self::Ledger>;

    /// A fresh engine.
    fn consensus(&self) -> Arc<dyn Consensus<Self::Ledger>>;

    /// The proof that makes a block final, for cells of [`Choice::Proof`].
    fn prove(&self, _block: &Headers<Self::Ledger>) -> Option<Proof> {
        None
    }

    /// Whom a node's blocks pay, in the ledger's own form.
    fn payee(&self, node: usize) -> Vec<u8>;

    /// The wire.
    fn network(&self) -> Parameters<Self::Ledger>;

    /// The state after genesis.
    fn model(&self) -> Self::Model;

    /// Up to `count` transactions that the model admits one after another, and now and then one that conflicts.
    fn transactions(
        &self,
        model: &Self::Model,
        count: usize,
        random: &mut Random,
    ) -> Vec<<Self::Ledger as Ledger>::Tx>;

    /// The same id with other bytes; must be refused as mutated.
    fn mutate(
        &self,
        block: &<Self::Ledger as Ledger>::Block,
        random: &mut Random,
    ) -> Option<<Self::Ledger as Ledger>::Block>;

    /// A block that breaks a rule of the state: it does something twice that can be done once. Not sealed yet.
    fn corrupt(
        &self,
        block: &<Self::Ledger as Ledger>::Block,
        model: &Self::Model,
    ) -> Option<<Self::Ledger as Ledger>::Block>;

    /// A header that claims another time. Not sealed.
    fn set_time(&self, block: &mut <Self::Ledger as Ledger>::Block, time: Timestamp);
}

/// The state of one ledger as the most naive program would keep it: a map, cloned for every block.
pub trait Model<L: Ledger>: Clone + Send + 'static {
    /// Applies a block, checking what must never happen: a double spend, money from nothing.
    ///
    /// # Errors
    /// What went wrong.
    fn apply(&mut self, block: &L::Block) -> Result<(), String>;

    /// Whether a transaction could follow on this state, fees and policy aside.
    fn admits(&self, tx: &L::Tx) -> bool;

    /// Applies a transaction that is not in a block yet.
    fn apply_loose(&mut self, tx: &L::Tx);

    /// Whether one transaction uses what the other made.
    fn depends(&self, tx: &L::Tx, on: &L::Tx) -> bool;

    /// Whether a transaction can be disconnected and come back (a coinbase cannot).
    fn is_reusable(&self, tx: &L::Tx) -> bool;

    /// Compares every row.
    ///
    /// # Errors
    /// The first difference.
    fn compare(&self, view: &View<L>) -> Result<(), String>;
}
