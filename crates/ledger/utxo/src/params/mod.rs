//! What makes one chain of this ledger differ from another: numbers, heights, prefixes. Plain values, no code.
//!
//! Nothing in this crate asks "is this Bitcoin?". A chain file picks a preset by name and may change any field;
//! Litecoin is another value of the same type.
//!
//! Start reading at [`Parameters`].

mod bitcoin;
mod deployments;
mod genesis;
mod script_flags;

pub use bitcoin::{bitcoin_main, bitcoin_regtest, bitcoin_signet, bitcoin_testnet4};
pub use deployments::{Clock, Deployment, DeploymentState, Deployments, Signalling, Statistics};
pub use genesis::Genesis;
pub use script_flags::ScriptFlagException;

pub use crate::address::AddressPrefixes;
use crate::amount::Amount;
use crate::hash::BlockHash;
use crate::script::Flags;

/// The height from which on rules that were once voted on hold for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuriedHeights {
    /// The coinbase names its height (BIP-0034).
    pub bip34: u32,
    /// CHECKLOCKTIMEVERIFY (BIP-0065).
    pub bip65: u32,
    /// Strict DER signatures (BIP-0066).
    pub bip66: u32,
    /// Relative lock times and median time past (BIP-0068, BIP-0112, BIP-0113).
    pub csv: u32,
    /// Witnesses (BIP-0141, BIP-0143, BIP-0147).
    pub segwit: u32,
}

/// A block that may overwrite unspent outputs of the same transaction id (BIP-0030).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DuplicateCoinbase {
    /// Its height.
    pub height: u32,
    /// Its id.
    pub block: BlockHash,
}

/// How peers of this chain find and recognise each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerParameters {
    /// The first four bytes of every message.
    pub magic: [u8; 4],
    /// Where nodes listen unless told otherwise.
    pub port: u16,
    /// Where the JSON-RPC server listens unless told otherwise.
    pub rpc_port: u16,
    /// Names or addresses to start from. Bitcoin Core's seeds are names that DNS resolves.
    pub seeds: Vec<String>,
}

/// Everything that makes one chain differ from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// What chain files call the chain, such as `bitcoin-regtest`.
    pub name: String,
    /// What RPC calls the chain: `main`, `testnet4`, `signet`, `regtest`.
    pub rpc_name: String,
    /// Whether the chain's coins are worth nothing.
    pub is_test: bool,
    /// The first block.
    pub genesis: Genesis,
    /// What the first block's miner may create.
    pub subsidy: Amount,
    /// After so many blocks the subsidy halves.
    pub subsidy_halving_interval: u32,
    /// The largest amount anything may have.
    pub money_max: Amount,
    /// A coinbase's outputs may be spent this many blocks later.
    pub coinbase_maturity: u32,
    /// Since when old rules hold.
    pub buried: BuriedHeights,
    /// The id of the block at the BIP34 height of the chain on which BIP34 is known to imply BIP30; zeros elsewhere.
    pub bip34_block: BlockHash,
    /// The blocks that break BIP30 on the known chain.
    pub duplicate_coinbases: Vec<DuplicateCoinbase>,
    /// The blocks that break script rules which are taken to have held always.
    pub script_flag_exceptions: Vec<ScriptFlagException>,
    /// Rules that miners signal for (BIP-0009).
    pub deployments: Vec<Deployment>,
    /// The script that a block's solution has to satisfy (BIP-0325); nothing on other chains.
    pub signet_challenge: Option<Vec<u8>>,
    /// Addresses and keys.
    pub addresses: AddressPrefixes,
    /// Peers.
    pub peers: PeerParameters,
}

/// Blocks up to this height cannot repeat a coinbase of a block before BIP34 that named a height of the future
/// (Bitcoin Core `validation.cpp`, `BIP34_IMPLIES_BIP30_LIMIT`).
const BIP34_IMPLIES_BIP30_LIMIT: u32 = 1_983_702;

impl Parameters {
    /// The preset of this name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "bitcoin" => bitcoin_main(),
            "bitcoin-testnet4" => bitcoin_testnet4(),
            "bitcoin-signet" => bitcoin_signet(),
            "bitcoin-regtest" => bitcoin_regtest(),
            _ => return None,
        })
    }

    /// What a block's miner may create besides the fees (Bitcoin Core `GetBlockSubsidy`).
    pub fn subsidy_at(&self, height: u32) -> Amount {
        let halvings = height.checked_div(self.subsidy_halving_interval).unwrap_or(0);
        Amount(self.subsidy.0.checked_shr(halvings).filter(|_| halvings < 64).unwrap_or(0))
    }

    /// The rules scripts of a block are held to (Bitcoin Core `GetBlockScriptFlags`).
    pub fn script_flags(&self, height: u32, id: &BlockHash) -> Flags {
        let exception = self.script_flag_exceptions.iter().find(|exception| exception.block == *id);
        let mut flags =
            exception.map_or(Flags::P2SH | Flags::WITNESS | Flags::TAPROOT, |exception| exception.flags);
        for (since, rule) in [
            (self.buried.bip66, Flags::DERSIG),
            (self.buried.bip65, Flags::CHECKLOCKTIMEVERIFY),
            (self.buried.csv, Flags::CHECKSEQUENCEVERIFY),
            (self.buried.segwit, Flags::NULLDUMMY),
        ] {
            if height >= since {
                flags |= rule;
            }
        }
        flags
    }

    /// Whether a block could repeat a transaction whose outputs are still unspent, so that it has to be asked
    /// (BIP-0030). `bip34_block` is the branch's block at the BIP34 height.
    ///
    /// With BIP34 from block 1 on every coinbase names its height and none can repeat. Bitcoin Core looks all
    /// the same there and never finds anything.
    pub fn may_repeat_transactions(&self, height: u32, bip34_block: Option<BlockHash>) -> bool {
        if self.buried.bip34 <= 1 {
            return false;
        }
        height >= BIP34_IMPLIES_BIP30_LIMIT || bip34_block.is_none_or(|block| block != self.bip34_block)
    }

    /// Whether this block is one of those that BIP30 does not bind.
    pub fn is_duplicate_coinbase(&self, height: u32, id: &BlockHash) -> bool {
        self.duplicate_coinbases.iter().any(|known| known.height == height && known.block == *id)
    }
}

#[cfg(test)]
mod tests;
