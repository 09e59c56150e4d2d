//! Counting and hashing all coins (`gettxoutsetinfo`; Bitcoin Core `kernel/coinstats.cpp`).
//!
//! The table of coins is not ordered and the serialized hashes are, so coins are gathered and sorted, a share of
//! all first bytes at a time when there are many. A view never changes: the chain goes on meanwhile.

use std::ops::RangeInclusive;

use chainwright_chain::{Fault, View};

use crate::amount::Amount;
use crate::codec::put_prefixed;
use crate::coin::{COINS, CoinRef, read_coin_key};
use crate::hash::Hasher;
use crate::ledger::Utxo;
use crate::muhash::MuHash;
use crate::tx::OutPoint;

/// Coins sorted at once: about 100 bytes each.
const COINS_AT_ONCE: u64 = 1_000_000;

/// Which hash of all coins is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoinsHash {
    /// No hash.
    None,
    /// MuHash3072: independent of order.
    MuHash,
    /// Bitcoin Core's `hash_serialized_3`.
    Serialized3,
    /// `hash_serialized_2` of Bitcoin Core before 26 and of Litecoin: begins with the block's id.
    Serialized2,
}

/// All coins at one block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoinStatistics {
    /// Transactions that have unspent outputs.
    pub transactions: u64,
    /// Unspent outputs.
    pub coins: u64,
    /// A measure of size that does not depend on the store (Bitcoin Core `GetBogoSize`).
    pub bogosize: u64,
    /// The sum of all amounts.
    pub total: Amount,
    /// The hash, if one was wanted, in wire order: people read it reversed.
    pub hash: Option<[u8; 32]>,
}

/// Looks at all coins of a view.
///
/// # Errors
/// A [`Fault`] of the disk, or when the store cannot list rows.
pub fn statistics(view: &View<Utxo>, kind: CoinsHash) -> Result<CoinStatistics, Fault> {
    let mut count = 0_u64;
    view.state.scan(COINS, &mut |_, _| {
        count += 1;
        Ok(())
    })?;
    // Ids of transactions are spread evenly.
    let shares = count.div_ceil(COINS_AT_ONCE).clamp(1, 256);
    let mut counter = Counter::new(view, kind);
    for share in 0..shares {
        let first = (share * 256 / shares) as u8;
        let last = ((share + 1) * 256 / shares - 1) as u8;
        counter.count_share(view, first..=last)?;
    }
    Ok(counter.finish())
}

/// The bytes that stand for a coin in MuHash and `hash_serialized_3` (Bitcoin Core `TxOutSer`).
pub fn coin_bytes(outpoint: &OutPoint, coin: &CoinRef<'_>) -> Vec<u8> {
    let mut bytes = outpoint.encode().to_vec();
    bytes.extend_from_slice(&(coin.height << 1 | u32::from(coin.is_coinbase)).to_le_bytes());
    bytes.extend_from_slice(&coin.value.0.to_le_bytes());
    put_prefixed(&mut bytes, coin.script_pubkey);
    bytes
}

enum Hashing {
    None,
    MuHash(Box<MuHash>),
    Serialized3(Hasher),
    Serialized2(Hasher),
}

struct Counter {
    found: CoinStatistics,
    hashing: Hashing,
}

/// A row's key and value.
type Row = (Vec<u8>, Vec<u8>);

impl Counter {
    fn new(view: &View<Utxo>, kind: CoinsHash) -> Self {
        let hashing = match kind {
            CoinsHash::None => Hashing::None,
            CoinsHash::MuHash => Hashing::MuHash(Box::default()),
            CoinsHash::Serialized3 => Hashing::Serialized3(Hasher::new()),
            CoinsHash::Serialized2 => Hashing::Serialized2(Hasher::new().chain(&view.headers.id().0)),
        };
        Self { found: CoinStatistics::default(), hashing }
    }

