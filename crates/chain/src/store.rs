//! What the driver asks of a disk. Implemented by `chainwright-store`; this crate does no I/O.
//!
//! Write order, and what a crash may leave: bodies → records → journal → rows. The driver repairs at start what a power
//! cut tore apart (a journal whose newest block lost its body or header is stepped back).

use std::sync::Arc;

use bytes::Bytes;

use crate::{BlockId, Delta, Fault, Height, Rows, Task};

/// One move of the head by one block, forth or back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The head before.
    pub from: BlockId,
    /// The head after: a child of `from`, or its parent when a block is undone.
    pub to: BlockId,
    /// What it does to the state (an inverse when a block is undone).
    pub delta: Delta,
    /// Encoded receipts of the block connected; empty when a block is undone.
    pub receipts: Bytes,
}

/// What a store remembers of a connected block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connected {
    /// The block it was connected to.
    pub parent: BlockId,
    /// What the block did to the state.
    pub delta: Delta,
    /// Encoded receipts.
    pub receipts: Bytes,
}

/// Reads that any thread may do at any time.
pub trait Bodies: Send + Sync {
    /// The encoded block, if it is stored.
    ///
    /// # Errors
    /// A [`Fault`] when the disk fails or the bytes are damaged.
    fn body(&self, id: &BlockId) -> Result<Option<Bytes>, Fault>;

    /// Whether the block is stored.
    fn has_body(&self, id: &BlockId) -> bool;

    /// What the block did when it was last connected; `None` if it never was or the journal no longer holds it.
    ///
    /// # Errors
    /// As [`Bodies::body`].
    fn connected(&self, id: &BlockId) -> Result<Option<Connected>, Fault>;

    /// The receipts of [`Bodies::connected`] alone.
    ///
    /// # Errors
    /// As [`Bodies::body`].
    fn receipts(&self, id: &BlockId) -> Result<Option<Bytes>, Fault> {
        Ok(self.connected(id)?.map(|connected| connected.receipts))
    }
}

/// A sync that may run on another thread.
pub type SyncTask = Box<dyn FnOnce() -> Result<(), Fault> + Send>;

/// A disk with one writer, the driver.
///
/// Except where said otherwise, what a call wrote has reached the operating system when it returns (it survives the
/// death of the process); [`Store::sync`] makes it survive a power cut.
pub trait Store: Send + 'static {
    /// The newest rows, for readers on any thread.
    fn rows(&self) -> Arc<dyn Rows>;

    /// Bodies and deltas, for readers on any thread.
    fn bodies(&self) -> Arc<dyn Bodies>;

    /// The block the rows stand at; `None` in a new store.
    fn head(&self) -> Option<BlockId>;

    /// All records in the order they were put.
    ///
    /// # Errors
    /// A [`Fault`] when the disk fails or a record is damaged.
    fn records(&self) -> Result<Vec<Bytes>, Fault>;

    /// Keeps a small record of the block tree (a header, a verdict, a proof) whose meaning is the driver's.
    ///
    /// # Errors
    /// A [`Fault`]; then nothing was written.
    fn put_record(&mut self, record: &[u8]) -> Result<(), Fault>;

    /// Keeps an encoded block.
    ///
    /// # Errors
    /// A [`Fault`]; then nothing was written.
    fn put_body(&mut self, id: BlockId, height: Height, bytes: &[u8]) -> Result<(), Fault>;

    /// Forgets a body that cannot be read any more, so that another copy of it is kept when it comes. A restart may find the
    /// old one again.
    ///
    /// # Errors
    /// A [`Fault`], also in a store that cannot forget.
    fn forget_body(&mut self, id: &BlockId) -> Result<(), Fault> {
        let _ = id;
        Err(Fault::new("a stored block is damaged, and this store cannot replace it"))
    }

    /// Writes steps to the journal, all or none. The first step of a new store goes from [`BlockId::ZERO`] to genesis.
    /// May take as long as a flush when rows have changed faster than [`Store::maintenance`] could bring them to disk.
    ///
    /// # Errors
    /// A [`Fault`]; then nothing was written.
    fn journal(&mut self, steps: &[Step]) -> Result<(), Fault>;

    /// Moves the rows by a step that is in the journal. Memory only.
    fn apply(&mut self, step: &Step);

    /// Flushing or compaction that is due, to be run on another thread.
    fn maintenance(&mut self) -> Option<Task>;

    /// Everything written so far survives a power cut when this returns.
    ///
    /// # Errors
    /// A [`Fault`] of the disk, an earlier background failure included.
    fn sync(&mut self) -> Result<(), Fault>;

    /// A [`Store::sync`] of everything written before this call, beside the writer; `None` in a store that only syncs at once.
    fn sync_task(&mut self) -> Option<SyncTask> {
        None
    }
}
