//! Blocks on the known chain that break rules which are otherwise taken to have held since genesis.

use crate::hash::BlockHash;
use crate::script::Flags;

/// A block whose scripts are held to fewer rules (Bitcoin Core `script_flag_exceptions`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptFlagException {
    /// The block.
    pub block: BlockHash,
    /// The rules it keeps; those buried at a height come on top.
    pub flags: Flags,
}
