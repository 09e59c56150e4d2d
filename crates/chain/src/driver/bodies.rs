//! Bodies that cannot be read any more: forgotten, so that another copy can take their place.
//!
//! ```text
//!   stored ─ unreadable ─►  on the chain:   stays where it is, listed in `Published::missing_bodies`  ─ import ─► stored
//!                           elsewhere:      its status is `Header` again, as before it came           ─ import ─► stored
//! ```
//!
//! What a block of the chain did is in the journal: undoing it needs no body, and nothing is executed again.
//!
//! Invariant: a block of `missing` is part of the chain, or in flight.

use std::sync::Arc;

use super::{Driver, Verdict};
use crate::{
    Block, BlockId, Codec, Fault, Header, Headers, Height, Imported, Ledger, Notice, Prepared, Reject,
    Timestamp,
};

impl<L: Ledger> Driver<L> {
    /// Looks again at bodies that some reader could not read.
    pub(super) fn look_at_suspects(&mut self, now: Timestamp) {
        let suspects = self.published.watched.take_suspects();
        if suspects.is_empty() {
            return;
        }
        for id in suspects {
            if let Err(fault) = self.lose_body(id) {
                self.note_fault(&fault);
            }
        }
        self.advance(now);
    }

    /// Forgets a stored body, if it really is unreadable.
    pub(super) fn lose_body(&mut self, id: BlockId) -> Result<(), Fault> {
        let Some(block) = self.published.headers(&id) else { return Ok(()) };
        if matches!(self.parts.store.bodies().body(&id), Ok(Some(_))) {
            return Ok(());
        }
        self.parts.store.forget_body(&id)?;
        if let Some(bytes) = self.own_copy(&block) {
            return self.parts.store.put_body(id, block.height(), &bytes);
        }
        if self.stands(&block) {
            self.published.missing.write().insert((block.height(), id));
        } else {
            self.published.tree.write().body_lost(id);
        }
        self.published.notify(Notice::BodyMissing(id, block.height()));
        Ok(())
    }

    /// The encoded block, where memory has it.
    fn own_copy(&self, block: &Headers<L>) -> Option<Vec<u8>> {
        if block.height() == Height::GENESIS {
            return Some(self.parts.ledger.genesis().0.to_bytes());
        }
        self.prepared.get(&block.id()).map(|(_, prepared)| prepared.block.to_bytes())
    }

    /// Whether the block is part of the chain, or in flight: what it did is known.
    fn stands(&self, block: &Headers<L>) -> bool {
        self.head.headers.contains(block) || self.tip().headers.contains(block)
    }

    /// Takes the body of a block of the chain a second time.
    pub(super) fn restore_body(
        &mut self,
        result: Result<Arc<Prepared<L>>, Reject>,
        reply: Verdict<Imported>,
    ) {
        let restored = result.and_then(|prepared| {
            let block = self.known(prepared.block.header().id())?;
            if let Some(parent) = block.parent() {
                self.parts.ledger.check_body(&prepared, &parent)?;
            }
            self.parts.store.put_body(block.id(), block.height(), &prepared.block.to_bytes())?;
            self.published.missing.write().remove(&(block.height(), block.id()));
            Ok(Imported::Valid)
        });
        drop(reply.send(restored));
    }

    /// Missing bodies of blocks that have left the chain are wanted like those of any other block.
    pub(super) fn release_missing(&mut self) {
        let missing: Vec<_> = self.published.missing.read().iter().copied().collect();
        for (height, id) in missing {
            if self.published.headers(&id).is_some_and(|block| !self.stands(&block)) {
                self.published.missing.write().remove(&(height, id));
                self.published.tree.write().body_lost(id);
            }
        }
    }
}