    /// Coins of transactions whose id begins with one of these bytes.
    fn count_share(&mut self, view: &View<Utxo>, first_bytes: RangeInclusive<u8>) -> Result<(), Fault> {
        let mut rows: Vec<Row> = Vec::new();
        view.state.scan(COINS, &mut |key, value| {
            if key.first().is_some_and(|first| first_bytes.contains(first)) {
                rows.push((key.to_vec(), value.to_vec()));
            }
            Ok(())
        })?;
        rows.sort_unstable();
        let same_transaction = |a: &Row, b: &Row| a.0.get(..32) == b.0.get(..32);
        rows.chunk_by(same_transaction).try_for_each(|coins| self.count_transaction(coins))
    }

    fn count_transaction(&mut self, coins: &[Row]) -> Result<(), Fault> {
        self.found.transactions += 1;
        for (index, (key, value)) in coins.iter().enumerate() {
            let (outpoint, coin) = (read_coin_key(key)?, CoinRef::decode(value)?);
            self.found.coins += 1;
            self.found.bogosize += 32 + 4 + 4 + 8 + 2 + coin.script_pubkey.len() as u64;
            self.found.total.0 += coin.value.0;
            match &mut self.hashing {
                Hashing::None => {}
                Hashing::MuHash(hash) => hash.insert(&coin_bytes(&outpoint, &coin)),
                Hashing::Serialized3(hasher) => hasher.update(&coin_bytes(&outpoint, &coin)),
                Hashing::Serialized2(hasher) => {
                    let place = (index == 0, index + 1 == coins.len());
                    hasher.update(&old_coin_bytes(&outpoint, &coin, place));
                }
            }
        }
        Ok(())
    }

    fn finish(self) -> CoinStatistics {
        let hash = match self.hashing {
            Hashing::None => None,
            Hashing::MuHash(hash) => Some(hash.finish()),
            Hashing::Serialized3(hasher) | Hashing::Serialized2(hasher) => Some(hasher.finish_double()),
        };
        CoinStatistics { hash, ..self.found }
    }
}

/// A coin in `hash_serialized_2` (Bitcoin Core 0.21, `coinstats.cpp`, `ApplyStats`).
fn old_coin_bytes(outpoint: &OutPoint, coin: &CoinRef<'_>, (is_first, is_last): (bool, bool)) -> Vec<u8> {
    let mut bytes = Vec::new();
    if is_first {
        bytes.extend_from_slice(&outpoint.txid.0);
        // Meant to be height and coinbase; operator precedence made it a truth value, and that is the format.
        put_base128(&mut bytes, u64::from(coin.height != 0 || coin.is_coinbase));
    }
    put_base128(&mut bytes, u64::from(outpoint.index) + 1);
    put_prefixed(&mut bytes, coin.script_pubkey);
    put_base128(&mut bytes, coin.value.0.cast_unsigned());
    if is_last {
        put_base128(&mut bytes, 0);
    }
    bytes
}

/// Bitcoin Core's `VARINT`: big-endian base 128 in which every number has one form.
fn put_base128(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = smallvec::SmallVec::<[u8; 10]>::new();
    loop {
        let more = if digits.is_empty() { 0 } else { 0x80 };
        digits.push((number & 0x7f) as u8 | more);
        if number <= 0x7f {
            break;
        }
        number = (number >> 7) - 1;
    }
    out.extend(digits.iter().rev());
}

#[cfg(test)]
mod tests {
    use super::put_base128;

    /// The examples of Bitcoin Core's `serialize.h`.
    #[test]
    fn base_128_has_one_form_for_every_number() {
        for (number, bytes) in [
            (0, &[0x00][..]),
            (1, &[0x01]),
            (127, &[0x7f]),
            (128, &[0x80, 0x00]),
            (255, &[0x80, 0x7f]),
            (256, &[0x81, 0x00]),
            (16_383, &[0xfe, 0x7f]),
            (16_384, &[0xff, 0x00]),
            (16_511, &[0xff, 0x7f]),
            (65_535, &[0x82, 0xfe, 0x7f]),
            (1 << 32, &[0x8e, 0xfe, 0xfe, 0xff, 0x00]),
        ] {
            let mut out = Vec::new();
            put_base128(&mut out, number);
            assert_eq!(out, bytes, "{number}");
        }
    }
}
