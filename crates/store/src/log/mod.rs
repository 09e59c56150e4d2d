//! An append-only list of records in segment files.
//!
//! ```text
//! segment   magic 8 │ number 4 │ previous segment: end 4, chain 4 │ chain 4 │ record │ record │ …
//! record    chain 4 │ head length 4 │ body length 4 │ body crc 4 │ head │ body
//! ```
//!
//! All integers are little-endian. `chain` is the crc32c of the rest of the header and the head, continued from the
//! chain of the record before: bytes that an old life left behind can never follow a record of the new one.
//!
//! Invariants:
//! - a record is visible when [`Log::append`] returned, and then never changes;
//! - an append that fails leaves nothing behind that a later open could take for a record;
//! - whatever is unreadable before the synced position is an error, after it the end of the log.

mod scan;
mod segment;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chainwright_chain::Fault;
use parking_lot::{Mutex, RwLock};

use crate::disk::{Disk, DiskFile};
use crate::error::OpenError;
use crate::marks::Mark;
pub(crate) use scan::Entry;
use segment::{HEADER_BYTES, SegmentHeader};

/// Chain, head length, body length, body checksum.
const FIXED_BYTES: usize = 16;
/// Larger bodies are not copied behind their header but written by a second call.
const COPY_BYTES_MAX: usize = 64 << 10;
/// Offsets are 32 bits; a segment may exceed its nominal size by one record.
const RECORD_BYTES_MAX: usize = 1 << 31;

/// A place in a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
}

/// Where a body, or a checksummed part of one, lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) at: Position,
    pub(crate) len: u32,
    pub(crate) crc: u32,
}

/// What a log is called and how large its files grow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogOptions {
    pub(crate) name: &'static str,
    pub(crate) segment_bytes: u64,
    /// What a person is told when it is damaged.
    pub(crate) hint: &'static str,
}

/// One writer at a time, any number of readers.
pub(crate) struct Log {
    disk: Arc<dyn Disk>,
    options: LogOptions,
    segments: RwLock<BTreeMap<u32, Arc<dyn DiskFile>>>,
    tail: Mutex<Tail>,
    synced: Mutex<Position>,
    /// A file was created whose name is not synced yet.
    unsynced_name: AtomicBool,
    /// After a failed sync the operating system may have dropped what it could not write.
    failed: Mutex<Option<String>>,
}

struct Tail {
    /// `None` in an empty log.
    file: Option<Arc<dyn DiskFile>>,
    end: Position,
    chain: u32,
    /// The rest of a failed append is still there.
    torn: bool,
    buffer: Vec<u8>,
}

impl Log {
    /// Opens the log, shows every record to `visit` and cuts off what a crash left unfinished.
    ///
    /// # Errors
    /// [`OpenError::Damaged`] when something is unreadable before the mark, or `visit` does not understand a record.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        options: LogOptions,
        mark: Mark,
        visit: &mut dyn FnMut(&Entry<'_>) -> Result<(), String>,
    ) -> Result<Self, OpenError> {
        let recovered = scan::recover(disk.as_ref(), options, mark, visit)?;
        let tail = Tail {
            file: recovered.segments.last_key_value().map(|(_, file)| Arc::clone(file)),
            end: recovered.end,
            chain: recovered.chain,
            torn: false,
            buffer: Vec::new(),
        };
        Ok(Self {
            disk,
            options,
            segments: RwLock::new(recovered.segments),
            tail: Mutex::new(tail),
            synced: Mutex::new(mark.synced.unwrap_or_default()),
            unsynced_name: AtomicBool::new(true),
            failed: Mutex::new(None),
        })
    }

