//! Reading a log from its beginning, and finding where it ends.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::segment::{self, HEADER_BYTES, SegmentHeader};
use super::{FIXED_BYTES, LogOptions, Position, Span};
use crate::disk::{Disk, DiskFile};
use crate::error::OpenError;
use crate::marks::Mark;

/// Bytes asked for at once: many small records, or the head of a large one.
const CHUNK_BYTES: usize = 32 << 10;

/// A record as a scan sees it.
pub(crate) struct Entry<'a> {
    /// The small part, kept in the header.
    pub(crate) head: &'a [u8],
    /// Where the large part lies.
    pub(crate) body: Span,
}

/// A log after a crash: what is left, and where it goes on.
pub(super) struct Recovered {
    pub(super) segments: BTreeMap<u32, Arc<dyn DiskFile>>,
    pub(super) end: Position,
    pub(super) chain: u32,
}

/// The first thing that is not readable, or the end.
struct Stop {
    at: Position,
    chain: u32,
    /// `None` at the end of the file.
    what: Option<&'static str>,
}

type Visit<'v> = &'v mut dyn FnMut(&Entry<'_>) -> Result<(), String>;

struct Recovery<'a> {
    disk: &'a dyn Disk,
    options: LogOptions,
    mark: Mark,
}

/// Opens all segments, visits all records and cuts the log where it ends.
pub(super) fn recover(
    disk: &dyn Disk,
    options: LogOptions,
    mark: Mark,
    visit: Visit<'_>,
) -> Result<Recovered, OpenError> {
    Recovery { disk, options, mark }.run(visit)
}

impl Recovery<'_> {
    fn run(&self, visit: Visit<'_>) -> Result<Recovered, OpenError> {
        let mut numbers = self.numbers()?;
        let first = self.mark.first_segment.or(numbers.first().copied()).unwrap_or(0);
        let mut recovered =
            Recovered { segments: BTreeMap::new(), end: Position { segment: first, offset: 0 }, chain: 0 };
        let mut what = None;
        while let Some(&number) = numbers.first() {
            if recovered.segments.is_empty() && number != first {
                what = Some("the first segment is gone");
                break;
            }
            let file = self.disk.open(&self.name(number), false);
            let file = file.map_err(|error| self.failed(number, error))?;
            let stop = self.scan(&recovered, number, file.as_ref(), visit)?;
            what = stop.what;
            if stop.at.offset == 0 {
                break;
            }
            numbers.remove(0);
            recovered.segments.insert(number, file);
            (recovered.end, recovered.chain) = (stop.at, stop.chain);
            if what.is_some() {
                break;
            }
        }
        if self.mark.synced.is_some_and(|synced| recovered.end < synced) {
            return Err(self.damaged(recovered.end, what.unwrap_or("the rest of the log is gone")));
        }
        if let Some(what) = what {
            self.cut(&recovered, &numbers, what)?;
        }
        Ok(recovered)
    }

    /// The segments that belong to the log, in order. Older ones were removed and came back with a power cut.
    fn numbers(&self) -> Result<Vec<u32>, OpenError> {
        let names = self.disk.list().map_err(|error| self.failed(0, error))?;
        let mut numbers: Vec<_> =
            names.iter().filter_map(|name| segment::file_number(self.options.name, name)).collect();
        numbers.sort_unstable();
        let first = self.mark.first_segment.unwrap_or(0);
        for &old in numbers.iter().filter(|&&number| number < first) {
            self.disk.remove(&self.name(old)).map_err(|error| self.failed(old, error))?;
        }
        numbers.retain(|&number| number >= first);
        Ok(numbers)
    }

    /// Reads one segment up to its end or to the first thing that is wrong; offset 0 means the segment itself is.
    fn scan(
        &self,
        before: &Recovered,
        number: u32,
        file: &dyn DiskFile,
        visit: Visit<'_>,
    ) -> Result<Stop, OpenError> {
        let failed = |error| self.failed(number, error);
        let wrong =
            |what| Ok(Stop { at: Position { segment: number, offset: 0 }, chain: 0, what: Some(what) });
        let mut reader = Reader::new(file).map_err(failed)?;
        let header = reader.bytes(0, HEADER_BYTES).map_err(failed)?;
        let Some((header, chain)) = SegmentHeader::decode(header, self.options.name, number) else {
            return wrong("a segment has no valid header");
        };
        let first = before.segments.is_empty();
        let expected = Position { segment: number.wrapping_sub(1), offset: header.previous_end };
        if !first && (before.end != expected || before.chain != header.previous_chain) {
            return wrong("records are missing between two segments");
        }
        let mut at = Position { segment: number, offset: HEADER_BYTES as u32 };
        let mut chain = chain;
        loop {
            let verify = self.mark.synced.is_none_or(|synced| at >= synced);
            match reader.record(at, chain, verify).map_err(failed)? {
                Record::End => return Ok(Stop { at, chain, what: None }),
                Record::Bad(what) => return Ok(Stop { at, chain, what: Some(what) }),
                Record::Good { entry, chain: next_chain, next } => {
                    visit(&entry).map_err(|what| self.damaged(at, &what))?;
                    (at.offset, chain) = (next, next_chain);
                }
            }
        }
    }

    /// Removes what follows the end for good, so that nothing of it can come back.
    fn cut(&self, recovered: &Recovered, rest: &[u32], what: &str) -> Result<(), OpenError> {
        let end = recovered.end;
        let mut lost = 0;
        if let Some(file) = recovered.segments.get(&end.segment) {
            let failed = |error| self.failed(end.segment, error);
            lost += file.len().map_err(failed)?.saturating_sub(u64::from(end.offset));
            file.truncate(u64::from(end.offset)).map_err(failed)?;
            file.sync().map_err(failed)?;
        }
        for &number in rest {
            let failed = |error| self.failed(number, error);
            let file = self.disk.open(&self.name(number), false).map_err(failed)?;
            lost += file.len().map_err(failed)?;
            self.disk.remove(&self.name(number)).map_err(failed)?;
        }
        self.disk.sync_directory().map_err(|error| self.failed(end.segment, error))?;
        tracing::warn!(
            file = self.name(end.segment),
            offset = end.offset,
            bytes = lost,
            "cut off what was not synced when the machine or the process stopped: {what}"
        );
        Ok(())
    }

    fn name(&self, number: u32) -> String {
        segment::file_name(self.options.name, number)
    }

    fn failed(&self, number: u32, error: io::Error) -> OpenError {
        OpenError::Disk { place: format!("{}/{}", self.disk.place(), self.name(number)), error }
    }

    fn damaged(&self, at: Position, what: &str) -> OpenError {
        OpenError::Damaged {
            place: self.disk.place(),
            file: self.name(at.segment),
            offset: u64::from(at.offset),
            what: what.to_owned(),
            hint: self.options.hint,
        }
    }
}

