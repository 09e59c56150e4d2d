//! Contract code that was analysed before.
//!
//! Finding the jump targets of 24 KiB of code costs more than a whole transfer, so what has been analysed is kept for all
//! blocks and calls of the process. Code is named by its hash, so nothing here can be stale.

use std::sync::Arc;

use alloy_primitives::B256;
use alloy_primitives::map::B256Map;
use parking_lot::Mutex;
use revm::bytecode::Bytecode;

/// How many bytes of code each of the two generations holds.
const GENERATION_BYTES: usize = 16 << 20;

/// Analysed code by hash, bounded. Cheap to clone; clones share what they hold.
#[derive(Clone, Default)]
pub struct CodeCache(Arc<Mutex<Generations>>);

/// What has not been asked for since the last turn is dropped at the next.
#[derive(Default)]
struct Generations {
    young: B256Map<Bytecode>,
    old: B256Map<Bytecode>,
    young_bytes: usize,
}

impl Generations {
    fn insert(&mut self, hash: B256, code: Bytecode) {
        if self.young_bytes > GENERATION_BYTES {
            self.old = core::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += code.len();
        self.young.insert(hash, code);
    }
}

impl CodeCache {
    /// The code with this hash, if it is at hand.
    pub fn get(&self, hash: &B256) -> Option<Bytecode> {
        let mut generations = self.0.lock();
        if let Some(code) = generations.young.get(hash) {
            return Some(code.clone());
        }
        let code = generations.old.remove(hash)?;
        generations.insert(*hash, code.clone());
        Some(code)
    }

    /// Keeps a piece of code.
    pub fn insert(&self, hash: B256, code: Bytecode) {
        self.0.lock().insert(hash, code);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_asks_for_is_dropped() {
        let cache = CodeCache::default();
        let code = Bytecode::new_legacy(vec![0; GENERATION_BYTES + 1].into());
        let hash = B256::repeat_byte;
        (1..=3).for_each(|byte| cache.insert(hash(byte), code.clone()));
        assert!(cache.get(&hash(1)).is_none(), "two generations ago");
        assert!(cache.get(&hash(2)).is_some() && cache.get(&hash(3)).is_some());
    }
}
