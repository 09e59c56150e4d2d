//! Coins: unspent outputs, as rows of the state.
//!
//! ```text
//! key    txid (32) ‖ output index (4, big-endian, so that a transaction's coins are neighbours)
//! value  height·2 + is_coinbase (4, little-endian) ‖ amount (8, little-endian) ‖ script
//! ```
//!
//! The script is kept as it is: Bitcoin Core's templates would save 3 bytes of about 85 and cost an expansion per
//! spend. With the usual scripts a row's value stays within the 64 bytes that need no allocation.

use chainwright_chain::{Fault, StateView, TableId, TableKind, TableSpec, table};
use smallvec::SmallVec;

use crate::amount::Amount;
use crate::hash::Txid;
use crate::script::Script;
use crate::tx::{OutPoint, TxOut};

/// The table of coins.
pub const COINS: TableId = TableId(0);

/// All tables of this ledger.
pub(crate) static TABLES: [TableSpec; 1] = [table("coins", TableKind::Point)];

/// Bytes of a row's value in front of the script.
const FIXED_SIZE: usize = 12;

/// The key of a coin's row.
pub fn coin_key(outpoint: &OutPoint) -> [u8; 36] {
    let mut key = [0; 36];
    key[..32].copy_from_slice(&outpoint.txid.0);
    key[32..].copy_from_slice(&outpoint.index.to_be_bytes());
    key
}

/// The coin a row's key names.
///
/// # Errors
/// A [`Fault`] when the key is not 36 bytes long.
pub fn read_coin_key(key: &[u8]) -> Result<OutPoint, Fault> {
    let damaged = || Fault::new("a coin's key is not 36 bytes long");
    let (txid, index) = key.split_first_chunk::<32>().ok_or_else(damaged)?;
    let index = index.try_into().map_err(|_| damaged())?;
    Ok(OutPoint { txid: Txid(*txid), index: u32::from_be_bytes(index) })
}

/// An unspent output whose script lies in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoinRef<'r> {
    /// The height of the block that created it.
    pub height: u32,
    /// Whether a coinbase created it.
    pub is_coinbase: bool,
    /// Its amount.
    pub value: Amount,
    /// Its script.
    pub script_pubkey: &'r [u8],
}

impl<'r> CoinRef<'r> {
    /// Reads a row's value.
    ///
    /// # Errors
    /// A [`Fault`] when it is too short.
    pub fn decode(row: &'r [u8]) -> Result<Self, Fault> {
        let damaged = || Fault::new("a coin's row is too short");
        let (code, rest) = row.split_first_chunk::<4>().ok_or_else(damaged)?;
        let (value, script_pubkey) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
        let code = u32::from_le_bytes(*code);
        let value = Amount(i64::from_le_bytes(*value));
        Ok(Self { height: code >> 1, is_coinbase: code & 1 == 1, value, script_pubkey })
    }

    /// The row's value.
    pub fn encode(&self) -> SmallVec<[u8; 64]> {
        let mut row = SmallVec::with_capacity(FIXED_SIZE + self.script_pubkey.len());
        let code = self.height << 1 | u32::from(self.is_coinbase);
        row.extend_from_slice(&code.to_le_bytes());
        row.extend_from_slice(&self.value.0.to_le_bytes());
        row.extend_from_slice(self.script_pubkey);
        row
    }
}

/// An unspent output that stands on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coin {
    /// The height of the block that created it.
    pub height: u32,
    /// Whether a coinbase created it.
    pub is_coinbase: bool,
    /// The output.
    pub output: TxOut,
}

impl From<CoinRef<'_>> for Coin {
    fn from(coin: CoinRef<'_>) -> Self {
        let output = TxOut { value: coin.value, script_pubkey: Script::from(coin.script_pubkey) };
        Self { height: coin.height, is_coinbase: coin.is_coinbase, output }
    }
}

/// The coin of this name in a state, if it is unspent there.
///
/// # Errors
/// A [`Fault`] of the disk.
pub fn coin(state: &StateView, outpoint: &OutPoint) -> Result<Option<Coin>, Fault> {
    let row = state.get(COINS, &coin_key(outpoint))?;
    row.map(|row| CoinRef::decode(&row).map(Coin::from)).transpose()
}

#[cfg(test)]
mod tests {
    use super::{CoinRef, coin_key, read_coin_key};
    use crate::amount::Amount;
    use crate::hash::Txid;
    use crate::tx::OutPoint;

    #[test]
    fn rows_read_back() {
        let coin =
            CoinRef { height: 840_000, is_coinbase: true, value: Amount(-1), script_pubkey: &[1, 2, 3] };
        assert_eq!(CoinRef::decode(&coin.encode()), Ok(coin));
        assert!(CoinRef::decode(&coin.encode()[..11]).is_err());
        let outpoint = OutPoint { txid: Txid([7; 32]), index: 258 };
        assert_eq!(read_coin_key(&coin_key(&outpoint)), Ok(outpoint));
        assert!(read_coin_key(&[0; 35]).is_err());
    }

    #[test]
    fn usual_rows_need_no_allocation() {
        let taproot = CoinRef { height: 1, is_coinbase: false, value: Amount::ZERO, script_pubkey: &[0; 34] };
        assert!(!taproot.encode().spilled());
    }
}
