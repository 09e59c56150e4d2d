//! The first block, made of parameters.

use crate::amount::Amount;
use crate::block::{Block, BlockHeader};
use crate::hash::BlockHash;
use crate::script::Script;
use crate::script::instruction::{put_number, put_push};
use crate::tx::{OutPoint, Transaction, TransactionParts, TxIn, TxOut, Witness};

/// What the first block is made of (Bitcoin Core `CreateGenesisBlock`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// The text in the coinbase.
    pub message: String,
    /// The script of the only output. Nobody can spend it: it never enters the set of coins.
    pub script_pubkey: Vec<u8>,
    /// The output's amount.
    pub reward: Amount,
    /// The header's version.
    pub version: i32,
    /// Unix time in seconds.
    pub time: u32,
    /// The target in compact form.
    pub bits: u32,
    /// The nonce.
    pub nonce: u32,
}

/// The first number in every genesis coinbase: the compact target of Bitcoin's first block.
const COINBASE_BITS: i64 = 0x1d00_ffff;

impl Genesis {
    /// The block.
    pub fn block(&self) -> Block {
        let mut script = Vec::new();
        put_number(&mut script, COINBASE_BITS);
        // Bitcoin pushed this 4 as a number in bytes, before there was a rule for shorter pushes.
        put_push(&mut script, &[4]);
        put_push(&mut script, self.message.as_bytes());
        let input = TxIn {
            previous_output: OutPoint::NULL,
            script_sig: Script::from(script),
            sequence: u32::MAX,
            witness: Witness::default(),
        };
        let output = TxOut { value: self.reward, script_pubkey: Script::from(self.script_pubkey.as_slice()) };
        let parts = TransactionParts { version: 1, inputs: vec![input], outputs: vec![output], lock_time: 0 };
        let coinbase = Transaction::new(parts);
        let header = BlockHeader {
            version: self.version,
            previous: BlockHash::default(),
            merkle_root: coinbase.txid().0,
            time: self.time,
            bits: self.bits,
            nonce: self.nonce,
        };
        Block { header, transactions: vec![coinbase] }
    }
}
