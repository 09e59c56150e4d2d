//! The book as bytes, for its owner to keep.

use bytes::Bytes;

use super::{AddressBook, BTreeMap, Known};
use crate::message::MessageError;
use crate::wire::{Reader, put_bytes, put_compact};
use crate::{AddressInfo, NetworkAddress};

/// Starts every saved book; the digit is the version of the form.
const MARK: &[u8; 8] = b"CWADDR01";
/// More addresses than both tables can hold are nonsense.
const COUNT_MAX: usize = 100_000;

/// Why bytes are not a saved book. The remedy is to start an empty one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    /// Another form, or not a book at all.
    #[error("not an address book of this version")]
    Version,
    /// Damaged.
    #[error("address book is damaged: {0}")]
    Damaged(#[from] MessageError),
}

impl AddressBook {
    /// The book as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = MARK.to_vec();
        out.extend_from_slice(&self.key);
        put_compact(&mut out, self.known.len() as u64);
        for known in self.known.values() {
            let mut entry = Vec::new();
            known.info.put_v2(&mut entry);
            known.source.put_v2(&mut entry);
            entry.extend_from_slice(&known.last_try.to_le_bytes());
            entry.extend_from_slice(&known.last_success.to_le_bytes());
            entry.extend_from_slice(&known.failures.to_le_bytes());
            entry.push(known.tried as u8);
            put_compact(&mut entry, known.places.len() as u64);
            known.places.iter().for_each(|place| entry.extend_from_slice(&place.to_le_bytes()));
            put_bytes(&mut out, &entry);
        }
        out
    }

    /// Reads a saved book. Addresses whose places are taken twice or do not fit are left out.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, BookError> {
        let mut reader = Reader::new(Bytes::copy_from_slice(bytes));
        if reader.array::<8>() != Ok(*MARK) {
            return Err(BookError::Version);
        }
        let key = reader.array()?;
        let mut book = Self { key, known: BTreeMap::new(), places: BTreeMap::new() };
        let entries = reader.list(COUNT_MAX, |reader| reader.bytes(1_024))?;
        for entry in entries {
            if let Some(known) = read_known(&mut Reader::new(entry))? {
                book.restore(known);
            }
        }
        Ok(book)
    }

    fn restore(&mut self, mut known: Known) {
        let address = known.info.address;
        let expected = known.tried.then(|| self.tried_place(&address));
        known.places.retain(|place| expected.is_none_or(|expected| expected == *place));
        known.places.retain(|place| !self.places.contains_key(place));
        if known.places.is_empty() || self.known.contains_key(&address) {
            return;
        }
        self.places.extend(known.places.iter().map(|place| (*place, address)));
        self.known.insert(address, known);
    }
}

fn read_known(reader: &mut Reader) -> Result<Option<Known>, MessageError> {
    let info = AddressInfo::read_v2(reader)?;
    let source = NetworkAddress::read_v2(reader)?;
    let (last_try, last_success, failures) = (reader.u64()?, reader.u64()?, reader.u32()?);
    let tried = reader.bool()?;
    let places = reader.list(super::NEW_PLACES_MAX, Reader::u32)?;
    let (Some(info), Some(source)) = (info, source) else { return Ok(None) };
    Ok(Some(Known { info, source, last_try, last_success, failures, tried, places }))
}
