//! How far the logs are known to be synced.
//!
//! A log that ends in rubbish is what a power cut leaves behind; rubbish before a synced position is damage. The file
//! of marks tells one from the other. It is written after a sync and not synced itself: an old mark is only less strict.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile};
use crate::log::Position;

const FILE: &str = "SYNCED";
/// Two copies written in turn, each in a disk sector of its own.
const SLOT_BYTES: u64 = 512;

/// What is known of one log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The oldest segment that belongs to the log.
    pub(crate) first_segment: u32,
    /// Everything before it is synced; `None` if nothing is known.
    pub(crate) synced: Option<Position>,
}

/// The marks of the logs, in the order they are synced.
pub(crate) type MarkList = [Mark; 3];

pub(crate) struct Marks {
    file: Arc<dyn DiskFile>,
    written: Mutex<(u64, MarkList)>,
}

impl Marks {
    /// Reads the newest readable marks; none are known in a new store.
    pub(crate) fn open(disk: &dyn Disk) -> io::Result<Self> {
        let file = disk.open(FILE, true)?;
        let mut newest = (0, MarkList::default());
        for slot in 0..2 {
            let mut bytes = [0; ENCODED];
            let count = file.read_at(slot * SLOT_BYTES, &mut bytes)?;
            match decode(&bytes[..count]) {
                Some(read) if read.0 > newest.0 => newest = read,
                None if bytes != [0; ENCODED] => {
                    tracing::warn!(slot, "{FILE}: one of two copies is unreadable")
                }
                _ => {}
            }
        }
        Ok(Self { file, written: Mutex::new(newest) })
    }

    pub(crate) fn get(&self) -> MarkList {
        self.written.lock().1
    }

    /// Moves the marks on. They never move back.
    pub(crate) fn set(&self, marks: MarkList) -> io::Result<()> {
        let mut written = self.written.lock();
        let mut next = written.1;
        for (next, mark) in next.iter_mut().zip(marks) {
            next.first_segment = next.first_segment.max(mark.first_segment);
            next.synced = next.synced.max(mark.synced);
        }
        if next == written.1 {
            return Ok(());
        }
        let sequence = written.0 + 1;
        self.file.write_at((sequence % 2) * SLOT_BYTES, &encode(sequence, &next))?;
        *written = (sequence, next);
        Ok(())
    }
}

const ENCODED: usize = 8 + 3 * 13 + 4;

fn encode(sequence: u64, marks: &MarkList) -> Vec<u8> {
    let mut bytes = sequence.to_le_bytes().to_vec();
    for mark in marks {
        let position = mark.synced.unwrap_or_default();
        bytes.extend_from_slice(&mark.first_segment.to_le_bytes());
        bytes.push(u8::from(mark.synced.is_some()));
        bytes.extend_from_slice(&position.segment.to_le_bytes());
        bytes.extend_from_slice(&position.offset.to_le_bytes());
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
    for (mark, bytes) in marks.iter_mut().zip(body.chunks_exact(13)) {
        let word = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk::<4>()?));
        mark.first_segment = word(0)?;
        mark.synced = (bytes[4] == 1).then_some(Position { segment: word(5)?, offset: word(9)? });
    }
    Some((u64::from_le_bytes(*sequence), marks))
}