    /// Appends a record; `head` must not be empty.
    ///
    /// # Errors
    /// A [`Fault`]; then nothing was appended.
    pub(crate) fn append(&self, head: &[u8], body: &[u8]) -> Result<Span, Fault> {
        self.check_failed()?;
        let total = FIXED_BYTES + head.len() + body.len();
        if total > RECORD_BYTES_MAX {
            return Err(Fault::new(format!(
                "a record of {total} bytes is too large for {}",
                self.options.name
            )));
        }
        let mut tail = self.tail.lock();
        let full = u64::from(tail.end.offset) + total as u64 > self.options.segment_bytes;
        if tail.file.is_none() || (full && tail.end.offset as usize > HEADER_BYTES) {
            self.roll(&mut tail)
                .map_err(|error| self.fault(tail.end.segment + 1, "cannot create", &error))?;
        }
        let file = Arc::clone(tail.file.as_ref().expect("an empty log was given its first segment"));
        let body_crc = crc32c::crc32c(body);
        let chain = write_record(&mut tail, file.as_ref(), head, body, body_crc).map_err(|error| {
            tail.torn = file.truncate(u64::from(tail.end.offset)).is_err();
            self.fault(tail.end.segment, "cannot write", &error)
        })?;
        let start = tail.end;
        tail.end.offset += total as u32;
        tail.chain = chain;
        let offset = start.offset + (FIXED_BYTES + head.len()) as u32;
        Ok(Span { at: Position { offset, ..start }, len: body.len() as u32, crc: body_crc })
    }

    /// Ends the current segment and returns the number of the next.
    ///
    /// # Errors
    /// A [`Fault`] of the disk.
    pub(crate) fn begin_segment(&self) -> Result<u32, Fault> {
        self.check_failed()?;
        let mut tail = self.tail.lock();
        self.roll(&mut tail).map_err(|error| self.fault(tail.end.segment + 1, "cannot create", &error))?;
        Ok(tail.end.segment)
    }

    /// Begins the next segment.
    fn roll(&self, tail: &mut Tail) -> io::Result<()> {
        if tail.torn
            && let Some(file) = &tail.file
        {
            file.truncate(u64::from(tail.end.offset))?;
            tail.torn = false;
        }
        let number = if tail.file.is_some() { tail.end.segment + 1 } else { tail.end.segment };
        let header = SegmentHeader { number, previous_end: tail.end.offset, previous_chain: tail.chain };
        let (bytes, chain) = header.encode(self.options.name);
        let file = self.disk.open(&segment::file_name(self.options.name, number), true)?;
        file.truncate(0)?;
        file.write_at(0, &bytes)?;
        self.unsynced_name.store(true, Ordering::Release);
        self.segments.write().insert(number, Arc::clone(&file));
        tail.file = Some(file);
        tail.end = Position { segment: number, offset: HEADER_BYTES as u32 };
        tail.chain = chain;
        Ok(())
    }

    /// Reads a body and checks it.
    ///
    /// # Errors
    /// A [`Fault`] when the disk fails or the bytes are not what was written.
    pub(crate) fn read(&self, span: Span) -> Result<Vec<u8>, Fault> {
        let file = self.segments.read().get(&span.at.segment).cloned();
        let name = segment::file_name(self.options.name, span.at.segment);
        let file = file.ok_or_else(|| Fault::new(format!("{name} is gone")))?;
        let mut bytes = vec![0; span.len as usize];
        let count = file
            .read_at(u64::from(span.at.offset), &mut bytes)
            .map_err(|error| self.fault(span.at.segment, "cannot read", &error))?;
        if count < bytes.len() || crc32c::crc32c(&bytes) != span.crc {
            let Self { disk, options, .. } = self;
            return Err(Fault::new(format!(
                "{}/{name} is damaged at byte {}: the checksum does not match\nhint: {}",
                disk.place(),
                span.at.offset,
                options.hint
            )));
        }
        Ok(bytes)
    }

