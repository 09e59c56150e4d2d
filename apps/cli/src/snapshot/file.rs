//! The file of a snapshot: frames, each compressed and checksummed by itself, so that it is written and read in bounded memory.
//!
//! ```text
//! "chainwright snapshot 1\n"
//! frame:   kind 1 │ length unpacked 4 │ length packed 4 │ crc32c of all that and the packed bytes 4 │ packed (zstd)
//! kinds:   Head   lines of text: `ledger`, `engine`, `chain`, `tables`, `height`, `block`, `root`
//!          Headers, from height 1 on     length 4 │ header │ …
//!          Body    of the snapshot's block               Proof   where a proof made it final
//!          Rows    table 1 │ length 4 │ key │ length 4 │ value │ …
//!          End     headers 8 │ rows 8
//! ```
//!
//! Numbers are little-endian. Frames come in this order.

use std::io::{self, Read, Write};

/// What every snapshot begins with; the number is the format's.
const MAGIC: &[u8] = b"chainwright snapshot 1\n";
/// A frame is closed when it has this many bytes.
pub(crate) const FRAME_BYTES: usize = 1 << 20;
/// No frame unpacks to more: the largest body and the largest row fit.
const FRAME_BYTES_MAX: usize = 64 << 20;
const LEVEL: i32 = 3;
const PREFIX: usize = 13;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Head = 1,
    Headers,
    Body,
    Proof,
    Rows,
    End,
}

impl Kind {
    const ALL: [Self; 6] = [Self::Head, Self::Headers, Self::Body, Self::Proof, Self::Rows, Self::End];
}

/// Writes frames.
pub(crate) struct Writer<W> {
    out: W,
    /// Bytes written so far.
    pub(crate) written: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    pub(crate) fn begin(mut out: W) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        Ok(Self { out, written: MAGIC.len() as u64 })
    }

    /// Writes a frame.
    pub(crate) fn frame(&mut self, kind: Kind, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() > FRAME_BYTES_MAX {
            return Err(io::Error::other("a row or a block is too long for a snapshot"));
        }
        let packed = zstd::bulk::compress(bytes, LEVEL)?;
        let mut prefix = prefix(kind, bytes.len(), packed.len());
        prefix.extend_from_slice(&checksum(&prefix, &packed).to_le_bytes());
        self.out.write_all(&prefix)?;
        self.out.write_all(&packed)?;
        self.written += (prefix.len() + packed.len()) as u64;
        Ok(())
    }

    /// Everything has reached the writer below.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

fn prefix(kind: Kind, unpacked: usize, packed: usize) -> Vec<u8> {
    let mut prefix = Vec::with_capacity(PREFIX);
    prefix.push(kind as u8);
    prefix.extend_from_slice(&(unpacked as u32).to_le_bytes());
    prefix.extend_from_slice(&(packed as u32).to_le_bytes());
    prefix
}

fn checksum(prefix: &[u8], packed: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(prefix), packed)
}

/// Why a file cannot be read on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("it is no snapshot, or one of another version")]
    NoSnapshot,
    #[error("it ends at byte {0}, in the middle: the file is not complete")]
    Truncated(u64),
    #[error("it is damaged at byte {0}: the checksum does not match")]
    Damaged(u64),
    #[error("it makes no sense at byte {0}: {1}")]
    Nonsense(u64, &'static str),
    #[error("{0}")]
    Io(io::Error),
}

/// Reads frames.
pub(crate) struct Reader<R> {
    input: R,
    /// Where the next frame begins.
    pub(crate) at: u64,
    last: Kind,
}

impl<R: Read> Reader<R> {
    /// Begins with a file.
    pub(crate) fn begin(mut input: R) -> Result<Self, ReadError> {
        let mut magic = vec![0; MAGIC.len()];
        match input.read_exact(&mut magic) {
            Ok(()) if magic == MAGIC => Ok(Self { input, at: MAGIC.len() as u64, last: Kind::Head }),
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(ReadError::Io(error)),
            _ => Err(ReadError::NoSnapshot),
        }
    }

