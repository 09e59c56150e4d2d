//! The fork id (EIP-2124, EIP-6122): a checksum of a genesis block and the forks since.

use alloy_eips::eip2124::ForkHash;
use alloy_primitives::B256;
use chainwright_chain::Height;

use super::{ChainConfig, Fork};

/// `FORK_HASH` of a chain whose head has this number and time, given the hash and time of its genesis block.
pub fn fork_hash(config: &ChainConfig, genesis: (B256, u64), head: (Height, u64)) -> [u8; 4] {
    let (genesis_hash, genesis_time) = genesis;
    let (number, time) = (u64::from(head.0.0), head.1);
    let mut hash = ForkHash::from(genesis_hash);
    let passed = |activations: Vec<u64>, now: u64| activations.into_iter().filter(move |at| *at <= now);
    passed(config.fork_blocks(), number).for_each(|at| hash += at);
    passed(config.fork_times(genesis_time), time).for_each(|at| hash += at);
    hash.0
}

impl ChainConfig {
    /// Block numbers above zero at which rules change, ascending, each once.
    pub fn fork_blocks(&self) -> Vec<u64> {
        let scheduled = Fork::ALL.into_iter().filter(|fork| !fork.is_timed());
        let mut blocks: Vec<u64> = scheduled.filter_map(|fork| self.forks.get(fork)).collect();
        blocks.extend(self.dao.map(|dao| dao.block));
        blocks.extend(self.merge_netsplit);
        sorted(blocks, 0)
    }

    /// Times after genesis at which rules change, ascending, each once.
    pub fn fork_times(&self, genesis_time: u64) -> Vec<u64> {
        let scheduled = Fork::ALL.into_iter().filter(|fork| fork.is_timed());
        sorted(scheduled.filter_map(|fork| self.forks.get(fork)).collect(), genesis_time)
    }
}

fn sorted(mut activations: Vec<u64>, after: u64) -> Vec<u64> {
    activations.retain(|at| *at > after);
    activations.sort_unstable();
    activations.dedup();
    activations
}
