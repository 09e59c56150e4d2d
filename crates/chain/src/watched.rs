//! Stored bodies, watched: whichever thread meets one that cannot be read, the driver hears of it and has it fetched again.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{BlockId, Bodies, Connected, Fault};

/// The store's bodies as readers get them.
pub(crate) struct Watched {
    stored: Arc<dyn Bodies>,
    /// Blocks whose bodies could not be read since the driver last looked.
    suspects: Mutex<Vec<BlockId>>,
}

impl Watched {
    pub(crate) fn new(stored: Arc<dyn Bodies>) -> Self {
        Self { stored, suspects: Mutex::default() }
    }

    pub(crate) fn take_suspects(&self) -> Vec<BlockId> {
        core::mem::take(&mut *self.suspects.lock())
    }
}

impl Bodies for Watched {
    fn body(&self, id: &BlockId) -> Result<Option<Bytes>, Fault> {
        let body = self.stored.body(id);
        if body.is_err() {
            let mut suspects = self.suspects.lock();
            if !suspects.contains(id) {
                suspects.push(*id);
            }
        }
        body
    }

    fn has_body(&self, id: &BlockId) -> bool {
        self.stored.has_body(id)
    }

    fn connected(&self, id: &BlockId) -> Result<Option<Connected>, Fault> {
        self.stored.connected(id)
    }

    fn receipts(&self, id: &BlockId) -> Result<Option<Bytes>, Fault> {
        self.stored.receipts(id)
    }
}
