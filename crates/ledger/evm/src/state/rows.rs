//! What rows of the state look like: keys and canonical encodings.
//!
//! Keys are hashed as the trie hashes them, values keep the address or slot that was hashed, so that a state can be
//! listed, dumped and proven without an index of preimages. There is no storage root: the trie knows it.

use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256, keccak256};
use chainwright_chain::{DecodeError, TableId, TableKind, TableSpec, Value, table};

/// Accounts: [`account_key`] → [`AccountRow`].
pub const ACCOUNTS: TableId = TableId(0);
/// Storage slots that are not zero: [`storage_key`] → [`StorageRow`].
pub const STORAGE: TableId = TableId(1);
/// Contract code: its Keccak-256 → the bytes.
pub const CODE: TableId = TableId(2);
/// Ommers that blocks named: a block's number as eight bytes, big-endian → the ommers' hashes, one after another. No part of
/// Ethereum's state; a header does not tell what its body named, and no ommer may be named twice.
pub const OMMERS: TableId = TableId(3);

/// The tables of the state; [`TableId`] is the position in this list. `storage` is ordered because a self-destruct
/// before EIP-6780 removes a whole contract's slots, and because tries are built from them.
pub const TABLES: &[TableSpec] = &[
    table("accounts", TableKind::Point),
    table("storage", TableKind::Ordered),
    table("code", TableKind::Point),
    table("ommers", TableKind::Point),
];

/// Key of an account's row: the path of its leaf in the state trie.
pub fn account_key(address: &Address) -> [u8; 32] {
    keccak256(address).0
}

/// Key of a slot's row: [`account_key`], then the path of the leaf in the account's storage trie.
pub fn storage_key(account: &[u8; 32], slot: U256) -> [u8; 64] {
    let mut key = [0; 64];
    key[..32].copy_from_slice(account);
    key[32..].copy_from_slice(keccak256(slot.to_be_bytes::<32>()).as_slice());
    key
}

/// The range `from <= key < to` that holds every slot of an account; no end where the account is the last possible.
pub fn storage_range(account: &[u8; 32]) -> ([u8; 32], Option<[u8; 32]>) {
    let next = U256::from_be_bytes(*account).checked_add(U256::ONE);
    (*account, next.map(|next| next.to_be_bytes::<32>()))
}

/// One account.
///
/// Encoded as the address (20 bytes), a byte that holds the length of the nonce in its low bits and
/// `HAS_CODE` where there is code, the nonce, the code hash (32 bytes, if there is code), and the balance in what is
/// left. Numbers are big-endian without leading zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountRow {
    /// Whose account it is.
    pub address: Address,
    /// How many transactions it sent, or contracts it created.
    pub nonce: u64,
    /// Its balance in wei.
    pub balance: U256,
    /// Keccak-256 of its code; [`KECCAK256_EMPTY`] where there is none.
    pub code_hash: B256,
}

/// Bit of the length byte that says that a code hash follows the nonce.
const HAS_CODE: u8 = 0x80;

impl AccountRow {
    /// Whether EIP-161 calls the account empty.
    pub fn is_empty(&self) -> bool {
        self.nonce == 0 && self.balance.is_zero() && self.code_hash == KECCAK256_EMPTY
    }

    /// The row's value.
    pub fn encode(&self) -> Value {
        let nonce = self.nonce.to_be_bytes();
        let nonce = &nonce[self.nonce.leading_zeros() as usize / 8..];
        let mut out = Value::new();
        out.extend_from_slice(self.address.as_slice());
        if self.code_hash == KECCAK256_EMPTY {
            out.push(nonce.len() as u8);
            out.extend_from_slice(nonce);
        } else {
            out.push(nonce.len() as u8 | HAS_CODE);
            out.extend_from_slice(nonce);
            out.extend_from_slice(self.code_hash.as_slice());
        }
        put_number(&mut out, self.balance);
        out
    }

    /// Reads a row's value.
    ///
    /// # Errors
    /// When the bytes are not what [`AccountRow::encode`] makes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let short = || DecodeError::new("account row is too short");
        let (address, rest) = bytes.split_first_chunk::<20>().ok_or_else(short)?;
        let (&lengths, rest) = rest.split_first().ok_or_else(short)?;
        let (nonce, mut rest) = rest.split_at_checked(usize::from(lengths & !HAS_CODE)).ok_or_else(short)?;
        let mut code_hash = KECCAK256_EMPTY;
        if lengths & HAS_CODE != 0 {
            let (hash, balance) = rest.split_first_chunk::<32>().ok_or_else(short)?;
            code_hash = B256::from(hash);
            rest = balance;
            if code_hash == KECCAK256_EMPTY {
                return Err(DecodeError::new("account row spells out that it has no code"));
            }
        }
        let nonce = number(nonce)?;
        let nonce = u64::try_from(nonce).map_err(|_| DecodeError::new("nonce beyond 64 bits"))?;
        Ok(Self { address: Address::from(address), nonce, balance: number(rest)?, code_hash })
    }
}

