//! Senders recovered once: from RPC or a peer to the block.
//!
//! Recovering a sender is most of what a transfer costs (about 40 µs). A transaction that waited in the pool comes again in a
//! block, as other bytes in memory with the same hash. The hash covers every byte, the signature too, so what was found for
//! it once stays true.

use alloy_primitives::map::B256Map;
use alloy_primitives::{Address, B256};
use parking_lot::Mutex;

/// Locks, so that threads that prepare blocks do not wait for each other.
const SHARDS: usize = 16;
/// Senders of one shard and generation: with both full about 20 MB in all.
const GENERATION_MAX: usize = 8192;

/// Senders by transaction hash; bounded, what was not used for long goes first.
pub struct SenderCache(Box<[Mutex<Generations>]>);

/// When `young` is full it becomes `old`, and what was old goes.
#[derive(Default)]
struct Generations {
    young: B256Map<Address>,
    old: B256Map<Address>,
}

impl Default for SenderCache {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }
}

impl core::fmt::Debug for SenderCache {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SenderCache")
    }
}

impl SenderCache {
    fn shard(&self, hash: &B256) -> &Mutex<Generations> {
        &self.0[usize::from(hash[0]) % SHARDS]
    }

    /// The sender of a transaction, if it was found before.
    pub fn get(&self, hash: &B256) -> Option<Address> {
        let shard = self.shard(hash).lock();
        shard.young.get(hash).or_else(|| shard.old.get(hash)).copied()
    }

    /// Remembers who sent a transaction.
    pub fn insert(&self, hash: B256, sender: Address) {
        let mut shard = self.shard(&hash).lock();
        if shard.young.len() >= GENERATION_MAX {
            shard.old = core::mem::take(&mut shard.young);
        }
        shard.young.insert(hash, sender);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes of one shard.
    fn hash(number: u64) -> B256 {
        let mut hash = alloy_primitives::keccak256(number.to_be_bytes());
        hash[0] = 0;
        hash
    }

    #[test]
    fn the_latest_senders_are_known_and_there_are_never_too_many() {
        let cache = SenderCache::default();
        let count = (GENERATION_MAX * 3) as u64;
        for number in 0..count {
            cache.insert(hash(number), Address::left_padding_from(&number.to_be_bytes()));
        }
        for number in count - GENERATION_MAX as u64..count {
            let expected = Address::left_padding_from(&number.to_be_bytes());
            assert_eq!(cache.get(&hash(number)), Some(expected));
        }
        assert_eq!(cache.get(&hash(0)), None);
        let shard = cache.0[0].lock();
        let held = shard.young.len() + shard.old.len();
        assert!(held <= 2 * GENERATION_MAX, "{held}");
    }
}
