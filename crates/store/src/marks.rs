//! How far the logs are known to be synced.
//!
//! A log that ends in rubbish is what a power cut leaves behind; rubbish before a synced position is damage. The file
//! of marks tells one from the other.
//!
//! It has two copies. The second is written after each sync and not synced itself: an old mark is only less strict. When
//! the first segments of a log are to be removed, both are written and synced one after the other. So at any moment at
//! least one copy is whole, and what it says of first segments is true.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile};
use crate::log::Position;

const FILE: &str = "SYNCED";
/// Each copy has a disk sector of its own.
const SLOT_BYTES: u64 = 512;
const FIRM_SLOT: u64 = 0;
const ADVICE_SLOT: u64 = 1;

/// The logs in the order they are synced.
pub(crate) const BLOCKS: usize = 0;
pub(crate) const RECORDS: usize = 1;
pub(crate) const JOURNAL: usize = 2;
pub(crate) const INDEX: usize = 3;
const LOGS: usize = 4;

/// What is known of one log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The oldest segment that belongs to the log; `None` if that is not known.
    pub(crate) first_segment: Option<u32>,
    /// Everything before it is synced; `None` if nothing is known.
    pub(crate) synced: Option<Position>,
}

type MarkList = [Mark; LOGS];

pub(crate) struct Marks {
    file: Arc<dyn DiskFile>,
    written: Mutex<(u64, MarkList)>,
}

impl Marks {
    /// Writes the marks of a store that holds nothing.
    pub(crate) fn create(disk: &dyn Disk) -> io::Result<()> {
        let file = disk.open(FILE, true)?;
        let marks = [Mark { first_segment: Some(0), synced: None }; LOGS];
        for sequence in 0..2 {
            file.write_at(sequence * SLOT_BYTES, &encode(sequence, &marks))?;
        }
        file.sync()
    }

    /// Reads the newest readable marks.
    pub(crate) fn open(disk: &dyn Disk) -> io::Result<Self> {
        let file = disk.open(FILE, true)?;
        let mut newest = (0, MarkList::default());
        let mut unreadable = 0;
        for slot in 0..2 {
            let mut bytes = [0; ENCODED];
            let count = file.read_at(slot * SLOT_BYTES, &mut bytes)?;
            match decode(&bytes[..count]) {
                Some(read) if read.0 >= newest.0 => newest = read,
                Some(_) => {}
                None => unreadable += 1,
            }
        }
        match unreadable {
            0 => {}
            1 => tracing::warn!(
                place = disk.place(),
                "one of two copies in {FILE} is unreadable; using the other"
            ),
            _ => tracing::warn!(
                place = disk.place(),
                "{FILE} is missing or unreadable: damage at the end of a log cannot be told from an unfinished write"
            ),
        }
        Ok(Self { file, written: Mutex::new(newest) })
    }

    pub(crate) fn get(&self, log: usize) -> Mark {
        self.written.lock().1[log]
    }

    /// Notes how far a log is synced. Only advice for the next start: what it speaks of is safe already.
    pub(crate) fn advise(&self, log: usize, mark: Mark) {
        if let Err(error) = self.set(log, Mark { first_segment: None, ..mark }) {
            tracing::debug!(%error, "cannot write how far the logs are synced");
        }
    }

    /// Notes, durably, that earlier segments of a log do not belong to it any more.
    pub(crate) fn set_first_segment(&self, log: usize, mark: Mark) -> io::Result<()> {
        self.set(log, mark)?;
        self.settle()
    }

    /// Forgets a log whose files are gone.
    pub(crate) fn reset(&self, log: usize) -> io::Result<()> {
        self.written.lock().1[log] = Mark { first_segment: Some(0), synced: None };
        self.settle()
    }

    /// Marks never move back.
    fn set(&self, log: usize, mark: Mark) -> io::Result<()> {
        let mut written = self.written.lock();
        let mut next = written.1;
        next[log].first_segment = next[log].first_segment.max(mark.first_segment);
        next[log].synced = next[log].synced.max(mark.synced);
        if next == written.1 {
            return Ok(());
        }
        let sequence = written.0 + 1;
        self.file.write_at(ADVICE_SLOT * SLOT_BYTES, &encode(sequence, &next))?;
        *written = (sequence, next);
        Ok(())
    }

    /// Makes both copies say the same, never touching both at once.
    fn settle(&self) -> io::Result<()> {
        let mut written = self.written.lock();
        for slot in [ADVICE_SLOT, FIRM_SLOT] {
            written.0 += 1;
            self.file.write_at(slot * SLOT_BYTES, &encode(written.0, &written.1))?;
            self.file.sync()?;
        }
        Ok(())
    }
}

const MARK_BYTES: usize = 13;
const ENCODED: usize = 8 + LOGS * MARK_BYTES + 4;

fn encode(sequence: u64, marks: &MarkList) -> Vec<u8> {
    let mut bytes = sequence.to_le_bytes().to_vec();
    for mark in marks {
        let position = mark.synced.unwrap_or_default();
        bytes.push(u8::from(mark.first_segment.is_some()) | u8::from(mark.synced.is_some()) << 1);
        for word in [mark.first_segment.unwrap_or_default(), position.segment, position.offset] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
    }
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<(u64, MarkList)> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    if bytes.len() != ENCODED || crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let (sequence, body) = body.split_first_chunk::<8>()?;
    let mut marks = MarkList::default();
    for (mark, bytes) in marks.iter_mut().zip(body.chunks_exact(MARK_BYTES)) {
        let word = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk::<4>()?));
        mark.first_segment = if bytes[0] & 1 == 1 { Some(word(1)?) } else { None };
        let synced = Position { segment: word(5)?, offset: word(9)? };
        mark.synced = (bytes[0] & 2 == 2).then_some(synced);
    }
    Some((u64::from_le_bytes(*sequence), marks))
}
