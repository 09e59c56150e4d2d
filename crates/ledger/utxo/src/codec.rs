//! Reading and writing Bitcoin's wire format: little-endian integers, compact sizes, length-prefixed bytes.
//!
//! A [`Reader`] walks one shared buffer and hands out *views* of it, so that scripts and witnesses of a block cost
//! a reference count instead of an allocation each.
//!
//! Invariants:
//! - Every number has one encoding: a compact size that could be shorter is refused (Bitcoin Core
//!   `ReadCompactSize`).
//! - No count is believed before the bytes it promises are seen to be there.

use bytes::Bytes;

/// The largest compact size Bitcoin Core believes when it counts or measures something (`serialize.h`, `MAX_SIZE`).
pub const COMPACT_SIZE_MAX: u64 = 0x0200_0000;

/// Why bytes were not what they should be. In the order the checks run; text as Bitcoin Core's where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end before what they promise.
    #[error("end of data: {needed} bytes needed, {available} there")]
    UnexpectedEnd {
        /// Bytes that were asked for.
        needed: u64,
        /// Bytes that were left.
        available: u64,
    },
    /// A compact size was longer than it had to be.
    #[error("non-canonical ReadCompactSize()")]
    NonCanonicalSize,
    /// A compact size was above [`COMPACT_SIZE_MAX`].
    #[error("ReadCompactSize(): size too large")]
    SizeTooLarge(u64),
    /// A transaction said it had witnesses and had none (BIP-0144).
    #[error("Superfluous witness record")]
    SuperfluousWitness,
    /// A transaction's flag byte had bits nobody knows.
    #[error("Unknown transaction optional data")]
    UnknownTransactionFlags(u8),
    /// Bytes were left over after the value.
    #[error("{0} bytes left over")]
    TrailingBytes(usize),
}

/// Walks over a shared buffer.
#[derive(Clone, Debug)]
pub struct Reader {
    buffer: Bytes,
    position: usize,
}

impl Reader {
    /// Starts at the first byte.
    pub fn new(buffer: Bytes) -> Self {
        Self { buffer, position: 0 }
    }

    /// Bytes already read.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Bytes still to read.
    pub fn remaining(&self) -> usize {
        self.buffer.len() - self.position
    }

