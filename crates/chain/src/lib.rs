//! The seam between consensus and ledger, and the driver that joins them.
//!
//! Consensus never executes. Ledgers never choose. One driver does both, and whoever embeds it owns all I/O: time,
//! threads, disk and network are arguments.
//!
//! Start reading at [`Ledger`], [`Consensus`], then [`Driver`].
//!
//! Invariant: this crate does no I/O, reads no clock, knows no JSON and no particular chain.

mod amend;
mod codec;
mod consensus;
mod driver;
mod foundation;
mod handle;
mod headers;
mod jobs;
mod ledger;
mod past;
mod pool;
mod primitives;
mod published;
mod state;
mod store;
mod tree;
mod verdict;
mod watched;

pub use amend::Amendment;
pub use codec::Codec;
pub use consensus::{Attributes, BoxFuture, Consensus, Proof, Seat, ValidatorSet};
pub use driver::{Driver, Limits, Message, Parts, Syncing};
pub use foundation::Foundation;
pub use handle::{
    Candidate, ChainHandle, Clock, Command, HeadersImported, Imported, Inbox, PoolChange, Reply,
};
pub use headers::Headers;
pub use jobs::{Inline, Job, Jobs, Task, Workers};
pub use ledger::{Block, Executed, Header, Index, Ledger, NoIndex, Prepared, Transaction, View, Work};
pub use past::PastError;
pub use pool::{Admission, HeadChange, Pool, PoolContext};
pub use primitives::{BlockId, CompactTarget, Epoch, Hash, Height, Timestamp, TxId, U256, Weight};
pub use published::{Cursor, Event, EventBlock, Notice, Published};
pub use state::{
    Change, Delta, Draft, Pin, Row, Rows, StateView, TableId, TableKind, TableSpec, Timeline, Value, Visit,
    table,
};
pub use store::{Bodies, Connected, Step, Store, SyncTask};
pub use tree::{BlockInfo, Status};
pub use verdict::{DecodeError, Fault, Reason, Refusal, Reject};