/// One storage slot.
///
/// Encoded as the length of the slot's number (one byte), that number, and the value in what is left; both big-endian
/// without leading zeros. The value is never zero: there would be no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageRow {
    /// The slot's number, not hashed.
    pub slot: U256,
    /// What it holds; not zero.
    pub value: U256,
}

impl StorageRow {
    /// The row's value.
    pub fn encode(&self) -> Value {
        let mut out = Value::new();
        out.push(self.slot.byte_len() as u8);
        put_number(&mut out, self.slot);
        put_number(&mut out, self.value);
        out
    }

    /// Reads a row's value.
    ///
    /// # Errors
    /// When the bytes are not what [`StorageRow::encode`] makes, or the value is zero.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let short = || DecodeError::new("storage row is too short");
        let (&length, rest) = bytes.split_first().ok_or_else(short)?;
        let (slot, value) = rest.split_at_checked(usize::from(length)).ok_or_else(short)?;
        if value.is_empty() {
            return Err(DecodeError::new("storage row holds zero"));
        }
        Ok(Self { slot: number(slot)?, value: number(value)? })
    }
}

/// Appends a number, big-endian, without leading zeros.
fn put_number(out: &mut Value, number: U256) {
    let bytes = number.to_be_bytes::<32>();
    out.extend_from_slice(&bytes[32 - number.byte_len()..]);
}

/// Reads what [`put_number`] wrote.
fn number(bytes: &[u8]) -> Result<U256, DecodeError> {
    if bytes.first() == Some(&0) {
        return Err(DecodeError::new("number with a leading zero in a row"));
    }
    U256::try_from_be_slice(bytes).ok_or_else(|| DecodeError::new("number beyond 256 bits in a row"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn any_number()(bytes in any::<[u8; 32]>(), bits in 0_usize..=256) -> U256 {
            let number = U256::from_be_bytes(bytes);
            if bits == 0 { U256::ZERO } else { number >> (256 - bits) }
        }
    }

    prop_compose! {
        fn any_account()(
            address in any::<[u8; 20]>(),
            nonce in prop_oneof![Just(0), 0..300_u64, any::<u64>()],
            balance in any_number(),
            code in any::<Option<[u8; 32]>>(),
        ) -> AccountRow {
            let code_hash = code.map_or(KECCAK256_EMPTY, B256::from);
            AccountRow { address: Address::from(address), nonce, balance, code_hash }
        }
    }

    proptest! {
        #[test]
        fn accounts_come_back(row in any_account()) {
            prop_assert_eq!(AccountRow::decode(&row.encode()), Ok(row));
        }

        #[test]
        fn slots_come_back(slot in any_number(), value in any_number()) {
            let row = StorageRow { slot, value };
            let decoded = StorageRow::decode(&row.encode());
            prop_assert_eq!(decoded.ok(), (!value.is_zero()).then_some(row));
        }

        #[test]
        fn whatever_decodes_is_canonical(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(row) = AccountRow::decode(&bytes) {
                prop_assert_eq!(row.encode().to_vec(), bytes.clone());
            }
            if let Ok(row) = StorageRow::decode(&bytes) {
                prop_assert_eq!(row.encode().to_vec(), bytes.clone());
            }
        }
    }

    #[test]
    fn an_account_of_a_person_takes_few_bytes() {
        let balance = U256::from(10).pow(U256::from(18));
        let row = AccountRow { address: Address::ZERO, nonce: 7, balance, code_hash: KECCAK256_EMPTY };
        assert_eq!(row.encode().len(), 20 + 1 + 1 + 8);
    }

    #[test]
    fn an_accounts_slots_lie_in_its_range() {
        let account = account_key(&Address::ZERO);
        let (from, to) = storage_range(&account);
        let key = storage_key(&account, U256::MAX);
        assert!(key.as_slice() >= from.as_slice() && key.as_slice() < to.expect("not the last").as_slice());
        assert_eq!(storage_range(&[0xff; 32]).1, None);
    }
}
