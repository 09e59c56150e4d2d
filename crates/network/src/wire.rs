//! Little-endian integers, compact sizes and counted lists, as Bitcoin's messages are made of them.
//!
//! Invariant: reading never allocates more than the input could hold.

use bytes::Bytes;

use crate::message::MessageError;

/// Reads from the front of a payload.
pub(crate) struct Reader {
    input: Bytes,
}

impl Reader {
    pub(crate) fn new(input: Bytes) -> Self {
        Self { input }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.input.is_empty()
    }

    pub(crate) fn remaining(&self) -> usize {
        self.input.len()
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<Bytes, MessageError> {
        if length > self.input.len() {
            return Err(MessageError::Malformed("ends early"));
        }
        Ok(self.input.split_to(length))
    }

    pub(crate) fn rest(&mut self) -> Bytes {
        core::mem::take(&mut self.input)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], MessageError> {
        let bytes = self.take(N)?;
        Ok(bytes.as_ref().try_into().expect("take gave exactly N bytes"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, MessageError> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn bool(&mut self) -> Result<bool, MessageError> {
        Ok(self.u8()? != 0)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, MessageError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u16_big_endian(&mut self) -> Result<u16, MessageError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, MessageError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, MessageError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A compact size in its shortest form (Bitcoin Core `ReadCompactSize`).
    pub(crate) fn compact(&mut self) -> Result<u64, MessageError> {
        let (value, least) = match self.u8()? {
            0xfd => (self.u16()? as u64, 0xfd),
            0xfe => (self.u32()? as u64, 0x1_0000),
            0xff => (self.u64()?, 0x1_0000_0000),
            small => (small as u64, 0),
        };
        if value < least {
            return Err(MessageError::Malformed("compact size is not in its shortest form"));
        }
        Ok(value)
    }

    /// A counted byte string of at most `max` bytes.
    pub(crate) fn bytes(&mut self, max: usize) -> Result<Bytes, MessageError> {
        let length = self.compact()?;
        if length > max as u64 {
            return Err(MessageError::Malformed("byte string is too long"));
        }
        self.take(length as usize)
    }

    /// A counted list; more than `max` items is an offence, not an accident.
    pub(crate) fn list<T>(
        &mut self,
        max: usize,
        item: impl Fn(&mut Self) -> Result<T, MessageError>,
    ) -> Result<Vec<T>, MessageError> {
        let count = self.compact()?;
        if count > max as u64 {
            return Err(MessageError::TooMany { count, max });
        }
        // An item has at least one byte, so a false count cannot make us reserve much.
        let mut items = Vec::with_capacity((count as usize).min(self.remaining()).min(4096));
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }
}

/// Appends a compact size.
pub(crate) fn put_compact(out: &mut Vec<u8>, value: u64) {
    match value {
        0..=0xfc => out.push(value as u8),
        0xfd..=0xffff => {
            out.push(0xfd);
            out.extend_from_slice(&(value as u16).to_le_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xfe);
            out.extend_from_slice(&(value as u32).to_le_bytes());
        }
        _ => {
            out.push(0xff);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

/// Appends a counted byte string.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_compact(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a counted list.
pub(crate) fn put_list<T>(out: &mut Vec<u8>, items: &[T], mut put: impl FnMut(&mut Vec<u8>, &T)) {
    put_compact(out, items.len() as u64);
    for item in items {
        put(out, item);
    }
}
