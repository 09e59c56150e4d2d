//! Senders of a block, all at once.

use alloy_primitives::Address;

use crate::config::ChainConfig;
use crate::senders::SenderCache;
use crate::types::EvmTx;

/// From this many unknown senders on, recovering on several threads is worth starting them (40 µs each).
const PARALLEL_FROM: usize = 32;

/// On a development chain, takes impersonated accounts for the senders of transactions that nobody signed. Whoever asks a
/// transaction for its sender that came from outside or from the disk does this first.
pub fn assume_impersonated<'a>(config: &ChainConfig, transactions: impl IntoIterator<Item = &'a EvmTx>) {
    if !config.development {
        return;
    }
    for tx in transactions {
        if let Some(sender) = tx.impersonated() {
            tx.assume_sender(sender);
        }
    }
}

/// The senders of a block's transactions in their order: known, remembered, or recovered on several threads if there are
/// many. What is recovered here is not remembered: a block's transactions rarely come again.
///
/// # Errors
/// The position of the first transaction whose signature fits no key.
pub(super) fn recover_all(cache: &SenderCache, transactions: &[EvmTx]) -> Result<Vec<Address>, usize> {
    let unknown: Vec<&EvmTx> = transactions.iter().filter(|tx| !is_known(cache, tx)).collect();
    if unknown.len() >= PARALLEL_FROM {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for part in unknown.chunks(unknown.len().div_ceil(threads)) {
                scope.spawn(move || {
                    for tx in part {
                        // What is found stays with the transaction; a failure shows below.
                        let _ = tx.sender();
                    }
                });
            }
        });
    }
    let sender = |(position, tx): (usize, &EvmTx)| tx.sender().map_err(|_| position);
    transactions.iter().enumerate().map(sender).collect()
}

fn is_known(cache: &SenderCache, tx: &EvmTx) -> bool {
    if tx.known_sender().is_some() {
        return true;
    }
    let remembered = cache.get(&tx.hash());
    if let Some(sender) = remembered {
        tx.assume_sender(sender);
    }
    remembered.is_some()
}
