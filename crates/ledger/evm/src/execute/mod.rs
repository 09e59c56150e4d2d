//! Executing blocks, exactly, on every fork; building them; and calls that change nothing.
//!
//! ```text
//! parent's view ─ Overlay ─▶ Executor: begin ─ transact … ─ finish ─▶ delta, receipts ─ compared with the header
//!                              └ Machine: revm, and the rules it lacks
//! ```
//!
//! Invariants:
//! - what a header claims of execution (gas used, bloom, receipts, requests) is checked here; the state root is the
//!   driver's;
//! - a transaction that does not fit leaves no trace;
//! - a fault of the disk never becomes an invalid block.
//!
//! Start reading at [`Executor`].

mod block;
mod bound;
mod build;
mod call;
mod check;
mod env;
mod error;
mod machine;
mod precompiles;
mod requests;
mod rewards;
mod roots;

pub use block::{Executor, Finished, environment};
pub use bound::{Bound, IsOver};
pub use build::{BUILT_BYTES_MAX, Built, Candidates, build_block, complete_header};
pub use call::{AccountOverride, BlockOverride, call_rules, replay};
pub use check::{execute_block, receipts_root};
pub use env::{block_environment, machine_rules};
pub use error::TransactionError;
pub use machine::{Machine, MachineContext, Outcome};
pub use precompiles::{MoveError, MovedPrecompiles};
pub use requests::requests_hash;
pub use rewards::block_reward;