    /// Shows every record in order.
    ///
    /// # Errors
    /// A [`Fault`] when the disk fails or a record is unreadable.
    pub(crate) fn for_each(&self, visit: &mut dyn FnMut(&Entry<'_>)) -> Result<(), Fault> {
        let end = self.end();
        let segments: Vec<_> = self.segments.read().iter().map(|(&n, file)| (n, Arc::clone(file))).collect();
        for (number, file) in segments {
            let limit = (number == end.segment).then_some(end.offset);
            scan::read_all(file.as_ref(), self.options.name, number, limit, visit).map_err(|what| {
                let name = segment::file_name(self.options.name, number);
                Fault::new(format!("{}/{name}: {what}\nhint: {}", self.disk.place(), self.options.hint))
            })?;
        }
        Ok(())
    }

    /// Where the next record will be.
    pub(crate) fn end(&self) -> Position {
        self.tail.lock().end
    }

    /// Makes everything appended so far survive a power cut. May run beside appends and reads.
    ///
    /// # Errors
    /// A [`Fault`]; the log then refuses to go on, because what is lost cannot be known.
    pub(crate) fn sync(&self) -> Result<Mark, Fault> {
        self.check_failed()?;
        let mut synced = self.synced.lock();
        let end = self.end();
        let files: Vec<_> = {
            let segments = self.segments.read();
            segments.range(synced.segment..=end.segment).map(|(&n, file)| (n, Arc::clone(file))).collect()
        };
        if end > *synced {
            for (number, file) in files {
                file.sync().map_err(|error| self.give_up(self.fault(number, "cannot sync", &error)))?;
            }
        }
        if self.unsynced_name.swap(false, Ordering::AcqRel) {
            let synced = self.disk.sync_directory();
            synced.map_err(|error| self.give_up(self.fault(end.segment, "cannot sync", &error)))?;
        }
        *synced = end.max(*synced);
        Ok(Mark { first_segment: None, synced: Some(*synced) })
    }

    /// Removes whole segments before `segment`.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn remove_before(&self, segment: u32) -> io::Result<()> {
        while let Some(number) = self.first_segment_before(segment) {
            self.disk.remove(&segment::file_name(self.options.name, number))?;
            self.segments.write().remove(&number);
        }
        Ok(())
    }

    fn first_segment_before(&self, segment: u32) -> Option<u32> {
        self.segments.read().range(..segment).next().map(|(&number, _)| number)
    }

    pub(crate) fn file_name(&self, segment: u32) -> String {
        segment::file_name(self.options.name, segment)
    }

    /// Whether a sync failed, so that nothing more is written.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.lock().is_some()
    }

    fn fault(&self, segment: u32, what: &str, error: &io::Error) -> Fault {
        let name = segment::file_name(self.options.name, segment);
        Fault::new(format!("{what} {}/{name}: {error}", self.disk.place()))
    }

    fn give_up(&self, fault: Fault) -> Fault {
        tracing::error!(%fault, "the store stops writing");
        *self.failed.lock() = Some(fault.what.to_string());
        fault
    }

    fn check_failed(&self) -> Result<(), Fault> {
        match &*self.failed.lock() {
            Some(what) => Err(Fault::new(format!("{what}\nhint: check the disk, then restart the node"))),
            None => Ok(()),
        }
    }
}

/// Writes one record behind the tail and returns its chain.
fn write_record(
    tail: &mut Tail,
    file: &dyn DiskFile,
    head: &[u8],
    body: &[u8],
    body_crc: u32,
) -> io::Result<u32> {
    let offset = u64::from(tail.end.offset);
    if tail.torn {
        file.truncate(offset)?;
        tail.torn = false;
    }
    let mut buffer = std::mem::take(&mut tail.buffer);
    buffer.clear();
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(&(head.len() as u32).to_le_bytes());
    buffer.extend_from_slice(&(body.len() as u32).to_le_bytes());
    buffer.extend_from_slice(&body_crc.to_le_bytes());
    buffer.extend_from_slice(head);
    let chain = crc32c::crc32c_append(tail.chain, &buffer[4..]);
    buffer[..4].copy_from_slice(&chain.to_le_bytes());
    let copied = body.len() <= COPY_BYTES_MAX;
    if copied {
        buffer.extend_from_slice(body);
    }
    let mut result = file.write_at(offset, &buffer);
    if !copied && result.is_ok() {
        result = file.write_at(offset + buffer.len() as u64, body);
    }
    tail.buffer = buffer;
    result.map(|()| chain)
}
