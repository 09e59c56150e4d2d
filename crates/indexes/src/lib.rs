//! Indexes that follow a chain and can be made anew from it: where a transaction stands, which blocks carry a tag, and what a row
//! was before a block changed it.
//!
//! ```text
//!   Published::events ─► Follower ─► one atomic batch: entries + cursor ─► fjall
//!                                                                            │ snapshot
//!   items    id                        → height, position                    ▼
//!   tags     hash of tag │ 2,048 blocks → which of them carry it        find, search, view
//!   history  table │ key │ height       → the value before that block
//! ```
//!
//! Each index has a cursor of its own ([`chainwright_chain::Cursor`]), so one that is switched on later catches up alone.
//! Nothing here is needed to know what the chain is: who finds an index damaged throws it away and has it built again.
//!
//! Invariants:
//! - entries and the cursor that speaks for them are written together or not at all, so whenever the process dies, events
//!   from the cursor on make the index whole;
//! - an answer names the block up to which the index speaks ([`Found::upto`], [`Search::upto`]); whatever lies above is asked
//!   of the chain, never guessed;
//! - no word of any particular chain: a ledger says which tags a block carries ([`Tags`]);
//! - no clock.
//!
//! Start reading at [`Indexes`], then `follower`.

mod database;
mod follower;
mod generations;
mod history;
mod indexes;
mod key;
mod postings;
mod thread;

pub use history::HistoryRows;
pub use indexes::{Found, IndexError, Indexes, Kind, Options, Search, States, Tags};
pub use thread::{Follower, Tell};
