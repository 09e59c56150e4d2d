//! A chain that begins with a state: all headers up to a block, and the rows as they stood after it.
//!
//! ```text
//!   genesis ─ ○ ─ ○ ─ ○ ─ base ─ ● ─ ● ─► head          ○ header alone   ● header, body and delta, as in any chain
//!                          └ rows, root compared with the header
//! ```
//!
//! Headers are judged as if a peer had sent them: work, times and targets are proven. The state is proven by the root in the
//! header of the base. What lies below the base cannot be undone, nor told: nobody here knows what those blocks did.
//!
//! Invariants:
//! - nothing in the store can be opened as a chain before [`Foundation::finish`] has compared the root;
//! - the last step of the journal that leads to the base changes nothing, so that no step of rows is ever taken for its delta.

use std::sync::Arc;

use bytes::Bytes;

use crate::driver::Record;
use crate::{
    Block, BlockId, Codec, Consensus, Delta, Draft, Fault, Header, Headers, Height, Index, Ledger, Proof,
    Reason, Reject, StateView, Step, Store, TableId, Timeline, Timestamp, View,
};

/// A chain being founded in a new store.
pub struct Foundation<L: Ledger> {
    ledger: Arc<L>,
    consensus: Arc<dyn Consensus<L>>,
    store: Box<dyn Store>,
    headers: Headers<L>,
}

impl<L: Ledger> Foundation<L> {
    /// Begins with genesis.
    ///
    /// # Errors
    /// A [`Fault`] when the disk fails, or the store holds a chain already.
    pub fn begin(
        ledger: Arc<L>,
        consensus: Arc<dyn Consensus<L>>,
        mut store: Box<dyn Store>,
    ) -> Result<Self, Fault> {
        if store.head().is_some() {
            return Err(Fault::new("the store holds a chain already"));
        }
        let genesis = ledger.genesis().0;
        let header = genesis.header().clone();
        store.put_body(header.id(), Height::GENESIS, &genesis.to_bytes())?;
        let weight = consensus.weight(&header);
        Ok(Self { ledger, consensus, store, headers: Headers::genesis(header, weight) })
    }

    /// The branch so far.
    pub fn headers(&self) -> &Headers<L> {
        &self.headers
    }

    /// Appends the next header.
    ///
    /// # Errors
    /// What engine or ledger say of it, or a [`Fault`] of the disk.
    pub fn header(&mut self, header: L::Header, now: Timestamp) -> Result<(), Reject> {
        if header.parent() != self.headers.id() {
            return Err(Reject::MissingParent(header.parent()));
        }
        self.consensus.check_header(&header, &self.headers, now)?;
        self.ledger.check_header(&header, &self.headers)?;
        self.store.put_record(&Record::Header(Bytes::from(header.to_bytes())).encode())?;
        let weight = self.consensus.weight(&header);
        self.headers = self.headers.child(header, weight);
        Ok(())
    }

    /// Adds rows to the state after the last header; a few megabytes at once are fine. They are not compared with anything yet.
    ///
    /// # Errors
    /// [`Reject::Invalid`] when there is no such table, or a [`Fault`] of the disk.
    pub fn rows<'r>(
        &mut self,
        rows: impl Iterator<Item = (TableId, &'r [u8], &'r [u8])>,
    ) -> Result<(), Reject> {
        let state = self.state();
        let mut draft = Draft::new(&state);
        for (table, key, value) in rows {
            if usize::from(table.0) >= self.ledger.tables().len() {
                return Err(Reject::Invalid(Reason::with(
                    "bad-table",
                    format!("there is no table {}", table.0),
                )));
            }
            draft.create(table, key, value);
        }
        let delta = draft.finish();
        Ok(self.step(delta)?)
    }

    /// Compares the root of all rows with the header, has the ledger check what the root does not speak for, keeps the body and the proof of the base, and makes everything durable.
    ///
    /// # Errors
    /// [`Reject::Invalid`] when root, body or proof do not belong to the header, or a [`Fault`] of the disk.
    pub fn finish(mut self, base: L::Block, proof: Option<Proof>) -> Result<Headers<L>, Reject> {
        let at = self.headers.clone();
        let view = View { headers: at.clone(), state: self.state() };
        check_root::<L>(&view.state, &at)?;
        self.ledger.check_state(&view)?;
        let prepared = self.ledger.prepare(base)?;
        let parent = at.parent().ok_or_else(|| Reject::invalid("genesis-needs-no-snapshot"))?;
        if prepared.id != at.id() {
            return Err(Reject::Invalid(Reason::with("bad-body", "it belongs to another block")));
        }
        self.ledger.check_body(&prepared, &parent)?;
        self.store.put_body(at.id(), at.height(), &prepared.block.to_bytes())?;
        if let Some(proof) = proof {
            let validators = self.ledger.validators(&view, self.consensus.epoch(at.height()))?;
            self.consensus.check_proof(at.id(), at.height(), &proof, &validators)?;
            self.store.put_record(&Record::Finalized(at.id(), proof).encode())?;
        }
        self.store.put_record(&Record::Base(at.id()).encode())?;
        self.step(Delta::empty())?;
        self.store.sync()?;
        Ok(at)
    }

    fn state(&self) -> StateView {
        StateView::new(self.ledger.tables(), self.store.rows(), Timeline::new().pin())
    }

    fn step(&mut self, delta: Delta) -> Result<(), Fault> {
        let step = Step { from: BlockId::ZERO, to: self.headers.id(), delta, receipts: Bytes::new() };
        self.store.journal(core::slice::from_ref(&step))?;
        self.store.apply(&step);
        // There may be many rows, and they must not pile up in memory.
        if let Some(task) = self.store.maintenance() {
            task();
        }
        Ok(())
    }
}

fn check_root<L: Ledger>(state: &StateView, at: &Headers<L>) -> Result<(), Reject> {
    let Some(expected) = at.state_root() else {
        return Err(Reject::Invalid(Reason::with("no-state-root", "the header says nothing of the state")));
    };
    let got = L::Index::load(state)?.root()?;
    if got == Some(expected) {
        return Ok(());
    }
    let got = got.map_or_else(|| "none".to_owned(), |root| root.to_string());
    Err(Reject::Invalid(Reason::with("bad-state-root", format!("expected {expected}, got {got}"))))
}
