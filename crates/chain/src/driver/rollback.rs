//! Back to an ancestor of the head: its picture, and the steps that lead there.
//!
//! Every reorganisation of a real chain is short: the steps back and those of the replacement go to the journal together, all
//! or none. A way back that is longer than the [`Limits`](super::Limits) allow (an operator invalidates a block thousands
//! deep) is gone in pieces, so that memory and journal records stay bounded:
//!
//! ```text
//!   fork ◄─ piece ─ ○ ◄─ piece ─ ○ ◄─ piece ─ head         each ○ is journaled and published, then other messages have their turn
//! ```
//!
//! After a crash in between the head is at one of the ○, and the tree leads on from there as it would have.

use std::sync::Arc;

use bytes::Bytes;

use super::{Driver, Message};
use crate::{Delta, Fault, Headers, Ledger, Prepared, Step, Timestamp, View};

/// Blocks that leave or join the chain.
pub(super) type Bodies<L> = Vec<Arc<Prepared<L>>>;

impl<L: Ledger> Driver<L> {
    /// Moves the pipeline's base to an ancestor of the head. `false` if that is too far for once: then the head itself has come
    /// nearer, and the next message goes on.
    pub(super) fn go_back(&mut self, to: &Headers<L>, now: Timestamp) -> Result<bool, Fault> {
        let reached = self.reach(to)?;
        self.base = self.rewound(&reached)?;
        if reached.id() == to.id() {
            return Ok(true);
        }
        self.commit(0, &reached, now)?;
        self.unfinished = true;
        (self.parts.inbox)(Message::GoOn);
        Ok(false)
    }

    /// How near one piece comes to an ancestor of the head.
    pub(super) fn reach(&self, to: &Headers<L>) -> Result<Headers<L>, Fault> {
        let limits = self.parts.limits;
        let mut bytes = 0;
        let mut way = self.head.headers.down().take_while(|block| block.height() > to.height());
        for count in 0.. {
            let Some(block) = way.next() else { break };
            if count > 0 && (count >= limits.rollback_blocks_max || bytes >= limits.rollback_bytes_max) {
                return Ok(block);
            }
            bytes += self.delta_of(&block.id())?.memory();
            let body = self.published.bodies.body(&block.id()).ok().flatten();
            bytes += body.map_or(0, |body| body.len());
        }
        Ok(to.clone())
    }

    /// The view at an ancestor of the head that is within reach, as execution sees it.
    pub(super) fn rewound(&self, to: &Headers<L>) -> Result<View<L>, Fault> {
        let mut undo = Vec::new();
        for block in self.head.headers.down().take_while(|block| block.height() > to.height()) {
            undo.push(self.delta_of(&block.id())?.inverse());
        }
        let state = self.rows_view();
        let is_ordered = |table| state.is_ordered(table);
        let state = if undo.is_empty() { state } else { state.with_layer(Delta::merged(&undo, is_ordered)) };
        Ok(self.published.amended(View { headers: to.clone(), state }))
    }

    /// The steps from the head down to the pipeline's base, and the blocks they undo.
    pub(super) fn undo_steps(&self) -> Result<(Vec<Step>, Bodies<L>), Fault> {
        let mut steps = Vec::new();
        let mut left = Vec::new();
        for block in self.head.headers.down().take_while(|block| !self.base.headers.contains(block)) {
            let delta = self.delta_of(&block.id())?.inverse();
            steps.push(Step { from: block.id(), to: block.header_parent(), delta, receipts: Bytes::new() });
            // A body that cannot be read is fetched again; until then the pool misses its transactions.
            if let Ok(Some(body)) = self.published.read_block(&block.id())
                && let Ok(prepared) = self.parts.ledger.prepare(body)
            {
                left.push(Arc::new(prepared));
            }
        }
        Ok((steps, left))
    }

    pub(super) fn delta_of(&self, id: &crate::BlockId) -> Result<Delta, Fault> {
        let missing = || Fault::new(format!("the journal has no delta of block {}", L::show_id(&id.0)));
        // The state a chain begins with was imported, not made by its block.
        let made = self.published.bodies.connected(id)?.filter(|made| made.parent != crate::BlockId::ZERO);
        Ok(made.ok_or_else(missing)?.delta)
    }
}