    /// The next frame.
    pub(crate) fn frame(&mut self) -> Result<(Kind, Vec<u8>), ReadError> {
        let start = self.at;
        let prefix: [u8; PREFIX] = self.take(PREFIX)?.try_into().expect("as many bytes were asked for");
        let word = |at: usize| u32::from_le_bytes(prefix[at..at + 4].try_into().expect("four bytes"));
        let (unpacked, packed, expected) = (word(1) as usize, word(5) as usize, word(9));
        let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == prefix[0]);
        if unpacked > FRAME_BYTES_MAX || packed > zstd::zstd_safe::compress_bound(FRAME_BYTES_MAX) {
            return Err(ReadError::Damaged(start));
        }
        let bytes = self.take(packed)?;
        let Some(kind) = kind.filter(|_| checksum(&prefix[..9], &bytes) == expected) else {
            return Err(ReadError::Damaged(start));
        };
        if kind < self.last {
            return Err(ReadError::Nonsense(start, "its parts are not in order"));
        }
        self.last = kind;
        let bytes = zstd::bulk::decompress(&bytes, unpacked).map_err(|_| ReadError::Damaged(start))?;
        if bytes.len() != unpacked {
            return Err(ReadError::Damaged(start));
        }
        Ok((kind, bytes))
    }

    /// Nothing may follow.
    pub(crate) fn end(&mut self) -> Result<(), ReadError> {
        match self.input.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(ReadError::Nonsense(self.at, "something follows its end")),
            Err(error) => Err(ReadError::Io(error)),
        }
    }

    /// Memory grows with what is there, not with what a length claims.
    fn take(&mut self, count: usize) -> Result<Vec<u8>, ReadError> {
        let mut bytes = Vec::new();
        let got = self.input.by_ref().take(count as u64).read_to_end(&mut bytes).map_err(ReadError::Io)?;
        self.at += got as u64;
        if got < count { Err(ReadError::Truncated(self.at)) } else { Ok(bytes) }
    }
}

/// Appends bytes with their length before them.
pub(crate) fn put_bytes(frame: &mut Vec<u8>, bytes: &[u8]) {
    frame.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    frame.extend_from_slice(bytes);
}

/// Takes what [`put_bytes`] wrote.
pub(crate) fn take_bytes<'b>(frame: &mut &'b [u8]) -> Option<&'b [u8]> {
    let (length, rest) = frame.split_first_chunk::<4>()?;
    let (bytes, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *frame = rest;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Vec<u8> {
        let mut writer = Writer::begin(Vec::new()).unwrap();
        writer.frame(Kind::Head, b"ledger evm").unwrap();
        writer.frame(Kind::Rows, &[7; 5000]).unwrap();
        writer.frame(Kind::End, &[0; 16]).unwrap();
        assert_eq!(writer.written, writer.out.len() as u64);
        writer.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Vec<(Kind, Vec<u8>)>, ReadError> {
        let mut reader = Reader::begin(bytes)?;
        let mut frames = Vec::new();
        loop {
            let frame = reader.frame()?;
            let is_end = frame.0 == Kind::End;
            frames.push(frame);
            if is_end {
                reader.end()?;
                return Ok(frames);
            }
        }
    }

    #[test]
    fn frames_come_back_as_they_were() {
        let frames = read(&written()).unwrap();
        let kinds: Vec<_> = frames.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [Kind::Head, Kind::Rows, Kind::End]);
        assert_eq!(frames[1].1, [7; 5000]);
    }

    #[test]
    fn whatever_is_cut_off_or_flipped_is_noticed() {
        let whole = written();
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).is_err(), "cut at {end}");
        }
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x20;
            assert!(read(&flipped).is_err(), "flipped at {at}");
        }
        assert!(matches!(read(&[&whole[..], b"x"].concat()), Err(ReadError::Nonsense(..))));
    }

    #[test]
    fn parts_in_another_order_are_refused() {
        let mut writer = Writer::begin(Vec::new()).unwrap();
        writer.frame(Kind::Rows, b"").unwrap();
        writer.frame(Kind::Headers, b"").unwrap();
        assert!(matches!(read(&writer.finish().unwrap()), Err(ReadError::Nonsense(..))));
    }

    #[test]
    fn bytes_with_a_length_are_taken_back() {
        let mut frame = Vec::new();
        put_bytes(&mut frame, b"key");
        put_bytes(&mut frame, b"");
        let mut rest = &frame[..];
        assert_eq!((take_bytes(&mut rest), take_bytes(&mut rest)), (Some(&b"key"[..]), Some(&b""[..])));
        assert_eq!(take_bytes(&mut rest), None);
        assert_eq!(take_bytes(&mut &[9, 0, 0, 0, 1][..]), None);
    }
}
