//! Files of blocks, one after the other: `magic ‖ length (u32 LE) ‖ block` as Bitcoin Core's `blk*.dat`, `linearize-data.py`
//! and btcd write them, or RLP lists back to back as geth exports them. `bzip2` streams are read as they are.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// Blocks longer than this are none.
const LENGTH_MAX: u32 = 32 << 20;
/// How `bzip2` streams begin.
const BZIP2: &[u8] = b"BZh";

/// Bytes of files read so far, for progress; compressed ones count as they lie on the disk.
pub(crate) type Meter = Arc<AtomicU64>;

/// How blocks lie in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Each behind these bytes and its length: Bitcoin Core's files.
    Magic([u8; 4]),
    /// Each says by itself how long it is: geth's exports.
    Rlp,
}

impl Framing {
    /// Bytes of a file that belong to a block beside its own.
    pub(crate) const fn overhead(self) -> u64 {
        match self {
            Self::Magic(_) => 8,
            Self::Rlp => 0,
        }
    }
}

/// Reads one file.
pub(crate) struct FrameReader {
    input: Box<dyn Read + Send>,
    framing: Framing,
    name: String,
    /// Bytes read of the frames themselves.
    offset: u64,
}

/// Counts what passes.
struct Metered<R> {
    inner: R,
    meter: Meter,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.meter.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl FrameReader {
    /// Opens a file; `-` is standard input.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn open(path: &Path, framing: Framing, meter: Meter) -> io::Result<Self> {
        let raw: Box<dyn Read + Send> =
            if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(path)?) };
        Self::new(Metered { inner: raw, meter }, framing, path.display().to_string())
    }

    fn new(raw: impl Read + Send + 'static, framing: Framing, name: String) -> io::Result<Self> {
        let mut buffered = BufReader::with_capacity(1 << 20, raw);
        let mut first = [0; BZIP2.len()];
        let count = read_up_to(&mut buffered, &mut first)?;
        let start = io::Cursor::new(first[..count].to_vec());
        let input: Box<dyn Read + Send> = if first[..count] == *BZIP2 {
            Box::new(BufReader::with_capacity(
                1 << 20,
                bzip2::read::MultiBzDecoder::new(start.chain(buffered)),
            ))
        } else {
            Box::new(start.chain(buffered))
        };
        Ok(Self { input, framing, name, offset: 0 })
    }

    /// The bytes of the next block; `None` at the end. Zeros after the last block are room kept by Bitcoin Core.
    ///
    /// # Errors
    /// When the file cannot be read, ends within a block, or is no file of this chain's blocks.
    pub(crate) fn next(&mut self) -> io::Result<Option<Bytes>> {
        match self.framing {
            Framing::Magic(magic) => self.next_behind(magic),
            Framing::Rlp => self.next_list(),
        }
    }

    fn wrong(&self, what: impl core::fmt::Display) -> io::Error {
        io::Error::other(format!("{}, byte {}: {what}", self.name, self.offset))
    }

    fn next_behind(&mut self, magic: [u8; 4]) -> io::Result<Option<Bytes>> {
        let mut head = [0; 8];
        match read_up_to(&mut self.input, &mut head)? {
            0 => return Ok(None),
            count if head[..count].iter().all(|byte| *byte == 0) => {
                return if rest_is_zero(&mut self.input)? {
                    Ok(None)
                } else {
                    Err(self.wrong("zeros between blocks"))
                };
            }
            8 => {}
            _ => return Err(self.wrong("the file ends within the head of a block")),
        }
        let [m0, m1, m2, m3, l0, l1, l2, l3] = head;
        if [m0, m1, m2, m3] != magic {
            let (found, expected) = (crate::spec::encode_hex(&head[..4]), crate::spec::encode_hex(&magic));
            return Err(self.wrong(format!("found magic {found} where this chain's is {expected}")));
        }
        let block = self.body(Vec::new(), u32::from_le_bytes([l0, l1, l2, l3]))?;
        self.offset += 8 + block.len() as u64;
        Ok(Some(block.into()))
    }

    /// A list of RLP: how long it is stands in its first bytes, which belong to it.
    fn next_list(&mut self) -> io::Result<Option<Bytes>> {
        /// Up to here the first byte holds the length.
        const SHORT: u8 = 0xf7;
        let mut first = [0; 1];
        if read_up_to(&mut self.input, &mut first)? == 0 {
            return Ok(None);
        }
        let mut head = vec![first[0]];
        let length = match first[0] {
            0..0xc0 => return Err(self.wrong("no block begins here: an RLP list was expected")),
            short @ 0xc0..=SHORT => u32::from(short - 0xc0),
            long => {
                let count = usize::from(long - SHORT);
                let mut digits = [0; 8];
                if read_up_to(&mut self.input, &mut digits[..count])? < count {
                    return Err(self.wrong("the file ends within the head of a block"));
                }
                head.extend_from_slice(&digits[..count]);
                let length = digits[..count].iter().fold(0_u64, |sum, digit| sum << 8 | u64::from(*digit));
                u32::try_from(length).unwrap_or(u32::MAX)
            }
        };
        let block = self.body(head, length)?;
        self.offset += block.len() as u64;
        Ok(Some(block.into()))
    }

    /// So many bytes more.
    fn body(&mut self, mut block: Vec<u8>, length: u32) -> io::Result<Vec<u8>> {
        if length > LENGTH_MAX {
            return Err(self.wrong(format!("a block of {length} bytes")));
        }
        let whole = block.len() + length as usize;
        (&mut self.input).take(u64::from(length)).read_to_end(&mut block)?;
        if block.len() < whole {
            return Err(self.wrong(format!("the file ends within a block of {length} bytes")));
        }
        Ok(block)
    }
}

