//! Bitcoin Core's engine (`bitcoinkernel`) as a judge of our rules and as an opponent in benchmarks.
//!
//! [`Engine`] is a chain of its own: blocks go in as bytes, verdicts come out, with Core's class and Core's words. The
//! comparisons are in `tests/`; `chainwright-oracle-kernel-import` is the opponent.
//!
//! Invariant: nothing of the product depends on this package.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bitcoinkernel::notifications::types::BlockValidationStateExt as _;
use bitcoinkernel::prelude::*;
use bitcoinkernel::{
    Block, BlockHeader, BlockValidationResult, BlockValidationStateRef, ChainType, ChainstateManager,
    Context, KernelError, Log, Logger, ProcessBlockHeaderResult, ProcessBlockResult, ValidationMode,
};

/// What the engine says of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every rule holds, and the block is the tip.
    Connected,
    /// Nothing was found wrong yet: kept without being connected, because it does not lead.
    Stored,
    /// Seen before.
    Known,
    /// The bytes are no block.
    Undecodable,
    /// A rule is broken.
    Refused(BlockValidationResult, String),
}

/// Bitcoin Core's validation of one regtest chain.
///
/// One engine at a time in a process: the library has one log for all of them, and that is where the words come from.
pub struct Engine {
    // Dropped in this order: the chain before what it reports to.
    manager: ChainstateManager,
    _context: Context,
    _logger: Option<Logger>,
    heard: Arc<Mutex<Heard>>,
}

/// What the library has told since the last question.
#[derive(Default)]
struct Heard {
    checked: Option<(ValidationMode, BlockValidationResult)>,
    words: String,
}

struct Listener(Arc<Mutex<Heard>>);

/// A panic elsewhere leaves whole values behind: each is set in one go.
fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Log for Listener {
    fn log(&self, message: &str) {
        if let Some(words) = reject_words(message) {
            words.clone_into(&mut lock(&self.0).words);
        }
    }
}

/// The text of a validation state in one of Core's lines: `AcceptBlock FAILED (…)` or `ConnectBlock … failed, …`.
fn reject_words(line: &str) -> Option<&str> {
    let line = line.trim_end();
    if let Some((_, rest)) = line.split_once("AcceptBlock FAILED (") {
        return rest.strip_suffix(')');
    }
    let (_, rest) = line.split_once("ConnectBlock ")?;
    rest.split_once(" failed, ").map(|(_, words)| words)
}

impl Engine {
    /// Opens or continues a regtest chain in a folder. `threads` check scripts beside the calling one; with none, the
    /// first failing input of a block is always the one reported. `listen` says whether words are wanted.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub fn regtest(folder: &Path, threads: i32, listen: bool) -> Result<Self, KernelError> {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let logger = if listen { Some(Logger::new(Listener(Arc::clone(&heard)))?) } else { None };
        let told = Arc::clone(&heard);
        let context = Context::builder()
            .chain_type(ChainType::Regtest)
            .with_block_checked_validation(move |_: Block, state: BlockValidationStateRef<'_>| {
                lock(&told).checked = Some((state.mode(), state.result()));
            })
            .build()?;
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let manager = ChainstateManager::builder(&context, &path("data"), &path("blocks"))?
            .worker_threads(threads)
            .build()?;
        // Makes the genesis block the tip.
        manager.import_blocks()?;
        Ok(Self { manager, _context: context, _logger: logger, heard })
    }

    /// Validates a block and, if it leads, connects it.
    pub fn process(&self, bytes: &[u8]) -> Verdict {
        let Ok(block) = Block::new(bytes) else { return Verdict::Undecodable };
        *lock(&self.heard) = Heard::default();
        let result = self.manager.process_block(&block);
        let heard = std::mem::take(&mut *lock(&self.heard));
        match (heard.checked, result) {
            (Some((ValidationMode::Valid, _)), _) => Verdict::Connected,
            (Some((_, result)), _) => Verdict::Refused(result, heard.words),
            (None, ProcessBlockResult::NewBlock) => Verdict::Stored,
            (None, ProcessBlockResult::Duplicate) => Verdict::Known,
            (None, ProcessBlockResult::Rejected) => {
                Verdict::Refused(BlockValidationResult::Unset, heard.words)
            }
        }
    }

    /// Validates a header and keeps it if it is good; otherwise why not.
    ///
    /// # Errors
    /// A failure inside the library.
    pub fn process_header(&self, bytes: &[u8; 80]) -> Result<Option<BlockValidationResult>, KernelError> {
        Ok(match self.manager.process_block_header(&BlockHeader::new(bytes)?)? {
            ProcessBlockHeaderResult::Valid => None,
            ProcessBlockHeaderResult::Invalid(state) => Some(state.result()),
        })
    }

    /// Height and id of the tip, the id's bytes in the order they are hashed.
    pub fn tip(&self) -> (i32, [u8; 32]) {
        let tip = self.manager.active_chain().tip();
        (tip.height(), tip.block_hash().to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::reject_words;

    #[test]
    fn words_are_found_in_the_engines_log() {
        let line =
            "2024 [error] ProcessNewBlock: AcceptBlock FAILED (bad-cb-missing, first tx is not coinbase)\n";
        assert_eq!(reject_words(line), Some("bad-cb-missing, first tx is not coinbase"));
        let line = "[error] ConnectTip: ConnectBlock 00ff failed, bad-cb-amount, coinbase pays too much\n";
        assert_eq!(reject_words(line), Some("bad-cb-amount, coinbase pays too much"));
        assert_eq!(reject_words("UpdateTip: new best=00ff"), None);
    }
}
