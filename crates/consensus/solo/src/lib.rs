//! One key seals: the engine of development chains and of a sequencer.
//!
//! Headers carry no seal. A signature travels beside the block ([`Proof`](chainwright_chain::Proof)); the block it names is
//! final. Weights are zero, so nothing but a proof ever moves the head.
//!
//! ```text
//! sealer    attributes → build → import (stored) → sign → finalize
//! followers header and body from peers → finalize with the proof that came along
//! ```
//!
//! Start reading at [`Solo`].
//!
//! Invariant: the secret key is given at start, never written and never printed.

mod controls;
mod engine;
mod key;
mod sealer;

pub use controls::{Batch, BlockTime, Controls};
pub use engine::Solo;
pub use key::{KeyError, SealingKey, VerifyingKey};
pub use sealer::{SealNow, Sealing};
