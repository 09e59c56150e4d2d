//! Operating Ethereum's ledger: real processes of `chainwright`, real sockets, real files.
//!
//! Start reading at [`reorganisation`].
#![expect(clippy::print_stderr, reason = "what was measured must be seen, and so must a seed")]

mod account;
mod accounts;
mod chance;
mod gate;
mod hostile;
mod kill;
mod reorganisation;
mod snapshot;
mod socket;