fn read_up_to(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match input.read(&mut buffer[count..])? {
            0 => break,
            read => count += read,
        }
    }
    Ok(count)
}

fn rest_is_zero(input: &mut impl Read) -> io::Result<bool> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match read_up_to(input, &mut buffer)? {
            0 => return Ok(true),
            count if buffer[..count].iter().any(|byte| *byte != 0) => return Ok(false),
            _ => {}
        }
    }
}

/// Writes one block.
///
/// # Errors
/// When the disk fails.
pub(crate) fn write_frame(out: &mut impl Write, framing: Framing, block: &[u8]) -> io::Result<()> {
    if let Framing::Magic(magic) = framing {
        out.write_all(&magic)?;
        out.write_all(&(block.len() as u32).to_le_bytes())?;
    }
    out.write_all(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAGIC: Framing = Framing::Magic([1, 2, 3, 4]);

    fn read_all(bytes: Vec<u8>) -> io::Result<Vec<Bytes>> {
        read_framed(bytes, MAGIC)
    }

    fn read_framed(bytes: Vec<u8>, framing: Framing) -> io::Result<Vec<Bytes>> {
        let mut reader = FrameReader::new(io::Cursor::new(bytes), framing, "test".to_owned())?;
        let mut blocks = Vec::new();
        while let Some(block) = reader.next()? {
            blocks.push(block);
        }
        Ok(blocks)
    }

    fn framed(blocks: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for block in blocks {
            write_frame(&mut bytes, MAGIC, block).unwrap();
        }
        bytes
    }

    #[test]
    fn frames_are_read_back_compressed_or_not_and_with_room_at_the_end() {
        let blocks: [&[u8]; 3] = [b"one", b"", b"three"];
        let bytes = framed(&blocks);
        assert_eq!(read_all(bytes.clone()).unwrap(), blocks);
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(&bytes).unwrap();
        assert_eq!(read_all(encoder.finish().unwrap()).unwrap(), blocks);
        let mut padded = bytes;
        padded.extend([0; 100]);
        assert_eq!(read_all(padded).unwrap(), blocks);
        assert!(read_all(Vec::new()).unwrap().is_empty());
    }

    #[test]
    fn what_is_cut_off_or_of_another_chain_is_an_error_that_says_where() {
        let bytes = framed(&[b"one", b"two"]);
        for length in (1..bytes.len()).filter(|length| *length != 11) {
            assert!(read_all(bytes[..length].to_vec()).is_err(), "{length}");
        }
        let mut other = bytes;
        other[11] = 9;
        let error = read_all(other).unwrap_err().to_string();
        assert!(error.contains("byte 11") && error.contains("09020304"), "{error}");
    }

    #[test]
    fn lists_back_to_back_are_read_back_and_nothing_else_is() {
        let long = [vec![0xf9, 0x01, 0x00], vec![7; 256]].concat();
        let blocks: [&[u8]; 3] = [&[0xc0], &[0xc2, 1, 2], &long];
        let mut bytes = Vec::new();
        for block in blocks {
            write_frame(&mut bytes, Framing::Rlp, block).unwrap();
        }
        assert_eq!(read_framed(bytes.clone(), Framing::Rlp).unwrap(), blocks);
        for length in (1..bytes.len()).filter(|length| ![1, 4].contains(length)) {
            assert!(read_framed(bytes[..length].to_vec(), Framing::Rlp).is_err(), "{length}");
        }
        let text = read_framed(b"text".to_vec(), Framing::Rlp).unwrap_err().to_string();
        assert!(text.contains("byte 0"), "{text}");
        assert!(read_framed(vec![0xff; 9], Framing::Rlp).is_err(), "longer than any block");
    }
}
