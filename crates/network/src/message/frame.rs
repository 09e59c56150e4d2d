//! Frames: magic, command, length, checksum, payload.
//!
//! Invariants:
//! - a length beyond the limit is refused when its header is read, before any payload is kept;
//! - the decoder holds at most one incomplete frame; memory grows with bytes that have arrived, never with a promise;
//! - a wrong checksum or a malformed command drops that frame alone (Bitcoin Core `V1Transport::GetReceivedMessage`),
//!   wrong magic ends the connection.

use bytes::{Buf, Bytes, BytesMut};
use sha2::{Digest, Sha256};

/// Bytes before the payload.
pub const HEADER_BYTES: usize = 24;
/// Payloads up to this size get their own allocation, so that a kept transaction does not keep a whole read buffer.
const COPY_MAX: usize = 1 << 16;

/// The name of a message: ASCII, padded with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Command([u8; 12]);

impl Command {
    /// The command with this name.
    pub(crate) const fn new(name: &str) -> Self {
        let mut bytes = [0; 12];
        let mut at = 0;
        while at < name.len() {
            bytes[at] = name.as_bytes()[at];
            at += 1;
        }
        Self(bytes)
    }

    /// Printable ASCII followed by nothing but zeros (Bitcoin Core `CMessageHeader::IsMessageTypeValid`).
    fn is_valid(&self) -> bool {
        let length = self.0.iter().position(|byte| *byte == 0).unwrap_or(12);
        self.0[..length].iter().all(|byte| (0x20..=0x7e).contains(byte))
            && self.0[length..].iter().all(|byte| *byte == 0)
    }

    /// The name without padding.
    pub fn name(&self) -> &str {
        let length = self.0.iter().position(|byte| *byte == 0).unwrap_or(12);
        core::str::from_utf8(&self.0[..length]).unwrap_or("")
    }
}

/// A whole message as it was framed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The message's name.
    pub command: Command,
    /// Its bytes.
    pub payload: Bytes,
}

/// Why the stream of bytes makes no sense any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Another network, or not this protocol at all.
    #[error("wrong message start")]
    Magic,
    /// A payload longer than allowed.
    #[error("message of {length} bytes, at most {max}")]
    Oversized {
        /// The length announced.
        length: u32,
        /// The limit.
        max: u32,
    },
}

/// Cuts a stream of bytes into frames.
pub struct FrameDecoder {
    magic: [u8; 4],
    payload_max: u32,
    buffer: BytesMut,
    dropped: u64,
}

impl FrameDecoder {
    /// A decoder that refuses payloads over `payload_max` bytes.
    pub fn new(magic: [u8; 4], payload_max: u32) -> Self {
        Self { magic, payload_max, buffer: BytesMut::new(), dropped: 0 }
    }

    /// Takes what has arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes that have arrived and are no frame yet.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Frames dropped for a wrong checksum or a malformed command.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The next whole frame; `None` until more bytes arrive.
    ///
    /// # Errors
    /// [`FrameError`]; the connection is of no further use.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            let known = self.buffer.len().min(4);
            if self.buffer[..known] != self.magic[..known] {
                return Err(FrameError::Magic);
            }
            if self.buffer.len() < HEADER_BYTES {
                return Ok(None);
            }
            let word = |at: usize| [0, 1, 2, 3].map(|index| self.buffer[at + index]);
            let (length, checksum) = (u32::from_le_bytes(word(16)), word(20));
            if length > self.payload_max {
                return Err(FrameError::Oversized { length, max: self.payload_max });
            }
            let whole = HEADER_BYTES + length as usize;
            if self.buffer.len() < whole {
                return Ok(None);
            }
            let command = Command(core::array::from_fn(|index| self.buffer[4 + index]));
            let payload = self.take_payload(length as usize);
            if command.is_valid() && self::checksum(&payload) == checksum {
                return Ok(Some(Frame { command, payload }));
            }
            self.dropped += 1;
        }
    }

    fn take_payload(&mut self, length: usize) -> Bytes {
        self.buffer.advance(HEADER_BYTES);
        if length > COPY_MAX {
            return self.buffer.split_to(length).freeze();
        }
        let payload = Bytes::copy_from_slice(&self.buffer[..length]);
        self.buffer.advance(length);
        payload
    }
}

/// The first four bytes of the double SHA-256.
fn checksum(payload: &[u8]) -> [u8; 4] {
    let hash = Sha256::digest(Sha256::digest(payload));
    [hash[0], hash[1], hash[2], hash[3]]
}

/// A payload with its header in front.
pub fn encode_frame(magic: [u8; 4], command: Command, payload: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(HEADER_BYTES + payload.len());
    out.extend_from_slice(&magic);
    out.extend_from_slice(&command.0);
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&checksum(payload));
    out.extend_from_slice(payload);
    out.into()
}
