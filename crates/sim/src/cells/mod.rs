//! The cells this project ships, as the laws see them.

mod names;
mod utxo;
mod utxo_model;

pub use names::{NamesModel, NamesOnPow, NamesOnSolo};
pub use utxo::{UtxoOnPow, UtxoOnSolo};
pub use utxo_model::UtxoModel;