    /// The next `length` bytes, which are passed.
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedEnd`]; the position is then unchanged.
    pub fn take(&mut self, length: usize) -> Result<&[u8], DecodeError> {
        let start = self.skip(length)?;
        Ok(&self.buffer[start..start + length])
    }

    /// The next `length` bytes as a view of the shared buffer.
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedEnd`].
    pub fn view(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        let start = self.skip(length)?;
        // An empty view would still count a reference to the buffer; half of all input scripts are empty.
        Ok(if length == 0 { Bytes::new() } else { self.buffer.slice(start..start + length) })
    }

    /// A view of everything read since `start`, an earlier [`Reader::position`].
    pub fn view_since(&self, start: usize) -> Bytes {
        self.buffer.slice(start..self.position)
    }

    /// Everything read since `start`, an earlier [`Reader::position`].
    pub fn slice_since(&self, start: usize) -> &[u8] {
        &self.buffer[start..self.position]
    }

    fn skip(&mut self, length: usize) -> Result<usize, DecodeError> {
        let available = self.remaining();
        if length > available {
            return Err(DecodeError::UnexpectedEnd { needed: length as u64, available: available as u64 });
        }
        let start = self.position;
        self.position += length;
        Ok(start)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedEnd`].
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        Ok(self.take(N)?.try_into().expect("take returned N bytes"))
    }

    /// One byte.
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedEnd`].
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(u8::from_le_bytes)
    }

    /// Two bytes, little-endian.
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedEnd`].
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes, little-endian.
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedEnd`].
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes, little-endian.
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedEnd`].
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A compact size that counts or measures something: canonical and at most [`COMPACT_SIZE_MAX`].
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedEnd`], [`DecodeError::NonCanonicalSize`], [`DecodeError::SizeTooLarge`].
    pub fn compact_size(&mut self) -> Result<usize, DecodeError> {
        let size = self.compact_u64()?;
        if size > COMPACT_SIZE_MAX {
            return Err(DecodeError::SizeTooLarge(size));
        }
        Ok(size as usize)
    }

    /// A compact size that is a plain number: canonical, of any value.
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedEnd`], [`DecodeError::NonCanonicalSize`].
    pub fn compact_u64(&mut self) -> Result<u64, DecodeError> {
        let (size, smallest) = match self.u8()? {
            0xfd => (u64::from(self.u16()?), 0xfd),
            0xfe => (u64::from(self.u32()?), 0x1_0000),
            0xff => (self.u64()?, 0x1_0000_0000),
            short => return Ok(u64::from(short)),
        };
        if size < smallest { Err(DecodeError::NonCanonicalSize) } else { Ok(size) }
    }

    /// A compact size that counts items of at least `item_size_min` bytes each, all of which could still be there.
    ///
    /// # Errors
    /// As [`Reader::compact_size`]; [`DecodeError::UnexpectedEnd`] when so many items cannot follow. Refusing
    /// early changes no verdict: reading the items would have met the end.
    pub fn count(&mut self, item_size_min: usize) -> Result<usize, DecodeError> {
        let count = self.compact_size()?;
        let needed = count as u64 * item_size_min as u64;
        let available = self.remaining() as u64;
        if needed > available {
            return Err(DecodeError::UnexpectedEnd { needed, available });
        }
        Ok(count)
    }

    /// Bytes with their length before them, as a view.
    ///
    /// # Errors
    /// As [`Reader::compact_size`].
    pub fn prefixed_view(&mut self) -> Result<Bytes, DecodeError> {
        let length = self.compact_size()?;
        self.view(length)
    }

    /// Asks that nothing is left.
    ///
    /// # Errors
    /// [`DecodeError::TrailingBytes`].
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(DecodeError::TrailingBytes(left)),
        }
    }
}

/// The encoding of a compact size: the bytes and how many of them count.
pub const fn compact_size_bytes(size: u64) -> ([u8; 9], usize) {
    let le = size.to_le_bytes();
    let mut bytes = [0; 9];
    let (tag, width) = match size {
        0..=0xfc => (le[0], 0),
        0xfd..=0xffff => (0xfd, 2),
        0x1_0000..=0xffff_ffff => (0xfe, 4),
        _ => (0xff, 8),
    };
    bytes[0] = tag;
    let mut index = 0;
    while index < width {
        bytes[index + 1] = le[index];
        index += 1;
    }
    (bytes, width + 1)
}

/// How many bytes [`put_compact_size`] writes.
pub const fn compact_size_length(size: usize) -> usize {
    compact_size_bytes(size as u64).1
}

/// Appends a compact size.
pub fn put_compact_size(out: &mut Vec<u8>, size: usize) {
    let (bytes, length) = compact_size_bytes(size as u64);
    out.extend_from_slice(&bytes[..length]);
}

/// Appends bytes with their length before them.
pub fn put_prefixed(out: &mut Vec<u8>, data: &[u8]) {
    put_compact_size(out, data.len());
    out.extend_from_slice(data);
}

#[cfg(test)]
mod tests {
    use super::{COMPACT_SIZE_MAX, DecodeError, Reader, compact_size_bytes};
    use bytes::Bytes;

    #[track_caller]
    fn check_compact_size(bytes: &[u8], expected: Result<usize, DecodeError>) {
        assert_eq!(Reader::new(Bytes::copy_from_slice(bytes)).compact_size(), expected);
    }

    #[test]
    fn compact_sizes_read_back_at_every_edge() {
        for size in [0, 1, 0xfc, 0xfd, 0xffff, 0x1_0000, COMPACT_SIZE_MAX] {
            let (bytes, length) = compact_size_bytes(size);
            check_compact_size(&bytes[..length], Ok(size as usize));
        }
    }

    #[test]
    fn compact_sizes_that_could_be_shorter_are_refused() {
        check_compact_size(&[0xfd, 0xfc, 0], Err(DecodeError::NonCanonicalSize));
        check_compact_size(&[0xfe, 0xff, 0xff, 0, 0], Err(DecodeError::NonCanonicalSize));
        check_compact_size(&[0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], Err(DecodeError::NonCanonicalSize));
    }

    #[test]
    fn sizes_beyond_the_limit_are_refused() {
        let (bytes, length) = compact_size_bytes(COMPACT_SIZE_MAX + 1);
        check_compact_size(&bytes[..length], Err(DecodeError::SizeTooLarge(COMPACT_SIZE_MAX + 1)));
        check_compact_size(&[0xfe, 1], Err(DecodeError::UnexpectedEnd { needed: 4, available: 1 }));
    }

    #[test]
    fn counts_are_not_believed_before_their_bytes_are_there() {
        let mut reader = Reader::new(Bytes::from_static(&[0xfe, 0, 0, 0, 2, 7]));
        assert_eq!(
            reader.count(41),
            Err(DecodeError::UnexpectedEnd { needed: 0x0200_0000 * 41, available: 1 })
        );
    }
}
