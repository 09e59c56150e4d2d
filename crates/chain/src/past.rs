//! The chain as it stood at an older block, for readers: the head's picture with deltas taken back.

use crate::{Delta, Fault, Headers, Height, Ledger, Published, View};

/// Why there is no picture of a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PastError {
    /// The block is not part of the published chain.
    #[error("the block is not part of the chain")]
    NotInChain,
    /// The block lies further back than the caller wants to go.
    #[error("state at height {asked} is not available; the oldest is at height {oldest}")]
    TooOld {
        /// The height asked for.
        asked: Height,
        /// The lowest height that would have been answered.
        oldest: Height,
    },
    /// The disk failed, or the journal no longer holds a delta on the way.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl<L: Ledger> Published<L> {
    /// The chain as it stood at a block of it, at most `blocks_max` below the head. Costs a pass over all changes since that
    /// block, in time and in memory as long as the view lives; the head itself costs nothing.
    ///
    /// # Errors
    /// [`PastError`].
    pub fn view(&self, at: &Headers<L>, blocks_max: u32) -> Result<View<L>, PastError> {
        self.sealed_view(at, blocks_max).map(|view| self.amended(view))
    }

    /// The same without what was changed by hand there: the state that the block's header commits to.
    ///
    /// # Errors
    /// [`PastError`].
    pub fn sealed_view(&self, at: &Headers<L>, blocks_max: u32) -> Result<View<L>, PastError> {
        let head = self.sealed_head();
        if !head.headers.contains(at) {
            return Err(PastError::NotInChain);
        }
        let top = head.headers.height();
        if top.above(at.height()) > blocks_max {
            let oldest = Height(top.0.saturating_sub(blocks_max));
            return Err(PastError::TooOld { asked: at.height(), oldest });
        }
        let base = self.base().height();
        if at.height() < base {
            return Err(PastError::TooOld { asked: at.height(), oldest: base });
        }
        let mut undo = Vec::new();
        for block in head.headers.down().take_while(|block| block.height() > at.height()) {
            let missing =
                || Fault::new(format!("the journal has no delta of block {}", L::show_id(&block.id().0)));
            undo.push(self.bodies().connected(&block.id())?.ok_or_else(missing)?.delta.inverse());
        }
        if undo.is_empty() {
            return Ok(head);
        }
        let layer = Delta::merged(&undo, |table| head.state.is_ordered(table));
        Ok(View { headers: at.clone(), state: head.state.with_layer(layer) })
    }
}