/// Shows every record of one segment up to `limit`.
pub(super) fn read_all(
    file: &dyn DiskFile,
    log: &str,
    number: u32,
    limit: Option<u32>,
    visit: &mut dyn FnMut(&Entry<'_>),
) -> Result<(), String> {
    let mut reader = Reader::new(file).map_err(|error| error.to_string())?;
    let header = reader.bytes(0, HEADER_BYTES).map_err(|error| error.to_string())?;
    let (_, mut chain) = SegmentHeader::decode(header, log, number).ok_or("damaged at byte 0")?;
    let mut at = Position { segment: number, offset: HEADER_BYTES as u32 };
    while limit.is_none_or(|limit| at.offset < limit) {
        match reader.record(at, chain, false).map_err(|error| error.to_string())? {
            Record::End => break,
            Record::Bad(what) => return Err(format!("damaged at byte {}: {what}", at.offset)),
            Record::Good { entry, chain: next_chain, next } => {
                visit(&entry);
                (at.offset, chain) = (next, next_chain);
            }
        }
    }
    Ok(())
}

enum Record<'a> {
    End,
    Bad(&'static str),
    Good { entry: Entry<'a>, chain: u32, next: u32 },
}

/// Reads small pieces of a file through a buffer.
struct Reader<'f> {
    file: &'f dyn DiskFile,
    len: u64,
    start: u64,
    buffer: Vec<u8>,
}

impl<'f> Reader<'f> {
    fn new(file: &'f dyn DiskFile) -> io::Result<Self> {
        Ok(Self { file, len: file.len()?, start: 0, buffer: Vec::new() })
    }

    /// Up to `count` bytes; fewer only at the end of the file.
    fn bytes(&mut self, offset: u64, count: usize) -> io::Result<&[u8]> {
        let count = count.min(self.len.saturating_sub(offset) as usize);
        let end = offset + count as u64;
        if offset < self.start || end > self.start + self.buffer.len() as u64 {
            let wanted = count.max(CHUNK_BYTES).min(self.len.saturating_sub(offset) as usize);
            self.buffer.resize(wanted, 0);
            self.start = offset;
            let read = self.file.read_at(offset, &mut self.buffer)?;
            self.buffer.truncate(read);
        }
        let from = (offset - self.start) as usize;
        Ok(&self.buffer[from..(from + count).min(self.buffer.len())])
    }

    /// The record at a position whose predecessor left `chain`; its body is read only to `verify` it.
    fn record(&mut self, at: Position, chain: u32, verify: bool) -> io::Result<Record<'_>> {
        let offset = u64::from(at.offset);
        if offset >= self.len {
            return Ok(Record::End);
        }
        let len = self.len;
        let fixed = self.bytes(offset, FIXED_BYTES)?;
        if fixed.len() < FIXED_BYTES {
            return Ok(Record::Bad("the file ends within a record"));
        }
        let word = |at: usize| u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
        let (stored, head_len, body_len, crc) = (word(0), word(4), word(8), word(12));
        let whole = FIXED_BYTES as u64 + u64::from(head_len) + u64::from(body_len);
        let body_at = FIXED_BYTES as u64 + u64::from(head_len);
        let Ok(next) = u32::try_from(offset + whole) else {
            return Ok(Record::Bad("the checksum does not match"));
        };
        if head_len == 0 || u64::from(next) > len {
            return Ok(Record::Bad("the file ends within a record"));
        }
        let body = Span { at: Position { offset: (offset + body_at) as u32, ..at }, len: body_len, crc };
        if verify && crc32c::crc32c(self.bytes(offset + body_at, body_len as usize)?) != crc {
            return Ok(Record::Bad("the checksum does not match"));
        }
        let bytes = self.bytes(offset, body_at as usize)?;
        if bytes.len() < body_at as usize || crc32c::crc32c_append(chain, &bytes[4..]) != stored {
            return Ok(Record::Bad("the checksum does not match"));
        }
        Ok(Record::Good { entry: Entry { head: &bytes[FIXED_BYTES..], body }, chain: stored, next })
    }
}
