//! Names and headers of segment files.

const MAGIC: &[u8; 8] = b"CWright\x01";

/// Magic, number, end and chain of the previous segment, chain.
pub(super) const HEADER_BYTES: usize = 24;

/// The beginning of a segment file; ties it to the segment before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) number: u32,
    pub(super) previous_end: u32,
    pub(super) previous_chain: u32,
}

impl SegmentHeader {
    /// The bytes, and the chain that the first record continues.
    pub(super) fn encode(&self, log: &str) -> ([u8; HEADER_BYTES], u32) {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&self.number.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.previous_end.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.previous_chain.to_le_bytes());
        let chain = crc32c::crc32c_append(crc32c::crc32c(log.as_bytes()), &bytes[..20]);
        bytes[20..].copy_from_slice(&chain.to_le_bytes());
        (bytes, chain)
    }

    /// Reads a header; `None` if it is not one of this log and number.
    pub(super) fn decode(bytes: &[u8], log: &str, number: u32) -> Option<(Self, u32)> {
        let word = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk::<4>()?));
        let header = Self { number, previous_end: word(12)?, previous_chain: word(16)? };
        let (expected, chain) = header.encode(log);
        (bytes.get(..HEADER_BYTES)? == expected).then_some((header, chain))
    }
}

/// `journal-00000012`.
pub(super) fn file_name(log: &str, number: u32) -> String {
    format!("{log}-{number:08}")
}

/// The number in a segment's file name, if it is one of this log.
pub(super) fn file_number(log: &str, name: &str) -> Option<u32> {
    let digits = name.strip_prefix(log)?.strip_prefix('-')?;
    (digits.len() == 8).then(|| digits.parse().ok())?
}
