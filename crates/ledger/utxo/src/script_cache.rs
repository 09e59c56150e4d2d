//! Which transactions' scripts have been seen to hold, so that a block does not run again what the pool ran.
//!
//! Keys are a transaction's id with witnesses and the rules it was held to. That id commits to the outputs spent
//! (through the ids of the transactions that made them), so the answer can never change (Bitcoin Core
//! `m_script_execution_cache`). Two generations: when the young one is full the old one is forgotten.

use hashbrown::HashSet;
use parking_lot::Mutex;

use crate::hash::Wtxid;
use crate::script::Flags;

/// Entries of one generation; at 36 bytes each both stay below 16 MiB.
const GENERATION_SIZE: usize = 150_000;

/// Transactions whose scripts hold.
#[derive(Default)]
pub(crate) struct ScriptCache {
    generations: Mutex<[HashSet<(Wtxid, Flags), foldhash::fast::RandomState>; 2]>,
}

impl ScriptCache {
    /// Whether all scripts of this transaction are known to hold under these rules.
    pub(crate) fn contains(&self, wtxid: Wtxid, flags: Flags) -> bool {
        let key = (wtxid, flags);
        self.generations.lock().iter().any(|generation| generation.contains(&key))
    }

    /// Remembers that they do.
    pub(crate) fn insert(&self, wtxid: Wtxid, flags: Flags) {
        let mut generations = self.generations.lock();
        if generations[0].len() >= GENERATION_SIZE {
            generations.swap(0, 1);
            generations[0].clear();
        }
        generations[0].insert((wtxid, flags));
    }
}

#[cfg(test)]
mod tests {
    use super::{GENERATION_SIZE, ScriptCache};
    use crate::hash::Wtxid;
    use crate::script::Flags;

    fn wtxid(number: usize) -> Wtxid {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&(number as u64).to_le_bytes());
        Wtxid(bytes)
    }

    #[test]
    fn a_transaction_is_known_under_the_rules_it_was_held_to() {
        let cache = ScriptCache::default();
        cache.insert(wtxid(1), Flags::MANDATORY);
        assert!(cache.contains(wtxid(1), Flags::MANDATORY));
        assert!(!cache.contains(wtxid(1), Flags::NONE) && !cache.contains(wtxid(2), Flags::MANDATORY));
    }

    #[test]
    fn the_oldest_are_forgotten_and_the_size_is_bounded() {
        let cache = ScriptCache::default();
        for number in 0..=2 * GENERATION_SIZE {
            cache.insert(wtxid(number), Flags::NONE);
        }
        assert!(!cache.contains(wtxid(0), Flags::NONE));
        assert!(cache.contains(wtxid(GENERATION_SIZE), Flags::NONE));
        assert!(cache.contains(wtxid(2 * GENERATION_SIZE), Flags::NONE));
    }
}
